//! Faults: crashes in the middle of a write, full disks, files that others touch, places that cannot be trusted.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;
use crate::ledger::writer::Sink;

/// A disk with so many bytes left, that may refuse to truncate too.
struct Disk {
    inner: Box<dyn Sink>,
    left: Arc<AtomicI64>,
    frozen: Arc<AtomicBool>,
}

impl Sink for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.load(Ordering::SeqCst)).unwrap();
        if left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = self.inner.write(&bytes[..bytes.len().min(left)])?;
        self.left.fetch_sub(i64::try_from(n).unwrap(), Ordering::SeqCst);
        Ok(n)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.frozen.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.inner.truncate(len)
    }

    fn size(&mut self) -> io::Result<Option<u64>> {
        self.inner.size()
    }
}

fn on_small_disk(ledger: &Ledger, left: i64) -> (Arc<AtomicI64>, Arc<AtomicBool>) {
    let left = Arc::new(AtomicI64::new(left));
    let frozen = Arc::new(AtomicBool::new(false));
    let (l, f) = (Arc::clone(&left), Arc::clone(&frozen));
    ledger.writer().wrap_sink(|inner| Box::new(Disk { inner, left: l, frozen: f }));
    (left, frozen)
}

#[test]
fn a_full_disk_refuses_the_record_whole_and_heals_by_itself() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    ledger.append(&[requested(1, &["ls"])]).unwrap();
    let before = fixture.text();
    for left in [0, 1, 100, 500, 800] {
        let (space, _) = on_small_disk(&ledger, left);
        let error =
            ledger.append(&[requested(2, &["ls"]), decided(2, "allow"), started(2)]).unwrap_err();
        assert!(matches!(error, LedgerError::Io { what: "write", .. }), "{error}");
        assert_eq!(fixture.text(), before, "with {left} bytes left");
        assert!(ledger.status().error.unwrap().contains("cannot write"));
        space.store(1 << 30, Ordering::SeqCst);
    }
    assert_eq!(ledger.append(&[requested(3, &["ls"])]).unwrap(), 3);
    assert_eq!(ledger.status().error, None);
    assert_eq!(verify(&fixture.path()).unwrap().lines, 3);
    let text = fixture.text();
    let Record::DiskFailed(told) = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap()
    else {
        panic!("{text}")
    };
    assert_eq!((told.refused, told.late, told.lost), (5, 0, 0));
    assert!(told.error.contains("cannot write"), "{}", told.error);
}

#[test]
fn what_a_failed_write_leaves_is_set_aside_before_the_next() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    ledger.append(&[requested(1, &["ls"])]).unwrap();
    let (space, frozen) = on_small_disk(&ledger, 100);
    frozen.store(true, Ordering::SeqCst);
    ledger.append(&[requested(2, &["ls"])]).unwrap_err();
    assert!(!fixture.text().ends_with('\n'), "the piece could not be removed");
    space.store(1 << 30, Ordering::SeqCst);
    for _ in 0..3 {
        let error = ledger.append(&[requested(3, &["ls"])]).unwrap_err();
        assert!(error.to_string().contains("cannot truncate"), "{error}");
    }
    assert_eq!(fixture.files().len(), 2, "tries leave no files: {:?}", fixture.files());
    frozen.store(false, Ordering::SeqCst);
    assert_eq!(ledger.append(&[requested(4, &["ls"])]).unwrap(), 4);
    assert_eq!(verify(&fixture.path()).unwrap().lines, 4);
    let text = fixture.text();
    let Record::Recovered(recovered) = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap()
    else {
        panic!("{text}")
    };
    assert_eq!(recovered.torn_bytes, 100);
    assert_eq!(fs::read(recovered.file.unwrap()).unwrap().len(), 100);
}

#[test]
fn wherever_a_crash_cuts_the_file_the_ledger_opens_and_holds() {
    let fixture = Fixture::new();
    fixture.open().append(&[requested(1, &["ls"]), decided(1, "allow"), finished(1, 0)]).unwrap();
    let whole = fs::read(fixture.path()).unwrap();
    let near_an_end = |cut: usize| whole[cut.saturating_sub(2)..cut].contains(&b'\n');
    for cut in (0..whole.len()).filter(|&cut| cut % 4 == 0 || near_an_end(cut)) {
        let crashed = Fixture::new();
        fs::write(crashed.path(), &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|&&b| b == b'\n').count();
        let torn_bytes =
            cut - whole[..cut].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let (ledger, recovery) = Ledger::open(&crashed.path(), &plain()).unwrap();
        assert_eq!(recovery.broken, None);
        let mut expected = lines as u64 + 1;
        if torn_bytes > 0 {
            let torn = recovery.torn.unwrap();
            assert_eq!(torn.torn_bytes, torn_bytes as u64);
            let file = torn.file.unwrap();
            assert!(file.contains("/ledger.jsonl.torn-"), "{file}");
            assert_eq!(fs::read(file).unwrap(), whole[cut - torn_bytes..cut]);
            expected += 1;
        } else {
            assert_eq!(recovery, Recovery::default());
        }
        assert_eq!(ledger.append(&[requested(9, &["ls"])]).unwrap(), expected);
        assert_eq!(verify(&crashed.path()).unwrap().last_seq, expected);
    }
}

#[test]
fn two_torn_ends_in_one_millisecond_keep_both() {
    let fixture = Fixture::new();
    let place = Place::new(&fixture.path()).unwrap();
    let (_, first) = place.torn_file("2026-11-03T14:03:12.045Z").unwrap();
    let (_, second) = place.torn_file("2026-11-03T14:03:12.045Z").unwrap();
    assert!(first.ends_with("ledger.jsonl.torn-20261103T140312045Z"), "{first:?}");
    assert_ne!(first, second);
}

#[test]
fn a_chain_broken_in_the_middle_is_reported_and_never_repaired() {
    let fixture = Fixture::new();
    fixture.open().append(&[requested(1, &["ls"]), decided(1, "deny"), finished(1, 0)]).unwrap();
    let forged = fixture.text().replace("\"deny\"", "\"allo\"");
    fs::write(fixture.path(), &forged).unwrap();
    let (ledger, recovery) = Ledger::open(&fixture.path(), &plain()).unwrap();
    assert_eq!(recovery.broken.unwrap().line, 2);
    assert_eq!(ledger.append(&[requested(4, &["ls"])]).unwrap(), 5, "the chain goes on");
    assert!(fixture.text().starts_with(&forged), "not a byte of it was changed");
    assert!(fixture.text().lines().nth(3).unwrap().contains("line 2: it was changed"));
    assert_eq!(broken_at(&fixture.path()).line, 2, "and it is still found");
}

#[test]
fn a_second_warden_is_refused_and_told_who_has_it() {
    let fixture = Fixture::new();
    let first = fixture.open();
    let error = Ledger::open(&fixture.path(), &plain()).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }));
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(first);
    fixture.open();
}

#[test]
fn files_and_directory_are_their_owners_alone() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("a/b/ledger.jsonl");
    let ledger = Ledger::open(&path, &Options { segment_bytes: 1, ..plain() }).unwrap().0;
    ledger.append(&[requested(1, &["ls"])]).unwrap();
    ledger.append(&[requested(2, &["ls"])]).unwrap();
    for folder in ["a", "a/b"] {
        let mode = fs::metadata(fixture.folder.path().join(folder)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{entry:?}");
    }
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "").unwrap();
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o666)).unwrap();
    drop(fixture.open());
    assert_eq!(fs::metadata(fixture.path()).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn links_pipes_and_directories_are_refused() {
    let refused = |fixture: &Fixture| match Ledger::open(&fixture.path(), &plain()) {
        Err(LedgerError::Refused { .. } | LedgerError::Io { .. }) => {}
        other => panic!("{other:?}"),
    };
    let fixture = Fixture::new();
    let victim = fixture.folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, fixture.path()).unwrap();
    refused(&fixture);
    fs::remove_file(fixture.path()).unwrap();
    fs::hard_link(&victim, fixture.path()).unwrap();
    refused(&fixture);
    fs::remove_file(fixture.path()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fixture.path(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    refused(&fixture);
    fs::remove_file(fixture.path()).unwrap();
    fs::create_dir(fixture.path()).unwrap();
    refused(&fixture);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_dir(fixture.path()).unwrap();
    let lock = fixture.folder.path().join("ledger.jsonl.lock");
    fs::remove_file(&lock).unwrap();
    symlink(&victim, &lock).unwrap();
    refused(&fixture);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let fixture = Fixture::new();
    fs::set_permissions(fixture.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Ledger::open(&fixture.path(), &plain()).unwrap_err();
    assert!(error.to_string().contains("chmod go-w"), "{error}");
}

#[test]
fn a_ledger_that_somebody_removes_or_writes_refuses_records() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    ledger.append(&[requested(1, &["ls"])]).unwrap();
    let sound = fs::read(fixture.path()).unwrap();
    for meddled in [[&sound[..], b"x"].concat(), sound[..9].to_vec()] {
        fs::write(fixture.path(), meddled).unwrap();
        let error = ledger.append(&[requested(2, &["ls"])]).unwrap_err();
        assert!(matches!(error, LedgerError::Changed { .. }), "{error}");
        assert!(ledger.status().error.is_some());
    }
    fs::write(fixture.path(), sound).unwrap();
    assert_eq!(ledger.append(&[requested(2, &["ls"])]).unwrap(), 3);
    fs::remove_file(fixture.path()).unwrap();
    let error = ledger.append(&[requested(3, &["ls"])]).unwrap_err();
    assert!(error.to_string().contains("removed"), "{error}");
}

#[test]
fn the_file_is_appended_to_and_not_inherited() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let fds = fs::read_dir("/proc/self/fd").unwrap();
    let mut found = 0;
    for fd in fds.flatten() {
        let target = fs::read_link(fd.path()).unwrap_or_default();
        if !target.starts_with(fixture.folder.path()) {
            continue;
        }
        let info = fs::read_to_string(Path::new("/proc/self/fdinfo").join(fd.file_name())).unwrap();
        let flags = info.lines().find_map(|l| l.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{target:?}");
        if target == fixture.path() {
            assert_ne!(flags & libc::O_APPEND, 0);
            found += 1;
        }
    }
    assert_eq!(found, 1);
    drop(ledger);
}

/// Ten records, of which these lines were changed and nothing else.
fn changed(lines: &[usize]) -> Fixture {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    for n in 1..=10 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    drop(ledger);
    let text = fixture.text();
    let line = |(nth, line): (usize, &str)| match lines.contains(&(nth + 1)) {
        true => line.replacen("\"ls\"", "\"rm\"", 1),
        false => line.to_owned(),
    };
    fs::write(fixture.path(), text.split_inclusive('\n').enumerate().map(line).collect::<String>())
        .unwrap();
    fixture
}

fn in_range(fixture: &Fixture, from: u64, to: u64) -> Result<Summary, VerifyError> {
    let proof = Proof { from: Some(from), to: Some(to), ..Proof::default() };
    verify_by(&fixture.path(), &proof)
}

#[test]
fn a_fault_in_the_range_is_found_behind_one_before_it() {
    let fixture = changed(&[2, 8]);
    match in_range(&fixture, 5, 10) {
        Err(VerifyError::Broken(broken)) => {
            assert_eq!((broken.seq, broken.damage), (8, Damage::Changed));
        }
        other => panic!("{other:?}"),
    }
    for (from, to) in [(3, 7), (1, 1), (9, 10)] {
        assert_eq!(in_range(&fixture, from, to).unwrap().lines, 10, "{from} to {to}");
    }
    for (from, to, seq) in [(1, 10, 2), (2, 3, 2), (7, 8, 8)] {
        let found = in_range(&fixture, from, to);
        assert!(matches!(&found, Err(VerifyError::Broken(b)) if b.seq == seq), "{found:?}");
    }
}

#[test]
fn lines_that_are_missing_are_missed_by_each_range_that_has_one() {
    let fixture = changed(&[]);
    let text = fixture.text();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(fixture.path(), [&lines[..3], &lines[6..]].concat().concat()).unwrap();
    for (from, to) in [(4, 4), (5, 5), (6, 9)] {
        let found = in_range(&fixture, from, to);
        let Err(VerifyError::Broken(broken)) = found else { panic!("{from} to {to}: {found:?}") };
        assert_eq!(broken.damage, Damage::Missing);
    }
    in_range(&fixture, 1, 3).unwrap();
    in_range(&fixture, 8, 10).unwrap();
}

#[test]
fn a_range_that_is_not_there_does_not_hold() {
    let fixture = changed(&[]);
    in_range(&fixture, 0, 10).unwrap();
    for (from, to) in [(11, 12), (10, 11), (7, 3)] {
        let found = in_range(&fixture, from, to);
        assert!(matches!(found, Err(VerifyError::NoSuchRange { last: 10, .. })), "{found:?}");
    }
}
