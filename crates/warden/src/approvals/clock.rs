//! Moments, on both clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment, on the clock that measures and on the clock that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For people: milliseconds since the epoch.
    pub ms: u64,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), ms: millis(since) }
    }

    /// Whether this moment is over by `now`, on either clock: the one that measures stands still while the machine
    /// sleeps, the other one may be set.
    pub(crate) fn has_passed(self, now: Self) -> bool {
        self.instant <= now.instant || self.ms <= now.ms
    }

    /// This moment and `later` more.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        let instant = self.instant.checked_add(later).unwrap_or(self.instant);
        Self { instant, ms: self.ms.saturating_add(millis(later)) }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
