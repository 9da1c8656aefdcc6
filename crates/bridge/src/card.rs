//! What a message says, whichever service shows it. Nothing here is escaped: each service does that for its own markup.

use clawrden_api::{QueueEntry, display};
use serde::{Deserialize, Serialize};

/// Digits of a request's id.
pub(crate) const DIGITS: usize = 32;

/// One request, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The request as the queue had it when it began to wait. Secrets are marked by the warden.
    pub entry: QueueEntry,
    /// How far it has come.
    pub stage: Stage,
    /// Who approved it so far, where several people are wanted, such as `1 of 2 approvals: alice`.
    pub progress: Option<String>,
    /// The page of the warden on which it can be answered too, where there is one.
    pub page: Option<String>,
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It waits for a person.
    Waiting,
    /// It waits, and its caller has gone: an approval is kept for the next identical request.
    Parked,
    /// Somebody let it run.
    Approved(By),
    /// Somebody, or the policy, refused it.
    Denied(By),
    /// Nobody answered in time.
    Expired,
    /// Its caller left before there was an answer.
    CallerLeft,
    /// It ran and ended.
    Finished(By, Outcome),
}

impl Stage {
    /// Whether it can still be answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Waiting | Self::Parked)
    }
}

/// Whose answer it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// The person, as the ledger has them.
    pub who: String,
    /// Through what: `cli`, `web`, `api`, `slack`, `telegram`, `webhook`, `policy`.
    pub through: String,
    /// Why.
    pub reason: Option<String>,
    /// For what it is good, in words; `None` for once.
    pub scope: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its exit code.
    pub exit: Option<i32>,
    /// The signal that ended it, such as `SIGTERM`.
    pub signal: Option<String>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Why it did not run or is not known.
    pub error: Option<String>,
}

/// What is said of a command that has no exact form.
pub(crate) const NOT_EXACT: &str = "Not the exact command:";
/// And why it has none.
pub(crate) const WHY_NOT_EXACT: &str = "parts of it are left out, or secrets in it are marked";

/// A command as it is shown to who answers: never folded within, where a fold could be overlooked.
pub(crate) fn command(entry: &QueueEntry) -> String {
    entry.exact.clone().unwrap_or_else(|| display::exact(&entry.argv))
}

/// What is said where secrets among the arguments are replaced by marks.
pub(crate) fn marked(entry: &QueueEntry) -> Option<&'static str> {
    let is_marked = entry.argv.iter().any(|argument| argument.contains("[redacted:"));
    is_marked.then_some("secrets are replaced by marks here; what runs has them")
}

/// Whether it is the whole id of a request.
pub(crate) fn is_request(id: &str) -> bool {
    id.len() == DIGITS && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Many requests in one message: a flood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Those that wait, oldest first; at most some of them.
    pub some: Vec<QueueEntry>,
    /// How many wait in all.
    pub waiting: usize,
    /// How many of those that the digest told of are answered by now.
    pub answered: usize,
    /// The page of the warden, where there is one.
    pub page: Option<String>,
}
