//! How long to wait before something is tried again: longer each time, and never the same for two.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The longest wait.
const MAX: Duration = Duration::from_secs(60);

/// The first wait, about.
const FIRST: Duration = Duration::from_millis(500);

/// Counts failures that follow each other.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::from(FIRST)
    }
}

impl From<Duration> for Backoff {
    /// With another first wait.
    fn from(first: Duration) -> Self {
        Self { first, failures: 0 }
    }
}

impl Backoff {
    /// It failed again: how long to wait, from half to the whole of a time that doubles up to a minute.
    pub fn wait(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(16)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + random() / 2.0)
    }

    /// It went well.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How often it failed, one after the other.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// From 0 to 1; good enough to keep two from doing the same at once.
#[allow(clippy::cast_precision_loss)]
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_longer_each_time_and_never_too_long() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[3] >= FIRST * 4 && waits[3] <= FIRST * 8);
        assert!(waits[39] <= MAX && waits[39] >= MAX / 2);
        assert_eq!(backoff.failures(), 40);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
        let short = Duration::from_millis(5);
        assert!(Backoff::from(short).wait() <= short);
    }
}
