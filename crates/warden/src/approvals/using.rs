//! What becomes of approvals: they are used up as something is started with them, and forgotten when the lives that they
//! were for are over.

use std::collections::HashSet;

use super::approval::{Approval, Bequest};
use super::clock::Now;
use super::lasting;
use super::repeating::{Repeating, Used};
use super::scope::Life;
use super::state::State;
use super::store::Change;
use crate::ledger::Id;

impl State {
    /// Something is to be started with an approval: from here on it never goes back by itself.
    pub(super) fn use_up(&mut self, approval: &Approval, now: Now) -> Result<(), String> {
        if let Some(bequest) = &approval.inherited {
            return self.may_inherit(bequest, now);
        }
        let gone = lasting::no_grant(approval);
        if !approval.scope.repeats() {
            return self.write(&[gone]);
        }
        let grant = self.still_granted(approval.entry, now)?;
        let used = Used { times: grant.used.times.saturating_add(1), last_ms: Some(now.ms) };
        let grant = Repeating { used, ..grant.clone() };
        self.write(&[gone, lasting::repeating(&grant)])?;
        self.kept.repeating.take(grant.entry);
        self.kept.repeating.add(grant);
        Ok(())
    }

    /// Whether something may still be started by an approval that was handed down.
    ///
    /// # Errors
    /// Why not.
    fn may_inherit(&self, bequest: &Bequest, now: Now) -> Result<(), String> {
        if !bequest.holds(now) {
            return Err("the approved command that started it has ended meanwhile".to_owned());
        }
        match bequest.scope.repeats() {
            true => self.still_granted(bequest.entry, now).map(drop),
            false => Ok(()),
        }
    }

    /// The grant for several runs that was the answer to this entry: it may have gone while a request was made ready.
    fn still_granted(&self, entry: Id, now: Now) -> Result<&Repeating, String> {
        let grant = self.kept.repeating.get(entry).filter(|grant| !grant.until.has_passed(now));
        grant.ok_or_else(|| "the grant was taken back or ran out meanwhile".to_owned())
    }

    /// Forgets what was granted to lives that are over. What they have asked may still be answered, and not for their
    /// session.
    pub(super) fn end_lives(&mut self, is_over: &dyn Fn(&Life) -> bool) {
        let granted = self.kept.repeating.all().filter_map(|grant| grant.life.as_ref());
        let asked = self.entries.values().filter_map(|entry| entry.life.as_ref());
        // Each is looked at once: finding out may mean to ask the kernel.
        let lives: HashSet<&Life> = granted.chain(asked).collect();
        let over: HashSet<Life> = lives.into_iter().filter(|life| is_over(life)).cloned().collect();
        if over.is_empty() {
            return;
        }
        let is_over = |life: &Option<Life>| life.as_ref().is_some_and(|life| over.contains(life));
        let ended = self.kept.repeating.take_if(|grant| is_over(&grant.life));
        let mut changes: Vec<Change> =
            ended.iter().map(|grant| lasting::no_repeating(grant.entry)).collect();
        for (&id, entry) in &mut self.entries {
            if is_over(&entry.life) {
                entry.life = None;
                changes.push(lasting::entry(id, entry));
            }
        }
        self.write_if_possible(changes);
    }
}
