//! The ledger against crashes, full disks, damage and other processes.

mod chain;
mod changes;
mod disk;
mod every;
mod faults;
mod past;
mod retained;
mod signed;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl")
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.path(), &plain()).unwrap().0
    }

    fn open_small(&self, segment_bytes: u64) -> Ledger {
        Ledger::open(&self.path(), &Options { segment_bytes, ..plain() }).unwrap().0
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A ledger of nothing but what is appended.
fn plain() -> Options {
    Options { signed: false, again: Duration::from_secs(3600), ..Options::default() }
}

fn id(n: u64) -> Id {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Id(bytes)
}

fn requested(n: u64, argv: &[&str]) -> Record {
    Record::Requested(Requested {
        id: id(n),
        jail: "dev".to_owned(),
        caller: Caller { uid: Some(1000), gid: Some(1000), pid: Some(4242), ..Caller::default() },
        argv: Argv::new(argv),
        cwd: Some("/app".to_owned()),
        executable: Some("/usr/bin/git".to_owned()),
        version: 2,
    })
}

fn decided(n: u64, decision: &str) -> Record {
    Record::Decided(Decided {
        id: id(n),
        decision: decision.to_owned(),
        rule: Some("policy.yaml:12".to_owned()),
        reason: String::new(),
        suggest: None,
        noticed: Vec::new(),
        let_through: false,
        executor: "mirror".to_owned(),
        run_as: None,
    })
}

fn started(n: u64) -> Record {
    Record::Started(Started {
        id: id(n),
        executor: "mirror".to_owned(),

        method: Method::Handoff,
        pid: Some(4242),
        stripped: Vec::new(),
        run_as: None,
        ghost: None,
        record: None,
    })
}

fn finished(n: u64, exit_code: i32) -> Record {
    Record::Finished(Finished {
        id: id(n),
        exit_code: Some(exit_code),
        signal: None,
        exit_source: "kernel".to_owned(),
        duration_ms: 12,
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error: None,
        recording: None,
    })
}

fn answered(n: u64, reason: Option<&str>) -> Answered {
    let reason = reason.map(str::to_owned);
    Answered { reason, ..Answered::new(id(n), id(n + 1000), "alice", "cli") }
}

fn broken_at(path: &Path) -> Broken {
    match verify(path) {
        Err(VerifyError::Broken(broken)) => broken,
        other => panic!("not found to be broken: {other:?}"),
    }
}
