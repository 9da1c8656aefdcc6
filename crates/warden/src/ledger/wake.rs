//! Wakes the one thread that follows the ledger, and costs who writes next to nothing while it is awake.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

/// What wakes one sleeper.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    sleeper: OnceLock<Thread>,
    asleep: AtomicBool,
}

impl Wake {
    /// Wakes the sleeper, if there is one and it sleeps.
    pub(crate) fn up(&self) {
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }

    /// Sleeps until it is woken, unless `has_work` says that there is something to do already.
    pub(crate) fn sleep(&self, has_work: impl FnOnce() -> bool) {
        self.sleeper.get_or_init(thread::current);
        // First the flag, then the look: what is written in between wakes.
        self.asleep.store(true, Ordering::SeqCst);
        if has_work() {
            self.asleep.store(false, Ordering::SeqCst);
            return;
        }
        while self.asleep.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
