//! An approval in the hands of a request that has not started anything with it.
//! It goes back by itself, whatever becomes of the request; once it is spent it never does.

use super::Approvals;
use super::approval::Approval;
use super::clock::Now;
use crate::plan::Identity;

/// An approval that is taken and not used. Dropped, it is given back.
#[must_use = "a loan that is dropped is given back"]
#[derive(Debug)]
pub struct Loan {
    approvals: Approvals,
    /// `None` once it is spent.
    approval: Option<Box<Approval>>,
}

impl Loan {
    /// The approval.
    #[must_use]
    pub fn approval(&self) -> Option<&Approval> {
        self.approval.as_deref()
    }

    /// Whether it was given for requests of this identity.
    #[must_use]
    pub fn covers(&self, identity: &Identity) -> bool {
        self.approval.as_ref().is_some_and(|approval| approval.covers(identity))
    }

    /// Keeps it from going back by itself, now and after a restart: what it is for is announced. Whoever learns for
    /// certain that nothing was started with it may still give back what this returns.
    ///
    /// # Errors
    /// When a restart would give it back: nothing may be started with it. It is still lent, and goes back when that is
    /// recorded.
    pub fn spend(mut self) -> Result<Option<Approval>, (Self, String)> {
        let Some(approval) = &self.approval else { return Ok(None) };
        match self.approvals.use_up(approval) {
            Ok(()) => Ok(self.approval.take().map(|approval| *approval)),
            Err(error) => Err((self, error)),
        }
    }

    /// Makes it worth nothing, for anybody, whether or not that can be written yet.
    pub fn void(mut self) {
        if let Some(approval) = self.approval.take() {
            self.approvals.void(&approval);
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(approval) = self.approval.take() {
            self.approvals.give_back(*approval, Now::read());
        }
    }
}

impl Approvals {
    /// Lends an approval to the request that got it.
    pub fn lend(&self, approval: Approval) -> Loan {
        Loan { approvals: self.clone(), approval: Some(Box::new(approval)) }
    }
}
