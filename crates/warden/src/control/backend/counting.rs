//! What is asked of the warden in numbers.

use clawrden_api::{ErrorBody, Overview};

/// A part of [`Backend`](super::Backend).
pub trait Counting {
    /// `GET /api/overview`, of so many milliseconds back and of these jails alone; none: all.
    ///
    /// # Errors
    /// `NotReady` while the ledger's index is being made.
    fn overview(&self, back_ms: u64, jails: &[String]) -> Result<Overview, ErrorBody>;
}
