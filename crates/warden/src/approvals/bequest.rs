//! What a person's yes to a command is worth for what that command starts: every request of a process below it that would
//! be asked about gets its approval by it, for as long as the command lives and no longer.
//!
//! Nothing of this lasts beyond the warden's end: what a command starts after a restart is asked about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Approval, Now};
use super::scope::Scope;
use super::state::State;
use super::votes::Vote;
use super::written::Written;
use crate::ledger::Id;
use crate::plan::Identity;

/// How long what an approved command starts runs by its approval, at most, however long the command lives.
pub const MAX_BEQUEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a command that runs by an approval hands down.
pub struct Bequest {
    /// The request that runs, and whose approval this is.
    pub from: Id,
    entry: Id,
    who: String,
    channel: String,
    reason: Option<String>,
    answered_ms: u64,
    scope: Scope,
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

impl State {
    /// Whether something may still be started by an approval that was handed down.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_inherit(&self, bequest: &Bequest, now: Now) -> Result<(), String> {
        if !bequest.holds(now) {
            return Err("the approved command that started it has ended meanwhile".to_owned());
        }
        let is_kept = || {
            let mut grants = self.kept.repeating.all();
            grants.any(|grant| grant.entry == bequest.entry && !grant.until.has_passed(now))
        };
        if bequest.scope.repeats() && !is_kept() {
            return Err("the grant was taken back or ran out meanwhile".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for Bequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bequest").field("from", &self.from).finish_non_exhaustive()
    }
}
