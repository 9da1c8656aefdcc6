//! Escalation: when nobody has answered for a while, others may as well. It adds people, and answers nothing.

use super::Approvals;
use super::clock::{Now, millis};
use super::lasting;
use super::state::State;
use super::wants::{next_step, steps_between};
use crate::ledger::Id;

/// Others may answer an entry from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalated {
    /// The entry.
    pub entry: Id,
    /// The request that is shown; of a parked entry, the one that asked last.
    pub request: Id,
    /// People and groups.
    pub to: Vec<String>,
    /// How long it has waited, in milliseconds.
    pub after_ms: u64,
}

impl Approvals {
    /// Tells `record` the entries that others may answer by now, each step once, before it is taken down that they were told:
    /// what is told twice after a crash harms nobody.
    pub fn escalate(&self, now: Now, record: impl FnMut(Escalated)) {
        self.state().escalate(now, record);
    }
}

impl State {
    /// Takes note of when others may answer this entry.
    pub(super) fn time_steps(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(at) = entry.next_step.take() {
            self.steps.remove(&(at, id));
        }
        // What comes later than its end never comes.
        let after = next_step(&entry.wants, entry.escalated).filter(|after| *after < entry.timeout);
        entry.next_step = after.and_then(|after| entry.at(after));
        self.steps.extend(entry.next_step.map(|at| (at, id)));
    }

    fn escalate(&mut self, now: Now, mut record: impl FnMut(Escalated)) {
        let mut changes = Vec::new();
        while let Some(&(at, id)) = self.steps.first() {
            if at > now.instant {
                break;
            }
            self.steps.pop_first();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let waited = entry.waited(now);
            let to = steps_between(&entry.wants, entry.escalated, waited);
            entry.escalated = waited;
            changes.push(lasting::entry(id, entry));
            let oldest = entry.callers.front().map(|caller| caller.ask);
            let request = oldest.or(entry.gone.back().copied()).unwrap_or(id);
            if !to.is_empty() {
                let after_ms = millis(waited);
                record(Escalated { entry: id, request, to, after_ms });
            }
            self.time_steps(id);
        }
        self.write_if_possible(changes);
    }
}
