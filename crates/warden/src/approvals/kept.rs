//! Answers that wait for a caller: one-use grants, denials that the next identical request gets, and what callers that a
//! restart has cut off will hear when they are back. Each is given out once. What ran out of time is never given out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::answer::{Answer, Denial};
use super::approval::Approval;
use super::clock::Now;
use super::key::CallerKey;
use super::lasting;
use super::repeating::AllRepeating;
use super::scope::Life;
use super::store::{Change, Kind};
use super::vote::Vote;
use crate::ledger::Id;
use crate::plan::Identity;

/// Answers that are kept for callers that have gone. Beyond it, further answers are not taken.
pub const MAX_KEPT: usize = 4096;

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    grants: HashMap<Identity, VecDeque<Approval>>,
    denials: HashMap<Identity, (Denial, Now)>,
    /// By what the client calls its request.
    returns: BTreeMap<(Id, Identity), Return>,
    /// Those for more than one run.
    pub(super) repeating: AllRepeating,
}

/// The answer for a caller that is expected back.
#[derive(Debug)]
pub(super) struct Return {
    pub(super) client: Id,
    pub(super) key: CallerKey,
    pub(super) identity: Identity,
    pub(super) answer: Answer,
}

impl Return {
    /// The request.
    pub(super) fn ask(&self) -> Id {
        match &self.answer {
            Answer::Approved(approval) => approval.ask,
            Answer::Denied(denial) => denial.ask,
        }
    }

    /// The entry that was answered.
    fn entry(&self) -> Id {
        match &self.answer {
            Answer::Approved(approval) => approval.entry,
            Answer::Denied(denial) => denial.entry,
        }
    }
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.grants.values().map(VecDeque::len).sum::<usize>()
            + self.denials.len()
            + self.repeating.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_KEPT
    }

    /// Whether the next identical request of this life gets an answer that others left.
    pub(super) fn has(
        &self,
        identity: &Identity,
        life: Option<&Life>,
        now: Now,
        suffices: impl Fn(&[Vote]) -> bool,
    ) -> bool {
        let grants = self.grants.get(identity);
        grants.is_some_and(|grants| {
            grants.iter().any(|grant| !grant.has_run_out(now) && suffices(&grant.votes))
        }) || self.denials.get(identity).is_some_and(|(_, until)| until.instant > now.instant)
            || self.repeating.covering(identity, life, now, &suffices).is_some()
    }

    /// Keeps an approval. There is always room: each was given while there was some.
    pub(super) fn grant(&mut self, approval: Approval) {
        self.grants
            .entry(approval.identity)
            .or_default()
            .push_back(Approval { kept: true, ..approval });
    }

    /// Keeps a denial; of several, the newest. Without room it is dropped, and a person is asked again.
    pub(super) fn deny(
        &mut self,
        identity: Identity,
        denial: Denial,
        until: Now,
    ) -> Option<Change> {
        if self.is_full() && !self.denials.contains_key(&identity) {
            return None;
        }
        let change = lasting::denial(&identity, &denial, until);
        self.denials.insert(identity, (denial, until));
        Some(change)
    }

    /// The denial that the next identical request gets, and until when.
    pub(super) fn take_denial(&mut self, identity: &Identity) -> Option<(Denial, Now)> {
        self.denials.remove(identity)
    }

    /// The grant that the next identical request uses, the oldest first.
    pub(super) fn take_grant(
        &mut self,
        identity: &Identity,
        now: Now,
        suffices: impl Fn(&[Vote]) -> bool,
    ) -> Option<Approval> {
        let grants = self.grants.get_mut(identity)?;
        let is_it = |grant: &Approval| !grant.has_run_out(now) && suffices(&grant.votes);
        let found = grants.iter().position(is_it);
        let found = found.and_then(|at| grants.remove(at));
        if grants.is_empty() {
            self.grants.remove(identity);
        }
        found
    }

    /// Keeps an answer for a caller that is expected back.
    pub(super) fn expect(&mut self, expected: Return) {
        self.returns.insert((expected.client, expected.identity), expected);
    }

    /// Whether a caller has an answer here, whatever it asked.
    pub(super) fn expects(&self, client: Id, key: CallerKey) -> bool {
        let any = (client, Identity([0; 32]))..=(client, Identity([0xff; 32]));
        self.returns.range(any).any(|(_, found)| found.key.is_same_process(key))
    }

    /// Whether any caller has.
    pub(super) fn expects_any(&self) -> bool {
        !self.returns.is_empty()
    }

    /// The request and the entry of a caller that has an answer here.
    pub(super) fn expected(
        &self,
        identity: &Identity,
        client: Id,
        key: CallerKey,
    ) -> Option<(Id, Id)> {
        let found = self.returns.get(&(client, *identity))?;
        found.key.is_same_process(key).then(|| (found.ask(), found.entry()))
    }

    /// The answer for the caller that is back. An approval may have run out of time.
    pub(super) fn take_return(
        &mut self,
        identity: &Identity,
        client: Id,
        key: CallerKey,
    ) -> Option<Answer> {
        self.expected(identity, client, key)?;
        self.returns.remove(&(client, *identity)).map(|found| found.answer)
    }

    /// Every approval that is here, and whether it is for a caller that is expected back.
    pub(super) fn approvals(&self) -> impl Iterator<Item = (&Approval, bool)> {
        let kept = self.grants.values().flatten().map(|grant| (grant, false));
        let expected = self.returns.values().filter_map(|expected| match &expected.answer {
            Answer::Approved(approval) => Some((approval, true)),
            Answer::Denied(_) => None,
        });
        kept.chain(expected)
    }

    /// The requests and entries of all that is here.
    pub(super) fn owed(&self) -> impl Iterator<Item = Id> {
        let approvals = self.approvals().flat_map(|(approval, _)| [approval.ask, approval.entry]);
        let denials = self.denials.values().flat_map(|(denial, _)| [denial.ask, denial.entry]);
        let expected =
            self.returns.values().flat_map(|expected| [expected.ask(), expected.entry()]);
        let repeating = self.repeating.all().flat_map(|grant| [grant.ask, grant.entry]);
        approvals.chain(denials).chain(expected).chain(repeating)
    }

    /// Takes out the approval of this entry.
    pub(super) fn take_approval(&mut self, entry: Id) -> Option<Approval> {
        let is_it = |expected: &Return| match &expected.answer {
            Answer::Approved(approval) => approval.entry == entry,
            Answer::Denied(_) => false,
        };
        let key = self.returns.iter().find(|(_, expected)| is_it(expected)).map(|(key, _)| *key);
        if let Some(expected) = key.and_then(|key| self.returns.remove(&key))
            && let Answer::Approved(approval) = expected.answer
        {
            return Some(approval);
        }
        let grants = self.grants.values_mut();
        let mut with_it = grants.filter_map(|grants| {
            let at = grants.iter().position(|grant| grant.entry == entry)?;
            grants.remove(at)
        });
        let found = with_it.next();
        self.grants.retain(|_, grants| !grants.is_empty());
        found
    }

    /// Everybody who was expected, and is no more.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Return> + use<> {
        std::mem::take(&mut self.returns).into_values()
    }

    /// Until when the approval of this entry is kept, if it is.
    pub(super) fn until(&self, identity: &Identity, entry: Id, now: Now) -> Option<u64> {
        if let Some(grant) = self.repeating.get(entry) {
            return (!grant.until.has_passed(now)).then_some(grant.until.ms);
        }
        let grants = self.grants.get(identity)?.iter();
        let mut valid = grants.filter(|grant| !grant.has_run_out(now));
        valid.find(|grant| grant.entry == entry).map(|grant| grant.until.ms)
    }

    /// Forgets what ran out of time.
    pub(super) fn expire(&mut self, now: Now) -> Vec<Change> {
        let ended = self.repeating.take_if(|grant| grant.until.has_passed(now));
        let mut changes: Vec<Change> =
            ended.iter().map(|grant| lasting::no_repeating(grant.entry)).collect();
        self.denials.retain(|identity, (_, until)| {
            let lasts = until.instant > now.instant;
            if !lasts {
                changes.push(Change::Remove(Kind::Denial, identity.0.to_vec()));
            }
            lasts
        });
        self.grants.retain(|_, grants| {
            grants.retain(|grant| {
                let lasts = !grant.has_run_out(now);
                if !lasts {
                    changes.push(lasting::no_grant(grant));
                }
                lasts
            });
            !grants.is_empty()
        });
        self.returns.retain(|_, expected| match &expected.answer {
            Answer::Approved(approval) if approval.has_run_out(now) => {
                changes.push(lasting::no_grant(approval));
                false
            }
            Answer::Approved(_) | Answer::Denied(_) => true,
        });
        changes
    }
}
