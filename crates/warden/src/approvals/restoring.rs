//! Taking up what the last warden left of the queue and its answers.
//!
//! A restart gives nothing away: what had run out of time is expired, callers get the time that they may take to come
//! back, and an approval that a crash of the machine may have given back after it was used is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::answer::{Answer, Denial, Refusal};
use super::approval::Approval;
use super::clock::Now;
use super::entry::{Entry, Place, Seat, Waiting};
use super::kept::Return;
use super::key::CallerKey;
use super::lasting::{
    CallerRow, DenialRow, EntryRow, GrantRow, RepeatingRow, To, all_told, grant, no_caller,
    no_denial, no_grant, no_repeating,
};
use super::remembered::Remembered;
use super::repeating::{Repeating, Used};
use super::scope::MAX_SCOPE;
use super::state::{Lasting, State};
use super::store::{self, Change, Kind, Row, Store, StoreError};
use super::vote::{Vote, from};
use super::{AGAIN, Approvals, GRANT_LIFE, MAX_GONE};
use crate::again::Case;
use crate::ledger::Id;

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
    /// Who answered.
    pub answered: Option<Answerer>,
}

/// Whoever gave an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answerer {
    /// Who.
    pub who: String,
    /// Through what.
    pub channel: String,
    /// From where; of several, the last.
    pub from: Option<String>,
}

/// What was found when a queue was opened.
#[derive(Debug)]
pub struct Recovered {
    /// Everything that goes on.
    pub restored: Vec<Restored>,
    /// The file could not be understood, and lies there by now.
    pub aside: Option<PathBuf>,
}

impl Approvals {
    /// Takes up what the last warden left, the first time that this is possible; before, nobody is asked. `None` at every
    /// other time.
    #[must_use = "what goes on is to be recorded"]
    pub fn take_up(&self, now: Now) -> Option<Recovered> {
        let mut state = self.state();
        let Lasting::Shut(shut) = &mut state.store else { return None };
        if shut.next > now.instant {
            return None;
        }
        shut.next = now.after(AGAIN).instant;
        let (patience, is_there) = (shut.patience, shut.is_there);
        match Store::open(&shut.path) {
            Ok(opened) => match take_up(&mut state, opened, is_there, now) {
                Ok(recovered) => {
                    let until = state.is_anybody_awaited().then(|| now.after(patience).instant);
                    state.away.expect(until);
                    Some(recovered)
                }
                Err(error) => {
                    tracing::error!(%error, "nobody can be asked");
                    None
                }
            },
            Err(error) => {
                tracing::error!(%error, "nobody can be asked");
                None
            }
        }
    }
}

fn take_up(
    state: &mut State,
    opened: store::Opened,
    is_there: fn(CallerKey) -> bool,
    now: Now,
) -> Result<Recovered, StoreError> {
    let store::Opened { mut store, rows, same_boot, aside } = opened;
    // Into a state of its own: what cannot be taken up whole is not taken up at all.
    let mut fresh = State::new(state.maker.another());
    fresh.away = state.away.another();
    fresh.people = Arc::clone(&state.people);
    fresh.due.clone_from(&state.due);
    let (restored, changes) = restore(&mut fresh, rows, (same_boot, &is_there), now);
    store.write(&changes)?;
    store.adopt()?;
    fresh.store = Lasting::In(store);
    *state = fresh;
    Ok(Recovered { restored, aside })
}

/// Takes up what the last warden left. Gives what is to be recorded, and what changes in the store by it.
fn restore(
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
            frame: row.frame,
            details: row.details,
            since_ms: row.since_ms,
            expires: row.expires.restored(self.same_boot, self.now, timeout),
            timeout,
            case: row.case.map(|case| Arc::new(Case::from(case))),
            life: row.life.filter(|life| !life.is_over(self.is_there)),
            wants: row.wants.into(),
            // As with approvals: one that was used up could be back after a crash of the machine.
            votes: if self.same_boot { row.votes.into() } else { Arc::default() },
            escalated: Duration::from_millis(row.escalated_ms),
            next_step: None,
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
        // Those whose word it has so far.
        let who: Vec<&str> = entry.votes.iter().map(|vote| &*vote.who).collect();
        let through: Vec<&str> = entry.votes.iter().map(|vote| &*vote.channel).collect();
        let answered = (!who.is_empty()).then(|| Answerer {
            who: who.join(" and "),
            channel: through.join(" and "),
            from: from(&entry.votes).map(str::to_owned),
        });
        self.restored.extend(asks.into_iter().map(|request| Restored {
            request,
            entry: row.id,
            state,
            until_ms,
            answered: answered.clone(),
        }));
        self.state.open_as(row.id, entry);
    }

    fn grant(&mut self, row: GrantRow) {
        let most = if row.scope.repeats() { MAX_SCOPE } else { GRANT_LIFE };
        let until = row.until.restored(self.same_boot, self.now, most);
        let of_repeating = || self.state.kept.repeating.get(row.entry);
        let details = row.details.or_else(|| of_repeating().map(|grant| grant.details.clone()));
        let approval = Approval {
            entry: row.entry,
            who: row.who,
            channel: row.channel,
            reason: row.reason,
            answered_ms: row.answered_ms,
            kept: false,
            scope: row.scope,
            and_what_it_starts: row.and_what_it_starts,
            pattern: None,
            inherited: None,
            ask: row.ask,
            // One whose grant is no more lets nothing run, and is not shown.
            details: details.unwrap_or_default(),
            identity: row.identity,
            until,
            votes: row.votes.into(),
        };
        let has_run_out = until.instant <= self.now.instant;
        let mut restored = Restored {
            request: row.ask,
            entry: row.entry,
            state: "approved",
            until_ms: Some(until.ms),
            answered: Some(answerer(&approval.who, &approval.channel, &approval.votes)),
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
            answered: Some(answerer(&row.who, &row.channel, &row.votes)),
        });
        if self.same_boot {
            self.state.kept.repeating.add(Repeating {
                entry: row.entry,
                identity: row.identity,
                scope: row.scope,
                and_what_it_starts: row.and_what_it_starts,
                pattern: row.pattern,
                life: row.life,
                who: row.who,
                channel: row.channel,
                reason: row.reason,
                answered_ms: row.answered_ms,
                until,
                ask: row.ask,
                details: row.details,
                used: Used { times: row.times, last_ms: row.last_ms },
                votes: row.votes.into(),
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
            Refusal::Person { who, channel, from, .. } => {
                let (who, channel, from) = (who.clone(), channel.clone(), from.clone());
                Some(Answerer { who, channel, from })
            }
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

fn answerer(who: &str, channel: &str, votes: &[Vote]) -> Answerer {
    let from = from(votes).map(str::to_owned);
    Answerer { who: who.to_owned(), channel: channel.to_owned(), from }
}
