//! What was asked, decided and done, from the ledger.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;

/// The query of `GET /api/history`. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// A request's id, or its first 4 digits or more. It is looked up, however long the history is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A glob on the tool's name, or a part of the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// `allow`, `ask` or `deny`: the policy's decision; or an outcome: `approved`, `denied`, `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// A uid, or `pid:N`, or a prisoner's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// A jail's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// Words: each stands somewhere in what is known of the request (command line, folder, rule, reason, answer, error
    /// …), small and capital letters of ASCII being the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What came of an ask: `approved`, `denied`, `expired` or `caller_left`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Where it ran: `mirror`, `ghost` or `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// A part of the rule's name, such as `policy.yaml:12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// An exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// A container's name, or the start of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// At most so many entries, 1 to 1000; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The jails that whoever asks is bounded to; empty for all. It travels nowhere: the warden knows.
    #[serde(skip)]
    pub jails: Vec<String>,
}

/// `GET /api/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// Everything the ledger knows of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// The sequence number of its first record.
    pub sequence: u64,
    /// The request's id.
    pub id: String,
    /// When it was made.
    pub time_ms: u64,
    /// The jail.
    pub jail: String,
    /// Who asked.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The policy's decision: `allow`, `ask` or `deny`.
    pub decision: Option<String>,
    /// The rule that gave it.
    pub rule: Option<String>,
    /// Why it decided so: the rule's own reason, whatever people said of it.
    pub reason: Option<String>,
    /// What came of an ask: `approved`, `denied`, `expired`, `caller_left`.
    pub outcome: Option<String>,
    /// Who answered.
    pub approver: Option<String>,
    /// From where: `ADDRESS:PORT` over TCP, `local: pid N, uid N` by the Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_from: Option<String>,
    /// What whoever answered said: what a denial told the agent, or why an approval was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The answer was given to an earlier request, and kept for this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_answer: bool,
    /// Where it ran: `mirror`, `ghost` or `local`.
    pub executor: Option<String>,
    /// The user of the warden's host that it ran as, where a rule says so (`run_as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Whether it was started.
    pub started: bool,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Where exit code or signal come from: `kernel`, `runner`, `shim`, or `unknown: why`.
    pub exit_source: Option<String>,
    /// From start to end.
    pub duration_ms: Option<u64>,
    /// It was ended by its timeout.
    pub timed_out: bool,
    /// What failed, if something did.
    pub error: Option<String>,
}
