//! Callers that go, and time that runs out: whoever leaves, is cut off or was not answered makes no yes of anything.

use super::answer::{Answer, Denial, ExpiredEntry, Refusal, Told};
use super::clock::Now;
use super::entry::{Place, Seat, Waiting, tell};
use super::lasting;
use super::outlook::closing;
use super::remembered::Outcome;
use super::state::{Gap, State};
use super::store::Change;
use super::{Lapsed, MAX_GONE};
use crate::ledger::Id;
use crate::plan::Identity;

impl State {
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
        let mut changes = self.kept.expire(now);
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
