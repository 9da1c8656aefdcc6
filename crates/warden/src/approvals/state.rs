//! The open entries and everything that happens to them, under one lock.
//! An entry is closed before anybody is told, so that no answer is given twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_api::QueueEntry;
use tokio::sync::oneshot;

use super::answer::{
    Answer, AnswerError, Answered, Approval, Denial, ExpiredEntry, Now, Refusal, Verdict,
};
use super::entry::{Ask, CallerKey, Details, Times};
use super::identity::Identity;
use super::ids::{Maker, Prefix, digits_needed, shortened};
use super::kept::{Kept, MAX_KEPT};
use super::remembered::{Memory, Outcome, Remembered};
use super::watch::Told;
use super::{
    Full, GRANT_LIFE, MAX_CALLERS, MAX_GONE, MAX_HELD_BYTES, MAX_OPEN, MAX_WATCHERS, share_of,
};
use crate::again::{Case, Objection};
use crate::ledger::Id;

pub(super) struct State {
    maker: Maker,
    pub(super) entries: BTreeMap<Id, Entry>,
    by_identity: HashMap<Identity, Id>,
    expiries: BTreeSet<(Instant, Id)>,
    pub(super) kept: Kept,
    pub(super) memory: Memory,
    /// What each jail holds, and all together under the name of none.
    held: HashMap<String, Held>,
    all: Held,
    next_serial: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    entries: usize,
    bytes: usize,
}

/// One question to a person.
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) details: Details,
    since_ms: u64,
    expires: Now,
    timeout: Duration,
    case: Option<Arc<Case>>,
    /// Oldest first, which is the order of their serial numbers.
    callers: VecDeque<Waiting>,
    /// Requests whose callers have gone, the newest last.
    gone: VecDeque<Id>,
    pub(super) watchers: Vec<oneshot::Sender<Told>>,
}

struct Waiting {
    place: Place,
    ask: Id,
    key: CallerKey,
    sender: oneshot::Sender<Answer>,
}

/// A caller's place in the row, and which of its connections has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    serial: u64,
    connection: u64,
}

/// What became of an ask.
pub(super) enum Put {
    Granted(Approval),
    Denied(Denial),
    Waiting { entry: Id, place: Place, receiver: oneshot::Receiver<Answer> },
    Full(Full),
}

/// What a caller leaves behind.
pub(super) enum Gap {
    /// It had its answer, or its place was taken over.
    None,
    /// Others wait on.
    Others,
    /// Nobody waits any more.
    Parked(Id),
}

impl Entry {
    /// All requests that are known to have asked this.
    pub(super) fn asks(&self) -> impl Iterator<Item = Id> {
        self.gone.iter().copied().chain(self.callers.iter().map(|c| c.ask))
    }

    /// The bytes that it holds for showing it and judging it again.
    fn bytes(&self) -> usize {
        self.details.bytes() + self.case.as_ref().map_or(0, |case| case.bytes())
    }

    fn remembered(&self, outcome: Outcome, by: &str, when_ms: u64) -> Remembered {
        Remembered {
            jail: self.details.jail.clone(),
            uid: self.details.caller.uid,
            identity: self.identity,
            asks: self.asks().take(MAX_GONE).collect(),
            outcome,
            by: by.to_owned(),
            when_ms,
            reopened: None,
        }
    }
}

impl State {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            maker: Maker::new(seed),
            entries: BTreeMap::new(),
            by_identity: HashMap::new(),
            expiries: BTreeSet::new(),
            kept: Kept::default(),
            memory: Memory::default(),
            held: HashMap::new(),
            all: Held::default(),
            next_serial: 0,
        }
    }

    pub(super) fn ask(&mut self, ask: Ask, now: Now) -> Put {
        // A person's no comes before an older yes.
        if let Some(denial) = self.kept.take_denial(&ask.identity, now.instant) {
            return Put::Denied(denial);
        }
        if let Some(approval) = self.kept.take_grant(&ask.identity, now.instant) {
            return Put::Granted(approval);
        }
        let (sender, receiver) = oneshot::channel();
        let serial = self.serial();
        let place = Place { serial, connection: serial };
        let caller = Waiting { place, ask: ask.id, key: ask.key, sender };
        if let Some(&id) = self.by_identity.get(&ask.identity)
            && let Some(entry) = self.entries.get_mut(&id)
        {
            return match join(entry, caller) {
                Ok(place) => Put::Waiting { entry: id, place, receiver },
                Err(full) => Put::Full(full),
            };
        }
        let held = self.held.get(&ask.details.jail).copied().unwrap_or_default();
        let bytes = ask.details.bytes() + ask.case.as_ref().map_or(0, |case| case.bytes());
        if let Err(full) = has_room(held, self.all, bytes) {
            return Put::Full(full);
        }
        let id = self.open(Entry {
            identity: ask.identity,
            details: ask.details,
            since_ms: now.ms,
            expires: now.after(ask.timeout),
            timeout: ask.timeout,
            case: ask.case,
            callers: VecDeque::from([caller]),
            gone: VecDeque::new(),
            watchers: Vec::new(),
        });
        Put::Waiting { entry: id, place, receiver }
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    fn open(&mut self, entry: Entry) -> Id {
        let id = self.maker.make();
        self.open_as(id, entry);
        id
    }

    fn open_as(&mut self, id: Id, entry: Entry) {
        let bytes = entry.bytes();
        for held in [&mut self.all, self.held.entry(entry.details.jail.clone()).or_default()] {
            held.entries += 1;
            held.bytes += bytes;
        }
        self.by_identity.insert(entry.identity, id);
        self.expiries.insert((entry.expires.instant, id));
        self.entries.insert(id, entry);
    }

    fn close(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let bytes = entry.bytes();
        self.all.entries -= 1;
        self.all.bytes -= bytes;
        if let Some(held) = self.held.get_mut(&entry.details.jail) {
            held.entries -= 1;
            held.bytes -= bytes;
            if held.entries == 0 {
                self.held.remove(&entry.details.jail);
            }
        }
        self.by_identity.remove(&entry.identity);
        self.expiries.remove(&(entry.expires.instant, id));
        Some(entry)
    }

    /// A person's answer. `record` is called when it is certain that the answer is taken, and before anybody is told.
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
        let is_parked = entry.callers.is_empty();
        // An approval may come back from its caller, so there must be room for it in any case.
        if (verdict.approve || is_parked) && self.kept.is_full() {
            return Err(AnswerError::TooManyKept(MAX_KEPT));
        }
        let kept_until = if verdict.approve {
            now.after(GRANT_LIFE)
        } else {
            earlier(entry.expires, now.after(GRANT_LIFE))
        };
        let told = if verdict.approve { 1 } else { usize::MAX };
        let answered = Answered {
            entry: id,
            approved: verdict.approve,
            told: entry.callers.iter().map(|c| c.ask).take(told).collect(),
            parked: entry.gone.back().copied().filter(|_| is_parked),
            kept_until_ms: is_parked.then_some(kept_until.ms),
            reopened: (verdict.approve && entry.callers.len() > 1).then(|| self.maker.make()),
        };
        record(&answered).map_err(AnswerError::NotRecorded)?;
        if verdict.approve {
            let identity = entry.identity;
            let approval = Approval {
                entry: id,
                who: verdict.who,
                channel: verdict.channel,
                reason: verdict.reason,
                answered_ms: now.ms,
                kept: false,
                identity,
                until: kept_until,
            };
            self.approve(id, approval, answered.reopened);
        } else {
            self.deny(id, verdict, now, kept_until);
        }
        Ok(answered)
    }

    /// Closes the entry and gives the approval to its oldest caller. The others go on waiting as entry `reopened`.
    fn approve(&mut self, id: Id, approval: Approval, reopened: Option<Id>) {
        let Some(mut entry) = self.close(id) else { return self.kept.grant(approval) };
        let mut remembered =
            entry.remembered(Outcome::Approved, &approval.who, approval.answered_ms);
        let oldest = entry.callers.pop_front();
        let watchers = std::mem::take(&mut entry.watchers);
        if entry.callers.is_empty() {
            let kept_until_ms = oldest.is_none().then_some(approval.until.ms);
            tell(watchers, &Told::Approved { by: approval.who.clone(), kept_until_ms });
        } else {
            entry.watchers = watchers;
            entry.gone.clear();
            let next = reopened.unwrap_or_else(|| self.maker.make());
            remembered.reopened = Some(next);
            self.open_as(next, entry);
        }
        self.memory.add(id, remembered);
        let undelivered = match oldest {
            Some(caller) => caller.sender.send(Answer::Approved(approval)).err(),
            None => Some(Answer::Approved(approval)),
        };
        if let Some(Answer::Approved(approval)) = undelivered {
            self.kept.grant(approval);
        }
    }

    fn deny(&mut self, id: Id, verdict: Verdict, now: Now, kept_until: Now) {
        let Some(entry) = self.close(id) else { return };
        let outcome = Outcome::Denied { reason: verdict.reason.clone() };
        self.memory.add(id, entry.remembered(outcome, &verdict.who, now.ms));
        let told = Told::Denied { by: verdict.who.clone(), reason: verdict.reason.clone() };
        let denial = Denial {
            entry: id,
            why: Refusal::Person {
                who: verdict.who,
                channel: verdict.channel,
                reason: verdict.reason,
                answered_ms: now.ms,
            },
            until: Some(kept_until.instant),
        };
        tell(entry.watchers, &told);
        if entry.callers.is_empty() {
            self.kept.deny(entry.identity, denial.clone(), kept_until.instant);
        }
        for caller in entry.callers {
            // One that is gone keeps its denial when its ticket is dropped.
            let _ = caller.sender.send(Answer::Denied(denial.clone()));
        }
    }

    /// What is needed to judge an entry again.
    pub(super) fn case(&self, id: &str) -> Result<Option<Arc<Case>>, AnswerError> {
        let id = self.resolve(id)?;
        Ok(self.entries.get(&id).and_then(|entry| entry.case.clone()))
    }

    /// The policy denies it: everybody who waits is told, and nothing is kept.
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
        self.memory.add(id, entry.remembered(outcome, &by, now.ms));
        tell(entry.watchers, &Told::Denied { by, reason });
        let Objection { rule, reason } = objection.clone();
        let denial = Denial { entry: id, why: Refusal::Policy { rule, reason }, until: None };
        for caller in entry.callers {
            // One that is gone is judged anew when it comes back.
            let _ = caller.sender.send(Answer::Denied(denial.clone()));
        }
        Ok(())
    }

    /// An approval that was given and not used: to the next who waits, else kept. One that ran out is worth nothing.
    pub(super) fn hand_on(&mut self, approval: Approval, now: Now) {
        if approval.until.instant <= now.instant {
            return;
        }
        let approval = Approval { kept: true, ..approval };
        let waiting = self.by_identity.get(&approval.identity).copied();
        match waiting.filter(|id| self.entries.get(id).is_some_and(|e| !e.callers.is_empty())) {
            Some(id) => self.approve(id, approval, None),
            None => self.kept.grant(approval),
        }
    }

    /// A caller went. Its entry is parked if it was the last.
    pub(super) fn leave(&mut self, identity: &Identity, place: Place) -> Gap {
        let Some(&id) = self.by_identity.get(identity) else { return Gap::None };
        let Some(entry) = self.entries.get_mut(&id) else { return Gap::None };
        let Ok(at) = entry.callers.binary_search_by_key(&place.serial, |c| c.place.serial) else {
            return Gap::None;
        };
        if entry.callers[at].place != place {
            return Gap::None;
        }
        if let Some(caller) = entry.callers.remove(at) {
            if entry.gone.len() >= MAX_GONE {
                entry.gone.pop_front();
            }
            entry.gone.push_back(caller.ask);
        }
        if entry.callers.is_empty() { Gap::Parked(id) } else { Gap::Others }
    }

    pub(super) fn expire(&mut self, now: Now) -> Vec<ExpiredEntry> {
        self.kept.expire(now.instant);
        let mut expired = Vec::new();
        while let Some(&(instant, id)) = self.expiries.first() {
            if instant > now.instant {
                break;
            }
            let Some(entry) = self.close(id) else {
                self.expiries.remove(&(instant, id));
                continue;
            };
            self.memory.add(id, entry.remembered(Outcome::Expired, "", now.ms));
            tell(entry.watchers, &Told::Expired);
            let mut requests: Vec<Id> = entry.callers.iter().map(|c| c.ask).collect();
            if requests.is_empty() {
                requests.extend(entry.gone.back());
            }
            for caller in entry.callers {
                let why = Refusal::Expired(entry.timeout);
                let _ = caller.sender.send(Answer::Denied(Denial { entry: id, why, until: None }));
            }
            expired.push(ExpiredEntry { entry: id, requests, after: entry.timeout });
        }
        expired
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|&(instant, _)| instant)
    }

    pub(super) fn queue(&self) -> Vec<QueueEntry> {
        let mut all: Vec<(&Id, &Entry)> = self.entries.iter().collect();
        all.sort_by_key(|(id, entry)| (entry.since_ms, **id));
        let show = |(&id, entry): (&Id, &Entry)| {
            let times = Times { since_ms: entry.since_ms, expires_ms: entry.expires.ms };
            entry.details.show(id, self.short(id), times, entry.callers.len())
        };
        all.into_iter().map(show).collect()
    }

    /// The fewest digits that name the entry among all that are open or remembered.
    pub(super) fn short(&self, id: Id) -> String {
        let open = digits_needed(id, &self.entries);
        shortened(id, open.max(digits_needed(id, &self.memory.by_id)))
    }

    fn resolve(&self, text: &str) -> Result<Id, AnswerError> {
        let prefix = Prefix::new(text).ok_or_else(|| AnswerError::Malformed(text.to_owned()))?;
        let open: Vec<Id> = prefix.among(&self.entries).collect();
        let answered: Vec<Id> = prefix.among(&self.memory.by_id).collect();
        match (&open[..], &answered[..]) {
            ([], []) => Err(AnswerError::Unknown(text.to_owned())),
            ([id], []) => Ok(*id),
            ([], [id]) => Err(self.already(*id)),
            _ => {
                let count = open.len() + answered.len();
                Err(AnswerError::Ambiguous { prefix: text.to_owned(), count })
            }
        }
    }

    fn already(&self, id: Id) -> AnswerError {
        let Some(first) = self.memory.by_id.get(&id) else {
            return AnswerError::Unknown(id.to_string());
        };
        let by = if first.by.is_empty() { "the clock".to_owned() } else { first.by.clone() };
        let (answer, when_ms) = (first.outcome.word(), first.when_ms);
        AnswerError::AlreadyAnswered { entry: id, answer, by, when_ms }
    }
}

/// Adds a caller to an entry, or gives a caller that asks again its own place back.
fn join(entry: &mut Entry, caller: Waiting) -> Result<Place, Full> {
    let again = |c: &&mut Waiting| c.ask == caller.ask && c.key.is_same_process(caller.key);
    if let Some(before) = entry.callers.iter_mut().find(again) {
        let place = Place { serial: before.place.serial, connection: caller.place.connection };
        let old = std::mem::replace(before, Waiting { place, ..caller });
        let denial = Denial { entry: Id([0; 16]), why: Refusal::Superseded, until: None };
        let _ = old.sender.send(Answer::Denied(denial));
        return Ok(place);
    }
    if entry.callers.len() >= MAX_CALLERS {
        return Err(Full::Callers);
    }
    let place = caller.place;
    entry.callers.push_back(caller);
    Ok(place)
}

fn has_room(jail: Held, all: Held, bytes: usize) -> Result<(), Full> {
    if all.entries >= MAX_OPEN || all.bytes + bytes > MAX_HELD_BYTES {
        return Err(Full::Queue);
    }
    if jail.entries >= share_of(MAX_OPEN) || jail.bytes + bytes > share_of(MAX_HELD_BYTES) {
        return Err(Full::Jail);
    }
    Ok(())
}

fn earlier(a: Now, b: Now) -> Now {
    if a.instant < b.instant { a } else { b }
}

fn tell(watchers: Vec<oneshot::Sender<Told>>, told: &Told) {
    for watcher in watchers {
        // One that has gone does not need to know.
        let _ = watcher.send(told.clone());
    }
}

impl Entry {
    /// Adds one who only wants to know; `None` when there are too many.
    pub(super) fn watch(&mut self) -> Option<oneshot::Receiver<Told>> {
        self.watchers.retain(|w| !w.is_closed());
        if self.watchers.len() >= MAX_WATCHERS {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.watchers.push(sender);
        Some(receiver)
    }
}
