//! What waits for a person, and answering it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::approvals::QueueApprovals;
use crate::caller::Caller;
use crate::grants::GrantScope;

/// What helps to judge a request. But for the count, all of it is the prisoner's word: it wrote its command lines and its
/// files, and may change them. What could not be read in time is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueContext {
    /// The command line of the process that started it, secrets marked; empty where it is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent: Vec<String>,
    /// The remote of the git repository that its working directory is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_remote: Option<String>,
    /// The branch that is checked out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_branch: Option<String>,
    /// How often exactly this command was approved in this jail before, 100 standing for so many or more; absent where
    /// the ledger's index cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_before: Option<u32>,
    /// The paths that it names, and what it would run as far as that is seen, in their order; 16 at most. Of an option's
    /// value no more is known than what stands behind its `=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<QueueTouch>,
    /// There may be further ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touches_more: bool,
}

/// A path that a command names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueTouch {
    /// Where it leads in the caller's world, free of links; a long one is cut, and ends with `…`.
    pub path: String,
    /// What was there when it was asked: `file`, `folder`, `other` (such as a device), `missing` (it would be made), or
    /// `unclear` (a link to nothing, or what cannot be looked at).
    pub kind: String,
}

impl QueueContext {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One entry of `GET /api/queue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueEntry {
    /// The whole id, 32 hex digits.
    pub id: String,
    /// The shortest prefix of at least four digits that no other open entry has.
    pub short: String,
    /// The request that an answer is for, as history and ledger know it: of the caller that waits longest, else of the one that
    /// left last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The jail.
    pub jail: String,
    /// Who asks.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced.
    pub argv: Vec<String>,
    /// The working directory, resolved.
    pub cwd: Option<String>,
    /// The file that will be executed.
    pub executable: Option<String>,
    /// SHA-256 of what that file holds, in hex, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it will run: `mirror`, `ghost` or `local`.
    pub executor: String,
    /// An agent's hook asks: the agent runs it by itself, and what becomes of it is never known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_judged: bool,
    /// The user of the warden's host that it will run as, where a rule says so (`run_as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// The rule that asks, such as `policy.yaml:12`; `None` for the default action.
    pub rule: Option<String>,
    /// Why it asks.
    pub reason: String,
    /// What the agent is told to do instead, should it not run, where the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<String>,
    /// Facts that weigh on the decision, such as dangerous variables.
    pub noticed: Vec<String>,
    /// The prisoner's labels.
    pub labels: BTreeMap<String, String>,
    /// The command as a shell reads it back, exactly; absent where the arguments are too long to be shown whole, or
    /// where secrets among them are replaced by marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// What is odd about its characters: letters that look like others, and hidden ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What surrounds it.
    #[serde(default, skip_serializing_if = "QueueContext::is_empty")]
    pub context: QueueContext,
    /// Since when it waits.
    pub since_ms: u64,
    /// When it is denied as expired.
    pub expires_ms: u64,
    /// Whose yes it takes and has; absent where anybody's who may answer will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<QueueApprovals>,
    /// Callers that wait at this moment. 0: parked, an approval is kept for the next identical request.
    pub callers: u32,
}

/// The query of `GET /api/queue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueQuery {
    /// At most so many entries, 1 to 1000; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `GET /api/queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Oldest first.
    pub entries: Vec<QueueEntry>,
    /// The cursor of the next page; `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The body of `POST /api/queue/{id}/approve` and `…/deny`; `{id}` may be a prefix of at least four digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Why. A denial's reason goes to the agent.
    #[serde(default)]
    pub reason: Option<String>,
    /// For what an approval is good; a denial has no scope but `once`.
    #[serde(default, skip_serializing_if = "GrantScope::is_once")]
    pub scope: GrantScope,
    /// For `time`: for how long from now on, in milliseconds; at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// An approval is for what the command starts as well: what a process below it asks is approved by it, as long as the
    /// command lives and for 24 hours at most. What is denied stays denied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_what_it_starts: bool,
    /// For `session` and `time`: every command that this takes, not the very same alone. The tool's bare name and arguments as
    /// rules have them, such as `npm install *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// The answer to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answered {
    /// The whole id.
    pub id: String,
    /// `approved` or `denied`; `voted` where more people are wanted.
    pub answer: String,
    /// How far it is then, such as `1 of 2 approvals: alice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Whether a caller was waiting for it; if not, an approval is kept for the next identical request.
    pub delivered: bool,
    /// Until when such a kept approval holds.
    pub kept_until_ms: Option<u64>,
    /// Until when it holds at most, where it is for more than one run.
    #[serde(default)]
    pub holds_until_ms: Option<u64>,
}
