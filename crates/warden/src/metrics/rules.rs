//! Decisions by the rule that gave them, and how long they took. How many rules are told apart is bounded, whatever policies come and go.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

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

/// Upper bounds of how long a decision took, in nanoseconds. They are few: a thousand rules have them.
const BOUNDS: [u64; 5] = [100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// What one place counts, without a lock.
#[derive(Debug, Default)]
struct Decided {
    actions: [Count; DECISIONS.len()],
    took: [Count; BOUNDS.len() + 1],
    nanos: Count,
}

/// How long the decisions of one place took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Took {
    /// All of them together, in seconds.
    pub(crate) seconds: f64,
    /// How many there are.
    pub(crate) count: u64,
    /// How many are in each bucket, by its upper bound in seconds; the last has none.
    pub(crate) buckets: [(f64, u64); BOUNDS.len() + 1],
}

/// Counts by rule.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    known: RwLock<HashMap<Arc<str>, Decided, FxBuildHasher>>,
    none: Decided,
    others: Decided,
}

impl Rules {
    /// One decision that this rule gave, `took` after the request had been read.
    pub(crate) fn count(&self, rule: Option<&RuleId>, action: Action, took: Duration) {
        let Some(rule) = rule else { return self.none.add(action, took) };
        let label = label(rule);
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(decided) = known.get(label) {
                return decided.add(action, took);
            }
            if known.len() >= MAX_RULES {
                return self.others.add(action, took);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(label.into()).or_default().add(action, took);
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
        self.places(|label, decided| {
            for (action, count) in DECISIONS.iter().zip(&decided.actions) {
                if count.get() > 0 {
                    give(label, *action, count.get())?;
                }
            }
            Ok(())
        })
    }

    /// Gives every place where something was counted, and how long that took.
    pub(crate) fn each_time<E>(
        &self,
        mut give: impl FnMut(&str, &Took) -> Result<(), E>,
    ) -> Result<(), E> {
        self.places(|label, decided| match decided.told() {
            took if took.count > 0 => give(label, &took),
            _ => Ok(()),
        })
    }

    fn places<E>(&self, mut give: impl FnMut(&str, &Decided) -> Result<(), E>) -> Result<(), E> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let apart = known.iter().map(|(label, decided)| (&**label, decided));
        let together = [(NO_RULE, &self.none), (OTHERS, &self.others)];
        apart.chain(together).try_for_each(|(label, decided)| give(label, decided))
    }
}

impl Decided {
    fn add(&self, action: Action, took: Duration) {
        let [allow, ask, deny] = &self.actions;
        match action {
            Action::Allow => allow.add(1),
            Action::Ask => ask.add(1),
            Action::Deny => deny.add(1),
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.add(nanos);
        let place = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.took.get(place) {
            bucket.add(1);
        }
    }

    // What is shown of them is exact for as long as it matters.
    #[allow(clippy::cast_precision_loss)]
    fn told(&self) -> Took {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let bound = |nth: usize| BOUNDS.get(nth).map_or(f64::MAX, |bound| seconds(*bound));
        let buckets = std::array::from_fn(|nth| (bound(nth), self.took[nth].get()));
        let count = buckets.iter().map(|(_, count)| count).sum();
        Took { seconds: seconds(self.nanos.get()), count, buckets }
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
