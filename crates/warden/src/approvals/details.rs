//! What a person is shown. It is for showing only: what runs is the caller's own frozen plan.

use std::collections::BTreeMap;

use clawrden_api::{Caller, QueueContext};
use serde::{Deserialize, Serialize};

/// What a person is shown of a request. Long argument vectors are to be folded before. As JSON it is the part of a
/// [`clawrden_api::QueueEntry`] that stays the same while it waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The jail.
    pub jail: String,
    /// Who asks.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced.
    pub argv: Vec<String>,
    /// The working directory, resolved.
    pub cwd: Option<String>,
    /// The file that will run.
    pub executable: Option<String>,
    /// SHA-256 of what it holds, in hex; `None` where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it will run.
    pub executor: String,
    /// The client runs it by itself, and the warden never knows what became of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_judged: bool,
    /// The user of the warden's host that it will run as, where a rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// The rule that asks.
    pub rule: Option<String>,
    /// Why it asks.
    pub reason: String,
    /// What the agent is told to do instead, should it not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<String>,
    /// Facts that weigh on the decision.
    pub noticed: Vec<String>,
    /// The prisoner's labels.
    pub labels: BTreeMap<String, String>,
    /// The argument vector as a shell reads it back, where it is all of it, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// What surrounds it.
    #[serde(default, skip_serializing_if = "QueueContext::is_empty")]
    pub context: QueueContext,
    /// What is odd about its characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
