//! The thread that drops what of the ledger is not kept any more. It asks at each turn to what something is still owed;
//! no request waits for it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::ledger::{Id, Keep, LedgerError, Retained};
use crate::warden::Warden;

/// How long after it has looked it looks again, unless a segment is closed before.
const AGAIN: Duration = Duration::from_secs(60);

/// How long its end is waited for when the warden goes down: it may wait for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nice: what is dropped can wait, requests cannot.
const NICE: i32 = 5;

/// The running thread; none where everything is kept.
#[derive(Debug)]
pub(crate) struct Retention {
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Retention {
    /// Starts it. What is owed must be known by then. Where no thread can be had, everything is kept.
    pub(crate) fn start(warden: &Arc<Warden>, keep: Keep) -> Self {
        let closing = Arc::<AtomicBool>::default();
        let thread = keep.drops().then(|| {
            let (warden, closing) = (Arc::clone(warden), Arc::clone(&closing));
            let turn = move || turn(&warden, &keep, &closing);
            thread::Builder::new().name("retention".to_owned()).spawn(turn)
        });
        let thread = thread.transpose().inspect_err(|error| {
            tracing::warn!(%error, "everything in the ledger is kept: no thread for dropping");
        });
        Self { closing, thread: thread.ok().flatten() }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        let end = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn turn(warden: &Arc<Warden>, keep: &Keep, closing: &AtomicBool) {
    // Refused, it is as quick as everything else.
    let _ = rustix::process::setpriority_process(None, NICE);
    warden.ledger.tell_of_closed(thread::current());
    let recordings = warden.recordings.folder().to_owned();
    let mut told: Option<(PathBuf, String)> = None;
    while !closing.load(Ordering::SeqCst) {
        let retained = match owed(warden) {
            Some(owed) => warden.ledger.retain(keep, &recordings, &owed),
            None => Ok(Retained::All),
        };
        match retained {
            Ok(Retained::Dropped(dropped)) => {
                told = None;
                tracing::info!(
                    segment = dropped.segment,
                    last = dropped.last,
                    why = dropped.why.word(),
                    "the ledger's oldest segment is dropped"
                );
                continue;
            }
            Ok(Retained::All) => {}
            Ok(Retained::Stays(segment, why)) => {
                if told.as_ref().is_none_or(|told| (&told.0, &told.1) != (&segment, &why)) {
                    tracing::warn!(segment = %segment.display(), why, "the ledger's oldest segment is due to be dropped and stays");
                    told = Some((segment, why));
                }
            }
            Err(LedgerError::NotOnDisk { .. }) if closing.load(Ordering::SeqCst) => return,
            Err(error) => tracing::warn!(%error, "the ledger's oldest segment is not dropped"),
        }
        thread::park_timeout(AGAIN);
    }
}

/// To what something is owed: whoever asks later began later, in a segment that stays. `None` while it is not known.
fn owed(warden: &Warden) -> Option<HashSet<Id>> {
    let mut owed = warden.approvals.owed()?;
    owed.extend(warden.running.ids().into_iter().map(Id));
    Some(owed)
}
