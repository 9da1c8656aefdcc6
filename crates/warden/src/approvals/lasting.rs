//! What of the queue and its answers lasts beyond the warden's end, as rows of the store. How it is taken up again is
//! in [`super::restoring`].

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::answer::{Denial, Refusal};
use super::approval::Approval;
use super::clock::{Now, millis};
use super::entry::{Entry, Waiting};
use super::key::CallerKey;
use super::remembered::Remembered;
use super::repeating::Repeating;
use super::scope::{Life, Scope};
use super::store::{Change, Kind};
use super::vote::Vote;
use super::wants::Want;
use super::written::Written;
use crate::again::PastCase;
use crate::ledger::Id;
use crate::plan::Identity;
use crate::process::steady_ms;

/// A deadline, on the clock that people read and on the one that only goes forward, also while the machine sleeps, which
/// holds until the next boot.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Deadline {
    pub(super) ms: u64,
    pub(super) steady_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EntryRow {
    pub(super) id: Id,
    pub(super) identity: Identity,
    #[serde(default)]
    pub(super) frame: Option<Identity>,
    pub(super) details: Written,
    pub(super) since_ms: u64,
    pub(super) expires: Deadline,
    pub(super) timeout_ms: u64,
    pub(super) case: Option<PastCase>,
    #[serde(default)]
    pub(super) life: Option<Life>,
    #[serde(default)]
    pub(super) wants: Vec<Want>,
    #[serde(default)]
    pub(super) votes: Vec<Vote>,
    #[serde(default)]
    pub(super) escalated_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CallerRow {
    pub(super) serial: u64,
    pub(super) ask: Id,
    pub(super) client: Option<Id>,
    pub(super) key: CallerKey,
    pub(super) since_ms: u64,
    pub(super) gone: bool,
    #[serde(default)]
    pub(super) life: Option<Life>,
}

/// A caller that is to hear an answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct To {
    pub(super) client: Id,
    pub(super) key: CallerKey,
}

#[derive(Serialize, Deserialize)]
pub(super) struct GrantRow {
    pub(super) ask: Id,
    /// `None` for one of a grant for several runs, which has them.
    pub(super) details: Option<Written>,
    pub(super) identity: Identity,
    pub(super) entry: Id,
    pub(super) who: String,
    pub(super) channel: String,
    pub(super) reason: Option<String>,
    pub(super) answered_ms: u64,
    pub(super) until: Deadline,
    pub(super) to: Option<To>,
    #[serde(default)]
    pub(super) scope: Scope,
    #[serde(default)]
    pub(super) and_what_it_starts: bool,
    #[serde(default)]
    pub(super) votes: Vec<Vote>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RepeatingRow {
    pub(super) entry: Id,
    pub(super) identity: Identity,
    pub(super) scope: Scope,
    #[serde(default)]
    pub(super) and_what_it_starts: bool,
    #[serde(default)]
    pub(super) pattern: Option<String>,
    pub(super) life: Option<Life>,
    pub(super) who: String,
    pub(super) channel: String,
    pub(super) reason: Option<String>,
    pub(super) answered_ms: u64,
    pub(super) until: Deadline,
    pub(super) ask: Id,
    pub(super) details: Written,
    pub(super) times: u64,
    pub(super) last_ms: Option<u64>,
    #[serde(default)]
    pub(super) votes: Vec<Vote>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct DenialRow {
    pub(super) ask: Id,
    pub(super) identity: Identity,
    pub(super) entry: Id,
    pub(super) why: Refusal,
    pub(super) until: Option<Deadline>,
}

impl Deadline {
    pub(super) fn of(at: Now) -> Self {
        let left = at.instant.saturating_duration_since(Instant::now());
        Self { ms: at.ms, steady_ms: steady_ms().saturating_add(millis(left)) }
    }

    /// The same moment for this process. Never later than `most` from `now`, whatever a clock says.
    pub(super) fn restored(self, same_boot: bool, now: Now, most: Duration) -> Now {
        let left = if same_boot {
            self.steady_ms.saturating_sub(steady_ms())
        } else {
            self.ms.saturating_sub(now.ms)
        };
        now.after(Duration::from_millis(left).min(most))
    }
}

fn put(kind: Kind, key: &[u8], row: &impl Serialize) -> Change {
    // These are plain structs, which always fit into JSON; an empty row is passed over when it is read.
    Change::Put(kind, key.to_vec(), serde_json::to_string(row).unwrap_or_default())
}

/// An entry under `id`.
pub(super) fn entry(id: Id, entry: &Entry) -> Change {
    entry_with(id, entry, &entry.votes)
}

/// What of an entry that was answered waits on, under `id`.
pub(super) fn reopened(id: Id, entry: &Entry) -> Change {
    entry_with(id, entry, &[])
}

fn entry_with(id: Id, entry: &Entry, votes: &[Vote]) -> Change {
    let row = EntryRow {
        id,
        identity: entry.identity,
        frame: entry.frame,
        details: entry.details.clone(),
        since_ms: entry.since_ms,
        expires: Deadline::of(entry.expires),
        timeout_ms: millis(entry.timeout),
        case: entry.case.as_ref().and_then(|case| case.past()),
        life: entry.life.clone(),
        wants: entry.wants.to_vec(),
        votes: votes.to_vec(),
        escalated_ms: millis(entry.escalated),
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
        details: (!approval.scope.repeats()).then(|| approval.details.clone()),
        identity: approval.identity,
        entry: approval.entry,
        who: approval.who.clone(),
        channel: approval.channel.clone(),
        reason: approval.reason.clone(),
        answered_ms: approval.answered_ms,
        until: Deadline::of(approval.until),
        to,
        scope: approval.scope,
        and_what_it_starts: approval.and_what_it_starts,
        votes: approval.votes.to_vec(),
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
        and_what_it_starts: grant.and_what_it_starts,
        pattern: grant.pattern.clone(),
        life: grant.life.clone(),
        who: grant.who.clone(),
        channel: grant.channel.clone(),
        reason: grant.reason.clone(),
        answered_ms: grant.answered_ms,
        until: Deadline::of(grant.until),
        ask: grant.ask,
        details: grant.details.clone(),
        times: grant.used.times,
        last_ms: grant.used.last_ms,
        votes: grant.votes.to_vec(),
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
