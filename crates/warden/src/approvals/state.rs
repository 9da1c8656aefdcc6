//! The open entries and everything that happens to them, under one lock.
//! An entry is closed before anybody is told, so that no answer is given twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::answer::{Answer, Denial, Refusal};
use super::approval::Approval;
use super::ask::Ask;
use super::away::Away;
use super::clock::Now;
use super::entry::{Entry, Place, Seat, Waiting};
use super::ids::Maker;
use super::kept::Kept;
use super::key::CallerKey;
use super::lasting;
use super::owed::Owed;
use super::remembered::Memory;
use super::store::Store;
use super::vote::Vote;
use super::wants::are_met;
use super::written::Written;
use super::{Full, MAX_CALLERS, MAX_HELD_BYTES, MAX_OPEN, share_of};
use crate::ledger::Id;
use crate::people::People;
use crate::plan::Identity;

/// The queue.
pub(super) struct State {
    pub(super) maker: Maker,
    pub(super) entries: BTreeMap<Id, Entry>,
    pub(super) by_identity: HashMap<Identity, Id>,
    pub(super) expiries: BTreeSet<(Instant, Id)>,
    pub(super) kept: Kept,
    pub(super) memory: Memory,
    /// What each jail holds, and all together under the name of none.
    pub(super) held: HashMap<String, Held>,
    pub(super) all: Held,
    pub(super) next_serial: u64,
    /// Where it lasts. Each change is there before it is made here, or is owed to it.
    pub(super) store: Lasting,
    pub(super) owed: Owed,
    /// When what is owed is tried again, if nothing else is written before.
    pub(super) owed_again: Option<Instant>,
    /// Woken when something comes to be owed: it is due before anything else need be.
    pub(super) due: Option<Arc<Notify>>,
    /// Of entries that were denied, by their rows, how many callers have not heard it.
    pub(super) untold: HashMap<Id, usize>,
    /// Callers that a restart has cut off.
    pub(super) away: Away,
    /// Who answers.
    pub(super) people: Arc<People>,
    /// When others may answer as well.
    pub(super) steps: BTreeSet<(Instant, Id)>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    entries: usize,
    bytes: usize,
}

/// Where the queue lasts.
pub(super) enum Lasting {
    /// Nowhere: it ends with this process.
    Not,
    /// There.
    In(Store),
    /// Nowhere yet, and nobody is asked meanwhile: the file could not be opened so far.
    Shut(Shut),
}

/// A file that is still to be opened.
pub(super) struct Shut {
    pub(super) path: PathBuf,
    pub(super) patience: Duration,
    pub(super) is_there: fn(CallerKey) -> bool,
    /// When it is tried again.
    pub(super) next: Instant,
}

/// What became of an ask.
pub(super) enum Put {
    Granted(Approval),
    Denied(Denial),
    Waiting { entry: Id, place: Place, since_ms: u64, receiver: oneshot::Receiver<Answer> },
    Nobody(String),
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
            store: Lasting::Not,
            owed: Owed::default(),
            owed_again: None,
            due: None,
            untold: HashMap::new(),
            away: Away::default(),
            people: Arc::default(),
            steps: BTreeSet::new(),
        }
    }

    /// The request and the entry of a caller that has waited for the very same before, or has an answer to it.
    pub(super) fn known(
        &self,
        identity: &Identity,
        client: Id,
        key: CallerKey,
    ) -> Option<(Id, Id)> {
        if let Some(found) = self.kept.expected(identity, client, key) {
            return Some(found);
        }
        let &id = self.by_identity.get(identity)?;
        let mut callers = self.entries.get(&id)?.callers.iter();
        let is_it = |c: &&Waiting| c.client == Some(client) && c.key.is_same_process(key);
        Some((callers.find(is_it)?.ask, id))
    }

    /// Whether this caller may come back, to its place or to an answer.
    pub(super) fn is_awaited(&self, client: Id, key: CallerKey) -> bool {
        self.away.has(client, key) || self.kept.expects(client, key)
    }

    pub(super) fn is_anybody_awaited(&self) -> bool {
        !self.away.is_empty() || self.kept.expects_any()
    }

    /// Expects nobody any more once everybody is back, or has gone.
    pub(super) fn look_out(&mut self) {
        if self.away.until().is_some() && !self.is_anybody_awaited() {
            self.away.expect(None);
        }
    }

    pub(super) fn ask(&mut self, ask: Ask, now: Now) -> Put {
        let put = self.put(ask, now);
        self.look_out();
        put
    }

    fn put(&mut self, ask: Ask, now: Now) -> Put {
        let (sender, receiver) = oneshot::channel();
        let mut caller = Waiting {
            place: Place { serial: 0, connection: 0 },
            ask: ask.id,
            client: ask.client,
            key: ask.key,
            life: ask.life.clone(),
            since_ms: now.ms,
            seat: Seat::Here(sender),
        };
        let open = self.by_identity.get(&ask.identity).copied();
        let people = Arc::clone(&self.people);
        // What fewer people gave than are wanted by now does not do.
        let suffices = |votes: &[Vote]| ask.wants.is_empty() || are_met(&ask.wants, &people, votes);
        // Whoever comes back finds its own answer, or its own place, before anything that others left.
        if let Some(client) = ask.client
            && let Some(answer) = self.kept.take_return(&ask.identity, client, ask.key)
        {
            match answer {
                Answer::Denied(denial) => return Put::Denied(denial),
                Answer::Approved(approval)
                    if !approval.has_run_out(now) && suffices(&approval.votes) =>
                {
                    return Put::Granted(approval);
                }
                // It is asked as if nobody had answered.
                Answer::Approved(approval) => {
                    self.write_if_possible(vec![lasting::no_grant(&approval)]);
                }
            }
        }
        let connection = self.serial();
        if let Some(id) = open
            && let Some(entry) = self.entries.get_mut(&id)
        {
            match take_place_again(entry, caller, connection) {
                Ok((place, since_ms, before)) => {
                    before.iter().for_each(|before| self.away.rises(before));
                    return Put::Waiting { entry: id, place, since_ms, receiver };
                }
                Err(newcomer) => caller = *newcomer,
            }
        }
        // A person's no comes before an older yes.
        if let Some((denial, until)) = self.kept.take_denial(&ask.identity) {
            self.write_if_possible(vec![lasting::no_denial(&ask.identity)]);
            if until.instant > now.instant {
                return Put::Denied(denial);
            }
        }
        if let Some(bequest) = &ask.inherits
            && suffices(&bequest.votes)
        {
            return Put::Granted(bequest.approval(ask.id, ask.identity));
        }
        if let Some(approval) = self.kept.take_grant(&ask.identity, now, suffices) {
            return Put::Granted(approval);
        }
        let life = ask.life.as_ref();
        if let Some(grant) = self.kept.repeating.covering(&ask.identity, life, now, suffices) {
            return Put::Granted(grant.approval(ask.id, ask.identity, true));
        }
        let by_pattern = ask.by_pattern.iter().filter_map(|&entry| self.kept.repeating.get(entry));
        let mut by_pattern = by_pattern.filter(|grant| grant.is_pattern_of(ask.frame));
        if let Some(grant) =
            by_pattern.find(|grant| grant.covers(life, now) && suffices(&grant.votes))
        {
            return Put::Granted(grant.approval(ask.id, ask.identity, true));
        }
        if let Some(why) = ask.nobody {
            return Put::Nobody(why);
        }
        let place = Place { serial: connection, connection };
        caller.place = place;
        if let Some(id) = open {
            return match self.join(id, caller) {
                Ok(()) => Put::Waiting { entry: id, place, since_ms: now.ms, receiver },
                Err(full) => Put::Full(full),
            };
        }
        let held = self.held.get(&ask.details.jail).copied().unwrap_or_default();
        let details = Written::of(&ask.details);
        let bytes = details.bytes() + ask.case.as_ref().map_or(0, |case| case.bytes());
        if let Err(full) = has_room(held, self.all, bytes) {
            return Put::Full(full);
        }
        let id = self.maker.make();
        let entry = Entry {
            row: id,
            identity: ask.identity,
            frame: ask.frame,
            details,
            since_ms: now.ms,
            expires: now.after(ask.timeout),
            timeout: ask.timeout,
            case: ask.case,
            life: ask.life,
            wants: ask.wants,
            votes: Arc::default(),
            escalated: Duration::ZERO,
            next_step: None,
            callers: VecDeque::new(),
            gone: VecDeque::new(),
            watchers: Vec::new(),
        };
        let changes = [lasting::entry(id, &entry), lasting::caller(id, &caller, false)];
        if let Err(error) = self.write(&changes) {
            tracing::error!(error, "a request cannot be kept, so nobody is asked");
            return Put::Full(Full::Unkept);
        }
        self.open_as(id, Entry { callers: VecDeque::from([caller]), ..entry });
        Put::Waiting { entry: id, place, since_ms: now.ms, receiver }
    }

    /// Adds a caller to an open entry.
    fn join(&mut self, id: Id, caller: Waiting) -> Result<(), Full> {
        let Some(entry) = self.entries.get(&id) else { return Err(Full::Queue) };
        if entry.callers.len() >= MAX_CALLERS {
            return Err(Full::Callers);
        }
        let change = lasting::caller(entry.row, &caller, false);
        if let Err(error) = self.write(&[change]) {
            tracing::error!(error, "a request cannot be kept, so nobody is asked");
            return Err(Full::Unkept);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.callers.push_back(caller);
        }
        Ok(())
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    pub(super) fn open_as(&mut self, id: Id, entry: Entry) {
        let bytes = entry.bytes();
        for held in [&mut self.all, self.held.entry(entry.details.jail().to_owned()).or_default()] {
            held.entries += 1;
            held.bytes += bytes;
        }
        entry.callers.iter().for_each(|caller| self.away.sits(caller));
        self.by_identity.insert(entry.identity, id);
        self.expiries.insert((entry.expires.instant, id));
        let has_steps = entry.wants.iter().any(|want| !want.steps.is_empty());
        self.entries.insert(id, entry);
        if has_steps {
            self.time_steps(id);
        }
    }

    pub(super) fn close(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let bytes = entry.bytes();
        self.all.entries -= 1;
        self.all.bytes -= bytes;
        if let Some(held) = self.held.get_mut(entry.details.jail()) {
            held.entries -= 1;
            held.bytes -= bytes;
            if held.entries == 0 {
                self.held.remove(entry.details.jail());
            }
        }
        entry.callers.iter().for_each(|caller| self.away.rises(caller));
        self.by_identity.remove(&entry.identity);
        self.expiries.remove(&(entry.expires.instant, id));
        if let Some(at) = entry.next_step {
            self.steps.remove(&(at, id));
        }
        Some(entry)
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let first = self.expiries.first().map(|&(instant, _)| instant);
        let step = self.steps.first().map(|&(instant, _)| instant);
        first.into_iter().chain(step).chain(self.away.until()).chain(self.owed_again).min()
    }
}

/// Gives a caller that asks again its own place back, and says since when it has waited, and who was away; else the
/// caller.
fn take_place_again(
    entry: &mut Entry,
    caller: Waiting,
    connection: u64,
) -> Result<(Place, u64, Option<Waiting>), Box<Waiting>> {
    let again = |c: &&mut Waiting| c.ask == caller.ask && c.key.is_same_process(caller.key);
    let Some(before) = entry.callers.iter_mut().find(again) else { return Err(Box::new(caller)) };
    let (place, since_ms) = (Place { connection, ..before.place }, before.since_ms);
    let old = std::mem::replace(before, Waiting { place, since_ms, ..caller });
    let Seat::Here(sender) = old.seat else { return Ok((place, since_ms, Some(old))) };
    let why = Refusal::Superseded;
    let denial = Denial { entry: Id([0; 16]), why, ask: old.ask, until: None, row: None };
    let _ = sender.send(Answer::Denied(denial));
    Ok((place, since_ms, None))
}

pub(super) fn has_room(jail: Held, all: Held, bytes: usize) -> Result<(), Full> {
    if all.entries >= MAX_OPEN || all.bytes + bytes > MAX_HELD_BYTES {
        return Err(Full::Queue);
    }
    if jail.entries >= share_of(MAX_OPEN) || jail.bytes + bytes > share_of(MAX_HELD_BYTES) {
        return Err(Full::Jail);
    }
    Ok(())
}
