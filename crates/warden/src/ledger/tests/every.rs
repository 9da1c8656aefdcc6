//! Every single change of a ledger is found: each bit, each byte more or less, each line removed, repeated or moved, each
//! place where it can be cut off: from the files on. What is more is in [`super::changes`].

use super::*;

/// A signed ledger of one open segment, and the key by which it is proved.
fn ledger(requests: u64) -> (Fixture, Proof) {
    let fixture = Fixture::new();
    let options = Options { signed: true, segment_bytes: 1 << 30, ..plain() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    for n in 0..requests {
        ledger.append(&[requested(n, &["git", "push"]), decided(n, "allow")]).unwrap();
    }
    drop(ledger);
    let keys = vec![PublicKey::of(fixture.folder.path()).unwrap()];
    let proof = Proof { keys, ..Proof::default() };
    verify_by(&fixture.path(), &proof).unwrap();
    (fixture, proof)
}

fn is_found(fixture: &Fixture, proof: &Proof, bytes: &[u8]) -> bool {
    fs::write(fixture.path(), bytes).unwrap();
    matches!(verify_by(&fixture.path(), proof), Err(VerifyError::Broken(_)))
}

#[test]
fn every_bit_and_every_byte_counts() {
    let (fixture, proof) = ledger(2);
    let sound = fs::read(fixture.path()).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(is_found(&fixture, &proof, &bytes), "byte {at}, bit {bit}");
            bytes[at] ^= 1 << bit;
        }
        bytes.insert(at, b' ');
        assert!(is_found(&fixture, &proof, &bytes), "a byte more at {at}");
        bytes.remove(at);
        bytes.remove(at);
        assert!(is_found(&fixture, &proof, &bytes), "a byte less at {at}");
        assert!(is_found(&fixture, &proof, &sound[..at]), "cut off at {at}");
    }
    assert!(!is_found(&fixture, &proof, &sound));
}

#[test]
fn every_line_that_is_removed_repeated_or_moved_is_found() {
    let (fixture, proof) = ledger(20);
    let text = fixture.text();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_found = |lines: &[&str]| is_found(&fixture, &proof, lines.concat().as_bytes());
    for n in 0..lines.len() {
        let mut changed = lines.clone();
        let line = changed.remove(n);
        assert!(is_found(&changed), "line {n} removed");
        for to in (0..lines.len()).filter(|&to| to != n) {
            changed.insert(to, line);
            assert!(is_found(&changed), "line {n} moved to {to}");
            changed.remove(to);
        }
        for (to, more) in [(n, line), (n, "\n"), (n, "{}\n"), (lines.len() - 1, line)] {
            let mut changed = lines.clone();
            changed.insert(to, more);
            assert!(is_found(&changed), "{more:?} before line {to}");
        }
        assert!(is_found(&lines[..n]), "cut off before line {n}");
    }
    assert!(!is_found(&lines));
}
