//! Wakes the one thread that follows the ledger, and costs who writes next to nothing while it is awake.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

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

    /// Sleeps until it is woken, unless `has_work` says that there is something to do already. `rest` is called once it has
    /// slept for `long`.
    pub(crate) fn sleep(
        &self,
        has_work: impl FnOnce() -> bool,
        long: Duration,
        rest: impl FnOnce(),
    ) {
        self.sleeper.get_or_init(thread::current);
        // First the flag, then the look: what is written in between wakes.
        self.asleep.store(true, Ordering::SeqCst);
        if has_work() {
            self.asleep.store(false, Ordering::SeqCst);
            return;
        }
        let begun = Instant::now();
        let mut rest = Some(rest);
        while self.asleep.load(Ordering::SeqCst) {
            match long.checked_sub(begun.elapsed()) {
                Some(left) if rest.is_some() => thread::park_timeout(left),
                _ => match rest.take() {
                    Some(rest) => rest(),
                    None => thread::park(),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_sleeps_for_long_rests_once_and_is_woken_all_the_same() {
        let wake = Arc::new(Wake::default());
        let (rested, rests) = channel();
        let sleeper = {
            let wake = Arc::clone(&wake);
            let rest = move || rested.send(()).unwrap();
            thread::spawn(move || wake.sleep(|| false, Duration::from_millis(10), rest))
        };
        rests.recv().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(!sleeper.is_finished());
        wake.up();
        sleeper.join().unwrap();
        assert!(rests.recv().is_err(), "once");
    }

    #[test]
    fn who_is_woken_before_or_has_work_does_not_rest() {
        let wake = Arc::new(Wake::default());
        wake.sleep(|| true, Duration::ZERO, || panic!("it rests"));
        let woken = {
            let wake = Arc::clone(&wake);
            move || {
                wake.up();
                false
            }
        };
        wake.sleep(woken, Duration::from_secs(600), || panic!("it rests"));
    }
}
