//! What happens to an open entry and to an approval: answered, denied by the policy, left, expired, handed on.
//! What lasts is written first; then nothing is in the way of doing it.

use std::sync::Arc;

use super::answer::{
    Answer, AnswerError, Answered, Approval, Denial, ExpiredEntry, Now, Refusal, Verdict,
};
use super::identity::Identity;
use super::kept::{MAX_KEPT, Return};
use super::lasting;
use super::remembered::{Outcome, Remembered};
use super::state::{Entry, Gap, Place, Seat, State, Waiting, tell};
use super::store::Change;
use super::watch::Told;
use super::{GRANT_LIFE, Lapsed, MAX_GONE};
use crate::again::{Case, Objection};
use crate::ledger::Id;

/// What becomes of an entry that a person answered.
struct Outlook {
    answered: Answered,
    approval: Option<Approval>,
    denial: Option<Denial>,
}

impl State {
    /// A person's answer. It lasts before it is recorded, and is recorded before anybody is told; `record` is called when
    /// it is certain that it is taken.
    pub(super) fn answer(
        &mut self,
        id: &str,
        verdict: Verdict,
        now: Now,
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
        // An approval may come back from its caller, so there must be room for it in any case.
        if (verdict.approve || entry.callers.is_empty()) && self.kept.is_full() {
            return Err(AnswerError::TooManyKept(MAX_KEPT));
        }
        let reopened = (verdict.approve && entry.callers.len() > 1).then(|| self.maker.make());
        let Some(entry) = self.entries.get(&id) else {
            return Err(AnswerError::Unknown(id.to_string()));
        };
        let Outlook { answered, approval, denial } = outlook(id, entry, verdict, now, reopened);
        let changes = match (&approval, &denial) {
            (Some(approval), _) => {
                let past = self.past_of(id, &approved(entry, approval, reopened));
                approving(entry, approval, reopened, past)
            }
            (None, Some(denial)) => {
                let past = self.past_of(id, &refused(entry, denial, now));
                denying(id, entry, denial, past)
            }
            (None, None) => Vec::new(),
        };
        self.write(&changes).map_err(AnswerError::NotKept)?;
        crate::crash::point("after_answer_kept");
        if let Err(error) = record(&answered) {
            let undo = self.entries.get(&id).map(|entry| match (&approval, &denial) {
                (Some(approval), _) => not_approving(id, entry, approval),
                (None, Some(_)) => not_denying(id, entry),
                (None, None) => Vec::new(),
            });
            self.write_if_possible(undo.unwrap_or_default());
            return Err(AnswerError::NotRecorded(error));
        }
        match (approval, denial) {
            (Some(approval), _) => self.approve(id, approval, reopened),
            (None, Some(denial)) => self.deny(id, &denial, now),
            (None, None) => {}
        }
        Ok(answered)
    }

    /// Remembers an answered entry for good, and forgets the oldest where there is no more room.
    fn past_of(&self, id: Id, remembered: &Remembered) -> Vec<Change> {
        let forgotten = self.memory.next_forgotten().map(lasting::no_past);
        forgotten.into_iter().chain([lasting::past(id, remembered)]).collect()
    }

    /// Closes the entry and gives the approval to its oldest caller. The others go on waiting as entry `reopened`.
    fn approve(&mut self, id: Id, approval: Approval, reopened: Option<Id>) {
        let Some(mut entry) = self.close(id) else { return self.kept.grant(approval) };
        let remembered = approved(&entry, &approval, reopened);
        let oldest = entry.callers.pop_front();
        let watchers = std::mem::take(&mut entry.watchers);
        if entry.callers.is_empty() {
            let kept_until_ms = oldest.is_none().then_some(approval.until.ms);
            tell(watchers, &Told::Approved { by: approval.who.clone(), kept_until_ms });
        } else {
            entry.watchers = watchers;
            entry.gone.clear();
            let next = reopened.unwrap_or_else(|| self.maker.make());
            self.open_as(next, entry);
        }
        self.memory.add(id, remembered);
        let identity = approval.identity;
        match oldest {
            Some(caller) => self.tell_caller(caller, identity, Answer::Approved(approval)),
            None => self.kept.grant(approval),
        }
    }

    /// Gives a caller its answer, or keeps it until the caller is back.
    fn tell_caller(&mut self, caller: Waiting, identity: Identity, answer: Answer) {
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

    /// The policy denies it: everybody who waits is told, and nothing is kept. One that is away is judged anew when it
    /// is back.
    pub(super) fn refuse(
        &mut self,
        id: &str,
        objection: &Objection,
        now: Now,
        record: impl FnOnce(&[Id]) -> Result<(), String>,
    ) -> Result<(), AnswerError> {
        let id = self.resolve(id)?;
        let Some(entry) = self.entries.get(&id) else {
            return Err(AnswerError::Unknown(id.to_string()));
        };
        let mut requests: Vec<Id> = entry.callers.iter().map(|caller| caller.ask).collect();
        if requests.is_empty() {
            requests.extend(entry.gone.back());
        }
        record(&requests).map_err(AnswerError::NotRecorded)?;
        let Some(entry) = self.close(id) else { return Ok(()) };
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
        Ok(())
    }

    /// An approval that was given and not used: to the next who waits, else kept. One that ran out is worth nothing.
    pub(super) fn hand_on(&mut self, approval: Approval, now: Now) {
        if approval.until.instant <= now.instant {
            return self.write_if_possible(vec![lasting::no_grant(&approval)]);
        }
        let mut approval = Approval { kept: true, ..approval };
        let waiting = self.by_identity.get(&approval.identity).copied();
        let next = waiting.and_then(|id| Some((id, self.entries.get(&id)?)));
        let Some((id, entry)) = next.filter(|(_, entry)| !entry.callers.is_empty()) else {
            return self.keep(approval);
        };
        approval.ask = entry.callers.front().map_or(approval.ask, |caller| caller.ask);
        let reopened = (entry.callers.len() > 1).then(|| self.maker.make());
        let Some(entry) = self.entries.get(&id) else { return };
        let past = self.past_of(id, &approved(entry, &approval, reopened));
        let changes = approving(entry, &approval, reopened, past);
        self.write_if_possible(changes);
        self.approve(id, approval, reopened);
    }

    /// Keeps an approval for whoever asks the same next.
    fn keep(&mut self, approval: Approval) {
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
    fn is_untold(&mut self, entry: &Entry) {
        let count = entry.callers.iter().filter(|caller| caller.to().is_some()).count();
        if count > 0 {
            self.untold.insert(entry.row, count);
        }
    }

    /// A caller went. Its entry is parked if it was the last.
    pub(super) fn leave(&mut self, identity: &Identity, place: Place) -> Gap {
        let Some((id, at)) = self.caller_at(identity, place) else { return Gap::None };
        let changes = self.gone(id, at);
        self.write_if_possible(changes);
        match self.entries.get(&id) {
            Some(entry) if entry.callers.is_empty() => Gap::Parked(id),
            _ => Gap::Others,
        }
    }

    /// The warden goes down, and the caller is expected back by the next one.
    pub(super) fn stay(&mut self, identity: &Identity, place: Place) {
        if let Some((id, at)) = self.caller_at(identity, place)
            && let Some(caller) = self.entries.get_mut(&id).and_then(|e| e.callers.get_mut(at))
        {
            caller.seat = Seat::Away;
            self.away.sits(caller);
        }
    }

    fn caller_at(&self, identity: &Identity, place: Place) -> Option<(Id, usize)> {
        let &id = self.by_identity.get(identity)?;
        let callers = &self.entries.get(&id)?.callers;
        let at = callers.binary_search_by_key(&place.serial, |c| c.place.serial).ok()?;
        (callers.get(at)?.place == place).then_some((id, at))
    }

    /// Takes a caller out of the row.
    fn gone(&mut self, id: Id, at: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(entry) = self.entries.get_mut(&id)
            && let Some(caller) = entry.callers.remove(at)
        {
            self.away.rises(&caller);
            if entry.gone.len() >= MAX_GONE {
                let oldest = entry.gone.pop_front();
                changes.extend(oldest.map(|ask| lasting::no_caller(entry.row, ask)));
            }
            entry.gone.push_back(caller.ask);
            changes.push(lasting::caller(entry.row, &caller, true));
        }
        changes
    }

    /// Lets go of callers that were cut off by a restart and had their time to come back.
    pub(super) fn lapse(&mut self, now: Now) -> Vec<Lapsed> {
        if self.away.until().is_none_or(|until| until > now.instant) {
            return Vec::new();
        }
        self.away.expect(None);
        let is_away = |caller: &Waiting| matches!(caller.seat, Seat::Away);
        let some_away = self.entries.iter().filter(|(_, entry)| entry.callers.iter().any(is_away));
        let ids: Vec<Id> = some_away.map(|(&id, _)| id).collect();
        let (mut lapsed, mut changes) = (Vec::new(), Vec::new());
        for id in ids {
            while let Some(entry) = self.entries.get(&id)
                && let Some(at) = entry.callers.iter().position(is_away)
            {
                let request = entry.callers[at].ask;
                let parked = (entry.callers.len() == 1).then_some(id);
                changes.extend(self.gone(id, at));
                lapsed.push(Lapsed { request, parked });
            }
        }
        self.write_if_possible(changes);
        for given_up in self.kept.give_up() {
            lapsed.push(Lapsed { request: given_up.ask(), parked: None });
            match given_up.answer {
                Answer::Approved(approval) => self.hand_on(approval, now),
                Answer::Denied(denial) => self.keep_denial(given_up.identity, denial),
            }
        }
        lapsed
    }

    pub(super) fn expire(&mut self, now: Now) -> Vec<ExpiredEntry> {
        self.pay(now);
        let mut changes = self.kept.expire(now.instant);
        let mut expired = Vec::new();
        while let Some(&(instant, id)) = self.expiries.first() {
            if instant > now.instant {
                break;
            }
            let Some(entry) = self.close(id) else {
                self.expiries.remove(&(instant, id));
                continue;
            };
            let remembered = entry.remembered(Outcome::Expired, "", now.ms);
            changes.extend(self.past_of(id, &remembered));
            let why = Refusal::Expired(entry.timeout);
            let denial = Denial { entry: id, why, ask: id, until: None, row: None };
            changes.extend(closing(&entry, &denial));
            changes.push(lasting::not_granted(id));
            self.memory.add(id, remembered);
            self.is_untold(&entry);
            tell(entry.watchers, &Told::Expired);
            let mut requests: Vec<Id> = entry.callers.iter().map(|c| c.ask).collect();
            if requests.is_empty() {
                requests.extend(entry.gone.back());
            }
            for caller in entry.callers {
                let row = caller.to().map(|_| entry.row);
                let denial = Denial { ask: caller.ask, row, ..denial.clone() };
                self.tell_caller(caller, entry.identity, Answer::Denied(denial));
            }
            expired.push(ExpiredEntry { entry: id, requests, after: entry.timeout });
        }
        self.write_if_possible(changes);
        self.look_out();
        expired
    }
}

/// What a person's word on this entry comes to.
fn outlook(id: Id, entry: &Entry, verdict: Verdict, now: Now, reopened: Option<Id>) -> Outlook {
    let is_parked = entry.callers.is_empty();
    let Verdict { approve, who, channel, reason } = verdict;
    let until = match approve {
        true => now.after(GRANT_LIFE),
        false => earlier(entry.expires, now.after(GRANT_LIFE)),
    };
    let told = if approve { 1 } else { usize::MAX };
    let is_there = |caller: &Waiting| matches!(caller.seat, Seat::Here(_));
    let nobody_is_there = match approve {
        true => !entry.callers.front().is_some_and(is_there),
        false => !entry.callers.iter().any(is_there),
    };
    let answered = Answered {
        entry: id,
        approved: approve,
        told: entry.callers.iter().map(|c| c.ask).take(told).collect(),
        parked: entry.gone.back().copied().filter(|_| is_parked),
        kept_until_ms: nobody_is_there.then_some(until.ms),
        reopened,
    };
    let first = answered.told.first().or(answered.parked.as_ref()).copied();
    let ask = first.unwrap_or(id);
    let answered_ms = now.ms;
    if approve {
        let (identity, kept) = (entry.identity, false);
        let details = Arc::clone(&entry.details);
        let approval = Approval {
            entry: id,
            who,
            channel,
            reason,
            answered_ms,
            kept,
            ask,
            details,
            identity,
            until,
        };
        return Outlook { answered, approval: Some(approval), denial: None };
    }
    let why = Refusal::Person { who, channel, reason, answered_ms };
    Outlook {
        answered,
        approval: None,
        denial: Some(Denial { entry: id, why, ask, until: Some(until), row: None }),
    }
}

fn approved(entry: &Entry, approval: &Approval, reopened: Option<Id>) -> Remembered {
    let remembered = entry.remembered(Outcome::Approved, &approval.who, approval.answered_ms);
    Remembered { reopened, ..remembered }
}

fn refused(entry: &Entry, denial: &Denial, now: Now) -> Remembered {
    let (who, reason) = match &denial.why {
        Refusal::Person { who, reason, .. } => (who.as_str(), reason.clone()),
        _ => ("", None),
    };
    entry.remembered(Outcome::Denied { reason }, who, now.ms)
}

/// What an approval changes of what lasts: it is its oldest caller's until something is started with it.
fn approving(
    entry: &Entry,
    approval: &Approval,
    reopened: Option<Id>,
    mut changes: Vec<Change>,
) -> Vec<Change> {
    let oldest = entry.callers.front();
    changes.push(lasting::grant(approval, oldest.and_then(Waiting::to)));
    match (oldest, reopened) {
        (Some(oldest), Some(next)) => {
            changes.push(lasting::no_caller(entry.row, oldest.ask));
            changes.extend(entry.gone.iter().map(|&ask| lasting::no_caller(entry.row, ask)));
            changes.push(lasting::entry(next, entry));
        }
        _ => changes.extend(lasting::no_entry(entry)),
    }
    changes
}

/// Takes [`approving`] back.
fn not_approving(id: Id, entry: &Entry, approval: &Approval) -> Vec<Change> {
    let mut changes = still_open(id, entry);
    changes.push(lasting::no_grant(approval));
    changes
}

/// What a denial changes of what lasts: each caller is to be told, or else the next one that asks the same.
fn denying(id: Id, entry: &Entry, denial: &Denial, mut changes: Vec<Change>) -> Vec<Change> {
    changes.extend(closing(entry, denial));
    changes.push(lasting::not_granted(id));
    if entry.callers.is_empty()
        && let Some(until) = denial.until
    {
        changes.push(lasting::denial(&entry.identity, denial, until));
    }
    changes
}

/// Takes [`denying`] back.
fn not_denying(id: Id, entry: &Entry) -> Vec<Change> {
    let mut changes = still_open(id, entry);
    changes.push(lasting::no_denial(&entry.identity));
    changes.push(lasting::not_untold(entry.row));
    changes
}

/// The end of an entry by a denial: one row for all who are yet to hear it, where there is any.
fn closing(entry: &Entry, denial: &Denial) -> [Change; 2] {
    match entry.callers.iter().any(|caller| caller.to().is_some()) {
        true => lasting::untold(entry, denial),
        false => lasting::no_entry(entry),
    }
}

/// The entry as it is, and not answered.
fn still_open(id: Id, entry: &Entry) -> Vec<Change> {
    let callers = entry.callers.iter().map(|caller| lasting::caller(entry.row, caller, false));
    [lasting::no_past(id), lasting::entry(id, entry)].into_iter().chain(callers).collect()
}

fn earlier(a: Now, b: Now) -> Now {
    if a.instant < b.instant { a } else { b }
}
