//! How long to wait before something is tried again: longer each time, and never the same for two.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The longest wait.
const MAX: Duration = Duration::from_secs(60);

/// The first wait, about.
const FIRST: Duration = Duration::from_millis(500);

/// Counts failures that follow each other.
#[derive(Debug, Clone, Default)]
pub struct Backoff(u32);

impl Backoff {
    /// It failed again: how long to wait, from half to the whole of a time that doubles up to a minute.
    pub fn wait(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.0.min(16)).min(MAX);
        self.0 = self.0.saturating_add(1);
        whole.mul_f64(0.5 + random() / 2.0)
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
    }
}
