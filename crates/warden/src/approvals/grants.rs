//! Grants as people see them: approvals that are kept, and taking one back before it is used.

use std::collections::BTreeMap;

use clawrden_api::GrantEntry;

use super::Approvals;
use super::answer::{AnswerError, Approval, Now};
use super::ids::{Prefix, digits_needed, shortened};
use super::lasting;
use crate::ledger::Id;

impl Approvals {
    /// Every approval that is kept and that nothing was started with, the oldest answer first. One in the hands of a
    /// request that is about to start is not among them.
    #[must_use]
    pub fn grants(&self, now: Now) -> Vec<GrantEntry> {
        let state = self.state();
        let kept: Vec<(&Approval, bool)> =
            state.kept.approvals().filter(|(grant, _)| grant.until.instant > now.instant).collect();
        let ids: BTreeMap<Id, ()> = kept.iter().map(|(grant, _)| (grant.entry, ())).collect();
        let mut shown: Vec<GrantEntry> = kept
            .into_iter()
            .map(|(grant, reserved)| {
                let short = shortened(grant.entry, digits_needed(grant.entry, &ids));
                show(grant, short, reserved)
            })
            .collect();
        shown.sort_by(|a, b| (a.answered_ms, &a.id).cmp(&(b.answered_ms, &b.id)));
        shown
    }

    /// Takes a kept approval back: nothing will run by it. `id` is that of its entry, or a prefix. Gives the whole id;
    /// `None` when no such grant is kept. `record` is called with request and entry once that lasts; when it fails, the
    /// grant stays.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing has changed then.
    pub fn revoke(
        &self,
        id: &str,
        record: impl FnOnce(Id, Id) -> Result<(), String>,
    ) -> Result<Option<Id>, AnswerError> {
        let prefix = Prefix::new(id).ok_or_else(|| AnswerError::Malformed(id.to_owned()))?;
        let mut state = self.state();
        let found: Vec<Id> = state
            .kept
            .approvals()
            .map(|(grant, _)| grant.entry)
            .filter(|entry| prefix.fits(entry))
            .collect();
        let entry = match found[..] {
            [] => return Ok(None),
            [entry] => entry,
            _ => {
                let (prefix, count) = (id.to_owned(), found.len());
                return Err(AnswerError::Ambiguous { prefix, count });
            }
        };
        let Some((grant, to)) = state.kept.take_approval(entry) else { return Ok(None) };
        let taken = state.write(&[lasting::no_grant(&grant)]).map_err(AnswerError::NotKept);
        let recorded = taken.and_then(|()| {
            record(grant.ask, entry).map_err(AnswerError::NotRecorded).inspect_err(|_| {
                state.write_if_possible(vec![lasting::grant(&grant, to)]);
            })
        });
        match recorded {
            Ok(()) => Ok(Some(entry)),
            Err(error) => {
                state.kept.put_approval(grant, to);
                Err(error)
            }
        }
    }
}

fn show(grant: &Approval, short: String, reserved: bool) -> GrantEntry {
    let details = &grant.details;
    GrantEntry {
        id: grant.entry.to_string(),
        short,
        request: grant.ask.to_string(),
        jail: details.jail.clone(),
        caller: details.caller.clone(),
        argv: details.argv.clone(),
        cwd: details.cwd.clone(),
        executable: details.executable.clone(),
        approver: grant.who.clone(),
        channel: grant.channel.clone(),
        reason: grant.reason.clone(),
        answered_ms: grant.answered_ms,
        until_ms: grant.until.ms,
        reserved,
    }
}
