//! The narrows: where descriptors run out, requests come through a few at a time.
//!
//! To be planned and judged, each takes some descriptors for a moment. Were all of them let in at once, they would have
//! the last ones, and none of them enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// So many abreast.
const ABREAST: usize = 4;

/// How long somebody may stand in the way, as who names files of a file system that does not answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Narrows(Arc<Semaphore>);

impl Default for Narrows {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ABREAST)))
    }
}

impl Narrows {
    /// Comes through when there is room, or nobody has made any for too long: then without a place to give back.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_are_let_in_at_once_and_whoever_stands_in_the_way_keeps_nobody_out_for_long() {
        let narrows = Narrows::default();
        let mut inside = Vec::new();
        for _ in 0..ABREAST {
            inside.extend(narrows.enter().await);
        }
        assert_eq!(inside.len(), ABREAST);
        let began = tokio::time::Instant::now();
        assert!(narrows.enter().await.is_none());
        assert_eq!(began.elapsed(), PATIENCE);
        inside.pop();
        assert!(narrows.enter().await.is_some());
    }
}
