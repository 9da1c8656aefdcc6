//! What all tasks of a bridge share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::standing::Standing;
use crate::table::Table;
use crate::taps::Taps;

/// See the module.
pub(crate) struct Shared<S, W> {
    pub(crate) service: Arc<S>,
    pub(crate) warden: Arc<W>,
    pub(crate) standing: Standing,
    /// The service did not take something.
    pub(crate) doubt: Notify,
    pub(crate) table: Mutex<Table>,
    pub(crate) taps: Arc<Mutex<Taps>>,
}

impl<S, W> Shared<S, W> {
    /// What people said that is not done.
    pub(crate) fn taps(&self) -> MutexGuard<'_, Taps> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
