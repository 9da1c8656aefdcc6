//! What is asked of a person, and what of it is held while it waits.
//! It is for showing only: what runs is the caller's own frozen plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clawrden_api::{Caller, QueueApprovals, QueueContext, QueueEntry, display};
use serde::{Deserialize, Serialize};

use super::bequest::Bequest;
use super::identity::Identity;
use super::scope::Life;
use super::wants::Wants;
use crate::again::Case;
use crate::ledger::Id;

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

/// What a person is shown of a request. Long argument vectors are to be folded before.
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
    #[serde(default)]
    pub sha256: Option<String>,
    /// Where it will run.
    pub executor: String,
    /// The client runs it by itself, and the warden never knows what became of it.
    #[serde(default)]
    pub only_judged: bool,
    /// The user of the warden's host that it will run as, where a rule says so.
    pub run_as: Option<String>,
    /// The rule that asks.
    pub rule: Option<String>,
    /// Why it asks.
    pub reason: String,
    /// What the agent is told to do instead, should it not run.
    pub suggest: Option<String>,
    /// Facts that weigh on the decision.
    pub noticed: Vec<String>,
    /// The prisoner's labels.
    pub labels: BTreeMap<String, String>,
    /// The argument vector is all of it, as it was sent.
    pub is_exact: bool,
    /// What surrounds it.
    pub context: QueueContext,
    /// What is odd about its characters.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Details {
    /// The bytes that holding it costs, about.
    pub(super) fn bytes(&self) -> usize {
        let text = |s: &String| s.len() + size_of::<String>();
        let list = |l: &[String]| l.iter().map(text).sum::<usize>();
        size_of::<Self>()
            + self.jail.len()
            + self.caller.prisoner.as_ref().map_or(0, String::len)
            + self
                .caller
                .container
                .as_ref()
                .map_or(0, |c| c.id.len() + text(&c.name) + text(&c.image))
            + list(&self.argv)
            + self.cwd.as_ref().map_or(0, String::len)
            + self.executable.as_ref().map_or(0, String::len)
            + self.sha256.as_ref().map_or(0, String::len)
            + self.executor.len()
            + self.run_as.as_ref().map_or(0, String::len)
            + self.rule.as_ref().map_or(0, String::len)
            + self.reason.len()
            + self.suggest.as_ref().map_or(0, String::len)
            + list(&self.noticed)
            + list(&self.warnings)
            + list(&self.context.parent)
            + self.context.git_remote.as_ref().map_or(0, String::len)
            + self.context.git_branch.as_ref().map_or(0, String::len)
            + self.context.touches.iter().map(|it| text(&it.path) + text(&it.kind)).sum::<usize>()
            + self.labels.iter().map(|(k, v)| text(k) + text(v)).sum::<usize>()
    }
}

/// An entry as it stood at one moment, taken from under the queue's lock: showing it takes longer.
pub(super) struct Seen {
    pub(super) id: Id,
    pub(super) short: String,
    /// The request that an answer is for.
    pub(super) request: Option<Id>,
    pub(super) details: Arc<Details>,
    pub(super) times: Times,
    pub(super) callers: usize,
    pub(super) approvals: Option<QueueApprovals>,
}

impl Seen {
    pub(super) fn show(self) -> QueueEntry {
        let Self { id, short, request, details, times, callers, approvals } = self;
        let it = Arc::unwrap_or_clone(details);
        QueueEntry {
            id: id.to_string(),
            short,
            request: request.map(|request| request.to_string()),
            jail: it.jail,
            caller: it.caller,
            exact: it.is_exact.then(|| display::exact(&it.argv)),
            argv: it.argv,
            cwd: it.cwd,
            executable: it.executable,
            sha256: it.sha256,
            executor: it.executor,
            only_judged: it.only_judged,
            run_as: it.run_as,
            rule: it.rule,
            reason: it.reason,
            suggest: it.suggest,
            noticed: it.noticed,
            labels: it.labels,
            warnings: it.warnings,
            context: it.context,
            since_ms: times.since_ms,
            expires_ms: times.expires_ms,
            approvals,
            callers: u32::try_from(callers).unwrap_or(u32::MAX),
        }
    }
}

/// Since when an entry waits and until when, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) since_ms: u64,
    pub(super) expires_ms: u64,
}
