//! Decisions by the rule that gave them. How many rules are told apart is bounded, whatever policies come and go.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use clawrden_policy::{Action, RuleId};
use rustc_hash::FxBuildHasher;

use super::Count;
use super::jail::DECISIONS;

/// Rules that are told apart. Those that first decide when there are so many are counted together.
pub(crate) const MAX_RULES: usize = 1_024;
/// The place of all that are not told apart.
pub(crate) const OTHERS: &str = "(others)";
/// The place of decisions that no rule gave.
pub(crate) const NO_RULE: &str = "(none)";
/// Bytes of a rule's name. Of a rule with a longer one its place in the file alone is shown.
const MAX_NAME: usize = 200;
/// A repository's own policy file. Prisoners can write it, so its rules are not told apart.
const REPOSITORY: &str = ".clawrden.yaml";

type Decided = [Count; DECISIONS.len()];

/// Counts by rule.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    known: RwLock<HashMap<Arc<str>, Decided, FxBuildHasher>>,
    none: Decided,
    others: Decided,
}

impl Rules {
    /// One decision that this rule gave.
    pub(crate) fn count(&self, rule: Option<&RuleId>, action: Action) {
        let Some(rule) = rule else { return count(&self.none, action) };
        let label = label(rule);
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(decided) = known.get(label) {
                return count(decided, action);
            }
            if known.len() >= MAX_RULES {
                return count(&self.others, action);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        count(known.entry(label.into()).or_default(), action);
    }

    /// Starts anew: another policy is in force, and its lines are other rules.
    pub(crate) fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Gives every place and decision that was counted, and how often.
    pub(crate) fn each<E>(
        &self,
        mut give: impl FnMut(&str, Action, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let apart = known.iter().map(|(label, decided)| (&**label, decided));
        let together = [(NO_RULE, &self.none), (OTHERS, &self.others)];
        for (label, decided) in apart.chain(together) {
            for (action, count) in DECISIONS.iter().zip(decided) {
                if count.get() > 0 {
                    give(label, *action, count.get())?;
                }
            }
        }
        Ok(())
    }
}

fn count(decided: &Decided, action: Action) {
    let [allow, ask, deny] = decided;
    match action {
        Action::Allow => allow.add(1),
        Action::Ask => ask.add(1),
        Action::Deny => deny.add(1),
    }
}

fn label(rule: &RuleId) -> &str {
    if rule.file.ends_with(REPOSITORY) {
        return REPOSITORY;
    }
    if rule.text.len() <= MAX_NAME {
        return &rule.text;
    }
    let end = rule.text.find(" (").filter(|end| *end <= MAX_NAME);
    end.and_then(|end| rule.text.get(..end)).unwrap_or(OTHERS)
}
