//! What the ledger says of all of it: nothing without its intent, nothing twice, nothing without an end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clawrden_warden::ledger::{Proof, PublicKey, Summary, verify_by};
use serde::Deserialize;

use crate::support::until;

const DECIDED: u8 = 1;
const STARTED: u8 = 2;
const ENDED: u8 = 4;
const DENIED: u8 = 8;
const YES: u8 = 16;

/// What a ledger holds.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) requested: u64,
    pub(crate) started: u64,
    pub(crate) approved: u64,
    pub(crate) refused: u64,
    /// Requests that were decided neither by the policy nor by a failure, and starts without an end.
    pub(crate) open: u64,
    /// Of each command line that was asked about by its last argument, how often it was started.
    pub(crate) marks: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    id: Option<String>,
    decision: Option<String>,
    state: Option<String>,
    argv: Option<Vec<String>>,
}

/// Proves it with its key.
pub(crate) fn holds(folder: &Path) -> Summary {
    let keys = vec![PublicKey::of(folder).unwrap()];
    let proof = Proof { keys, keys_given: true, ..Proof::default() };
    until("the ledger to hold", || verify_by(&folder.join("ledger.jsonl"), &proof).ok())
}

/// Reads all of it. Commands whose last argument begins with `marks` are counted by it.
pub(crate) fn read(folder: &Path, marks: &str) -> Books {
    let is_ledger = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("ledger") && name.ends_with(".jsonl")
    };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(is_ledger).collect();
    files.sort();
    let mut books = Books::default();
    let mut all: HashMap<String, (u8, Option<String>)> = HashMap::new();
    for file in files {
        for line in BufReader::new(File::open(file).unwrap()).lines() {
            let Ok(line) = serde_json::from_str::<Line>(&line.unwrap()) else { continue };
            books.take(line, &mut all, marks);
        }
    }
    for (state, _) in all.values() {
        let is_over = state & ENDED != 0 || state & STARTED == 0;
        books.open += u64::from(state & (DECIDED | ENDED) == 0 || !is_over);
    }
    books
}

impl Books {
    fn take(&mut self, line: Line, all: &mut HashMap<String, (u8, Option<String>)>, marks: &str) {
        let Some(id) = line.id else { return };
        if line.event == "requested" {
            self.requested += 1;
            let last = line.argv.and_then(|argv| argv.into_iter().next_back());
            let mark = last.and_then(|last| last.rfind(marks).map(|at| last[at..].to_owned()));
            assert!(all.insert(id, (0, mark)).is_none(), "a request twice");
            return;
        }
        let (state, mark) =
            all.get_mut(&id).unwrap_or_else(|| panic!("{} of no request", line.event));
        match &*line.event {
            "decided" => {
                assert_eq!(*state & DECIDED, 0, "{id} is decided twice");
                *state |= DECIDED;
                match line.decision.as_deref() {
                    Some("deny") => *state |= DENIED,
                    Some("allow") => *state |= YES,
                    _ => {}
                }
            }
            "approved" | "grant_used" => {
                self.approved += 1;
                *state |= YES;
            }
            // Nobody has had the answer yet, so what was intended by it came to nothing; and where its warden was killed
            // between keeping and recording it, this is its record.
            "restored" => match line.state.as_deref() {
                Some("approved") => {
                    let has_run = *state & (STARTED | ENDED) == STARTED | ENDED;
                    assert!(!has_run, "{id} has run, and its answer is given out again");
                    *state = (*state | YES) & !STARTED;
                }
                Some("denied") => *state |= DENIED,
                _ => {}
            },
            "denied" | "expired" => {
                self.refused += 1;
                *state |= DENIED;
            }
            "started" => {
                assert_eq!(*state & (STARTED | DENIED), 0, "{id} is started twice, or after a no");
                assert_eq!(
                    *state & (DECIDED | YES),
                    DECIDED | YES,
                    "{id} is started without a yes"
                );
                *state |= STARTED;
                self.started += 1;
                if let Some(mark) = mark {
                    *self.marks.entry(mark.clone()).or_default() += 1;
                }
            }
            "finished" => {
                assert_eq!(*state & (STARTED | ENDED), STARTED, "{id} ends twice, or never began");
                *state |= ENDED;
            }
            // Nothing was started with it.
            "approval_returned" => *state &= !STARTED,
            "failed" | "caller_left" => *state |= ENDED,
            _ => {}
        }
    }
}
