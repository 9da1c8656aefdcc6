//! Grants as people see them: approvals that are kept, or that hold for more than one run, and taking one back.

use std::collections::BTreeMap;

use clawrden_api::{GrantEntry, GrantScope};

use super::Approvals;
use super::answer::AnswerError;
use super::approval::Approval;
use super::clock::Now;
use super::ids::{Prefix, digits_needed, shortened};
use super::lasting;
use super::scope::Scope;
use super::state::State;
use crate::ledger::Id;

impl Approvals {
    /// Every approval that is kept and that nothing was started with, and every grant for more than one run that holds,
    /// the oldest answer first. One in the hands of a request that is about to start is not among them.
    #[must_use]
    pub fn grants(&self, now: Now) -> Vec<GrantEntry> {
        let state = self.state();
        // What callers of a grant for more runs are to get is shown by the grant.
        let once = state.kept.approvals().filter(|(grant, _)| !grant.scope.repeats());
        let once: Vec<(&Approval, bool)> =
            once.filter(|(grant, _)| !grant.has_run_out(now)).collect();
        let more = state.kept.repeating.all().filter(|grant| !grant.until.has_passed(now));
        let more: Vec<_> = more.collect();
        let ids = once.iter().map(|(grant, _)| grant.entry);
        let ids: BTreeMap<Id, ()> =
            ids.chain(more.iter().map(|grant| grant.entry)).map(|id| (id, ())).collect();
        let short = |id: Id| shortened(id, digits_needed(id, &ids));
        let once = once
            .into_iter()
            .map(|(grant, reserved)| GrantEntry { reserved, ..show(grant, short(grant.entry)) });
        let more = more.into_iter().map(|grant| GrantEntry {
            uses: grant.used.times,
            last_used_ms: grant.used.last_ms,
            ..show(&grant.approval(grant.ask, grant.identity, true), short(grant.entry))
        });
        let mut shown: Vec<GrantEntry> = once.chain(more).collect();
        shown.sort_by(|a, b| (a.answered_ms, &a.id).cmp(&(b.answered_ms, &b.id)));
        shown
    }

    /// Takes a grant back: nothing runs by it from here on, whatever can be written. `id` is that of its entry, or a prefix.
    /// Gives the whole id; `None` when no such grant is kept. `record` is called with request and entry.
    ///
    /// # Errors
    /// [`AnswerError::OnlyTakenBack`] where a restart would not know of it yet. After any other nothing has changed.
    pub fn revoke(&self, id: &str, record: impl FnOnce(Id, Id)) -> Result<Option<Id>, AnswerError> {
        let prefix = Prefix::new(id).ok_or_else(|| AnswerError::Malformed(id.to_owned()))?;
        let mut state = self.state();
        let once = state.kept.approvals().map(|(grant, _)| grant.entry);
        let all = once.chain(state.kept.repeating.all().map(|grant| grant.entry));
        let mut found: Vec<Id> = all.filter(|entry| prefix.fits(entry)).collect();
        found.sort_unstable();
        found.dedup();
        let entry = match found[..] {
            [] => return Ok(None),
            [entry] => entry,
            _ => {
                let (prefix, count) = (id.to_owned(), found.len());
                return Err(AnswerError::Ambiguous { prefix, count });
            }
        };
        take_back(&mut state, entry, record)
    }
}

/// Takes back the one-use approval of this entry and the grant for more runs, whichever there are.
fn take_back(
    state: &mut State,
    entry: Id,
    record: impl FnOnce(Id, Id),
) -> Result<Option<Id>, AnswerError> {
    let more = state.kept.repeating.take(entry);
    let mut once = Vec::new();
    while let Some(taken) = state.kept.take_approval(entry) {
        once.push(taken);
    }
    let asked = more.as_ref().map(|grant| grant.ask);
    let Some(ask) = asked.or_else(|| once.first().map(|grant| grant.ask)) else {
        return Ok(None);
    };
    let mut changes: Vec<_> = once.iter().map(lasting::no_grant).collect();
    changes.extend(more.as_ref().map(|grant| lasting::no_repeating(grant.entry)));
    let written = state.write(&changes);
    record(ask, entry);
    written.map(|()| Some(entry)).map_err(|why| {
        state.owe(changes);
        AnswerError::OnlyTakenBack(why)
    })
}

fn show(grant: &Approval, short: String) -> GrantEntry {
    let details = grant.details.details();
    GrantEntry {
        id: grant.entry.to_string(),
        short,
        request: grant.ask.to_string(),
        jail: details.jail,
        caller: details.caller,
        argv: details.argv,
        cwd: details.cwd,
        executable: details.executable,
        approver: grant.who.clone(),
        channel: grant.channel.clone(),
        reason: grant.reason.clone(),
        answered_ms: grant.answered_ms,
        until_ms: grant.until.ms,
        reserved: false,
        scope: match grant.scope {
            Scope::Once => GrantScope::Once,
            Scope::Session => GrantScope::Session,
            Scope::Time(_) => GrantScope::Time,
        },
        and_what_it_starts: grant.and_what_it_starts,
        pattern: grant.pattern.clone(),
        uses: 0,
        last_used_ms: None,
    }
}
