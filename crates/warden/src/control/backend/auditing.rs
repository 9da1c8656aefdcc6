//! What is asked of the warden about its ledger.

use clawrden_api::{ErrorBody, ExportQuery, LedgerProof};

use crate::ledger::Export;

/// A part of [`Backend`](super::Backend).
pub trait Auditing {
    /// `GET /api/audit/verify`.
    fn proof(&self) -> LedgerProof;

    /// `POST /api/audit/verify`. It goes on beside everything else.
    ///
    /// # Errors
    /// `Conflict` while one is under way.
    fn prove(&self) -> Result<LedgerProof, ErrorBody>;

    /// `GET /api/audit/export`. The query's values are in range. It begins with what there is at this moment.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn export(&self, query: ExportQuery) -> Result<Export, ErrorBody>;
}
