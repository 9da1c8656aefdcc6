//! What is asked of a person. It is for showing only: what runs is the caller's own frozen plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clawrden_api::{Caller, QueueContext};
use serde::{Deserialize, Serialize};

use super::bequest::Bequest;
use super::scope::Life;
use super::wants::Wants;
use crate::again::Case;
use crate::ledger::Id;
use crate::plan::Identity;

/// A request that the policy wants a person to answer.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What makes it the same question as another.
    pub identity: Identity,
    /// The request's id.
    pub id: Id,
    /// What the client calls it, by which it finds its place again; `None` for one that cannot come back.
    pub client: Option<Id>,
    /// The process that asks.
    pub key: CallerKey,
    /// Whose life a session would be; `None` where the kernel does not say.
    pub life: Option<Life>,
    /// The same without its words, for an answer to a pattern; `None` where there cannot be one.
    pub frame: Option<Identity>,
    /// Entries whose answer was for a pattern that takes it.
    pub by_pattern: Vec<Id>,
    /// What a command that started it hands down to it.
    pub inherits: Option<Arc<Bequest>>,
    /// What a person is shown.
    pub details: Details,
    /// For judging it again before it is approved.
    pub(crate) case: Option<Arc<Case>>,
    /// Whose yes it takes.
    pub wants: Wants,
    /// Why nobody who may answer can, where that is so and it is not to wait for them.
    pub nobody: Option<String>,
    /// How long a person has, counted from the first request that opened the entry.
    pub timeout: Duration,
}

/// A process, told apart from every other that has had or will have its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallerKey {
    /// Its id; `None` is unknown and the same as nobody.
    pub pid: Option<u32>,
    /// When it started, in the kernel's clock ticks since boot; `None` is unknown and the same as nobody.
    pub start: Option<u64>,
}

impl CallerKey {
    pub(super) fn is_same_process(self, other: Self) -> bool {
        self.pid.is_some() && self.start.is_some() && self == other
    }
}

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
