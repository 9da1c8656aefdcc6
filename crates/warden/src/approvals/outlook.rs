//! What an answer would come to, before it is given: what is told, what is kept, and what changes of what lasts.

use super::GRANT_LIFE;
use super::answer::{Answered, Denial, Refusal, Verdict};
use super::approval::Approval;
use super::clock::Now;
use super::entry::{Entry, Seat, Waiting};
use super::lasting;
use super::remembered::{Outcome, Remembered};
use super::repeating::{Repeating, Used};
use super::scope::Scope;
use super::store::Change;
use super::vote::longest;
use crate::ledger::Id;

/// What becomes of an entry that a person answered.
pub(super) struct Outlook {
    pub(super) answered: Answered,
    /// For the oldest caller, or for whoever asks next.
    pub(super) approval: Option<Approval>,
    /// For others that its scope covers.
    pub(super) others: Vec<Approval>,
    /// The grant that they are part of, where it is for more than one run.
    pub(super) grant: Option<Repeating>,
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
    let Verdict {
        approve,
        who,
        channel,
        from,
        reason,
        scope,
        and_what_it_starts,
        pattern,
        votes,
        ..
    } = verdict;
    let until = match approve {
        true if scope.repeats() => now.after(scope.most().min(longest(&votes))),
        true => now.after(GRANT_LIFE),
        false => earlier(entry.expires, now.after(GRANT_LIFE)),
    };
    let oldest = entry.callers.front();
    let is_covered = |caller: &Waiting| scope.covers(entry.life.as_ref(), caller.life.as_ref());
    let is_told = |(n, caller): &(usize, &Waiting)| !approve || *n == 0 || is_covered(caller);
    let told: Vec<Id> =
        entry.callers.iter().enumerate().filter(is_told).map(|(_, caller)| caller.ask).collect();
    let is_there = |caller: &Waiting| matches!(caller.seat, Seat::Here(_));
    let nobody_is_there = match approve {
        true => !oldest.is_some_and(is_there),
        false => !entry.callers.iter().any(is_there),
    };
    let answered = Answered {
        entry: id,
        who: who.clone(),
        from: from.clone(),
        reason: reason.clone(),
        scope,
        and_what_it_starts: approve && and_what_it_starts,
        pattern: pattern.clone().filter(|_| approve),
        approved: approve,
        told,
        parked: entry.gone.back().copied().filter(|_| is_parked),
        kept_until_ms: nobody_is_there.then_some(until.ms),
        holds_until_ms: (approve && scope.repeats()).then_some(until.ms),
        reopened,
        progress: None,
    };
    let first = answered.told.first().or(answered.parked.as_ref()).copied();
    let ask = first.unwrap_or(id);
    let answered_ms = now.ms;
    if approve {
        let grant = Repeating {
            entry: id,
            identity: pattern.as_ref().and(entry.frame).unwrap_or(entry.identity),
            scope,
            and_what_it_starts,
            pattern,
            life: entry.life.clone().filter(|_| scope == Scope::Session),
            who,
            channel,
            reason,
            answered_ms,
            until,
            ask,
            details: entry.details.clone(),
            used: Used::default(),
            votes,
        };
        let of_one = |ask| grant.approval(ask, entry.identity, false);
        let others = answered.told.iter().skip(1).map(|&ask| of_one(ask)).collect();
        // The oldest caller may be of another session than the one that was shown: it has its run all the same.
        let is_once = oldest.is_some_and(|caller| !is_covered(caller));
        let mut approval = of_one(ask);
        if is_once {
            (approval.scope, approval.until) = (Scope::Once, now.after(GRANT_LIFE));
        }
        let grant = scope.repeats().then_some(grant);
        return Outlook { answered, approval: Some(approval), others, grant, denial: None };
    }
    let why = Refusal::Person { who, channel, from, reason, answered_ms };
    Outlook {
        answered,
        approval: None,
        others: Vec::new(),
        grant: None,
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
    outlook: &Outlook,
    reopened: Option<Id>,
    mut changes: Vec<Change>,
) -> Vec<Change> {
    // Both are in the order of the callers.
    let mut callers = entry.callers.iter();
    for approval in outlook.approval.iter().chain(&outlook.others) {
        let to = callers.find(|caller| caller.ask == approval.ask).and_then(Waiting::to);
        // Whoever cannot come back finds the grant itself.
        if to.is_some() || !approval.scope.repeats() {
            changes.push(lasting::grant(approval, to));
        }
    }
    changes.extend(outlook.grant.as_ref().map(lasting::repeating));
    if let Some(next) = reopened {
        let told = outlook.answered.told.iter().chain(&entry.gone);
        changes.extend(told.map(|&ask| lasting::no_caller(entry.row, ask)));
        changes.push(lasting::reopened(next, entry));
    } else {
        changes.extend(lasting::no_entry(entry));
    }
    changes
}

/// What it changes that an approval which was not used goes to the next who waits.
pub(super) fn handing_on(
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
            changes.push(lasting::reopened(next, entry));
        }
        _ => changes.extend(lasting::no_entry(entry)),
    }
    changes
}

/// Takes [`approving`] back.
pub(super) fn not_approving(id: Id, entry: &Entry, outlook: &Outlook) -> Vec<Change> {
    let mut changes = still_open(id, entry);
    changes.extend(outlook.approval.iter().chain(&outlook.others).map(lasting::no_grant));
    changes.extend(outlook.grant.as_ref().map(|grant| lasting::no_repeating(grant.entry)));
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
