//! Approvals that are kept and not used yet, and taking one back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::types::Caller;

/// `GET /api/grants`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantList {
    /// The oldest answer first.
    pub entries: Vec<GrantEntry>,
}

/// An approval that lets one run happen, and that nothing was started with so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantEntry {
    /// The id of the queue's entry that was answered, 32 hex digits.
    pub id: String,
    /// The shortest prefix of at least four digits that no other grant has.
    pub short: String,
    /// The request that it was given to, or that asked last.
    pub request: String,
    /// The jail.
    pub jail: String,
    /// Who asked.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced.
    pub argv: Vec<String>,
    /// The working directory, resolved.
    pub cwd: Option<String>,
    /// The file that it lets run.
    pub executable: Option<String>,
    /// Who approved.
    pub approver: String,
    /// Through what.
    pub channel: String,
    /// Why.
    pub reason: Option<String>,
    /// When, in milliseconds since the epoch.
    pub answered_ms: u64,
    /// Until when it is kept.
    pub until_ms: u64,
    /// It is for the caller that waited and was cut off by a restart, as long as that may come back; else for the next
    /// identical request.
    pub reserved: bool,
}

/// The body of `POST /api/grants/{id}/revoke`; `{id}` may be a prefix of at least four digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Why; for the record.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The answer to `POST /api/grants/{id}/revoke`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokeReport {
    /// The whole id of the entry.
    pub id: String,
}
