//! Records of the warden itself: its policy, its jails and prisoners, its stops.

use serde::{Deserialize, Serialize};

use super::Container;
use crate::ledger::argv::Argv;
use crate::ledger::id::Id;

/// Payload of [`Record::WardenStarted`](super::Record::WardenStarted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WardenStarted {
    /// The warden's version.
    pub version: String,
    /// The user that it runs as.
    pub uid: u32,
    /// What the kernel offers and what was chosen.
    pub methods: std::collections::BTreeMap<String, String>,
}

/// Payload of [`Record::WardenStopped`](super::Record::WardenStopped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WardenStopped {
    /// Why it ended.
    pub reason: String,
}

/// Payload of [`Record::PolicyLoaded`](super::Record::PolicyLoaded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyLoaded {
    /// Where it came from.
    pub source: String,
    /// SHA-256 of its text, in hex.
    pub fingerprint: String,
    /// The jail that it governs; `*` for all of this source, which went on with it after something else was refused.
    pub jail: String,
}

/// Payload of [`Record::PolicyRefused`](super::Record::PolicyRefused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRefused {
    /// Where it came from.
    pub source: String,
    /// The jail that it was meant for; `*` for all that are governed by this source.
    pub jail: String,
    /// The diagnosis.
    pub error: String,
}

/// Payload of [`Record::Stopped`](super::Record::Stopped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Who threw the kill switch.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Frozen rather than ended.
    pub paused: bool,
    /// A jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// A container alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

/// Payload of [`Record::Resumed`](super::Record::Resumed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Who took it back.
    pub by: String,
    /// For a jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// For a container alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

/// Payload of [`Record::JailCreated`](super::Record::JailCreated) and [`Record::JailDeleted`](super::Record::JailDeleted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailChanged {
    /// The jail.
    pub jail: String,
    /// On whose word.
    pub by: String,
    /// The tools that were named for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

/// Payload of [`Record::PrisonerStarted`](super::Record::PrisonerStarted).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrisonerStarted {
    /// The prisoner.
    pub prisoner: String,
    /// Its jail.
    pub jail: String,
    /// The process that holds it.
    pub pid: u32,
    /// The user that started it.
    pub uid: u32,
    /// The command.
    #[serde(flatten)]
    pub argv: Argv,
    /// What the person who started it says about it.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Payload of [`Record::PrisonerEnded`](super::Record::PrisonerEnded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrisonerEnded {
    /// The prisoner.
    pub prisoner: String,
    /// Requests that came from it.
    pub requests: u64,
}

/// Payload of [`Record::Recovered`](super::Record::Recovered).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// How many bytes were set aside.
    pub torn_bytes: u64,
    /// The file that holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The first line that does not hold, where the ledger was found broken. It is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Payload of [`Record::Failed`](super::Record::Failed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The request.
    pub id: Id,
    /// What failed.
    pub error: String,
}
