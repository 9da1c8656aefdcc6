//! Grants for more than one run: each use is a request of its own, which the policy has judged and a person would have
//! been asked about. One that ran out, or was taken back, lets nothing run, also not who had it in hand.

use std::collections::HashMap;
use std::sync::Arc;

use super::approval::Approval;
use super::clock::Now;
use super::scope::{Life, Scope};
use super::vote::Vote;
use super::written::Written;
use crate::ledger::Id;
use crate::plan::Identity;

/// A person's answer that holds for more than one run.
#[derive(Debug, Clone)]
pub(super) struct Repeating {
    /// The entry that was answered.
    pub(super) entry: Id,
    pub(super) identity: Identity,
    pub(super) scope: Scope,
    pub(super) and_what_it_starts: bool,
    /// It is for what this pattern takes; then its identity is the same request without its words.
    pub(super) pattern: Option<String>,
    /// Whose life it is bound to, for [`Scope::Session`].
    pub(super) life: Option<Life>,
    pub(super) who: String,
    pub(super) channel: String,
    pub(super) reason: Option<String>,
    pub(super) answered_ms: u64,
    pub(super) until: Now,
    /// The request that asked.
    pub(super) ask: Id,
    pub(super) details: Written,
    pub(super) used: Used,
    /// Who gave it.
    pub(super) votes: Arc<[Vote]>,
}

/// What was started with a grant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) times: u64,
    pub(super) last_ms: Option<u64>,
}

impl Repeating {
    /// The approval of one run of `identity` by it.
    pub(super) fn approval(&self, ask: Id, identity: Identity, kept: bool) -> Approval {
        Approval {
            entry: self.entry,
            who: self.who.clone(),
            channel: self.channel.clone(),
            reason: self.reason.clone(),
            answered_ms: self.answered_ms,
            kept,
            scope: self.scope,
            and_what_it_starts: self.and_what_it_starts,
            pattern: self.pattern.clone(),
            inherited: None,
            ask,
            details: self.details.clone(),
            identity,
            until: self.until,
            votes: Arc::clone(&self.votes),
        }
    }

    /// Whether it is for a pattern, of requests with this frame.
    pub(super) fn is_pattern_of(&self, frame: Option<Identity>) -> bool {
        self.pattern.is_some() && frame == Some(self.identity)
    }

    pub(super) fn covers(&self, life: Option<&Life>, now: Now) -> bool {
        !self.until.has_passed(now) && self.scope.covers(self.life.as_ref(), life)
    }
}

/// Every such grant.
#[derive(Debug, Default)]
pub(super) struct AllRepeating {
    by_identity: HashMap<Identity, Vec<Repeating>>,
}

impl AllRepeating {
    pub(super) fn len(&self) -> usize {
        self.by_identity.values().map(Vec::len).sum()
    }

    pub(super) fn add(&mut self, grant: Repeating) {
        self.by_identity.entry(grant.identity).or_default().push(grant);
    }

    pub(super) fn extend(&mut self, grants: impl IntoIterator<Item = Repeating>) {
        grants.into_iter().for_each(|grant| self.add(grant));
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Repeating> {
        self.by_identity.values().flatten()
    }

    /// The grant that covers a request of this life.
    pub(super) fn covering(
        &self,
        identity: &Identity,
        life: Option<&Life>,
        now: Now,
        suffices: impl Fn(&[Vote]) -> bool,
    ) -> Option<&Repeating> {
        let mut grants = self.by_identity.get(identity)?.iter();
        grants.find(|grant| {
            grant.pattern.is_none() && grant.covers(life, now) && suffices(&grant.votes)
        })
    }

    /// The patterns that hold for requests of this life with this frame, and the entries that they were answers to.
    pub(super) fn patterns(
        &self,
        frame: &Identity,
        life: Option<&Life>,
        now: Now,
        suffices: impl Fn(&[Vote]) -> bool,
    ) -> Vec<(Id, String)> {
        let grants = self.by_identity.get(frame).into_iter().flatten();
        let holding = grants.filter(|grant| grant.covers(life, now) && suffices(&grant.votes));
        holding.filter_map(|grant| Some((grant.entry, grant.pattern.clone()?))).collect()
    }

    /// The grant of this entry.
    pub(super) fn get(&self, entry: Id) -> Option<&Repeating> {
        self.all().find(|grant| grant.entry == entry)
    }

    /// Takes out the grant of this entry.
    pub(super) fn take(&mut self, entry: Id) -> Option<Repeating> {
        self.take_if(|grant| grant.entry == entry).pop()
    }

    /// Takes out all of which this is true.
    pub(super) fn take_if(&mut self, mut is_it: impl FnMut(&Repeating) -> bool) -> Vec<Repeating> {
        let mut taken = Vec::new();
        self.by_identity.retain(|_, grants| {
            taken.extend(grants.extract_if(.., |grant| is_it(grant)));
            !grants.is_empty()
        });
        taken
    }
}
