//! What of the queue and its answers lasts beyond the warden's end, as rows of the store, and how it is taken up again.
//!
//! A restart gives nothing away: what had run out of time is expired, callers get the time that they may take to come
//! back, and an approval that a crash of the machine may have given back after it was used is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Approval, Denial, Now, Refusal, millis};
use super::entry::{CallerKey, Details};
use super::identity::Identity;
use super::kept::Return;
use super::remembered::Remembered;
use super::repeating::{Repeating, Used};
use super::scope::{Life, MAX_SCOPE, Scope};
use super::state::{Entry, Place, Seat, State, Waiting};
use super::store::{Change, Kind, Row};
use super::{GRANT_LIFE, MAX_GONE};
use crate::again::{Case, PastCase};
use crate::ledger::Id;

/// A deadline, on the clock that people read and on the one that only goes forward, also while the machine sleeps, which
/// holds until the next boot.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Deadline {
    ms: u64,
    steady_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct EntryRow {
    id: Id,
    identity: Identity,
    details: Details,
    since_ms: u64,
    expires: Deadline,
    timeout_ms: u64,
    case: Option<PastCase>,
    #[serde(default)]
    life: Option<Life>,
}

#[derive(Serialize, Deserialize)]
struct CallerRow {
    serial: u64,
    ask: Id,
    client: Option<Id>,
    key: CallerKey,
    since_ms: u64,
    gone: bool,
    #[serde(default)]
    life: Option<Life>,
}

/// A caller that is to hear an answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct To {
    pub(super) client: Id,
    pub(super) key: CallerKey,
}

#[derive(Serialize, Deserialize)]
struct GrantRow {
    ask: Id,
    /// `None` for one of a grant for several runs, which has them.
    details: Option<Details>,
    identity: Identity,
    entry: Id,
    who: String,
    channel: String,
    reason: Option<String>,
    answered_ms: u64,
    until: Deadline,
    to: Option<To>,
    #[serde(default)]
    scope: Scope,
}

#[derive(Serialize, Deserialize)]
struct RepeatingRow {
    entry: Id,
    identity: Identity,
    scope: Scope,
    life: Option<Life>,
    who: String,
    channel: String,
    reason: Option<String>,
    answered_ms: u64,
    until: Deadline,
    ask: Id,
    details: Details,
    times: u64,
    last_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct DenialRow {
    ask: Id,
    identity: Identity,
    entry: Id,
    why: Refusal,
    until: Option<Deadline>,
}

/// What was taken up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The request; of several whose callers have gone, the one that asked last.
    pub request: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// How it stands.
    pub state: &'static str,
    /// Until when it waits, or the answer is kept, in milliseconds since the epoch.
    pub until_ms: Option<u64>,
    /// Who answered, and through what.
    pub answered: Option<(String, String)>,
}

impl Deadline {
    fn of(at: Now) -> Self {
        let left = at.instant.saturating_duration_since(Instant::now());
        Self { ms: at.ms, steady_ms: steady_ms().saturating_add(millis(left)) }
    }

    /// The same moment for this process. Never later than `most` from `now`, whatever a clock says.
    fn restored(self, same_boot: bool, now: Now, most: Duration) -> Now {
        let left = if same_boot {
            self.steady_ms.saturating_sub(steady_ms())
        } else {
            self.ms.saturating_sub(now.ms)
        };
        now.after(Duration::from_millis(left).min(most))
    }
}

fn steady_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

fn put(kind: Kind, key: &[u8], row: &impl Serialize) -> Change {
    // These are plain structs, which always fit into JSON; an empty row is passed over when it is read.
    Change::Put(kind, key.to_vec(), serde_json::to_string(row).unwrap_or_default())
}

/// An entry under `id`.
pub(super) fn entry(id: Id, entry: &Entry) -> Change {
    let row = EntryRow {
        id,
        identity: entry.identity,
        details: Details::clone(&entry.details),
        since_ms: entry.since_ms,
        expires: Deadline::of(entry.expires),
        timeout_ms: millis(entry.timeout),
        case: entry.case.as_ref().and_then(|case| case.past()),
        life: entry.life.clone(),
    };
    put(Kind::Entry, &entry.row.0, &row)
}

/// An entry is closed, and nobody waits in it.
pub(super) fn no_entry(entry: &Entry) -> [Change; 2] {
    let key = entry.row;
    [Change::Remove(Kind::Entry, key.0.to_vec()), Change::RemoveBelow(Kind::Caller, key)]
}

fn caller_key(row: Id, ask: Id) -> Vec<u8> {
    [row.0, ask.0].concat()
}

/// One who waits in the entry of `row`, or has gone.
pub(super) fn caller(row: Id, caller: &Waiting, gone: bool) -> Change {
    let &Waiting { ask, client, key, since_ms, ref life, .. } = caller;
    let serial = caller.place.serial;
    let about = CallerRow { serial, ask, client, key, since_ms, gone, life: life.clone() };
    put(Kind::Caller, &caller_key(row, ask), &about)
}

/// Whoever it was waits there no more, and is not remembered.
pub(super) fn no_caller(row: Id, ask: Id) -> Change {
    Change::Remove(Kind::Caller, caller_key(row, ask))
}

/// An approval: for `to` alone, or for whoever asks the same next.
pub(super) fn grant(approval: &Approval, to: Option<To>) -> Change {
    let row = GrantRow {
        ask: approval.ask,
        details: (!approval.scope.repeats()).then(|| Details::clone(&approval.details)),
        identity: approval.identity,
        entry: approval.entry,
        who: approval.who.clone(),
        channel: approval.channel.clone(),
        reason: approval.reason.clone(),
        answered_ms: approval.answered_ms,
        until: Deadline::of(approval.until),
        to,
        scope: approval.scope,
    };
    put(Kind::Grant, &grant_key(approval), &row)
}

/// Where an approval lies. Of a grant for several runs there may be one for each of its callers.
fn grant_key(approval: &Approval) -> Vec<u8> {
    let entry = approval.entry.0.to_vec();
    if approval.scope.repeats() { [entry, approval.ask.0.to_vec()].concat() } else { entry }
}

/// A grant for more than one run.
pub(super) fn repeating(grant: &Repeating) -> Change {
    let row = RepeatingRow {
        entry: grant.entry,
        identity: grant.identity,
        scope: grant.scope,
        life: grant.life.clone(),
        who: grant.who.clone(),
        channel: grant.channel.clone(),
        reason: grant.reason.clone(),
        answered_ms: grant.answered_ms,
        until: Deadline::of(grant.until),
        ask: grant.ask,
        details: Details::clone(&grant.details),
        times: grant.used.times,
        last_ms: grant.used.last_ms,
    };
    put(Kind::Repeating, &grant.entry.0, &row)
}

/// It holds no more.
pub(super) fn no_repeating(entry: Id) -> Change {
    Change::Remove(Kind::Repeating, entry.0.to_vec())
}

/// An approval that is used up.
pub(super) fn no_grant(approval: &Approval) -> Change {
    Change::Remove(Kind::Grant, grant_key(approval))
}

/// Whatever became of it, the entry was not approved: an approval of it that was taken back may still be there.
pub(super) fn not_granted(entry: Id) -> Change {
    Change::Remove(Kind::Grant, entry.0.to_vec())
}

fn denial_row(identity: &Identity, denial: &Denial, until: Option<Now>) -> DenialRow {
    let &Denial { entry, ask, ref why, .. } = denial;
    let (why, until) = (why.clone(), until.map(Deadline::of));
    DenialRow { ask, identity: *identity, entry, why, until }
}

/// A denial that the next identical request gets.
pub(super) fn denial(identity: &Identity, denial: &Denial, until: Now) -> Change {
    put(Kind::Denial, &identity.0, &denial_row(identity, denial, Some(until)))
}

/// It was given out.
pub(super) fn no_denial(identity: &Identity) -> Change {
    Change::Remove(Kind::Denial, identity.0.to_vec())
}

/// An entry is closed, and its callers, whose rows stay, have not heard its denial yet.
pub(super) fn untold(entry: &Entry, denial: &Denial) -> [Change; 2] {
    let row = denial_row(&entry.identity, denial, denial.until);
    let key = &entry.row.0;
    [Change::Remove(Kind::Entry, key.to_vec()), put(Kind::Untold, key, &row)]
}

/// All of them have.
pub(super) fn all_told(row: Id) -> [Change; 2] {
    [not_untold(row), Change::RemoveBelow(Kind::Caller, row)]
}

/// It was not denied.
pub(super) fn not_untold(row: Id) -> Change {
    Change::Remove(Kind::Untold, row.0.to_vec())
}

/// An entry that was answered.
pub(super) fn past(id: Id, remembered: &Remembered) -> Change {
    put(Kind::Past, &id.0, remembered)
}

/// One that is remembered no more.
pub(super) fn no_past(id: Id) -> Change {
    Change::Remove(Kind::Past, id.0.to_vec())
}

impl Waiting {
    /// Who it is, should it have to come back.
    pub(super) fn to(&self) -> Option<To> {
        Some(To { client: self.client?, key: self.key })
    }
}

/// Takes up what the last warden left. Gives what is to be recorded, and what changes in the store by it.
pub(super) fn restore(
    state: &mut State,
    rows: Vec<Row>,
    (same_boot, is_there): (bool, &dyn Fn(CallerKey) -> bool),
    now: Now,
) -> (Vec<Restored>, Vec<Change>) {
    let (restored, changes) = (Vec::new(), Vec::new());
    let mut restoring = Restoring { state, same_boot, is_there, now, restored, changes };
    let mut callers: BTreeMap<Vec<u8>, Vec<CallerRow>> = BTreeMap::new();
    let (mut entries, mut untold, mut grants) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let taken = match row.kind {
            kind if kind == Kind::Entry as u8 => {
                read(&row).map(|entry: EntryRow| entries.push((row.key.clone(), entry)))
            }
            kind if kind == Kind::Caller as u8 => read(&row).map(|caller: CallerRow| {
                let entry = row.key.get(..16).unwrap_or_default().to_vec();
                callers.entry(entry).or_default().push(caller);
            }),
            kind if kind == Kind::Grant as u8 => {
                read(&row).map(|grant: GrantRow| grants.push(grant))
            }
            kind if kind == Kind::Repeating as u8 => {
                read(&row).map(|grant| restoring.repeating(grant))
            }
            kind if kind == Kind::Denial as u8 => {
                read(&row).map(|denial| restoring.denial(&denial))
            }
            kind if kind == Kind::Untold as u8 => {
                read(&row).map(|denial: DenialRow| untold.push((row.key.clone(), denial)))
            }
            kind if kind == Kind::Past as u8 => read(&row)
                .zip(id_of(&row.key))
                .map(|(past, id): (Remembered, Id)| restoring.state.memory.add(id, past)),
            _ => None,
        };
        if taken.is_none() {
            tracing::warn!(kind = row.kind, "a row of the kept approvals cannot be understood");
        }
    }
    // Those for more than one run are there by now, and have the details.
    grants.into_iter().for_each(|grant| restoring.grant(grant));
    for (key, entry) in entries {
        if let Some(row) = id_of(&key) {
            restoring.entry(row, entry, callers.remove(&key).unwrap_or_default());
        }
    }
    for (key, denial) in untold {
        if let Some(row) = id_of(&key) {
            restoring.untold(row, &denial, callers.remove(&key).unwrap_or_default());
        }
    }
    (restoring.restored, restoring.changes)
}

fn read<T: DeserializeOwned>(row: &Row) -> Option<T> {
    serde_json::from_str(&row.text).ok()
}

fn id_of(key: &[u8]) -> Option<Id> {
    key.try_into().ok().map(Id)
}

struct Restoring<'a> {
    state: &'a mut State,
    same_boot: bool,
    is_there: &'a dyn Fn(CallerKey) -> bool,
    now: Now,
    restored: Vec<Restored>,
    changes: Vec<Change>,
}

impl Restoring<'_> {
    /// Whether it is still the same process, on the same kernel.
    fn may_come_back(&self, key: CallerKey) -> bool {
        self.same_boot && (self.is_there)(key)
    }

    fn entry(&mut self, key: Id, row: EntryRow, mut callers: Vec<CallerRow>) {
        callers.sort_by_key(|caller| caller.serial);
        let timeout = Duration::from_millis(row.timeout_ms);
        let mut entry = Entry {
            row: key,
            identity: row.identity,
            details: std::sync::Arc::new(row.details),
            since_ms: row.since_ms,
            expires: row.expires.restored(self.same_boot, self.now, timeout),
            timeout,
            case: row.case.map(|case| std::sync::Arc::new(Case::from(case))),
            life: row.life.filter(|life| !life.is_over(self.is_there)),
            callers: VecDeque::new(),
            gone: VecDeque::new(),
            watchers: Vec::new(),
        };
        for caller in callers {
            let CallerRow { serial, ask, client, key: process, since_ms, gone, life } = caller;
            self.state.next_serial = self.state.next_serial.max(serial);
            if gone || client.is_none() || !self.may_come_back(process) {
                entry.gone.push_back(ask);
                if entry.gone.len() > MAX_GONE {
                    self.changes.extend(entry.gone.pop_front().map(|ask| no_caller(key, ask)));
                }
                continue;
            }
            let place = Place { serial, connection: serial };
            entry.callers.push_back(Waiting {
                place,
                ask,
                client,
                key: process,
                life,
                since_ms,
                seat: Seat::Away,
            });
        }
        let state = if entry.callers.is_empty() { "parked" } else { "waiting" };
        let asks: Vec<Id> = match entry.callers.is_empty() {
            true => entry.gone.back().copied().into_iter().collect(),
            false => entry.callers.iter().map(|caller| caller.ask).collect(),
        };
        let until_ms = Some(entry.expires.ms);
        self.restored.extend(asks.into_iter().map(|request| Restored {
            request,
            entry: row.id,
            state,
            until_ms,
            answered: None,
        }));
        self.state.open_as(row.id, entry);
    }

    fn grant(&mut self, row: GrantRow) {
        let most = if row.scope.repeats() { MAX_SCOPE } else { GRANT_LIFE };
        let until = row.until.restored(self.same_boot, self.now, most);
        let of_repeating = || self.state.kept.repeating.of_entry(&row.identity, row.entry);
        let details = row.details.map(std::sync::Arc::new);
        let details = details.or_else(|| of_repeating().map(|grant| grant.details.clone()));
        let approval = Approval {
            entry: row.entry,
            who: row.who,
            channel: row.channel,
            reason: row.reason,
            answered_ms: row.answered_ms,
            kept: false,
            scope: row.scope,
            ask: row.ask,
            // One whose grant is no more lets nothing run, and is not shown.
            details: details.unwrap_or_default(),
            identity: row.identity,
            until,
        };
        let has_run_out = until.instant <= self.now.instant;
        let mut restored = Restored {
            request: row.ask,
            entry: row.entry,
            state: "approved",
            until_ms: Some(until.ms),
            answered: Some((approval.who.clone(), approval.channel.clone())),
        };
        if has_run_out || !self.same_boot {
            self.changes.push(no_grant(&approval));
            if has_run_out {
                return;
            }
            (restored.state, restored.until_ms) = ("dropped", None);
        } else {
            match row.to {
                Some(To { client, key }) if self.may_come_back(key) => {
                    self.state.kept.expect(Return {
                        client,
                        key,
                        identity: row.identity,
                        answer: Answer::Approved(approval),
                    });
                }
                // The grant is there for whoever asks the same.
                _ if row.scope.repeats() => {
                    self.changes.push(no_grant(&approval));
                    return;
                }
                Some(_) => {
                    self.changes.push(grant(&approval, None));
                    self.state.kept.grant(approval);
                }
                None => self.state.kept.grant(approval),
            }
        }
        self.restored.push(restored);
    }

    /// A grant for more than one run. It ends with the life that it is bound to.
    fn repeating(&mut self, row: RepeatingRow) {
        let mut until = row.until.restored(self.same_boot, self.now, row.scope.most());
        until.ms = until.ms.min(row.until.ms);
        let is_over = row.life.as_ref().is_some_and(|life| life.is_over(self.is_there));
        let has_run_out = until.has_passed(self.now) || is_over;
        if has_run_out || !self.same_boot {
            self.changes.push(no_repeating(row.entry));
        }
        if has_run_out {
            return;
        }
        self.restored.push(Restored {
            request: row.ask,
            entry: row.entry,
            state: if self.same_boot { "approved" } else { "dropped" },
            until_ms: self.same_boot.then_some(until.ms),
            answered: Some((row.who.clone(), row.channel.clone())),
        });
        if self.same_boot {
            self.state.kept.repeating.add(Repeating {
                entry: row.entry,
                identity: row.identity,
                scope: row.scope,
                life: row.life,
                who: row.who,
                channel: row.channel,
                reason: row.reason,
                answered_ms: row.answered_ms,
                until,
                ask: row.ask,
                details: std::sync::Arc::new(row.details),
                used: Used { times: row.times, last_ms: row.last_ms },
            });
        }
    }

    /// A denial that was kept for whoever asks the same next.
    fn denial(&mut self, row: &DenialRow) {
        let denial = self.denied(row.ask, row, None);
        match denial.until.filter(|until| until.instant > self.now.instant) {
            Some(until) => {
                self.is_denied(&denial);
                // It is there already.
                let _ = self.state.kept.deny(row.identity, denial, until);
            }
            None => self.changes.push(no_denial(&row.identity)),
        }
    }

    /// An entry that was denied: who may still come back hears it then, of the others the next who asks the same.
    fn untold(&mut self, key: Id, row: &DenialRow, mut callers: Vec<CallerRow>) {
        callers.sort_by_key(|caller| caller.serial);
        let mut count = 0;
        for caller in callers {
            let CallerRow { ask, client, key: process, gone, .. } = caller;
            if let Some(client) = client.filter(|_| !gone && self.may_come_back(process)) {
                let denial = self.denied(ask, row, Some(key));
                self.is_denied(&denial);
                let (identity, answer) = (row.identity, Answer::Denied(denial));
                self.state.kept.expect(Return { client, key: process, identity, answer });
                count += 1;
                continue;
            }
            self.changes.push(no_caller(key, ask));
            let denial = self.denied(ask, row, None);
            if let Some(until) = denial.until.filter(|until| until.instant > self.now.instant)
                && client.is_some()
                && !gone
            {
                self.is_denied(&denial);
                let change = self.state.kept.deny(row.identity, denial, until);
                self.changes.extend(change);
            }
        }
        match count {
            0 => self.changes.extend(all_told(key)),
            _ => drop(self.state.untold.insert(key, count)),
        }
    }

    fn denied(&self, ask: Id, row: &DenialRow, below: Option<Id>) -> Denial {
        let until = row.until.map(|until| until.restored(self.same_boot, self.now, GRANT_LIFE));
        Denial { entry: row.entry, why: row.why.clone(), ask, until, row: below }
    }

    fn is_denied(&mut self, denial: &Denial) {
        let answered = match &denial.why {
            Refusal::Person { who, channel, .. } => Some((who.clone(), channel.clone())),
            _ => None,
        };
        self.restored.push(Restored {
            request: denial.ask,
            entry: denial.entry,
            state: "denied",
            until_ms: denial.until.map(|until| until.ms),
            answered,
        });
    }
}
