//! An approval: it cannot be copied, lets one run happen, and whoever cannot use it gives it back. And what a command that
//! runs by one hands down: every request of a process below it that would be asked about gets its approval by it, for as
//! long as the command lives and no longer.
//!
//! Nothing of that lasts beyond the warden's end: what a command starts after a restart is asked about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Now;
use super::scope::Scope;
use super::vote::{Vote, from};
use super::written::Written;
use crate::ledger::Id;
use crate::plan::Identity;

/// Lets one run happen.
#[must_use = "an approval that is dropped is lost; give it back if nothing ran"]
#[derive(Debug)]
pub struct Approval {
    /// The entry that was answered.
    pub entry: Id,
    /// Who approved.
    pub who: String,
    /// Through what.
    pub channel: String,
    /// Why.
    pub reason: Option<String>,
    /// When, in milliseconds since the epoch.
    pub answered_ms: u64,
    /// It was not given to this request but kept, or handed on by another that did not use it.
    pub kept: bool,
    /// For what the person's answer is good; this is still for one run.
    pub scope: Scope,
    /// It is for what the command starts as well.
    pub and_what_it_starts: bool,
    /// The pattern that takes it, where the person's answer was for one.
    pub pattern: Option<String>,
    /// What handed it down, where it was given to a command that started this one.
    pub(crate) inherited: Option<Arc<Bequest>>,
    /// The request that it was given to, or that asked last.
    pub(super) ask: Id,
    /// What was approved, for showing it.
    pub(super) details: Written,
    pub(super) identity: Identity,
    pub(super) until: Now,
    /// Who gave it.
    pub(super) votes: Arc<[Vote]>,
}

impl Approval {
    /// From where whoever decided it answered.
    #[must_use]
    pub fn answered_from(&self) -> Option<&str> {
        from(&self.votes)
    }

    /// Whether it was given for requests of this identity.
    #[must_use]
    pub fn covers(&self, identity: &Identity) -> bool {
        self.identity == *identity
    }

    /// Whether it is worth nothing by `now`. For one run only the clock that measures counts.
    pub(super) fn has_run_out(&self, now: Now) -> bool {
        match self.scope.repeats() {
            true => self.until.has_passed(now),
            false => self.until.instant <= now.instant,
        }
    }

    /// Until when it is kept if nobody uses it, in milliseconds since the epoch.
    #[must_use]
    pub fn kept_until_ms(&self) -> u64 {
        self.until.ms
    }
}

/// How long what an approved command starts runs by its approval, at most, however long the command lives.
pub const MAX_BEQUEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a command that runs by an approval hands down.
pub struct Bequest {
    /// The request that runs, and whose approval this is.
    pub from: Id,
    pub(super) entry: Id,
    who: String,
    channel: String,
    reason: Option<String>,
    answered_ms: u64,
    pub(super) scope: Scope,
    /// Who gave the approval.
    pub(super) votes: Arc<[Vote]>,
    details: Written,
    until: Now,
    /// Whether the command lives.
    lives: Box<dyn Fn() -> bool + Send + Sync>,
    /// What it has its own approval by, where a command above it was approved.
    above: Option<Arc<Bequest>>,
}

impl Bequest {
    /// What request `from` hands down, which runs by `approval` for as long as `lives` says; `None` where the person
    /// approved nothing but the command.
    pub(crate) fn of(
        approval: &Approval,
        from: Id,
        now: Now,
        lives: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Option<Arc<Self>> {
        if !approval.and_what_it_starts {
            return None;
        }
        let most = now.after(MAX_BEQUEST);
        let ends_before = approval.scope.repeats() && approval.until.instant < most.instant;
        let own = Self {
            from,
            entry: approval.entry,
            who: approval.who.clone(),
            channel: approval.channel.clone(),
            reason: approval.reason.clone(),
            answered_ms: approval.answered_ms,
            scope: approval.scope,
            votes: Arc::clone(&approval.votes),
            details: approval.details.clone(),
            until: if ends_before { approval.until } else { most },
            lives: Box::new(lives),
            above: approval.inherited.clone(),
        };
        Some(Arc::new(own))
    }

    /// Whether what the command starts may run by it.
    pub(crate) fn holds(&self, now: Now) -> bool {
        !self.until.has_passed(now)
            && (self.lives)()
            && self.above.as_ref().is_none_or(|above| above.holds(now))
    }

    /// The approval of one request by it.
    pub(super) fn approval(self: &Arc<Self>, ask: Id, identity: Identity) -> Approval {
        Approval {
            entry: self.entry,
            who: self.who.clone(),
            channel: self.channel.clone(),
            reason: self.reason.clone(),
            answered_ms: self.answered_ms,
            kept: true,
            scope: self.scope,
            and_what_it_starts: true,
            pattern: None,
            inherited: Some(Arc::clone(self)),
            ask,
            details: self.details.clone(),
            identity,
            until: self.until,
            votes: Arc::clone(&self.votes),
        }
    }
}

impl fmt::Debug for Bequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bequest").field("from", &self.from).finish_non_exhaustive()
    }
}
