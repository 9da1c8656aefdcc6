//! Lookups that may hang: on threads that can be given up, and only so many of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::PlanError;

/// Lookups under way or given up at once. Beyond it a request that needs one is refused.
const MAX_WORKERS: usize = 64;

/// How long a lookup may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The threads for lookups that may hang.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    places: Arc<Semaphore>,
}

impl Default for Workers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_WORKERS)) }
    }
}

impl Workers {
    /// Runs `work`, or gives it up. A place stays taken for as long as the thread hangs.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PlanError> {
        let acquired = tokio::time::timeout(PATIENCE, Arc::clone(&self.places).acquire_owned());
        let Ok(Ok(place)) = acquired.await else { return Err(PlanError::Busy) };
        let job = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        match tokio::time::timeout(PATIENCE, job).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) | Err(_) => Err(PlanError::TooSlow),
        }
    }
}
