//! The disk: what is promised is on it, what it refuses runs nothing, and what it lost is written again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::line::Stamp;
use super::*;

/// A disk that takes its time, counts, and fails when it is told to.
#[derive(Clone, Default)]
struct Slow {
    fails: Arc<AtomicBool>,
    syncs: Arc<AtomicU64>,
}

impl Slow {
    fn under(&self, ledger: &Ledger, takes: Duration) {
        let disk = self.clone();
        *ledger.shared.sync.lock().unwrap() = Box::new(move |file: &File| {
            std::thread::sleep(takes);
            disk.syncs.fetch_add(1, Ordering::SeqCst);
            if disk.fails.load(Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            file.sync_data()
        });
    }
}

fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn many_who_wait_for_the_disk_share_one_write() {
    let fixture = Fixture::new();
    let ledger = Arc::new(fixture.open());
    let disk = Slow::default();
    disk.under(&ledger, Duration::from_millis(20));
    runtime().block_on(async {
        let waits: Vec<_> = (0..64)
            .map(|n| {
                let ledger = Arc::clone(&ledger);
                let seq = ledger.append(&[started(n)]).unwrap();
                async move {
                    ledger.on_disk(seq).await.unwrap();
                    assert!(ledger.status().on_disk >= seq);
                }
            })
            .collect();
        futures_util::future::join_all(waits).await;
    });
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 4, "{syncs} writes for 64 who waited");
    assert_eq!(ledger.sequence(), 64);
}

#[test]
fn what_nobody_waits_for_is_on_the_disk_soon() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let seq = ledger.append(&[started(1)]).unwrap();
    until(|| ledger.status().on_disk == seq);
    assert_eq!(ledger.books().awaited.get(), 0);
}

#[test]
fn nothing_is_written_for_a_disk_that_is_left_alone() {
    let fixture = Fixture::new();
    let durability = Durability { authority: Promise::BeforeStart, harmless: Promise::Never };
    let options = Options { durability, ..plain() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    ledger.append(&[started(1)]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((ledger.status().on_disk, ledger.books().syncs.count()), (0, 0));
    runtime().block_on(ledger.promised(1, false)).unwrap();
    assert_eq!(ledger.books().syncs.count(), 0);
    runtime().block_on(ledger.promised(1, true)).unwrap();
    assert_eq!(ledger.status().on_disk, 1);
}

#[test]
fn what_the_disk_lost_is_refused_then_written_again_and_told() {
    let fixture = Fixture::new();
    let options = Options { again: Duration::from_millis(20), ..plain() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    let disk = Slow::default();
    disk.under(&ledger, Duration::ZERO);
    disk.fails.store(true, Ordering::SeqCst);
    let seq = ledger.append(&[started(1)]).unwrap();
    let error = runtime().block_on(ledger.on_disk(seq)).unwrap_err();
    assert!(matches!(error, LedgerError::NotOnDisk { .. }), "{error}");
    let error = ledger.append(&[started(2)]).unwrap_err();
    assert!(error.to_string().contains("did not reach the disk"), "{error}");
    assert!(ledger.status().error.unwrap().contains("Input/output error"));
    // The kernel has dropped what it could not write.
    fs::write(fixture.path(), vec![0; fixture.text().len()]).unwrap();
    disk.fails.store(false, Ordering::SeqCst);
    until(|| ledger.status().error.is_none());
    assert_eq!(ledger.append(&[started(3)]).unwrap(), 3);
    assert_eq!(verify(&fixture.path()).unwrap().disk_failed, [2]);
    let text = fixture.text();
    let Record::DiskFailed(told) = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap()
    else {
        panic!("{text}")
    };
    assert_eq!((told.refused, told.rewritten), (1, 1));
    assert!(ledger.books().sync_errors.get() > 0);
}

#[test]
fn what_has_happened_while_nothing_could_be_written_is_written_late() {
    let fixture = Fixture::new();
    let options = Options { again: Duration::from_millis(20), ..plain() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    ledger.append(&[started(1)]).unwrap();
    let sound = fs::read(fixture.path()).unwrap();
    fs::write(fixture.path(), [&sound[..], b"x"].concat()).unwrap();
    ledger.record(&[finished(1, 7)]).unwrap_err();
    ledger.append(&[started(2)]).unwrap_err();
    until(|| !ledger.books().lag().is_zero());
    fs::write(fixture.path(), sound).unwrap();
    // Nobody asks for anything: it recovers by itself.
    until(|| ledger.status().error.is_none());
    until(|| ledger.books().lag().is_zero());
    let text = fixture.text();
    let records: Vec<Record> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let [Record::Started(_), Record::DiskFailed(told), Record::Finished(end)] = &records[..] else {
        panic!("{text}")
    };
    assert_eq!((told.refused, told.late, end.exit_code), (1, 1, Some(7)));
    verify(&fixture.path()).unwrap();
}

#[test]
fn a_clock_that_steps_back_breaks_nothing() {
    let fixture = Fixture::new();
    let options = Options { segment_age: Some(Duration::from_secs(60)), ..plain() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    let encoded = |n| Encoded::new(&[started(n)]).unwrap();
    for (n, ms) in [(1, 2_000_000_000_000), (2, 1_000_000_000_000), (3, 0), (4, u64::MAX)] {
        ledger.writer().append(&encoded(n), &Stamp::new(ms)).unwrap();
    }
    drop(ledger);
    // The first line is of a time to come: the segment is not old, and not refused.
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    assert_eq!(ledger.append(&[started(5)]).unwrap(), 5);
    assert_eq!(verify(&fixture.path()).unwrap().segments, 1);
}

/// What each file held when it was last put on the disk, by inode.
type Platter = Arc<std::sync::Mutex<std::collections::HashMap<u64, Vec<u8>>>>;

/// A folder as a machine finds it that lost power: what was never put on the disk is gone.
fn after_power_loss(fixture: &Fixture, platter: &Platter) -> Fixture {
    use std::os::unix::fs::MetadataExt as _;
    let left = Fixture::new();
    let platter = platter.lock().unwrap();
    for name in fixture.files().into_iter().filter(|name| !name.ends_with(".new")) {
        let from = fixture.folder.path().join(&name);
        let to = left.folder.path().join(&name);
        let about = fs::metadata(&from).unwrap();
        if about.is_dir() {
            fs::create_dir(&to).unwrap();
            for key in fs::read_dir(&from).unwrap().map(Result::unwrap) {
                fs::copy(key.path(), to.join(key.file_name())).unwrap();
            }
        } else if name.ends_with(".head") {
            fs::copy(&from, &to).unwrap();
        } else {
            fs::write(&to, platter.get(&about.ino()).cloned().unwrap_or_default()).unwrap();
        }
    }
    left
}

#[test]
fn what_was_promised_is_there_after_power_is_lost() {
    use std::os::unix::fs::MetadataExt as _;
    let fixture = Fixture::new();
    let durability = Durability { authority: Promise::BeforeStart, harmless: Promise::Never };
    let heads = Duration::from_millis(20);
    let options =
        Options { durability, heads, signed: true, segment_bytes: 4000, ..Options::default() };
    let ledger = Ledger::open(&fixture.path(), &options).unwrap().0;
    let platter = Platter::default();
    let own = Arc::clone(&platter);
    *ledger.shared.sync.lock().unwrap() = Box::new(move |file: &File| {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        let content = fs::read(path)?;
        own.lock().unwrap().insert(file.metadata()?.ino(), content);
        Ok(())
    });
    let runtime = runtime();
    for n in 0..60 {
        let promised = ledger.append(&[started(n)]).unwrap();
        runtime.block_on(ledger.promised(promised, true)).unwrap();
        // These announce nothing that needs them.
        ledger.append(&[finished(n, 0), requested(n, &["ls"])]).unwrap();
        if n % 6 == 0 {
            let left = after_power_loss(&fixture, &platter);
            let (again, recovery) = Ledger::open(&left.path(), &options).unwrap();
            assert_eq!((recovery.broken, recovery.missing), (None, None));
            assert!(again.writer().head().seq >= promised, "record {promised} is lost");
            again.append(&[finished(n, 1)]).unwrap();
            drop(again);
            let proof = Proof {
                keys: vec![PublicKey::of(left.folder.path()).unwrap()],
                ..Proof::default()
            };
            verify_by(&left.path(), &proof).unwrap();
        }
    }
    assert!(verify(&fixture.path()).unwrap().segments > 3);
}
