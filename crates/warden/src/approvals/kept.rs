//! Answers that wait for a caller: one-use grants, and denials that the next identical request gets.
//! Each is given out once. What ran out of time is never given out.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::answer::{Approval, Denial};
use super::identity::Identity;
use crate::ledger::Id;

/// Answers that are kept for callers that have gone. Beyond it, further answers are not taken.
pub const MAX_KEPT: usize = 4096;

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    grants: HashMap<Identity, VecDeque<Approval>>,
    denials: HashMap<Identity, (Denial, Instant)>,
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.grants.values().map(VecDeque::len).sum::<usize>() + self.denials.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_KEPT
    }

    /// Keeps an approval. There is always room: each was given while there was some.
    pub(super) fn grant(&mut self, approval: Approval) {
        self.grants
            .entry(approval.identity)
            .or_default()
            .push_back(Approval { kept: true, ..approval });
    }

    /// Keeps a denial; of several, the newest. Without room it is dropped, and a person is asked again.
    pub(super) fn deny(&mut self, identity: Identity, denial: Denial, until: Instant) {
        if !self.is_full() || self.denials.contains_key(&identity) {
            self.denials.insert(identity, (denial, until));
        }
    }

    /// The denial that the next identical request gets.
    pub(super) fn take_denial(&mut self, identity: &Identity, now: Instant) -> Option<Denial> {
        let (denial, until) = self.denials.remove(identity)?;
        (until > now).then_some(denial)
    }

    /// The grant that the next identical request uses, the oldest first.
    pub(super) fn take_grant(&mut self, identity: &Identity, now: Instant) -> Option<Approval> {
        let grants = self.grants.get_mut(identity)?;
        let found = std::iter::from_fn(|| grants.pop_front()).find(|g| g.until.instant > now);
        if grants.is_empty() {
            self.grants.remove(identity);
        }
        found
    }

    /// Until when the approval of this entry is kept, if it is.
    pub(super) fn until(&self, identity: &Identity, entry: Id, now: Instant) -> Option<u64> {
        let mut grants = self.grants.get(identity)?.iter();
        grants.find(|g| g.entry == entry && g.until.instant > now).map(|g| g.until.ms)
    }

    /// Forgets what ran out of time.
    pub(super) fn expire(&mut self, now: Instant) {
        self.denials.retain(|_, (_, until)| *until > now);
        self.grants.retain(|_, grants| {
            grants.retain(|g| g.until.instant > now);
            !grants.is_empty()
        });
    }
}
