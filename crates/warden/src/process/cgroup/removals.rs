//! Directories of cgroups that are given up, but that something is still in: each is tried again until it has gone. Whoever
//! gives one up is never held up by that, and nothing in it is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::directories;
use super::inside::{event, processes_in};

/// Directories that wait. Those beyond are found when a warden starts the next time.
const MAX_BUSY: usize = 4_096;

/// The first pause between two attempts, and the longest; each is as long as it was waited before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

static BUSY: Busy =
    Busy { waiting: Mutex::new(Waiting { all: Vec::new(), works: false }), more: Condvar::new() };

struct Busy {
    waiting: Mutex<Waiting>,
    /// Told when there is one more.
    more: Condvar,
}

struct Waiting {
    all: Vec<Given>,
    /// A thread sees to them.
    works: bool,
}

struct Given {
    path: PathBuf,
    pause: Duration,
    due: Instant,
}

/// Removes a cgroup that nothing is in, with those below it: at once, else as soon as it has emptied.
pub(super) fn remove(path: PathBuf) {
    if is_removed(&path) {
        return;
    }
    let mut waiting = BUSY.waiting();
    if waiting.all.len() >= MAX_BUSY {
        tracing::warn!(path = %path.display(), "too many cgroups are busy: this one stays until the next start");
        return;
    }
    waiting.all.push(Given { path, pause: PAUSES.0, due: Instant::now() + PAUSES.0 });
    if !waiting.works {
        let worker = thread::Builder::new().name("leaf-removal".to_owned());
        // Without a thread they wait for the next that is given up.
        waiting.works = worker.spawn(|| BUSY.work()).is_ok();
    }
    BUSY.more.notify_one();
}

impl Busy {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stays until nothing is left.
    fn work(&self) {
        let mut waiting = self.waiting();
        while let Some(due) = waiting.all.iter().map(|given| given.due).min() {
            let now = Instant::now();
            if due > now {
                let waited = self.more.wait_timeout(waiting, due - now);
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let all = std::mem::take(&mut waiting.all);
            let (mut tried, later): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|given| given.due <= now);
            waiting.all = later;
            // Who gives one up is not kept waiting by the others.
            drop(waiting);
            tried.retain_mut(|given| {
                given.pause = (given.pause * 2).min(PAUSES.1);
                given.due = now + given.pause;
                !is_removed(&given.path)
            });
            waiting = self.waiting();
            waiting.all.append(&mut tried);
        }
        waiting.works = false;
    }
}

/// Removes the directory and the cgroups that were made below it, if nothing is in any of them; true when it is gone.
fn is_removed(path: &Path) -> bool {
    // What somebody in there has made is not taken from under it.
    if event(path, "populated").unwrap_or_else(|| !processes_in(path).is_empty()) {
        return false;
    }
    for inner in directories(path).iter().rev() {
        // One that is busy keeps its parents, and the last removal tells.
        let _busy = fs::remove_dir(inner);
    }
    match fs::remove_dir(path) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}
