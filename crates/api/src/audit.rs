//! Proving the ledger from the control plane.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/audit/verify`, and the answer to `POST /api/audit/verify`, which begins a proof: the one that is under way, and
/// what the last one came to. It is of the warden's own files and by the key beside them: who could change those could
/// change this as well; `clawrden audit verify --key` proves it elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerProof {
    /// Since when the ledger is being proved, in milliseconds since the epoch; `None` while it is not.
    pub running_since_ms: Option<u64>,
    /// What the last one came to; `None` before the first one since the warden started.
    pub last: Option<LedgerProved>,
}

/// What a proof came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerProved {
    /// When it ended, in milliseconds since the epoch.
    pub ended_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// Whether the ledger holds.
    pub holds: bool,
    /// Records that were looked at; 0 where it does not hold.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first record that there is.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Up to this record it is signed; 0 for none.
    pub signed_to: u64,
    /// SHA-256 of the last line, in hex.
    pub head: Option<String>,
    /// What to know of one that holds: damage that was set aside, disks that failed.
    pub notes: Vec<String>,
    /// Where and why it does not hold, or why it could not be read.
    pub why: Option<String>,
}
