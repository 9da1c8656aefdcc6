//! What runs at this moment, and stopping one of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;

/// `GET /api/running`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningList {
    /// Oldest first.
    pub entries: Vec<RunningEntry>,
}

/// One running command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningEntry {
    /// The request's id, 32 hex digits.
    pub id: String,
    /// The shortest prefix of at least four digits that no other running command has.
    pub short: String,
    /// The jail.
    pub jail: String,
    /// Who asked.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced, and cut after 4 KiB.
    pub argv: Vec<String>,
    /// Where it runs: `mirror`, `ghost` or `local`.
    pub executor: String,
    /// Its shim has become the tool: it runs in the prisoner's own process.
    pub cooperative: bool,
    /// The rule that decided; `None` for the default action.
    pub rule: Option<String>,
    /// The user of the warden's host that it runs as, where a rule says so (`run_as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// What of it is recorded: `output` or `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// Since when.
    pub started_ms: u64,
    /// Milliseconds of processor time, of children that have ended as well; `None` where that cannot be told.
    pub cpu_ms: Option<u64>,
    /// Bytes of resident memory; what processes share counts for each of them.
    pub memory: Option<u64>,
    /// Its processes.
    pub processes: Option<usize>,
    /// `starting`, `running`, `paused` or `ending`.
    pub state: String,
}

/// The body of `POST /api/running/{id}/stop`; `{id}` may be a prefix of at least four digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Why. It goes to the agent, where it can be told, and on the record.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The answer to `POST /api/running/{id}/stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopReport {
    /// The whole id.
    pub id: String,
    /// Whether it has ended. If not, it was told to, and what is left of it is killed after the warden's grace.
    pub ended: bool,
}
