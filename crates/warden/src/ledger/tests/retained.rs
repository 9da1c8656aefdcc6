//! Retention: what is dropped is said and signed, what is left holds, and nobody else can drop anything.

use std::collections::HashSet;

use super::*;
use crate::ledger::Keep;

fn open(fixture: &Fixture) -> Ledger {
    let options = Options { segment_bytes: 3000, signed: true, ..plain() };
    Ledger::open(&fixture.path(), &options).unwrap().0
}

fn fill(ledger: &Ledger, requests: std::ops::Range<u64>) {
    for n in requests {
        ledger.append(&[requested(n, &["ls"]), decided(n, "allow")]).unwrap();
    }
}

fn proof(fixture: &Fixture) -> Proof {
    let keys = vec![PublicKey::of(fixture.folder.path()).unwrap()];
    Proof { keys, keys_given: true, ..Proof::default() }
}

fn recordings(fixture: &Fixture) -> PathBuf {
    fixture.folder.path().join("recordings")
}

fn bytes(most: u64) -> Keep {
    Keep { bytes: Some(most), age: None }
}

/// Drops what is due, and gives how much that was and why it ended.
fn retain(fixture: &Fixture, ledger: &Ledger, keep: Keep, held: &[u64]) -> (usize, Retained) {
    let held: HashSet<Id> = held.iter().map(|&n| id(n)).collect();
    let mut times = 0;
    loop {
        match ledger.retain(&keep, &recordings(fixture), &held).unwrap() {
            Retained::Dropped(_) => times += 1,
            ended => return (times, ended),
        }
    }
}

fn closed(fixture: &Fixture) -> Vec<PathBuf> {
    let place = Place::new(&fixture.path()).unwrap();
    place.segments().unwrap().into_iter().map(|(_, path)| path).collect()
}

fn damage(fixture: &Fixture) -> Damage {
    match verify_by(&fixture.path(), &proof(fixture)) {
        Err(VerifyError::Broken(broken)) => broken.damage,
        other => panic!("not found: {other:?}"),
    }
}

#[test]
fn what_is_dropped_is_said_and_what_is_left_holds_for_ever() {
    let fixture = Fixture::new();
    let mut first = 1;
    for round in 0..5 {
        let ledger = open(&fixture);
        fill(&ledger, round * 40..round * 40 + 40);
        let (times, ended) = retain(&fixture, &ledger, bytes(9000), &[]);
        assert!(times > 2 && ended == Retained::All, "{times} {ended:?}");
        drop(ledger);
        let summary = verify_by(&fixture.path(), &proof(&fixture)).unwrap();
        assert!(summary.first_seq > first && summary.bytes <= 12_000, "{summary:?}");
        first = summary.first_seq;
        let dropped = summary.dropped.unwrap();
        assert_eq!((dropped.last + 1, dropped.why), (first, Bound::Bytes));
        // Whether asked for all, for what is left, or for what was before it was said.
        for to in [first, first + 3] {
            let range = Proof { to: Some(to), ..proof(&fixture) };
            verify_by(&fixture.path(), &range).unwrap();
            verify_by(&fixture.path(), &Proof { from: Some(first), ..range }).unwrap();
        }
        let gone = Proof { from: Some(first - 1), ..proof(&fixture) };
        let asked = verify_by(&fixture.path(), &gone);
        assert!(matches!(asked, Err(VerifyError::NoSuchRange { .. })), "{asked:?}");
    }
}

#[test]
fn what_is_too_old_goes_but_for_the_newest_closed_segment() {
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    fill(&ledger, 0..40);
    let age = |age| Keep { age: Some(age), bytes: None };
    let none = retain(&fixture, &ledger, age(Duration::from_secs(3600)), &[]);
    assert_eq!(none, (0, Retained::All));
    std::thread::sleep(Duration::from_millis(5));
    let (times, ended) = retain(&fixture, &ledger, age(Duration::from_millis(1)), &[]);
    assert!(times > 2 && ended == Retained::All, "{times} {ended:?}");
    // Those that were said in between may have closed one more.
    assert!(closed(&fixture).len() <= 2, "{:?}", closed(&fixture));
    drop(ledger);
    let summary = verify_by(&fixture.path(), &proof(&fixture)).unwrap();
    assert_eq!(summary.dropped.unwrap().why, Bound::Age);
}

#[test]
fn a_segment_that_is_closed_meanwhile_does_not_count_twice() {
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    fill(&ledger, 0..21);
    let place = Place::new(&fixture.path()).unwrap();
    let files = closed(&fixture);
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    let all = files.iter().map(|path| size(path)).sum::<u64>() + size(&fixture.path());
    let keep = bytes(all + 1);
    let due = retention::due(&place, &keep, || {
        let mut n = 100;
        while closed(&fixture) == files {
            fill(&ledger, n..n + 1);
            n += 1;
        }
        ledger.writer().view().bytes
    });
    assert!(due.unwrap().is_none(), "it is dropped too early");
    assert!(retention::due(&place, &keep, || ledger.writer().view().bytes).unwrap().is_some());
}

#[test]
fn a_segment_that_somebody_else_removes_is_missed() {
    for drops in [false, true] {
        let fixture = Fixture::new();
        let ledger = open(&fixture);
        fill(&ledger, 0..60);
        if drops {
            assert!(retain(&fixture, &ledger, bytes(18_000), &[]).0 > 0);
        }
        drop(ledger);
        let segments = closed(&fixture);
        assert!(segments.len() > 2);
        for (nth, path) in segments.iter().enumerate() {
            let text = fs::read(path).unwrap();
            fs::remove_file(path).unwrap();
            assert_eq!(damage(&fixture), Damage::Missing, "segment {nth}, {drops}");
            fs::write(path, text).unwrap();
        }
        // Who knows that the oldest lies elsewhere asks for the rest.
        fs::remove_file(&segments[0]).unwrap();
        let left = Place::new(&fixture.path()).unwrap().segments().unwrap()[0].0;
        let rest = Proof { from: Some(left), ..proof(&fixture) };
        verify_by(&fixture.path(), &rest).unwrap();
        let range = Proof { to: Some(left + 1), ..proof(&fixture) };
        assert!(verify_by(&fixture.path(), &range).is_err());
    }
}

#[test]
fn another_key_can_drop_nothing() {
    let fixture = Fixture::new();
    fill(&open(&fixture), 0..40);
    let (key, kept) = (fixture.folder.path().join("key"), fixture.folder.path().join("kept"));
    fs::rename(&key, &kept).unwrap();
    let ledger = open(&fixture);
    assert!(retain(&fixture, &ledger, bytes(6000), &[]).0 > 0);
    drop(ledger);
    fs::remove_dir_all(&key).unwrap();
    fs::rename(&kept, &key).unwrap();
    assert_eq!(damage(&fixture), Damage::Signature);
}

#[test]
fn what_was_said_of_another_ledger_with_the_same_key_says_nothing_here() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    fill(&open(&other), 0..80);
    fs::create_dir(fixture.folder.path().join("key")).unwrap();
    for name in ["private.pem", "public.pem"] {
        let from = other.folder.path().join("key").join(name);
        let to = fixture.folder.path().join("key").join(name);
        fs::copy(from, &to).unwrap();
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(to, own).unwrap();
    }
    let theirs = open(&other);
    assert!(retain(&other, &theirs, bytes(6000), &[]).0 > 3);
    drop(theirs);
    let dropped = verify_by(&other.path(), &proof(&other)).unwrap().dropped.unwrap();
    let ledger = open(&fixture);
    fill(&ledger, 0..40);
    // As whoever can write the end of the file would.
    ledger.append(&[Record::Dropped(dropped.clone())]).unwrap();
    drop(ledger);
    verify_by(&fixture.path(), &proof(&fixture)).unwrap();
    fs::remove_file(&closed(&fixture)[0]).unwrap();
    assert!(Place::new(&fixture.path()).unwrap().segments().unwrap()[0].0 <= dropped.last);
    assert_eq!(damage(&fixture), Damage::Missing);
}

#[test]
fn what_is_owed_to_somebody_stays_and_all_behind_it() {
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    fill(&ledger, 0..40);
    let before = closed(&fixture);
    let (times, ended) = retain(&fixture, &ledger, bytes(1), &[0]);
    let Retained::Stays(path, why) = ended else { panic!("{ended:?}") };
    assert_eq!((times, &path), (0, &before[0]));
    assert!(why.contains(&id(0).to_string()), "{why}");
    assert_eq!(closed(&fixture), before);
    let (times, ended) = retain(&fixture, &ledger, bytes(1), &[20]);
    assert!(times > 0 && matches!(ended, Retained::Stays(..)), "{times} {ended:?}");
    let text = fs::read_to_string(&closed(&fixture)[0]).unwrap();
    assert!(text.contains(&id(20).to_string()), "{text}");
    // An answer is owed by its entry as well.
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    let answer = Answered { entry: id(1000), ..answered(0, None) };
    ledger.append(&[requested(0, &["ls"]), Record::Approved(answer)]).unwrap();
    fill(&ledger, 1..40);
    let (times, ended) = retain(&fixture, &ledger, bytes(1), &[1000]);
    assert!(times == 0 && matches!(ended, Retained::Stays(..)), "{times} {ended:?}");
}

#[test]
fn what_does_not_hold_or_is_not_sealed_is_evidence_and_stays() {
    type Change = fn(&Path);
    let changes: [(Change, &str); 3] = [
        (|path| change(path, |text| text.replacen("\"ls\"", "\"rm\"", 1)), "does not hold"),
        (
            |path| {
                let cut =
                    |text: String| text[..=text[..text.len() - 1].rfind('\n').unwrap()].into();
                change(path, cut);
            },
            "not sealed",
        ),
        (|path| change(path, |text| text + "{"), "not sealed"),
    ];
    for (change, says) in changes {
        let fixture = Fixture::new();
        let ledger = open(&fixture);
        fill(&ledger, 0..40);
        let before = closed(&fixture);
        change(&before[0]);
        let (times, ended) = retain(&fixture, &ledger, bytes(1), &[]);
        let Retained::Stays(_, why) = ended else { panic!("{ended:?}") };
        assert!(times == 0 && why.contains(says), "{why}");
        assert_eq!(closed(&fixture), before);
    }
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    fill(&ledger, 0..40);
    change(&closed(&fixture)[1], |text| text.replacen("\"prev\":\"", "\"prev\":\"0", 1));
    let (times, ended) = retain(&fixture, &ledger, bytes(1), &[]);
    let Retained::Stays(_, why) = ended else { panic!("{ended:?}") };
    assert!(times == 0 && why.contains("does not follow"), "{why}");
}

fn change(path: &Path, how: impl FnOnce(String) -> String) {
    fs::write(path, how(fs::read_to_string(path).unwrap())).unwrap();
}

#[test]
fn recordings_go_with_the_requests_that_they_are_of() {
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    fill(&ledger, 0..40);
    let folder = recordings(&fixture);
    fs::create_dir(&folder).unwrap();
    let of = |n: u64| folder.join(format!("{}.cast", id(n)));
    for n in [0, 1, 39, 1000] {
        fs::write(of(n), "{}\n").unwrap();
    }
    fs::write(folder.join("notes"), "").unwrap();
    assert!(retain(&fixture, &ledger, bytes(20_000), &[]).0 > 0);
    assert!(!of(0).exists() && !of(1).exists());
    assert!(of(39).exists() && of(1000).exists() && folder.join("notes").exists());
}

#[test]
fn who_reads_while_segments_are_dropped_sees_a_ledger_that_holds() {
    let fixture = Fixture::new();
    let ledger = open(&fixture);
    fill(&ledger, 0..40);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let query = HistoryQuery { limit: Some(1000), ..HistoryQuery::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 40..400 {
                fill(&ledger, n..n + 1);
                retain(&fixture, &ledger, bytes(9000), &[]);
            }
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let mut looked = 0;
        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
            let summary = verify_by(&fixture.path(), &proof(&fixture)).unwrap();
            let entries = ledger.history(&query).unwrap().entries;
            let number = |entry: &clawrden_api::HistoryEntry| {
                u64::from_str_radix(&entry.id[16..], 16).unwrap()
            };
            assert!(entries.windows(2).all(|two| number(&two[0]) == number(&two[1]) + 1));
            looked += u32::from(summary.first_seq > 1);
        }
        assert!(looked > 3, "{looked}");
    });
}
