//! What happens to an open entry and to an approval: answered, denied by the policy, handed on.
//! What lasts is written first; then nothing is in the way of doing it.

use std::sync::Arc;

use super::answer::{Answer, AnswerError, Answered, Denial, Refusal, Told, Verdict};
use super::approval::Approval;
use super::clock::Now;
use super::entry::{Entry, Seat, Waiting, tell};
use super::kept::{MAX_KEPT, Return};
use super::lasting;
use super::outlook::{
    Outlook, approved, approving, denying, handing_on, not_approving, not_denying, outlook, refused,
};
use super::remembered::{Outcome, Remembered};
use super::scope::Scope;
use super::state::State;
use super::store::Change;
use super::votes::{Counted, Moment};
use super::wants::are_met;
use crate::again::{Case, Objection};
use crate::ledger::Id;
use crate::plan::Identity;

impl State {
    /// A person's answer. It lasts before it is recorded, and is recorded before anybody is told; `record` is called when
    /// it is certain that it is taken.
    pub(super) fn answer(
        &mut self,
        id: &str,
        verdict: Verdict,
        (now, moment): (Now, &Moment<'_>),
        record: impl FnOnce(&Answered) -> Result<(), String>,
    ) -> Result<Answered, AnswerError> {
        let id = self.resolve(id)?;
        let Some(entry) = self.entries.get(&id) else {
            return Err(AnswerError::Unknown(id.to_string()));
        };
        if entry.expires.instant <= now.instant {
            let by = "the clock: nobody had answered in time".to_owned();
            let when_ms = entry.expires.ms;
            return Err(AnswerError::AlreadyAnswered { entry: id, answer: "expired", by, when_ms });
        }
        if verdict.approve && verdict.scope == Scope::Session && entry.life.is_none() {
            return Err(AnswerError::NoSession(id));
        }
        if verdict.approve && verdict.pattern.is_some() && entry.frame.is_none() {
            return Err(AnswerError::NoPattern(id));
        }
        let verdict = match self.count((id, entry), verdict, now, moment)? {
            Counted::Decides(verdict) => verdict,
            Counted::Waits { wants, votes } => return self.vote(id, (wants, votes), record),
        };
        // An approval may come back from its caller, so there must be room for it in any case.
        if (verdict.approve || entry.callers.is_empty()) && self.kept.is_full() {
            return Err(AnswerError::TooManyKept(MAX_KEPT));
        }
        let scope = verdict.scope;
        let shown = entry.life.as_ref();
        let mut others = entry.callers.iter().skip(1);
        let is_left = others.any(|caller| !scope.covers(shown, caller.life.as_ref()));
        let reopened = (verdict.approve && is_left).then(|| self.maker.make());
        let Some(entry) = self.entries.get(&id) else {
            return Err(AnswerError::Unknown(id.to_string()));
        };
        let outlook = outlook(id, entry, verdict, now, reopened);
        let changes = match (&outlook.approval, &outlook.denial) {
            (Some(approval), _) => {
                let past = self.past_of(id, &approved(entry, approval, reopened));
                approving(entry, &outlook, reopened, past)
            }
            (None, Some(denial)) => {
                let past = self.past_of(id, &refused(entry, denial, now));
                denying(id, entry, denial, past)
            }
            (None, None) => Vec::new(),
        };
        self.write(&changes).map_err(AnswerError::NotKept)?;
        crate::crash::point("after_answer_kept");
        if let Err(error) = record(&outlook.answered) {
            let undo = self.entries.get(&id).map(|entry| match &outlook.approval {
                Some(_) => not_approving(id, entry, &outlook),
                None => not_denying(id, entry),
            });
            self.write_if_possible(undo.unwrap_or_default());
            return Err(AnswerError::NotRecorded(error));
        }
        let Outlook { answered, approval, others, grant, denial } = outlook;
        let holds_until_ms = answered.holds_until_ms;
        self.kept.repeating.extend(grant);
        match (approval, denial) {
            (Some(approval), _) => self.approve(id, approval, others, reopened, holds_until_ms),
            (None, Some(denial)) => self.deny(id, &denial, now),
            (None, None) => {}
        }
        Ok(answered)
    }

    /// Remembers an answered entry for good, and forgets the oldest where there is no more room.
    pub(super) fn past_of(&self, id: Id, remembered: &Remembered) -> Vec<Change> {
        let forgotten = self.memory.next_forgotten().map(lasting::no_past);
        forgotten.into_iter().chain([lasting::past(id, remembered)]).collect()
    }

    /// Closes the entry and gives the approval to its oldest caller, and to the `others` that it covers. Who is left goes
    /// on waiting as entry `reopened`.
    fn approve(
        &mut self,
        id: Id,
        approval: Approval,
        others: Vec<Approval>,
        reopened: Option<Id>,
        holds_until_ms: Option<u64>,
    ) {
        let Some(mut entry) = self.close(id) else { return self.keep_once(approval) };
        let remembered = approved(&entry, &approval, reopened);
        let oldest = entry.callers.pop_front();
        let mut told = Vec::new();
        // They are in the order of the callers.
        let mut others = others.into_iter().peekable();
        for caller in std::mem::take(&mut entry.callers) {
            match others.next_if(|approval| approval.ask == caller.ask) {
                Some(approval) => told.push((caller, approval)),
                None => entry.callers.push_back(caller),
            }
        }
        let watchers = std::mem::take(&mut entry.watchers);
        let identity = approval.identity;
        if entry.callers.is_empty() {
            let kept = oldest.is_none().then_some(approval.until.ms);
            let kept_until_ms = holds_until_ms.or(kept);
            tell(watchers, &Told::Approved { by: approval.who.clone(), kept_until_ms });
        } else {
            entry.watchers = watchers;
            entry.gone.clear();
            // They were for what has its answer.
            entry.votes = Arc::default();
            let next = reopened.unwrap_or_else(|| self.maker.make());
            self.open_as(next, entry);
        }
        self.memory.add(id, remembered);
        match oldest {
            Some(caller) => self.tell_caller(caller, identity, Answer::Approved(approval)),
            None => self.keep_once(approval),
        }
        for (caller, approval) in told {
            self.tell_caller(caller, identity, Answer::Approved(approval));
        }
    }

    /// Keeps an approval that lasts already, unless it is of a grant, which is there by itself.
    fn keep_once(&mut self, approval: Approval) {
        if !approval.scope.repeats() {
            self.kept.grant(approval);
        }
    }

    /// Gives a caller its answer, or keeps it until the caller is back.
    pub(super) fn tell_caller(&mut self, caller: Waiting, identity: Identity, answer: Answer) {
        match (caller.seat, caller.client) {
            (Seat::Here(sender), _) => {
                // A denial of one that is gone is kept when its ticket is dropped.
                if let Err(Answer::Approved(approval)) = sender.send(answer) {
                    self.keep(approval);
                }
            }
            (Seat::Away, Some(client)) => {
                self.kept.expect(Return { client, key: caller.key, identity, answer });
            }
            // Nobody is away who cannot come back.
            (Seat::Away, None) => {}
        }
    }

    fn deny(&mut self, id: Id, denial: &Denial, now: Now) {
        let Some(entry) = self.close(id) else { return };
        self.is_untold(&entry);
        self.memory.add(id, refused(&entry, denial, now));
        if let Refusal::Person { who, reason, .. } = &denial.why {
            tell(entry.watchers, &Told::Denied { by: who.clone(), reason: reason.clone() });
        }
        if entry.callers.is_empty()
            && let Some(until) = denial.until
        {
            // It lasts by now.
            let _ = self.kept.deny(entry.identity, denial.clone(), until);
        }
        for caller in entry.callers {
            let row = caller.to().map(|_| entry.row);
            let denial = Denial { ask: caller.ask, row, ..denial.clone() };
            self.tell_caller(caller, entry.identity, Answer::Denied(denial));
        }
    }

    /// What is needed to judge an entry again.
    pub(super) fn case(&self, id: &str) -> Result<Option<Arc<Case>>, AnswerError> {
        let id = self.resolve(id)?;
        Ok(self.entries.get(&id).and_then(|entry| entry.case.clone()))
    }

    /// The policy denies it: everybody who waits is told, and nothing is kept. Gives the entry and its requests. One that is away is judged anew when it
    /// is back.
    pub(super) fn refuse(
        &mut self,
        id: &str,
        objection: &Objection,
        now: Now,
        record: impl FnOnce(&[Id]) -> Result<(), String>,
    ) -> Result<(Id, Vec<Id>), AnswerError> {
        let id = self.resolve(id)?;
        let Some(entry) = self.entries.get(&id) else {
            return Err(AnswerError::Unknown(id.to_string()));
        };
        let mut requests: Vec<Id> = entry.callers.iter().map(|caller| caller.ask).collect();
        if requests.is_empty() {
            requests.extend(entry.gone.back());
        }
        record(&requests).map_err(AnswerError::NotRecorded)?;
        let Some(entry) = self.close(id) else { return Ok((id, requests)) };
        let by = "the policy".to_owned();
        let reason = Some(objection.reason.clone());
        let outcome = Outcome::Denied { reason: reason.clone() };
        let remembered = entry.remembered(outcome, &by, now.ms);
        let mut changes = self.past_of(id, &remembered);
        changes.extend(lasting::no_entry(&entry));
        changes.push(lasting::not_granted(id));
        self.write_if_possible(changes);
        self.memory.add(id, remembered);
        tell(entry.watchers, &Told::Denied { by, reason });
        let Objection { rule, reason } = objection.clone();
        let why = Refusal::Policy { rule, reason };
        for Waiting { ask, seat, .. } in entry.callers {
            if let Seat::Here(sender) = seat {
                // One that is gone is judged anew when it comes back.
                let denial = Denial { entry: id, why: why.clone(), ask, until: None, row: None };
                let _ = sender.send(Answer::Denied(denial));
            }
        }
        Ok((id, requests))
    }

    /// An approval that was given and not used: to the next who waits, else kept. One that ran out is worth nothing.
    pub(super) fn hand_on(&mut self, approval: Approval, now: Now) {
        // One that was handed down is there as long as its command is.
        if approval.inherited.is_some() {
            return;
        }
        // Of a grant for more runs nothing is missing.
        if approval.has_run_out(now) || approval.scope.repeats() {
            return self.write_if_possible(vec![lasting::no_grant(&approval)]);
        }
        let mut approval = Approval { kept: true, ..approval };
        let waiting = self.by_identity.get(&approval.identity).copied();
        let next = waiting.and_then(|id| Some((id, self.entries.get(&id)?)));
        let is_enough = |entry: &Entry| {
            entry.wants.is_empty() || are_met(&entry.wants, &self.people, &approval.votes)
        };
        let takes = |(_, entry): &(Id, &Entry)| !entry.callers.is_empty() && is_enough(entry);
        let Some((id, entry)) = next.filter(takes) else {
            return self.keep(approval);
        };
        approval.ask = entry.callers.front().map_or(approval.ask, |caller| caller.ask);
        let reopened = (entry.callers.len() > 1).then(|| self.maker.make());
        let Some(entry) = self.entries.get(&id) else { return };
        let past = self.past_of(id, &approved(entry, &approval, reopened));
        let changes = handing_on(entry, &approval, reopened, past);
        self.write_if_possible(changes);
        self.approve(id, approval, Vec::new(), reopened, None);
    }

    /// Keeps an approval for whoever asks the same next.
    fn keep(&mut self, approval: Approval) {
        if approval.inherited.is_some() {
            return;
        }
        if approval.scope.repeats() {
            return self.write_if_possible(vec![lasting::no_grant(&approval)]);
        }
        self.write_if_possible(vec![lasting::grant(&approval, None)]);
        self.kept.grant(approval);
    }

    /// Keeps a denial that its caller has not heard for the next identical request, where it may be kept.
    pub(super) fn keep_denial(&mut self, identity: Identity, denial: Denial) {
        let mut changes = self.heard(&denial);
        if let Some(until) = denial.until {
            let denial = Denial { row: None, ..denial };
            changes.extend(self.kept.deny(identity, denial, until));
        }
        self.write_if_possible(changes);
    }

    /// A caller has heard its denial, or is to hear it no more.
    pub(super) fn heard(&mut self, denial: &Denial) -> Vec<Change> {
        let Some(row) = denial.row else { return Vec::new() };
        match self.untold.get_mut(&row) {
            Some(count) if *count > 1 => {
                *count -= 1;
                vec![lasting::no_caller(row, denial.ask)]
            }
            _ => {
                self.untold.remove(&row);
                lasting::all_told(row).into()
            }
        }
    }

    /// The callers of an entry that was denied are yet to hear it.
    pub(super) fn is_untold(&mut self, entry: &Entry) {
        let count = entry.callers.iter().filter(|caller| caller.to().is_some()).count();
        if count > 0 {
            self.untold.insert(entry.row, count);
        }
    }
}
