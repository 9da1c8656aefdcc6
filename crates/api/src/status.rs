//! What `GET /api/status` tells of the warden and all that it has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::approvals::NoApprover;
use crate::channels::ChannelStatus;
use crate::chat::BridgeStatus;
use crate::people::PeopleStatus;
use crate::switch::{Held, Stopped};

/// `GET /api/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The warden's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The user that it runs as.
    pub uid: u32,
    /// When it started.
    pub started_ms: u64,
    /// Set while the kill switch is thrown.
    pub stopped: Option<Stopped>,
    /// Jails and containers that are stopped alone.
    #[serde(default)]
    pub held: Vec<Held>,
    /// Its jails, by name.
    pub jails: Vec<JailStatus>,
    /// Requests that wait for a person, parked ones included.
    pub pending: usize,
    /// Commands that run.
    pub running: usize,
    /// The last request that was denied because nobody who may answer could; absent where there was none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_approver: Option<NoApprover>,
    /// Who answers.
    #[serde(default)]
    pub people: PeopleStatus,
    /// Bridges to chats that listened to events within the last minute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bridges: Vec<BridgeStatus>,
    /// What the policy asks or denies is recorded and let through, disasters excepted.
    #[serde(default)]
    pub dry_run: bool,
    /// The policy that the warden serves with; empty from a warden that does not tell.
    #[serde(default)]
    pub policy: PolicyStatus,
    /// The state of the ledger.
    pub ledger: LedgerStatus,
    /// The index that makes history fast.
    #[serde(default)]
    pub index: IndexStatus,
    /// The container engine.
    #[serde(default)]
    pub engine: EngineStatus,
    /// What the kernel offers here and what was chosen, such as `peer_pidfd: yes`.
    pub methods: BTreeMap<String, String>,
    /// The channels by which people are told of what waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelStatus>,
    /// How far the promises hold here: one sentence a line.
    pub cautions: Vec<String>,
}

/// The policy that the warden serves with, for all jails but those of runs that brought their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyStatus {
    /// Where it came from.
    pub source: String,
    /// SHA-256 of its text, in hex.
    pub fingerprint: String,
    /// Since when it is in force.
    pub since_ms: u64,
    /// Whether its files are watched. If not, they are read when somebody asks for it.
    pub watched: bool,
    /// Why what the files say is not in force, if it is not.
    pub error: Option<PolicyFault>,
}

/// Why a changed policy is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFault {
    /// The whole diagnosis.
    pub message: String,
    /// The file of its first error, where that is inside a file.
    pub file: Option<String>,
    /// The line of its first error, from 1.
    pub line: Option<u32>,
    /// The column of its first error in characters, from 1.
    pub column: Option<u32>,
    /// Since when.
    pub since_ms: u64,
}

/// One jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailStatus {
    /// Its name.
    pub name: String,
    /// Its intercom socket.
    pub socket: String,
    /// The folder of its shims, where there is one.
    pub bin: Option<String>,
    /// Where its policy came from.
    pub policy: String,
    /// SHA-256 of the policy's text, in hex.
    pub policy_fingerprint: String,
    /// Since when that policy is in force.
    #[serde(default)]
    pub policy_since_ms: u64,
    /// Policies from before a change by which its prisoners are judged as well: what is wider holds from the next `run` on.
    #[serde(default)]
    pub policies_held_back: usize,
    /// Why the newest policy file is not in force, if it does not load.
    pub policy_error: Option<String>,
    /// Requests that came in, since the warden started.
    pub requests: u64,
    /// Prisoners that a `clawrden run` holds.
    pub prisoners: Vec<PrisonerStatus>,
}

/// One prisoner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrisonerStatus {
    /// Its id.
    pub id: String,
    /// The process id of the `clawrden run` that holds it.
    pub pid: u32,
    /// The command that was started.
    pub command: Vec<String>,
    /// Labels that the person who started it gave.
    pub labels: BTreeMap<String, String>,
    /// Requests that came from it. Zero for long says that it is not governed.
    pub requests: u64,
    /// Since when.
    pub since_ms: u64,
    /// Every ask is denied at once.
    pub unattended: bool,
}

/// The ledger's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerStatus {
    /// The file that is written.
    pub path: String,
    /// The sequence number of the newest record; 0 for none.
    pub sequence: u64,
    /// Why it cannot be written at the moment. While it is set, nothing runs.
    pub error: Option<String>,
    /// The sequence number of the newest record that is known to be on the disk.
    #[serde(default)]
    pub on_disk: u64,
    /// Why the newest signed head did not reach every anchor.
    #[serde(default)]
    pub anchor_error: Option<String>,
}

/// The state of the ledger's index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IndexStatus {
    /// Its file; empty from a warden that has none.
    pub path: String,
    /// `ready`, `building` or `off`. History is answered in each of them; it is slow where this is not `ready`.
    pub state: String,
    /// The sequence number of the newest record that is in it; 0 for none.
    pub sequence: u64,
    /// How much of the ledger is read, in percent, while it is built.
    pub percent: Option<u8>,
    /// Why there is none, or why the last one was given up.
    pub error: Option<String>,
}

/// The container engine's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineStatus {
    /// Where it answers, or where it is looked for; empty when none is to be used.
    pub address: String,
    /// What it calls itself and its version, such as `Docker Engine 20.10.24`, while it answers.
    pub version: Option<String>,
    /// The version of its API that is spoken, such as `1.41`.
    pub api: Option<String>,
    /// Why it does not answer. What needs no containers goes on.
    pub error: Option<String>,
}
