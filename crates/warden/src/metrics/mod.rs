//! Metrics: counts of what happens, kept where it happens and read when somebody looks.
//!
//! Counting takes no memory and waits for nobody where its place is known. What a place is named by comes from the
//! policy, from a person or from this program, never from what a prisoner says: there are only so many.

mod jail;
mod page;
mod rules;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

pub(crate) use jail::{
    ANSWERS, AnswerKind, DECISIONS, EXECUTORS, JailCounts, Meter, OUTCOMES, Outcome,
};
pub use page::Format;
pub(crate) use page::{Family, Page};
#[cfg(test)]
pub(crate) use rules::MAX_RULES;
pub(crate) use rules::{Rules, Took};

/// Upper bounds for what the warden does by itself, in seconds.
const SHORT: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

/// Upper bounds for how long commands run and people take, in seconds.
const LONG: [f64; 13] =
    [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 21_600.0];

/// What is counted for the warden as a whole.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Decisions by the rule that gave them.
    pub(crate) rules: Rules,
    /// How long callers waited for a person, by what came of it.
    pub(crate) waits: [Times; ANSWERS.len()],
    /// Policies that were put in force.
    pub(crate) accepted: Count,
    /// Policies that did not load, each cause once.
    pub(crate) refused: Count,
    /// Requests that were denied because nobody could have answered them.
    pub(crate) unanswerable: Count,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            waits: std::array::from_fn(|_| Times::long()),
            accepted: Count::default(),
            refused: Count::default(),
            unanswerable: Count::default(),
        }
    }
}

impl Metrics {
    /// A caller waited so long for a person, and this came of it.
    pub(crate) fn waited(&self, answer: AnswerKind, time: Duration) {
        let [approved, denied, expired, by_policy, superseded] = &self.waits;
        let of = match answer {
            AnswerKind::Approved => approved,
            AnswerKind::Denied => denied,
            AnswerKind::Expired => expired,
            AnswerKind::ByPolicy => by_policy,
            AnswerKind::Superseded => superseded,
        };
        of.add(time);
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, each time that it happened.
#[derive(Debug)]
pub(crate) struct Times {
    count: Count,
    histogram: Histogram,
}

impl Times {
    /// For what the warden does by itself.
    pub(crate) fn short() -> Self {
        Self { count: Count::default(), histogram: Histogram::new(SHORT) }
    }

    /// For how long commands run and people take.
    pub(crate) fn long() -> Self {
        Self { count: Count::default(), histogram: Histogram::new(LONG) }
    }

    pub(crate) fn add(&self, time: Duration) {
        self.count.add(1);
        self.histogram.observe(time.as_secs_f64());
    }

    /// How often it happened.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    pub(crate) fn histogram(&self) -> &Histogram {
        &self.histogram
    }
}
