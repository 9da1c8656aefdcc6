//! A ledger's file as somebody else may have left it: read without a panic, never called whole when it is not, and
//! always written on.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use clawrden_api::HistoryQuery;
use clawrden_warden::ledger::{
    Argv, Damage, Decided, Finished, Id, Ledger, Options, Proof, Record, Requested, Resumed,
    Summary, VerifyError, verify, verify_by,
};
use tempfile::TempDir;

/// A folder with one ledger in it, and what a ledger that nobody touched holds.
struct Desk {
    folder: TempDir,
    real: Vec<u8>,
}

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// A first byte below 128: the rest is the file, whole. Else: the rest is pairs of place (`u16`) and byte that are
/// written over a real ledger.
pub fn ledger(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    DESK.with_borrow_mut(|desk| {
        if desk.is_none() {
            *desk = Desk::new();
        }
        let Some(desk) = desk else { panic!("no folder to work in") };
        if kind < 128 { desk.foreign(data) } else { desk.mutated(data) }
    });
}

impl Desk {
    fn new() -> Option<Self> {
        // In memory where that can be had: each open and close waits for the disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).ok()?;
        let mut desk = Self { folder, real: Vec::new() };
        {
            let (ledger, _) = Ledger::open(&desk.path(), &Options::default()).ok()?;
            for n in 0..4 {
                ledger.append(&records(n)).ok()?;
            }
        }
        desk.real = fs::read(desk.path()).ok()?;
        assert!(verify(&desk.path()).is_ok(), "a ledger that was just written does not hold");
        Some(desk)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl")
    }

    fn lay(&self, bytes: &[u8]) {
        let Ok(entries) = fs::read_dir(self.folder.path()) else { panic!("the folder is gone") };
        for entry in entries.flatten() {
            // The key stays.
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                assert!(fs::remove_file(entry.path()).is_ok());
            }
        }
        assert!(fs::write(self.path(), bytes).is_ok(), "no room for a ledger");
    }

    fn foreign(&self, bytes: &[u8]) {
        self.lay(bytes);
        let before = verify(&self.path());
        let (broken, torn) = match Ledger::open(&self.path(), &Options::default()) {
            Ok((ledger, found)) => {
                let sequence = ledger.status().sequence;
                match ledger.append(&records(9)) {
                    Ok(last) => {
                        // The ledger's own first line may stand before them.
                        let (least, most) =
                            (sequence.saturating_add(4), sequence.saturating_add(5));
                        assert!((least..=most).contains(&last), "{sequence} and four are {last}");
                    }
                    Err(error) => panic!("the ledger cannot be written on: {error}"),
                }
                let page = ledger.history(&HistoryQuery::default());
                assert!(page.is_ok(), "{page:?}");
                (found.broken.is_some(), found.torn.is_some())
            }
            Err(error) => panic!("the ledger cannot be opened: {error}"),
        };
        // Who moved its beginning elsewhere still has a ledger to write on, and is told by whoever proves it.
        let is_cut = |proved: &Result<_, VerifyError>| matches!(proved, Err(VerifyError::Broken(found)) if found.damage == Damage::Missing && found.seq == 1);
        if !is_cut(&before) {
            assert_eq!(
                before.is_ok(),
                !broken && !torn,
                "opening and proving disagree: {before:?}"
            );
        }
        let now = fs::read(self.path()).unwrap_or_default();
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        assert!(now.starts_with(&bytes[..whole]), "what was written before is changed");
        if !broken {
            let after = verify(&self.path());
            let holds = if is_cut(&after) { verify_from(&self.path(), &now) } else { after };
            assert!(holds.is_ok(), "{holds:?}");
        }
    }

    fn mutated(&self, changes: &[u8]) {
        let mut bytes = self.real.clone();
        for change in changes.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
            bytes[at] = change[2];
        }
        self.lay(&bytes);
        assert_eq!(verify(&self.path()).is_ok(), bytes == self.real, "a changed ledger holds");
    }
}

/// Proves a ledger from the first record that there is.
fn verify_from(path: &Path, bytes: &[u8]) -> Result<Summary, VerifyError> {
    let digits = bytes.strip_prefix(b"{\"seq\":").unwrap_or_default();
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(0);
    let from = std::str::from_utf8(&digits[..end]).ok().and_then(|digits| digits.parse().ok());
    verify_by(path, &Proof { from, ..Proof::default() })
}

fn records(n: u8) -> [Record; 4] {
    let id = Id([n; 16]);
    [
        Record::Requested(Requested {
            id,
            jail: "dev".to_owned(),
            caller: Default::default(),
            argv: Argv::new(&["git", "push", "\u{1b}[2J"]),
            cwd: Some("/app".to_owned()),
            executable: None,
            version: 2,
        }),
        Record::Decided(Decided {
            id,
            decision: "allow".to_owned(),
            rule: Some("policy.yaml:12".to_owned()),
            reason: String::new(),
            suggest: None,
            noticed: Vec::new(),
            let_through: false,
            executor: "mirror".to_owned(),
            run_as: None,
        }),
        Record::Finished(Finished {
            id,
            exit_code: Some(0),
            signal: None,
            exit_source: "kernel".to_owned(),
            duration_ms: 12,
            timed_out: false,
            cancelled: false,
            bytes_out: None,
            error: None,
            recording: None,
        }),
        Record::Resumed(Resumed { by: "alice".to_owned(), jail: None, container: None }),
    ]
}
