//! What is counted for each jail. It lives and goes with the jail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Count, Times};
use clawrden_policy::{Action, Executor};

/// The decisions, in the order in which they are kept.
pub(crate) const DECISIONS: [Action; 3] = [Action::Allow, Action::Ask, Action::Deny];
/// The executors, in the order in which they are kept.
pub(crate) const EXECUTORS: [Executor; 3] = [Executor::Mirror, Executor::Ghost, Executor::Local];
/// How a command can end, in the order of [`Outcome`].
pub(crate) const OUTCOMES: [&str; 6] =
    ["ok", "failed", "killed", "timed_out", "cancelled", "unknown"];
/// What can come of waiting for a person, in the order of [`AnswerKind`].
pub(crate) const ANSWERS: [&str; 5] = ["approved", "denied", "expired", "by_policy", "superseded"];

/// One jail's counts.
#[derive(Debug)]
pub(crate) struct JailCounts {
    /// How long each decision took, counted by it as well.
    decided: [Times; DECISIONS.len()],
    runs: [Runs; EXECUTORS.len()],
}

/// What one executor ran for a jail.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) started: Count,
    running: AtomicU64,
    pub(crate) time: Times,
    pub(crate) outcomes: [Count; OUTCOMES.len()],
}

/// One running command. It counts among those that run until it is dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    counts: Arc<JailCounts>,
    executor: Executor,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With code 0.
    Ok,
    /// With another code.
    Failed,
    /// By a signal.
    Killed,
    /// Its time had run out.
    TimedOut,
    /// Whoever waited for it had gone, or a person ended it.
    Cancelled,
    /// Nobody can tell.
    Unknown,
}

/// What came of waiting for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// A person let it run.
    Approved,
    /// A person refused it.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The policy denies it by now.
    ByPolicy,
    /// The same request came again on another connection.
    Superseded,
}

impl Default for JailCounts {
    fn default() -> Self {
        Self {
            decided: std::array::from_fn(|_| Times::short()),
            runs: std::array::from_fn(|_| Runs {
                started: Count::default(),
                running: AtomicU64::default(),
                time: Times::long(),
                outcomes: Default::default(),
            }),
        }
    }
}

impl JailCounts {
    /// One request was decided, `took` after it had been read.
    pub(crate) fn decided(&self, action: Action, took: Duration) {
        self.decision(action).add(took);
    }

    /// How long decisions of this kind took.
    pub(crate) fn decision(&self, action: Action) -> &Times {
        let [allow, ask, deny] = &self.decided;
        match action {
            Action::Allow => allow,
            Action::Ask => ask,
            Action::Deny => deny,
        }
    }

    /// What this executor ran.
    pub(crate) fn runs(&self, executor: Executor) -> &Runs {
        let [mirror, ghost, local] = &self.runs;
        match executor {
            Executor::Mirror => mirror,
            Executor::Ghost => ghost,
            Executor::Local => local,
        }
    }
}

impl Runs {
    /// Commands that run at this moment.
    pub(crate) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }
}

impl Meter {
    /// A command starts.
    pub(crate) fn start(counts: &Arc<JailCounts>, executor: Executor) -> Self {
        let runs = counts.runs(executor);
        runs.started.add(1);
        runs.running.fetch_add(1, Ordering::Relaxed);
        Self { counts: Arc::clone(counts), executor }
    }

    /// It ended, after so much time.
    pub(crate) fn finished(&self, time: Duration, how: Outcome) {
        let runs = self.counts.runs(self.executor);
        runs.time.add(time);
        if let Some(count) = runs.outcomes.get(how as usize) {
            count.add(1);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.counts.runs(self.executor).running.fetch_sub(1, Ordering::Relaxed);
    }
}
