//! Whose yes an entry of the queue takes, and whose it has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a rule with approvers wants of those who answer, and how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct QueueApprovals {
    /// How far it is, such as `1 of 2 approvals: alice`; of several wants, with `; ` between them.
    pub summary: String,
    /// Everything that is wanted. Each has to be met.
    pub needs: Vec<QueueNeed>,
    /// The yeses so far, the oldest first. One may not count any more.
    pub votes: Vec<QueueVote>,
    /// A yes without a reason is refused, of whom one of the wants asks for it.
    pub reason_required: bool,
    /// A yes by a chat is a wish: it is given on the web page or the command line.
    #[serde(default)]
    pub confirm_on_page: bool,
}

/// What one rule wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct QueueNeed {
    /// People and groups, by the names of the warden's settings; empty is everybody who may answer.
    pub from: Vec<String>,
    /// How many different people.
    pub count: u32,
    /// The people who have.
    pub given: Vec<String>,
    /// Who may answer as well after a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalation: Vec<QueueEscalation>,
}

/// Others who may answer after a while.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct QueueEscalation {
    /// People and groups.
    pub to: Vec<String>,
    /// From when on, in milliseconds since the epoch.
    pub at_ms: u64,
    /// They may by now.
    pub reached: bool,
}

/// A person's yes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct QueueVote {
    /// The person, by the name of the warden's settings; else what they came by, as `uid:1000`.
    pub person: String,
    /// Who it was, as the ledger says it.
    pub who: String,
    /// Through what: `cli`, `api` …
    pub channel: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, in milliseconds since the epoch.
    pub when_ms: u64,
}

/// A request that nobody could have answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoApprover {
    /// How many there were since the warden started.
    pub count: u64,
    /// When the last one came, in milliseconds since the epoch.
    pub last_ms: u64,
    /// Its whole id.
    pub request: String,
    /// Its jail.
    pub jail: String,
    /// The rule that asks.
    pub rule: Option<String>,
    /// Who is wanted, and how many of them can log in.
    pub why: String,
}
