//! Proving and exporting the ledger from the control plane.

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
    /// What is wrong there.
    #[serde(default)]
    pub damage: Option<LedgerDamage>,
    /// It could not be read to its end: whether it holds is not known.
    #[serde(default)]
    pub unread: bool,
}

/// What is wrong with a ledger that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerDamage {
    /// The line was changed, or is none of ours.
    Changed,
    /// Lines are missing before it.
    Missing,
    /// It stands where it does not belong.
    Misplaced,
    /// It, or the line before, is from elsewhere.
    Replaced,
    /// It has no end.
    Torn,
    /// Lines are missing behind it, as a signed head tells.
    CutOff,
    /// A seal or a head does not fit what it covers, or is not signed by the key.
    Signature,
}

/// The header of an answer to `GET /api/audit/export`: an [`ExportFacts`] in JSON, of ASCII alone.
pub const EXPORT_HEADER: &str = "x-clawrden-export";

/// The trailer behind its body: an [`ExportEnd`] in JSON, of ASCII alone. Only who sends `TE: trailers` gets it.
pub const EXPORT_END: &str = "x-clawrden-export-end";

/// The query of `GET /api/audit/export`: which records; everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// `json` (lines, as the ledger has them) or `csv`; absent: what `Accept` says, else `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(json|csv)$")]
    pub format: Option<String>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// The first record, by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Events such as `decided`, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z_]{1,40}(,[a-z_]{1,40}){0,99}$")]
    pub event: Option<String>,
    /// A jail; only `requested` and a few others name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// A request's id, or its first 4 digits or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What is known of an export before its first byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportFacts {
    /// The number of the first record that there is; `None` for an empty ledger. Where it is not 1, what was before was
    /// dropped by retention, or lies elsewhere.
    pub first: Option<u64>,
    /// When that was written, in milliseconds since the epoch.
    pub first_ms: Option<u64>,
}

/// What came of an export. Without it there is more that did not come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportEnd {
    /// Records that are in it.
    pub records: u64,
    /// Lines that are in none, since they are no records: changed or damaged.
    pub left_out: u64,
    /// The first of them, and what is wrong with it.
    pub why: Option<String>,
    /// Files that retention dropped before they were read.
    pub dropped: u64,
    /// The last line has no end, and is not in it: it is being written, or a crash left it.
    pub unfinished: bool,
}
