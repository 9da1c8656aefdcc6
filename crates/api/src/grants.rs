//! Approvals that are kept and not used yet, or that are for more than one run, and taking one back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;

/// `GET /api/grants`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantList {
    /// The oldest answer first.
    pub entries: Vec<GrantEntry>,
}

/// For what an approval is good. It is always for the very same: jail, user, container, executable and what it holds,
/// argument vector, working directory, dangerous variables and executor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrantScope {
    /// One run.
    #[default]
    Once,
    /// Every run of this prisoner, as long as it lives, or of its container; for 30 days at most.
    Session,
    /// Every run within a time.
    Time,
}

impl GrantScope {
    // By reference, as serde gives it.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn is_once(&self) -> bool {
        *self == Self::Once
    }
}

/// An approval that lets one run happen, and that nothing was started with so far; or one for more than one run.
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
    /// For what it is good.
    #[serde(default)]
    pub scope: GrantScope,
    /// It is for what the command starts as well.
    #[serde(default)]
    pub and_what_it_starts: bool,
    /// It is for every command that this takes, not the very same alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What was started with it.
    #[serde(default)]
    pub uses: u64,
    /// When something last was, in milliseconds since the epoch.
    #[serde(default)]
    pub last_used_ms: Option<u64>,
}

/// The query of `GET /api/queue/{id}/pattern`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternQuery {
    /// The pattern.
    pub pattern: String,
}

/// The answer to `GET /api/queue/{id}/pattern`: what the pattern would have taken of the history, of requests in the same jail
/// and folder and by the same user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatternTested {
    /// Why it cannot be approved for this request; `None` where it can.
    pub why: Option<String>,
    /// Requests of the history that were looked at.
    pub looked_at: usize,
    /// Commands that it takes, those that were asked for most first.
    pub commands: Vec<PatternTaken>,
    /// Further commands that it takes.
    pub omitted: usize,
    /// Everything was looked at that was to be.
    pub complete: bool,
}

/// A command of the history that a pattern takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatternTaken {
    /// The argument vector.
    pub argv: Vec<String>,
    /// How often it was asked for.
    pub times: usize,
    /// How often a person, or the policy, did not let it run.
    pub denied: usize,
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
