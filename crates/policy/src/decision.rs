//! Decision: the answer for one request, with the rule that gave it and why.
//! It never grows milder after it was made; only a person's approval can let an `ask` through.

use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, Executor, RuleId};
use crate::approvers::{self, Approvers};
use crate::bounds::Bounds;
use crate::ghosts::{Ghost, GhostRule};
use crate::recording::Recording;

/// How long the command may run, counted from the moment the tool starts, and who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// No limit.
    None,
    /// From `default_timeout`: a weak limit, enforced on the tree as it stands when time is up.
    Default(Duration),
    /// Written on the rule: enforced on everything the command started.
    Rule(Duration),
}

impl Timeout {
    /// The limit, whoever set it.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Default(limit) | Self::Rule(limit) => Some(limit),
        }
    }
}

/// Something that weighed on a decision beside the rule itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A dangerous variable that the prisoner changed.
    ChangedVariable(Vec<u8>),
    /// An `ask` or `deny` rule that matched only by over-approximation, and so did not end the search.
    Overmatched(RuleId),
}

/// The answer for one request.
#[must_use = "a decision that nobody reads lets everything through"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to happen.
    pub action: Action,
    /// The rule that gave it; `None` for `default_action` and `allowed_paths`.
    pub rule: Option<RuleId>,
    /// One sentence for the person and the agent; empty for a plain `allow`.
    pub reason: String,
    /// One sentence on what the agent should do instead; only where it may not simply run.
    pub suggest: Option<Arc<str>>,
    /// Where the command is to run if it may.
    pub executor: Executor,
    /// The user of the warden's host that it is to run as, a name or a number; `None` is the caller.
    /// Only ever with [`Executor::Local`].
    pub run_as: Option<Arc<str>>,
    /// The container that it is to run in. With [`Executor::Ghost`], unless it is denied, and only then.
    pub ghost: Option<Arc<Ghost>>,
    /// What the deciding rule says of that, until it is settled.
    pub(crate) given: Option<Arc<GhostRule>>,
    /// What it is kept to, by all rules that speak of it.
    pub bounds: Option<Arc<Bounds>>,
    /// With [`Executor::Mirror`]: the warden stays with it and starts it in the prisoner's container itself.
    pub supervised: bool,
    /// What of it is recorded. With it, nothing is handed off.
    pub record: Option<Recording>,
    /// How long it may run.
    pub timeout: Timeout,
    /// How long a person has to answer an `ask`.
    pub approval_timeout: Duration,
    /// Whose yes an `ask` takes: every one of these has to have it. Empty is anybody's who may answer, and so it is where
    /// nobody is asked.
    pub approvers: Vec<Arc<Approvers>>,
    /// What else weighed on the decision.
    pub noticed: Vec<Notice>,
    /// Where another command decided than the one that was asked for: that command, and what runs
    /// it, shown harmless, as in "`rm -rf /` inside `sh -c`".
    pub inside: Option<String>,
}

impl Decision {
    /// Wants what another decision about the same request wants as well, where this one asks.
    pub fn wants_also(&mut self, other: &Self) {
        if self.action == Action::Ask {
            approvers::add(&mut self.approvers, other.approvers.iter().cloned());
        } else {
            self.approvers.clear();
        }
    }

    /// `fact` as it is told to the agent: with what it should do instead, where that is known.
    #[must_use]
    pub fn with_suggestion(&self, fact: &str) -> String {
        match &self.suggest {
            Some(suggest) if fact.is_empty() => format!("instead: {suggest}"),
            Some(suggest) => format!("{fact}; instead: {suggest}"),
            None => fact.to_owned(),
        }
    }
}
