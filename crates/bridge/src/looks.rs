//! When the queue is read: at once where it was not lately, and never twice at a time.

use std::time::Duration;

use tokio::time::Instant;

/// How long after it was begun to be read the queue is read again at the earliest, whatever comes meanwhile.
const LOOK_REST: Duration = Duration::from_secs(1);

/// When the queue is read.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// It is being read.
    is_reading: bool,
    /// When that was begun last.
    began: Option<Instant>,
    /// From when on it is to be read again.
    from: Option<Instant>,
}

impl Looks {
    /// It is to be read. What is wanted while it is being read is wanted once more.
    pub(crate) fn want(&mut self, now: Instant) {
        let rested = self.began.map_or(now, |began| now.max(began + LOOK_REST));
        self.from.get_or_insert(rested);
    }

    /// When to look here again.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.from.filter(|_| !self.is_reading)
    }

    /// Whether it is to be read now; then it is being read from here on.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.wake().is_some_and(|from| from <= now);
        if is_due {
            *self = Self { is_reading: true, began: Some(now), from: None };
        }
        is_due
    }

    /// It was read.
    pub(crate) fn end(&mut self) {
        self.is_reading = false;
    }
}
