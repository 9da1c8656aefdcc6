//! What a judgement keeps while its request waits for a person, and what is looked at again before it runs.

use std::sync::Arc;

use clawrden_policy::Executor;

use super::Judged;
use crate::again::{Case, Objection};
use crate::approvals::{self, Wants};
use crate::intercom::Account;
use crate::jails::Jails;
use crate::plan::{Digests, Plan, PlanError, Workers};

impl Judged {
    /// Finds out what its files hold: a person approves that, and nothing that takes its place.
    ///
    /// # Errors
    /// When it takes too long.
    pub(crate) async fn keep_contents(
        &mut self,
        digests: &Arc<Digests>,
        workers: &Workers,
    ) -> Result<(), PlanError> {
        self.contents = self.plan.contents(digests, workers).await?;
        Ok(())
    }

    /// Keeps what is needed to judge it again. Before [`Judged::slim`].
    pub(crate) fn keep_case(&mut self) -> Arc<Case> {
        let plan = &self.plan;
        Arc::clone(self.case.get_or_insert_with(|| Arc::new(Case::of(plan))))
    }

    /// Whose yes it takes, by the policies in force.
    pub(crate) fn wants(&self, jails: &Jails) -> Wants {
        let by_now = self.case.as_ref().and_then(|case| case.approvers(jails));
        approvals::wants(by_now.as_ref().unwrap_or(&self.decision.approvers))
    }

    /// What the policies in force have against it by now. One whose case was not kept was judged just now.
    pub(crate) fn objection(&self, jails: &Jails) -> Option<Objection> {
        self.case.as_ref()?.objection(jails)
    }

    /// Whether the shim becomes the tool, with the words that it has itself.
    fn is_handed_off(&self) -> bool {
        let is_locked = self.plan.tool.as_ref().is_some_and(|tool| tool.locked);
        let is_counted = || self.decision.bounds.as_ref()?.limits.output;
        let is_watched =
            self.decision.supervised || self.decision.record.is_some() || is_counted().is_some();
        self.decision.executor == Executor::Mirror && !is_watched && !is_locked
    }

    /// Lets go of everything that a waiting request does not need.
    pub(crate) fn slim(&mut self) {
        self.plan.caller.forget_pidfd();
        self.plan.root = None;
        if self.is_handed_off() {
            self.plan.invocation.forget_words();
        }
    }

    /// Whether there is room to keep what a waiting request needs.
    pub(crate) fn may_wait(&self) -> bool {
        let Plan { jail, prisoner, caller, invocation, .. } = &*self.plan;
        self.is_handed_off()
            || invocation.may_wait(Account::new(jail, prisoner.as_deref(), caller.uid))
    }

    /// Takes back what [`Judged::slim`] let go, and looks whether everything is still as it was judged.
    ///
    /// # Errors
    /// A sentence that says what has changed.
    pub(crate) async fn recall(
        &mut self,
        digests: &Arc<Digests>,
        workers: &Workers,
    ) -> Result<(), String> {
        // Of one that is not seen its connection tells.
        if !self.plan.caller.is_unseen() && !self.plan.caller.recall_pidfd() {
            return Err("the caller ended while it waited".to_owned());
        }
        let said = |error: PlanError| error.to_string();
        if !self.plan.is_unchanged(workers).await.map_err(said)? {
            return Err("changed after approval: the executable or the working directory is not what it was; repeat the command".to_owned());
        }
        let held = self.contents.as_ref();
        if self.plan.still_holds(held, digests, workers).await.map_err(said)? {
            Ok(())
        } else {
            Err("changed after approval: what the executable, or the interpreter of a script, holds is not what it was; repeat the command".to_owned())
        }
    }
}
