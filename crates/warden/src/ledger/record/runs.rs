//! Records of commands that run.

use serde::{Deserialize, Serialize};

use crate::ledger::id::Id;

/// How a command is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The shim becomes the tool.
    Handoff,
    /// Under the runner.
    Runner,
    /// Under the runner, which the container engine starts in the prisoner's own container.
    Exec,
}

/// Payload of [`Record::Started`](super::Record::Started).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The request.
    pub id: Id,
    /// `mirror`, `ghost` or `local`.
    pub executor: String,
    /// How it is started.
    pub method: Method,
    /// The process, where it is known before the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Names of the variables that it does not get; see [`names`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stripped: Vec<String>,
    /// Who runs what on the warden's host, where a rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// The container that it runs in, where that is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Ghost>,
    /// What of it is recorded: `output` or `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Part of [`Started`]: a ghost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ghost {
    /// The image as the policy names it.
    pub image: String,
    /// The image that this was.
    pub image_id: String,
    /// The network that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The names of the secrets that it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The folders that it shares with its caller.
    pub shared: Vec<String>,
    /// The user that it runs as.
    pub uid: u32,
}

/// Part of [`Started`]: what `run_as` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user's name.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The file on the warden's host.
    pub executable: String,
    /// The working directory on the warden's host.
    pub cwd: String,
}

/// Payload of [`Record::Finished`](super::Record::Finished).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The request.
    pub id: Id,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Where these come from: `kernel`, `runner`, `shim`, or `unknown: why`.
    pub exit_source: String,
    /// From start to end.
    pub duration_ms: u64,
    /// It was ended by its timeout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// It was ended because its caller cancelled or went away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Bytes of output that passed through the warden; absent where none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its recording, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recorded>,
}

/// Part of [`Finished`]: the file of its recording, as it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// How many these are.
    pub bytes: u64,
    /// Why it is not whole, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Payload of [`Record::Killed`](super::Record::Killed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// The request whose processes were ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// The prisoner whose processes were ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prisoner: Option<String>,
    /// On whose word.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many processes, those of containers not counted.
    pub processes: usize,
    /// How many containers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub containers: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
