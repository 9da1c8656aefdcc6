//! The policies that judge a jail's requests, and how a changed file becomes one of them.
//!
//! A file that does not load, or that somebody is still writing, changes nothing: what was in force stays so. What a
//! change widens does not reach prisoners that may have made it themselves.

mod source;
mod steady;
mod stricter;
mod trail;
mod watch;
mod writers;

use std::collections::BTreeSet;
use std::sync::Arc;

use clawrden_policy::{Action, Decision, EnvRules, Facts, Policy};

pub use source::Brought;
pub(crate) use source::Unread;
pub(crate) use source::{Source, Sourced, known};
#[cfg(test)]
pub(crate) use steady::MAX_FILES;
pub(crate) use steady::{Unsteady, steadily};
pub(crate) use stricter::stricter;
pub(crate) use watch::{Changes, MOST, QUIET, Watching};
pub(crate) use writers::Writable;
pub(crate) use writers::check as check_writers;

/// Policies before the one in force that are held against living prisoners. With more, what all of these and the one
/// in force allow is asked.
pub(crate) const MAX_BEFORE: usize = 8;

/// What is added to the reason where a policy from before a change decides.
const HELD_BACK: &str = "the policy was changed while a prisoner of this user lived, and a wider one holds from the \
                         next `clawrden run` on";

/// The policy of a jail, as it is in force.
#[derive(Debug)]
pub struct InForce {
    /// What judges.
    pub policy: Arc<Policy>,
    /// Where it came from.
    pub name: String,
    /// SHA-256 of its text, in hex.
    pub fingerprint: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
}

/// The policy in force, and those before it that prisoners without a wall are still judged by as well.
#[derive(Debug)]
pub struct Policies {
    /// The policy in force.
    pub in_force: Arc<InForce>,
    before: Vec<Arc<InForce>>,
    /// The prisoners that lived when one of `before` was replaced.
    held_for: BTreeSet<String>,
    /// There were more than `MAX_BEFORE`.
    crowded: bool,
    /// How often the policy was replaced.
    pub(crate) generation: u64,
}

impl Policies {
    /// One policy, and none before it.
    #[must_use]
    pub fn new(in_force: InForce) -> Self {
        Self {
            in_force: Arc::new(in_force),
            before: Vec::new(),
            held_for: BTreeSet::new(),
            crowded: false,
            generation: 0,
        }
    }

    /// The same jail with another policy in force. `living` are the ids of its prisoners that may have made the change
    /// themselves.
    #[must_use]
    pub fn replaced(&self, in_force: InForce, living: impl IntoIterator<Item = String>) -> Self {
        let held_for: BTreeSet<String> = self.held_for.iter().cloned().chain(living).collect();
        let mut before = Vec::new();
        let mut crowded = false;
        if !held_for.is_empty() {
            before.clone_from(&self.before);
            crowded = self.crowded;
            if !before.iter().any(|known| known.fingerprint == self.in_force.fingerprint) {
                if before.len() < MAX_BEFORE {
                    before.push(Arc::clone(&self.in_force));
                } else {
                    crowded = true;
                }
            }
        }
        let generation = self.generation + 1;
        Self { in_force: Arc::new(in_force), before, held_for, crowded, generation }
    }

    /// The same without what is held for this prisoner alone, which has ended; `None` if nothing is.
    #[must_use]
    pub fn released(&self, prisoner: &str) -> Option<Self> {
        let mut held_for = self.held_for.clone();
        if !held_for.remove(prisoner) {
            return None;
        }
        let is_held = !held_for.is_empty();
        Some(Self {
            in_force: Arc::clone(&self.in_force),
            before: if is_held { self.before.clone() } else { Vec::new() },
            held_for,
            crowded: is_held && self.crowded,
            // What is wider from here on denies nothing that waits.
            generation: self.generation,
        })
    }

    /// How many policies before the one in force still count.
    #[must_use]
    pub fn held_back(&self) -> usize {
        self.before.len()
    }

    /// Judges by all of them: the strictest answer holds.
    pub(crate) fn decide(&self, facts: &Facts<'_>) -> Decision {
        let mut decision = self.in_force.policy.decide(facts);
        for earlier in &self.before {
            decision = stricter(decision, earlier.policy.decide(facts), HELD_BACK);
        }
        if self.crowded && decision.action == Action::Allow {
            decision.action = Action::Ask;
            decision.reason = format!("{HELD_BACK}; there were more than {MAX_BEFORE} changes");
        }
        decision
    }

    /// Whether a rule of any of them runs its command as a user of the warden's host.
    pub(crate) fn runs_as_others(&self) -> bool {
        self.all().any(|policy| policy.policy.runs_as_others())
    }

    /// The `env:` sections, of which the strictest holds.
    pub(crate) fn env(&self) -> Vec<&EnvRules> {
        self.all().map(|policy| policy.policy.env()).collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<InForce>> {
        std::iter::once(&self.in_force).chain(&self.before)
    }
}

#[cfg(test)]
mod tests;
