//! Seals and signed heads: what they cover, and what they find that the chain alone cannot.

use super::*;

fn signed(segment_bytes: u64) -> Options {
    Options { segment_bytes, signed: true, ..plain() }
}

fn open(fixture: &Fixture, segment_bytes: u64) -> Ledger {
    Ledger::open(&fixture.path(), &signed(segment_bytes)).unwrap().0
}

/// A ledger of several sealed segments and an open one, and its key.
fn many() -> (Fixture, Proof) {
    let fixture = Fixture::new();
    let ledger = open(&fixture, 3000);
    for n in 0..40 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    drop(ledger);
    let proof = by_key(&fixture);
    (fixture, proof)
}

fn by_key(fixture: &Fixture) -> Proof {
    Proof { keys: vec![PublicKey::of(fixture.folder.path()).unwrap()], ..Proof::default() }
}

fn broken(path: &Path, proof: &Proof) -> Broken {
    match verify_by(path, proof) {
        Err(VerifyError::Broken(broken)) => broken,
        other => panic!("not found to be broken: {other:?}"),
    }
}

fn closed(fixture: &Fixture) -> Vec<PathBuf> {
    let place = Place::new(&fixture.path()).unwrap();
    place.segments().unwrap().into_iter().map(|(_, path)| path).collect()
}

fn cut_lines(path: &Path, n: usize) {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(path, lines[..lines.len() - n].concat()).unwrap();
}

#[test]
fn every_segment_begins_with_the_schema_and_every_closed_one_ends_with_its_seal() {
    let (fixture, proof) = many();
    let files = closed(&fixture);
    assert!(files.len() >= 3, "{files:?}");
    for path in files.iter().chain([&fixture.path()]) {
        let text = fs::read_to_string(path).unwrap();
        let first = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let Record::Opened(opened) = first else { panic!("{text}") };
        assert_eq!((opened.schema, opened.segment), (SCHEMA, true));
        let last = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(matches!(last, Record::Sealed(_)), *path != fixture.path(), "{path:?}");
    }
    let summary = verify_by(&fixture.path(), &proof).unwrap();
    assert_eq!(summary.seals, files.len() as u64);
    assert_eq!((summary.heads, summary.signed_to), (1, summary.last_seq), "a clean end is signed");
    let alone = verify_by(&files[1], &proof).unwrap();
    assert_eq!((alone.segments, alone.seals, alone.signed_to), (1, 1, alone.last_seq));
}

#[test]
fn a_segment_whose_end_was_cut_off_is_told_from_a_torn_one() {
    let (fixture, proof) = many();
    let file = &closed(&fixture)[1];
    let whole = fs::read(file).unwrap();
    for n in [1, 2, 3] {
        cut_lines(file, n);
        assert_eq!(broken(file, &proof).damage, Damage::CutOff);
    }
    fs::write(file, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(broken(file, &proof).damage, Damage::Torn);
    fs::write(file, &whole).unwrap();
    cut_lines(&fixture.path(), 1);
    let found = broken(&fixture.path(), &proof);
    assert_eq!(found.damage, Damage::CutOff);
    assert!(found.why.contains("a head signed at"), "{found}");
    let open = fs::read(fixture.path()).unwrap();
    fs::write(fixture.path(), &open[..open.len() - 5]).unwrap();
    assert_eq!(broken(&fixture.path(), &proof).damage, Damage::CutOff, "in the middle of a line");
    fs::write(fixture.path(), "").unwrap();
    assert_eq!(broken(&fixture.path(), &proof).damage, Damage::CutOff, "all of it");
    fs::remove_file(fixture.path().with_extension("jsonl.head")).unwrap();
    verify_by(&fixture.path(), &proof).unwrap();
}

#[test]
fn a_head_that_an_anchor_kept_finds_what_was_cut_off_with_the_head_beside() {
    let fixture = Fixture::new();
    let heads = fixture.folder.path().join("kept/heads");
    fs::create_dir(heads.parent().unwrap()).unwrap();
    let options = Options { anchors: vec![Anchor::File(heads.clone())], ..signed(3000) };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    for n in 0..40 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    drop(ledger);
    let kept = heads_in(&fs::read_to_string(heads).unwrap());
    assert!(!kept.is_empty());
    fs::remove_file(fixture.path().with_extension("jsonl.head")).unwrap();
    let proof = Proof { heads: kept, ..by_key(&fixture) };
    assert!(verify_by(&fixture.path(), &proof).unwrap().heads >= 1);
    cut_lines(&fixture.path(), 1);
    verify_by(&fixture.path(), &by_key(&fixture)).unwrap();
    assert_eq!(broken(&fixture.path(), &proof).damage, Damage::CutOff);
}

#[test]
fn whole_files_that_are_removed_at_the_end_are_cut_off() {
    for is_anchored in [false, true] {
        let (fixture, mut proof) = many();
        let beside = fixture.path().with_extension("jsonl.head");
        if is_anchored {
            proof.heads = heads_in(&fs::read_to_string(&beside).unwrap());
            fs::remove_file(&beside).unwrap();
        }
        assert!(verify_by(&fixture.path(), &proof).unwrap().heads > 0);
        let newest = closed(&fixture).into_iter().rev().take(2);
        for path in std::iter::once(fixture.path()).chain(newest) {
            fs::remove_file(&path).unwrap();
            assert_eq!(broken(&fixture.path(), &proof).damage, Damage::CutOff, "{path:?}");
        }
        // What nobody asks for is not missed, nor what is behind a segment that is proved alone.
        verify_by(&fixture.path(), &Proof { to: Some(3), ..proof.clone() }).unwrap();
        verify_by(&closed(&fixture)[0], &proof).unwrap();
    }
}

#[test]
fn a_ledger_that_was_written_anew_is_not_signed_by_the_key() {
    let (fixture, proof) = many();
    let (other, _) = many();
    let theirs = verify(&other.path()).unwrap();
    for path in closed(&fixture) {
        fs::remove_file(path).unwrap();
    }
    for path in closed(&other).iter().chain([&other.path()]) {
        fs::copy(path, fixture.folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let head = "ledger.jsonl.head";
    fs::copy(other.folder.path().join(head), fixture.folder.path().join(head)).unwrap();
    assert_eq!(verify(&fixture.path()).unwrap(), theirs, "it holds in itself");
    let found = broken(&fixture.path(), &proof);
    assert_eq!(found.damage, Damage::Signature);
    assert!(found.why.contains("not signed by the key"), "{found}");
}

#[test]
fn a_warden_that_finds_less_than_was_signed_says_so() {
    let (fixture, _) = many();
    cut_lines(&fixture.path(), 1);
    let (ledger, recovery) = Ledger::open(&fixture.path(), &signed(1 << 20)).unwrap();
    assert!(recovery.missing.is_some());
    drop(ledger);
    assert!(fixture.text().contains("were signed for and are missing"), "{}", fixture.text());
    assert_eq!(verify(&fixture.path()).unwrap().recovered.len(), 1);
}

#[test]
fn a_segment_is_closed_by_its_age_too() {
    let fixture = Fixture::new();
    let options = Options { segment_age: Some(Duration::from_millis(50)), ..signed(1 << 20) };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    ledger.append(&[started(1)]).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    ledger.append(&[started(2)]).unwrap();
    drop(ledger);
    let summary = verify_by(&fixture.path(), &by_key(&fixture)).unwrap();
    assert_eq!((summary.segments, summary.seals), (2, 1));
}

#[test]
fn a_crash_between_seal_and_fresh_file_and_a_lost_seal_are_mended() {
    for loses_seal in [false, true] {
        let (fixture, proof) = many();
        let newest = closed(&fixture).pop().unwrap();
        fs::remove_file(fixture.path().with_extension("jsonl.head")).unwrap();
        if loses_seal {
            cut_lines(&newest, 1);
            fs::write(fixture.path(), "").unwrap();
        } else {
            fs::rename(&newest, fixture.path()).unwrap();
        }
        let ledger = open(&fixture, 3000);
        ledger.append(&[started(1)]).unwrap();
        drop(ledger);
        verify_by(&fixture.path(), &proof).unwrap();
    }
}

#[test]
fn what_stands_behind_an_end_that_power_took_is_set_aside_with_it() {
    for (back, bytes) in [(1, 5), (1, 900), (2, 300), (3, 1)] {
        for has_head in [true, false] {
            let (fixture, proof) = many();
            let files = closed(&fixture);
            let at = files.len() - back;
            let whole = fs::read(&files[at]).unwrap();
            let left = &whole[..whole.len() - bytes];
            fs::write(&files[at], left).unwrap();
            let kept = left.iter().rposition(|&b| b == b'\n').unwrap() + 1;
            let mut aside = left[kept..].to_vec();
            for file in files[at + 1..].iter().chain([&fixture.path()]) {
                aside.extend(fs::read(file).unwrap());
            }
            if !has_head {
                fs::remove_file(fixture.path().with_extension("jsonl.head")).unwrap();
            }
            let (ledger, recovery) = Ledger::open(&fixture.path(), &signed(1 << 20)).unwrap();
            ledger.append(&[started(1)]).unwrap();
            drop(ledger);
            if has_head {
                // It was on the disk: somebody has cut it off, and nothing is mended.
                assert_eq!((recovery.torn, closed(&fixture)), (None, files));
                assert!(verify_by(&fixture.path(), &proof).is_err());
                continue;
            }
            let torn = recovery.torn.unwrap();
            assert_eq!(torn.torn_bytes, aside.len() as u64);
            assert_eq!(fs::read(torn.file.unwrap()).unwrap(), aside);
            let summary = verify_by(&fixture.path(), &proof).unwrap();
            assert_eq!((summary.recovered.len(), summary.first_seq), (1, 1), "{back} {bytes}");
            assert_eq!(fixture.files().iter().filter(|name| name.contains("torn")).count(), 1);
        }
    }
}

#[test]
fn a_closed_segment_of_which_no_line_reached_the_disk_is_set_aside() {
    for bytes in [0, 10] {
        for back in [1, 2] {
            let (fixture, proof) = many();
            fs::remove_file(fixture.path().with_extension("jsonl.head")).unwrap();
            let files = closed(&fixture);
            let lost = &files[files.len() - back];
            let left = fs::read(lost).unwrap()[..bytes].to_vec();
            fs::write(lost, left).unwrap();
            fs::write(fixture.path(), "").unwrap();
            let kept = verify(&files[files.len() - back - 1]).unwrap().last_seq;
            let ledger = open(&fixture, 3000);
            ledger.append(&[started(1)]).unwrap();
            assert!(ledger.sequence() > kept, "it is numbered from the beginning");
            drop(ledger);
            let summary = verify_by(&fixture.path(), &proof).unwrap();
            assert_eq!(summary.first_seq, 1);
            assert_eq!(summary.recovered.len(), usize::from(bytes > 0 || back > 1));
        }
    }
}

#[test]
fn a_closed_segment_that_somebody_empties_is_left_as_it_is_and_the_chain_goes_on_before_it() {
    let (fixture, _) = many();
    let files = closed(&fixture);
    let (emptied, before) = (&files[files.len() - 1], &files[files.len() - 2]);
    let last = verify(before).unwrap().last_seq;
    fs::write(emptied, "").unwrap();
    fs::write(fixture.path(), "").unwrap();
    let (ledger, recovery) = Ledger::open(&fixture.path(), &signed(1 << 20)).unwrap();
    assert!(recovery.missing.is_some_and(|missing| missing > last), "{recovery:?}");
    ledger.append(&[started(1)]).unwrap();
    assert!(ledger.sequence() > last);
    drop(ledger);
    assert_eq!(closed(&fixture), files);
    assert!(fixture.text().contains("were signed for and are missing"), "{}", fixture.text());
}

/// A ledger of many small segments.
fn of_small_ones() -> (Fixture, Vec<PathBuf>) {
    let fixture = Fixture::new();
    let ledger = open(&fixture, 1000);
    for n in 0..60 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    drop(ledger);
    let files = closed(&fixture);
    assert!(files.len() > 12, "{files:?}");
    (fixture, files)
}

#[test]
fn an_end_that_power_took_is_found_as_far_back_as_no_head_covers() {
    let (fixture, files) = of_small_ones();
    fs::remove_file(fixture.path().with_extension("jsonl.head")).unwrap();
    cut_lines(&files[1], 1);
    let (ledger, recovery) = Ledger::open(&fixture.path(), &signed(1 << 20)).unwrap();
    assert!(recovery.torn.is_some());
    ledger.append(&[started(1)]).unwrap();
    drop(ledger);
    assert_eq!(closed(&fixture), files[..1]);
    verify_by(&fixture.path(), &by_key(&fixture)).unwrap();
}

#[test]
fn what_the_first_head_covers_is_put_on_the_disk_before() {
    use std::os::unix::fs::MetadataExt as _;
    let (fixture, files) = of_small_ones();
    let beside = fixture.path().with_extension("jsonl.head");
    let inode = |path: &PathBuf| fs::metadata(path).unwrap().ino();
    let synced = || {
        let place = Place::new(&fixture.path()).unwrap();
        let (mut writer, _) = opening::take_up(&place, None, &signed(1 << 20)).unwrap();
        let mut synced = Vec::new();
        let sync = |file: &File| file.metadata().map(|about| about.ino());
        let batch = writer.batch();
        let seen = std::cell::RefCell::new(&mut synced);
        batch.sync(|file| sync(file).map(|ino| seen.borrow_mut().push(ino))).unwrap();
        synced
    };
    let from = |at: usize| -> Vec<u64> {
        files[at..].iter().chain([&fixture.path()]).map(inode).collect()
    };
    assert_eq!(synced(), from(files.len() - 1), "all is signed");
    // The seal of the third is the newest head.
    let text = fs::read_to_string(&files[2]).unwrap();
    let Ok(Record::Sealed(head)) = serde_json::from_str(text.lines().last().unwrap()) else {
        panic!("{text}")
    };
    let told = |head| head::Anchored {
        clawrden_head: 1,
        ledger: String::new(),
        time: String::new(),
        head,
    };
    let write = |head| fs::write(&beside, serde_json::to_string(&told(head)).unwrap()).unwrap();
    write(head.clone());
    assert_eq!(synced(), from(2), "it does not cover the line that it stands in");
    write(SignedHead { last: head.last + 1, ..head.clone() });
    assert_eq!(synced(), from(3));
    // It is read without proof.
    write(SignedHead { last: u64::MAX, ..head });
    assert_eq!(synced(), from(files.len() - 1));
    fs::remove_file(&beside).unwrap();
    assert_eq!(synced(), from(0));
}

#[test]
fn a_ledger_of_which_nothing_is_signed_is_not_proved_by_a_key_from_elsewhere() {
    let (fixture, proof) = many();
    let forged = Fixture::new();
    let ledger = forged.open();
    for n in 0..5 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    drop(ledger);
    assert_eq!(verify_by(&forged.path(), &proof).unwrap().signed_to, 0);
    let given = Proof { keys_given: true, ..proof };
    let found = broken(&forged.path(), &given);
    assert_eq!((found.damage, found.seq), (Damage::Signature, 1));
    assert!(found.why.contains("nothing of it is signed"), "{found}");
    verify_by(&fixture.path(), &given).unwrap();
    verify_by(&closed(&fixture)[1], &given).unwrap();
    fs::write(forged.path(), "").unwrap();
    verify_by(&forged.path(), &given).unwrap();
}

#[test]
fn a_young_ledger_is_signed_at_once() {
    let fixture = Fixture::new();
    let ledger = open(&fixture, 1 << 20);
    ledger.append(&[started(1)]).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while !fixture.path().with_extension("jsonl.head").exists() {
        assert!(Instant::now() < end, "no head");
        std::thread::sleep(Duration::from_millis(5));
    }
    let given = Proof { keys_given: true, ..by_key(&fixture) };
    assert!(verify_by(&fixture.path(), &given).unwrap().signed_to > 0);
}

#[test]
fn all_segments_in_one_file_are_proved_like_the_ledger() {
    let (fixture, proof) = many();
    let whole = verify_by(&fixture.path(), &proof).unwrap();
    let head = fs::read(fixture.path().with_extension("jsonl.head")).unwrap();
    let files = closed(&fixture).into_iter().chain([fixture.path()]);
    let text: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    let export = fixture.folder.path().join("export.jsonl");
    fs::write(&export, &text).unwrap();
    fs::write(export.with_extension("jsonl.head"), head).unwrap();
    let given = Proof { keys_given: true, ..proof };
    let one = verify_by(&export, &given).unwrap();
    assert_eq!(Summary { segments: whole.segments, ..one }, whole);
    assert!(whole.seals > 1);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for n in 0..lines.len() {
        fs::write(&export, [&lines[..n], &lines[n + 1..]].concat().concat()).unwrap();
        let found = verify_by(&export, &given);
        assert!(found.is_err(), "without line {n}");
    }
}
