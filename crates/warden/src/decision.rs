//! The decision step: the only place where a plan becomes one that may run.
//!
//! [`Approved`] cannot be made anywhere else, and executors take nothing else: the compiler refuses a way around.

use clawrden_policy::{Action, Decision, Executor, Notice, Timeout};

use crate::approvals::Approval;
use crate::plan::{Plan, PlanError, Workers};

/// Bytes of an argument vector from which it is judged on a thread of its own.
const LARGE: usize = 16 * 1024;

/// A plan with what the policy says of it.
#[derive(Debug)]
pub(crate) struct Judged {
    plan: Plan,
    decision: Decision,
}

/// What follows from a judgement.
#[derive(Debug)]
#[must_use = "a verdict that nobody acts on leaves the caller waiting"]
pub(crate) enum Verdict {
    /// It may run.
    Allow(Approved),
    /// A person has to be asked.
    Ask(Judged),
    /// It does not run.
    Deny(Judged),
}

/// A plan that may run: allowed by the policy, or by a person whom the policy says to ask.
#[derive(Debug)]
pub(crate) struct Approved {
    plan: Plan,
    executor: Executor,
    timeout: Timeout,
}

impl Judged {
    /// Judges `plan` by the policy of its jail.
    fn new(plan: Plan) -> Self {
        let policy = plan.jail.policy();
        let decision = plan.with_facts(|facts| policy.decide(facts));
        Self { plan, decision }
    }

    /// The same for a request of any size: one so large that judging it would keep others waiting is judged beside
    /// the event loop.
    ///
    /// # Errors
    /// When it takes too long there.
    pub(crate) async fn of(plan: Plan, workers: &Workers) -> Result<Self, PlanError> {
        if plan.invocation.argv().map(|arg| arg.len() + 1).sum::<usize>() < LARGE {
            return Ok(Self::new(plan));
        }
        workers.run(move || Self::new(plan)).await
    }

    /// Takes the way that the decision says.
    pub(crate) fn verdict(self) -> Verdict {
        match self.decision.action {
            Action::Allow => Verdict::Allow(self.approved()),
            Action::Ask => Verdict::Ask(self),
            Action::Deny => Verdict::Deny(self),
        }
    }

    /// Turns an `ask` that a person has consented to into a plan that may run. A decision other than `ask` stays
    /// what it is.
    pub(crate) fn consented(self, approval: &Approval) -> Result<Approved, Box<Self>> {
        let asked = self.decision.action == Action::Ask && approval.covers(&self.plan.identity);
        if asked { Ok(self.approved()) } else { Err(Box::new(self)) }
    }

    fn approved(self) -> Approved {
        let Decision { executor, timeout, .. } = self.decision;
        Approved { plan: self.plan, executor, timeout }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Lets go of everything that a waiting request does not need.
    pub(crate) fn slim(&mut self) {
        self.plan.caller.forget_pidfd();
        if self.decision.executor == Executor::Mirror {
            self.plan.invocation.forget_words();
        }
    }

    /// Whether there is room to keep what a waiting request needs.
    pub(crate) fn may_wait(&self) -> bool {
        self.decision.executor == Executor::Mirror || self.plan.invocation.may_wait()
    }

    /// Takes back what [`Judged::slim`] let go, and looks whether everything is still as it was judged.
    ///
    /// # Errors
    /// A sentence that says what has changed.
    pub(crate) async fn recall(&mut self, workers: &Workers) -> Result<(), String> {
        if !self.plan.caller.recall_pidfd() {
            return Err("the caller ended while it waited".to_owned());
        }
        let unchanged = self.plan.is_unchanged(workers).await.map_err(|error| error.to_string())?;
        if unchanged {
            Ok(())
        } else {
            Err("changed after approval: the executable or the working directory is not what it was; repeat the command".to_owned())
        }
    }

    /// The rule as it is shown, empty where none gave the decision.
    pub(crate) fn rule(&self) -> String {
        self.decision.rule.as_ref().map_or_else(String::new, ToString::to_string)
    }

    /// What weighed on the decision, one phrase each.
    pub(crate) fn noticed(&self) -> Vec<String> {
        let phrase = |notice: &Notice| match notice {
            Notice::ChangedVariable(name) => {
                format!(
                    "{} differs from what the prisoner was started with",
                    String::from_utf8_lossy(name)
                )
            }
            Notice::Overmatched(rule) => {
                format!("{rule} matches only if its pattern is read widely")
            }
        };
        self.decision.noticed.iter().map(phrase).collect()
    }
}

impl Approved {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn executor(&self) -> Executor {
        self.executor
    }

    pub(crate) fn timeout(&self) -> Timeout {
        self.timeout
    }
}
