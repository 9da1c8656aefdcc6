//! Who wakes the thread that puts the ledger on the disk, and who waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// What comes of waiting: whether it is on the disk, or why not.
pub(super) type Landed = Result<(), String>;

/// Between the writers and the thread.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Since when something is written that is not on the disk.
    dirty: Option<Instant>,
    /// It must be there at once.
    urgent: bool,
    /// Something could not be written.
    trouble: bool,
    closing: bool,
    ended: bool,
    /// The newest line that is on the disk.
    synced: u64,
    waiters: Vec<(u64, oneshot::Sender<Landed>)>,
}

/// Why the thread is awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Woken {
    pub(super) closing: bool,
    pub(super) trouble: bool,
}

impl Bell {
    /// Something was written.
    pub(super) fn wrote(&self, is_large: bool) {
        let mut state = self.state();
        let is_first = state.dirty.is_none();
        state.dirty.get_or_insert_with(Instant::now);
        let is_urgent = is_large && !std::mem::replace(&mut state.urgent, true);
        if is_first || is_urgent {
            self.rung.notify_one();
        }
    }

    /// Something could not be written.
    pub(super) fn trouble(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.trouble, true) {
            self.rung.notify_one();
        }
    }

    /// Asks for a line to be put on the disk at once; `None` if it is there.
    pub(super) fn wait_for(&self, seq: u64) -> Option<oneshot::Receiver<Landed>> {
        let mut state = self.state();
        if state.synced >= seq {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        if state.ended {
            let _ = sender.send(Err("the ledger is closed".to_owned()));
            return Some(receiver);
        }
        state.waiters.push((seq, sender));
        if !std::mem::replace(&mut state.urgent, true) {
            self.rung.notify_one();
        }
        Some(receiver)
    }

    /// The newest line that is on the disk.
    pub(super) fn synced(&self) -> u64 {
        self.state().synced
    }

    /// Ends the thread, and waits for its end as long as this.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.state();
        state.closing = true;
        self.rung.notify_one();
        let end = Instant::now() + patience;
        while !state.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread sleeps until something is urgent, something dirty is as old as `longest`, or it is `latest`. While it
    /// `holds` back, because something failed, only that last one counts.
    pub(super) fn sleep(
        &self,
        longest: Option<Duration>,
        latest: Option<Instant>,
        holds: bool,
    ) -> Woken {
        let mut state = self.state();
        loop {
            let due = state.dirty.zip(longest).map(|(since, longest)| since + longest);
            let due = due.filter(|_| !holds).into_iter().chain(latest).min();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let is_rung = (state.urgent || state.trouble) && !holds;
            if state.closing || is_rung || left.is_some_and(|left| left.is_zero()) {
                state.urgent = false;
                state.dirty = None;
                let trouble = std::mem::take(&mut state.trouble);
                return Woken { closing: state.closing, trouble };
            }
            state = match left {
                Some(left) => {
                    let waited = self.rung.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.rung.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Everything up to this line is on the disk: who waited for it is told.
    pub(super) fn landed(&self, seq: u64) {
        let mut state = self.state();
        state.synced = state.synced.max(seq);
        let (told, later) =
            std::mem::take(&mut state.waiters).into_iter().partition(|&(wanted, _)| wanted <= seq);
        state.waiters = later;
        if !state.waiters.is_empty() {
            state.urgent = true;
        }
        drop(state);
        tell(told, &Ok(()));
    }

    /// It could not be put there: everybody who waits is told.
    pub(super) fn lost(&self, why: &str) {
        let told = std::mem::take(&mut self.state().waiters);
        tell(told, &Err(why.to_owned()));
    }

    /// The thread has ended.
    pub(super) fn ended(&self) {
        let mut state = self.state();
        state.ended = true;
        let told = std::mem::take(&mut state.waiters);
        self.ended.notify_all();
        drop(state);
        tell(told, &Err("the ledger is closed".to_owned()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(waiters: Vec<(u64, oneshot::Sender<Landed>)>, landed: &Landed) {
    for (_, waiter) in waiters {
        // Who has gone needs no answer.
        let _ = waiter.send(landed.clone());
    }
}
