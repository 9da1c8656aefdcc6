//! The fuzz targets without a fuzzer: their corpus, and a fixed number of mutations of it, on a stable toolchain.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub)]
mod fuzz;

use std::fs;
use std::path::Path;

/// Mutations for each target.
const MUTATIONS: usize = 20_000;

/// Seeds longer than this are replayed, but not mutated: most of what they would take is time.
const LONG: usize = 4096;

/// George Marsaglia's xorshift64: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 8).unwrap() % end
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Bytes that parsers stumble over more often than over others.
const ODD: &[u8] = b"\0\x01\x7f\x80\xff\n\"\\:{}[]-#&*,0 \xc3";

fn mutate(numbers: &mut Numbers, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let odd = ODD[numbers.below(ODD.len())];
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = odd,
            2 => bytes.insert(at, odd),
            3 => {
                let end = (at + numbers.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + numbers.below(32)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
    bytes
}

fn replay(name: &str) {
    let (_, entry) = fuzz::ENTRIES.into_iter().find(|(known, _)| *known == name).unwrap();
    let mut seeds = corpus(name);
    assert!(seeds.len() > 1, "the corpus of {name} is missing");
    for seed in &seeds {
        entry(seed);
    }
    entry(b"");
    seeds.retain(|seed| seed.len() <= LONG);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..MUTATIONS {
        let bytes = mutate(&mut numbers, &seeds);
        let run = std::panic::catch_unwind(|| entry(&bytes));
        assert!(run.is_ok(), "{name}: mutation {round} fails: {}", bytes.escape_ascii());
    }
}

#[test]
fn every_target_is_replayed() {
    let mut names: Vec<&str> = fuzz::ENTRIES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let known = [
        "display",
        "frames",
        "ledger",
        "note",
        "policy",
        "redaction",
        "request",
        "runner",
        "shell",
        "slack",
        "telegram",
        "wrapped",
    ];
    assert_eq!(names, known);
}

#[test]
fn requests_survive_any_bytes() {
    replay("request");
}

#[test]
fn frames_survive_any_bytes() {
    replay("frames");
}

#[test]
fn runner_messages_survive_any_bytes() {
    replay("runner");
}

#[test]
fn files_that_may_be_shims_survive_any_bytes() {
    replay("note");
}

#[test]
fn policies_survive_any_bytes() {
    replay("policy");
}

#[test]
fn shell_lines_survive_any_bytes() {
    replay("shell");
}

#[test]
fn a_line_within_another_is_judged_as_strictly() {
    replay("wrapped");
}

#[test]
fn what_is_shown_is_harmless_for_any_bytes() {
    replay("display");
}

#[test]
fn ledgers_survive_any_bytes() {
    replay("ledger");
}

#[test]
fn envelopes_and_calls_of_slack_survive_any_bytes() {
    replay("slack");
}

#[test]
fn updates_of_telegram_survive_any_bytes() {
    replay("telegram");
}
