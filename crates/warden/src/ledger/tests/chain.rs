//! The chain: what verify finds, and what rotation, threads and hostile text leave whole.

use std::sync::Arc;

use super::*;

#[test]
fn an_empty_ledger_holds() {
    let fixture = Fixture::new();
    drop(fixture.open());
    let summary = verify(&fixture.path()).unwrap();
    assert_eq!((summary.lines, summary.last_seq), (0, 0));
    assert_eq!(summary.head, "0".repeat(64));
}

#[test]
fn a_ledger_that_is_not_there_is_no_ledger_that_holds() {
    let fixture = Fixture::new();
    assert!(matches!(verify(&fixture.path()), Err(VerifyError::Unreadable(_))));
}

#[test]
fn the_chain_goes_on_after_the_ledger_was_closed() {
    let fixture = Fixture::new();
    assert_eq!(fixture.open().append(&[requested(1, &["ls"]), decided(1, "allow")]).unwrap(), 2);
    assert_eq!(fixture.open().append(&[finished(1, 0)]).unwrap(), 3);
    let summary = verify(&fixture.path()).unwrap();
    assert_eq!((summary.first_seq, summary.last_seq, summary.lines), (1, 3, 3));
    assert_eq!(summary.bytes, fixture.text().len() as u64);
    assert_eq!(verify(fixture.folder.path()).unwrap(), summary, "a directory will do");
}

#[test]
fn every_line_is_an_object_that_can_be_read_as_a_record() {
    let fixture = Fixture::new();
    fixture
        .open()
        .append(&[requested(1, &["ls"]), Record::Approved(answered(1, Some("ok")))])
        .unwrap();
    for line in fixture.text().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["time"].as_str().unwrap().ends_with('Z'));
        serde_json::from_str::<Record>(line).unwrap();
    }
}

#[test]
fn a_flipped_bit_in_any_byte_is_found_in_its_own_line() {
    let fixture = Fixture::new();
    fixture.open().append(&[requested(1, &["ls"]), decided(1, "allow"), finished(1, 0)]).unwrap();
    let sound = fs::read(fixture.path()).unwrap();
    for at in 0..sound.len() {
        let line = sound[..at].iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(fixture.path(), &flipped).unwrap();
        assert_eq!(broken_at(&fixture.path()).line, line, "byte {at}");
    }
}

#[test]
fn removed_repeated_swapped_and_foreign_lines_are_found() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    for n in 1..=5 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    let text = fixture.text();
    let sound: Vec<&str> = text.lines().collect();
    let other = Fixture::new();
    let foreign = other.open();
    for n in 11..=15 {
        foreign.append(&[requested(n, &["rm"])]).unwrap();
    }
    let foreign = other.text();
    let foreign: Vec<&str> = foreign.lines().collect();
    let broken_line = |lines: &[&str]| {
        fs::write(fixture.path(), lines.iter().map(|l| format!("{l}\n")).collect::<String>())
            .unwrap();
        broken_at(&fixture.path()).line
    };
    let [a, b, c, d, e] = sound[..] else { panic!() };
    assert_eq!(broken_line(&[a, b, d, e]), 3, "removed");
    assert_eq!(broken_line(&[a, b, b, c, d, e]), 3, "repeated");
    assert_eq!(broken_line(&[a, c, b, d, e]), 2, "swapped");
    assert_eq!(broken_line(&[a, b, foreign[2], d, e]), 3, "replaced");
    assert_eq!(broken_line(&[a, b, "", c, d, e]), 3, "an empty line");
    assert_eq!(broken_line(&[a, b, "{}", c, d, e]), 3, "a line of no form");
    // The chain itself names what a copied sum would hide.
    fs::write(fixture.path(), format!("{a}\n{b}\n{}\n", foreign[2])).unwrap();
    assert!(broken_at(&fixture.path()).why.contains("does not follow"));
}

#[test]
fn a_line_longer_than_any_of_ours_is_broken_and_costs_no_memory() {
    let fixture = Fixture::new();
    fixture.open().append(&[requested(1, &["ls"])]).unwrap();
    let mut bytes = fs::read(fixture.path()).unwrap();
    bytes.resize(bytes.len() + 5 * MAX_LINE, b'x');
    bytes.push(b'\n');
    fs::write(fixture.path(), &bytes).unwrap();
    let broken = broken_at(&fixture.path());
    assert_eq!(broken.line, 2);
    assert!(broken.why.contains("longer"), "{broken}");
    bytes.pop();
    fs::write(fixture.path(), &bytes).unwrap();
    let (ledger, recovery) = Ledger::open(&fixture.path(), &plain()).unwrap();
    assert_eq!(recovery.torn.unwrap().torn_bytes, 5 * MAX_LINE as u64);
    assert_eq!(recovery.broken, None);
    drop(ledger);
    verify(&fixture.path()).unwrap();
}

#[test]
fn hostile_arguments_stay_one_harmless_line() {
    let fixture = Fixture::new();
    let hostile = [
        "a\nb",
        "x\"}\n{\"seq\":2,\"event\":\"approved\"}",
        "\u{1b}[2J\u{1b}]0;t\u{7}",
        "\u{202e}\u{2066}\u{200b}",
        "\u{85}\u{2028}\u{9b}",
        "\u{7f}\r",
    ];
    fixture.open().append(&[requested(1, &hostile)]).unwrap();
    let text = fixture.text();
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().chars().all(clawrden_api::display::is_plain), "{text}");
    let Record::Requested(back) = serde_json::from_str(&text).unwrap() else { panic!() };
    assert_eq!(back.argv.argv, hostile);
}

#[test]
fn any_bytes_can_be_written_and_read_back() {
    let fixture = Fixture::new();
    let all: Vec<u8> = (1..=255).collect();
    let Record::Requested(mut request) = requested(1, &[]) else { panic!() };
    request.argv = Argv::new(&[&all]);
    fixture.open().append(&[Record::Requested(request.clone())]).unwrap();
    verify(&fixture.path()).unwrap();
    let back: Record = serde_json::from_str(&fixture.text()).unwrap();
    assert_eq!(back, Record::Requested(request));
}

#[test]
fn the_longest_arguments_fit_into_a_line() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    for byte in [b'\x1b', b'\xff', b'a'] {
        let Record::Requested(mut request) = requested(1, &[]) else { panic!() };
        request.argv = Argv::new(&[vec![byte; 6 << 20]]);
        ledger.append(&[Record::Requested(request)]).unwrap();
    }
    assert_eq!(verify(&fixture.path()).unwrap().lines, 3);
}

#[test]
fn a_record_over_the_limit_is_refused_and_the_ledger_goes_on() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let long = Record::Failed(Failed { id: id(1), error: "x".repeat(MAX_LINE) });
    assert!(matches!(ledger.append(&[long]), Err(LedgerError::TooLong { .. })));
    assert_eq!(ledger.append(&[requested(1, &["ls"])]).unwrap(), 1);
    verify(&fixture.path()).unwrap();
}

#[test]
fn threads_that_append_at_once_keep_their_records_together_and_in_order() {
    let fixture = Fixture::new();
    let ledger = Arc::new(fixture.open_small(200_000));
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let ledger = Arc::clone(&ledger);
            std::thread::spawn(move || {
                for n in 0..200 {
                    let n = thread * 1000 + n;
                    let last = ledger
                        .append(&[requested(n, &["ls"]), decided(n, "allow"), started(n)])
                        .unwrap();
                    assert_eq!(last % 3, 0);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let summary = verify(&fixture.path()).unwrap();
    assert_eq!((summary.lines, summary.last_seq), (4800, 4800));
    assert!(summary.segments > 3);
    let segments = ledger.shared.place.segments().unwrap();
    let mut events = String::new();
    for (_, path) in segments {
        events.push_str(&fs::read_to_string(path).unwrap());
    }
    events.push_str(&fixture.text());
    let lines: Vec<Record> = events.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for three in lines.chunks(3) {
        let [Record::Requested(a), Record::Decided(b), Record::Started(c)] = three else {
            panic!("{three:?}")
        };
        assert!(a.id == b.id && b.id == c.id);
    }
}

#[test]
fn rotation_carries_the_chain_into_the_next_file() {
    let fixture = Fixture::new();
    let ledger = fixture.open_small(1500);
    for n in 1..=30 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    let files = fixture.files();
    assert!(files.contains(&"ledger-000000000001.jsonl".to_owned()), "{files:?}");
    let summary = verify(&fixture.path()).unwrap();
    assert_eq!((summary.first_seq, summary.last_seq), (1, 30));
    assert_eq!(summary.segments, files.len() - 1, "all but the lock");
    let third = fixture.folder.path().join(&files[2]);
    let alone = verify(&third).unwrap();
    assert_eq!(alone.segments, 1, "a closed segment can be proved alone");
    assert!(alone.first_seq > 1);
    drop(ledger);
    fs::remove_file(&third).unwrap();
    let broken = broken_at(&fixture.path());
    assert_eq!(broken.line, 1);
    assert!(broken.why.contains("stands where record"), "{broken}");
}

#[test]
fn a_crash_right_after_a_rotation_loses_no_link() {
    for leaves_empty_file in [true, false] {
        let fixture = Fixture::new();
        let ledger = fixture.open();
        ledger.append(&[requested(1, &["ls"]), requested(2, &["ls"])]).unwrap();
        drop(ledger);
        let closed = fixture.folder.path().join("ledger-000000000001.jsonl");
        fs::rename(fixture.path(), &closed).unwrap();
        if leaves_empty_file {
            fs::write(fixture.path(), "").unwrap();
        }
        let ledger = fixture.open();
        assert_eq!(ledger.append(&[requested(3, &["ls"])]).unwrap(), 3);
        assert_eq!(verify(&fixture.path()).unwrap().last_seq, 3);
    }
}

#[test]
fn a_rotation_that_cannot_be_done_loses_nothing() {
    let fixture = Fixture::new();
    let ledger = fixture.open_small(500);
    fs::write(fixture.folder.path().join("ledger-000000000001.jsonl"), "in the way").unwrap();
    for n in 1..=20 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    fs::remove_file(fixture.folder.path().join("ledger-000000000001.jsonl")).unwrap();
    assert_eq!(verify(&fixture.path()).unwrap().lines, 20);
    assert_eq!(ledger.status().error, None);
}
