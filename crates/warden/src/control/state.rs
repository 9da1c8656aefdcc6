//! What every handler has at hand.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

use super::access::Access;
use super::backend::Backend;
use super::once::Once;

/// Exports that are given at once. Each has a thread while it reads, and holds the pieces that wait for who reads it.
pub const MAX_EXPORTS: usize = 4;

/// The warden, who may ask it, and what bounds those who do.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) access: Arc<Access>,
    pub(super) body_deadline: Duration,
    pub(super) once: Arc<Once>,
    /// As many as may export the ledger at once.
    pub(super) exports: Arc<Semaphore>,
    /// Gives the description of the API.
    pub(super) describe: fn() -> Value,
}

impl Control {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        access: Arc<Access>,
        body_deadline: Duration,
        describe: fn() -> Value,
    ) -> Self {
        let exports = Arc::new(Semaphore::new(MAX_EXPORTS));
        Self { backend, access, body_deadline, once: Arc::default(), exports, describe }
    }
}
