//! What is asked of the warden about approvals that are kept.

use clawrden_api::{ErrorBody, GrantList, RevokeReport, RevokeRequest};

use super::super::actor::Actor;

/// A part of [`Backend`](super::Backend).
pub trait Grants {
    /// `GET /api/grants`.
    ///
    /// # Errors
    /// When it cannot be told.
    fn grants(&self) -> Result<GrantList, ErrorBody>;

    /// `POST /api/grants/{id}/revoke`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// `NotFound` for an unknown id or a grant that was used, `Ambiguous` for a prefix of several, `LedgerUnavailable`
    /// when it cannot be recorded.
    fn revoke(
        &self,
        actor: &Actor,
        id: &str,
        request: RevokeRequest,
    ) -> Result<RevokeReport, ErrorBody>;
}
