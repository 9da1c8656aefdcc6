//! Recordings: what is asked of one, and what the ledger says of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// The header of an answer that carries a recording: a [`RecordingFacts`] in JSON, of ASCII alone.
pub const RECORDING_HEADER: &str = "x-clawrden-recording";

/// What the last line of an answer says to a watcher that read too slowly and was let go, as an event `m`.
pub const RECORDING_DROPPED: &str = "clawrden: you read too slowly, and see no more of it";

/// The same to a watcher whose token or session holds no longer.
pub const RECORDING_REVOKED: &str =
    "clawrden: what you came in by holds no longer, and you see no more of it";

/// The first of these as a line. It ends the one before it, which may have been cut anywhere.
#[must_use]
pub fn dropped_line() -> String {
    last_line(RECORDING_DROPPED)
}

/// The second.
#[must_use]
pub fn revoked_line() -> String {
    last_line(RECORDING_REVOKED)
}

fn last_line(text: &str) -> String {
    format!("\n[0.0, \"m\", \"{text}\"]\n")
}

/// The query of `GET /api/recordings/{id}`; `{id}` may be a prefix of at least four digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingQuery {
    /// Go on with it while its command runs.
    #[serde(default)]
    pub follow: bool,
    /// Leave out what was recorded before, but for the first line.
    #[serde(default)]
    pub new: bool,
}

/// What is known of a recording beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingFacts {
    /// The request's whole id.
    pub id: String,
    /// Its command runs.
    pub live: bool,
    /// SHA-256 of its bytes in hex, as the ledger has it; `None` where the ledger has no end of it.
    pub sha256: Option<String>,
    /// How many bytes these are.
    pub bytes: Option<u64>,
    /// Why it is not whole, if it is not.
    pub error: Option<String>,
}

/// `GET /api/recordings/{id}/tail`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingTail {
    /// The last lines that the command wrote, as plain text, secrets marked; empty where it wrote nothing.
    pub text: String,
}

/// The SHA-256 of a recording's bytes, as the ledger writes it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
