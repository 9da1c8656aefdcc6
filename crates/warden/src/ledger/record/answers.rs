//! Records of what waits for people, and of what they say.

use serde::{Deserialize, Serialize};

use crate::ledger::id::Id;

/// Payload of [`Record::Approved`](super::Record::Approved), [`Record::Denied`](super::Record::Denied) and [`Record::GrantUsed`](super::Record::GrantUsed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The request that the answer is for: of several that share an entry, each has its own record.
    pub id: Id,
    /// The entry of the queue that was answered.
    pub entry: Id,
    /// Who answered.
    pub approver: String,
    /// Through what: `cli`, `api` …
    pub channel: String,
    /// From where: `ADDRESS:PORT` over TCP, `local: pid N, uid N` by the Unix socket; absent in records of a warden that did not
    /// write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Set where no caller was there to take it: until when it is kept, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until_ms: Option<u64>,
    /// For what it is good, where that is more than one run: `session` or `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Until when it holds then, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_until_ms: Option<u64>,
    /// It is for what the command starts as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_what_it_starts: bool,
    /// Of a grant that is used: the running request that has started this one, and whose approval this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<Id>,
    /// It is for every command that this takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Who answered last, where they did so in a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,
}

impl Answered {
    /// An answer to request `id` by the entry `entry`, for one run, of whom `approver` is all that is known.
    #[must_use]
    pub fn new(id: Id, entry: Id, approver: &str, channel: &str) -> Self {
        Self {
            id,
            entry,
            approver: approver.to_owned(),
            channel: channel.to_owned(),
            from: None,
            reason: None,
            kept_until_ms: None,
            scope: None,
            holds_until_ms: None,
            and_what_it_starts: false,
            inherited_from: None,
            pattern: None,
            chat: None,
        }
    }
}

/// By what somebody is known who answers in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The person.
    pub person: String,
    /// The user, by the service's own id, such as `slack:T012ABC/U345DEF`.
    pub user: String,
    /// The id of the token by which their bridge came; absent for one of the warden's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Payload of [`Record::Voted`](super::Record::Voted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voted {
    /// The request that was shown: the oldest of those that share the entry.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// Who said yes.
    pub approver: String,
    /// The person that they are, as the settings name them; else what they came by.
    pub person: String,
    /// Through what: `cli`, `api` …
    pub channel: String,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far it is, such as `1 of 2 approvals: alice`.
    pub progress: String,
    /// By what they are known, where they answered in a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,
}

/// Payload of [`Record::Escalated`](super::Record::Escalated).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalated {
    /// The request that is shown: the oldest of those that share the entry.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// People and groups that may answer from here on.
    pub to: Vec<String>,
    /// How long nobody has answered, in milliseconds.
    pub after_ms: u64,
}

/// Payload of [`Record::ApprovalReturned`](super::Record::ApprovalReturned).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalReturned {
    /// The request that did not use it.
    pub id: Id,
    /// The entry of the queue that was answered.
    pub entry: Id,
    /// Until when it is kept, in milliseconds since the epoch: no longer than it would have been without this request.
    pub kept_until_ms: u64,
}

/// Payload of [`Record::RuleAdded`](super::Record::RuleAdded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleAdded {
    /// The entry of the queue that it is written for; `None` for one that the history suggests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Id>,
    /// The file that it is written into.
    pub file: String,
    /// The rule.
    pub rule: String,
    /// Who has it written.
    pub by: String,
    /// Through what.
    pub channel: String,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of [`Record::GrantRevoked`](super::Record::GrantRevoked).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRevoked {
    /// The request that it was given to, or that asked last.
    pub id: Id,
    /// The entry of the queue that was answered.
    pub entry: Id,
    /// Who took it back.
    pub by: String,
    /// Through what.
    pub channel: String,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of [`Record::Expired`](super::Record::Expired).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The request.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// How long a person had, in milliseconds.
    pub after_ms: u64,
}

/// Payload of [`Record::CallerLeft`](super::Record::CallerLeft).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerLeft {
    /// The request.
    pub id: Id,
}

/// Payload of [`Record::Parked`](super::Record::Parked).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The request whose caller was the last to leave.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
}

/// Payload of [`Record::Restored`](super::Record::Restored).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The request.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// `waiting` (its caller may come back), `parked`, `approved` and `denied` (nobody has had the answer yet), or
    /// `dropped`: an approval that cannot be told from one that was used before the machine crashed.
    pub state: String,
    /// Until when it waits, or the answer is kept, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Through what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Payload of [`Record::Reconnected`](super::Record::Reconnected).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconnected {
    /// The request.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
}
