//! What the ledger records about itself: by which rules its lines are written, and what its disk did to it.

use serde::{Deserialize, Serialize};

/// The version of the schema by which lines are written; see `docs/ledger.md`. Lines of every earlier one stay
/// readable: 1 had no [`Opened`] and no seals.
pub const SCHEMA: u32 = 2;

/// Payload of [`super::Record::Opened`]: the first line of every segment, and the first of every warden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The version of the schema: [`SCHEMA`].
    pub schema: u32,
    /// The public key whose private half signs this ledger's heads, in base64.
    pub key: String,
    /// Whether this is the first line of a segment. If not, a warden goes on with one that was there.
    pub segment: bool,
}

/// Payload of [`super::Record::DiskFailed`]: the ledger could not be written for a while. Nothing that needed a record
/// was done meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFailed {
    /// What the system said first.
    pub error: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// How many times a record was refused, and what it announced with it.
    pub refused: u64,
    /// How many records of what had happened anyway could not be written then, and follow this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late: u64,
    /// How many such records there was no room to keep. They are lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// How many lines had been written and did not reach the disk at first. They were written again and reached it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rewritten: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
