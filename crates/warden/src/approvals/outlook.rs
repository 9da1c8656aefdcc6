//! What an answer would come to, before it is given: what is told, what is kept, and what changes of what lasts.

use std::sync::Arc;

use super::GRANT_LIFE;
use super::answer::{Answered, Approval, Denial, Now, Refusal, Verdict};
use super::lasting;
use super::remembered::{Outcome, Remembered};
use super::state::{Entry, Seat, Waiting};
use super::store::Change;
use crate::ledger::Id;

/// What becomes of an entry that a person answered.
pub(super) struct Outlook {
    pub(super) answered: Answered,
    pub(super) approval: Option<Approval>,
    pub(super) denial: Option<Denial>,
}

/// What a person's word on this entry comes to.
pub(super) fn outlook(
    id: Id,
    entry: &Entry,
    verdict: Verdict,
    now: Now,
    reopened: Option<Id>,
) -> Outlook {
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

pub(super) fn approved(entry: &Entry, approval: &Approval, reopened: Option<Id>) -> Remembered {
    let remembered = entry.remembered(Outcome::Approved, &approval.who, approval.answered_ms);
    Remembered { reopened, ..remembered }
}

pub(super) fn refused(entry: &Entry, denial: &Denial, now: Now) -> Remembered {
    let (who, reason) = match &denial.why {
        Refusal::Person { who, reason, .. } => (who.as_str(), reason.clone()),
        _ => ("", None),
    };
    entry.remembered(Outcome::Denied { reason }, who, now.ms)
}

/// What an approval changes of what lasts: it is its oldest caller's until something is started with it.
pub(super) fn approving(
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
pub(super) fn not_approving(id: Id, entry: &Entry, approval: &Approval) -> Vec<Change> {
    let mut changes = still_open(id, entry);
    changes.push(lasting::no_grant(approval));
    changes
}

/// What a denial changes of what lasts: each caller is to be told, or else the next one that asks the same.
pub(super) fn denying(
    id: Id,
    entry: &Entry,
    denial: &Denial,
    mut changes: Vec<Change>,
) -> Vec<Change> {
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
pub(super) fn not_denying(id: Id, entry: &Entry) -> Vec<Change> {
    let mut changes = still_open(id, entry);
    changes.push(lasting::no_denial(&entry.identity));
    changes.push(lasting::not_untold(entry.row));
    changes
}

/// The end of an entry by a denial: one row for all who are yet to hear it, where there is any.
pub(super) fn closing(entry: &Entry, denial: &Denial) -> [Change; 2] {
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
