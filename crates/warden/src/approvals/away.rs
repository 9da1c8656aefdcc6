//! Callers that a restart has cut off and that may still come back: who they are, and until when.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::entry::{Seat, Waiting};
use super::key::CallerKey;
use crate::ledger::Id;

/// Callers that wait in an entry without being there, by what they call their request.
#[derive(Debug, Default)]
pub(super) struct Away {
    seats: HashMap<(Id, CallerKey), usize>,
    until: Option<Instant>,
    /// Whether any is expected: for whoever looks without the queue's lock.
    expected: Arc<AtomicBool>,
}

/// Who it is, if it is away.
fn away(caller: &Waiting) -> Option<(Id, CallerKey)> {
    matches!(caller.seat, Seat::Away).then_some((caller.client?, caller.key))
}

impl Away {
    /// One that says the same to the same who look.
    pub(super) fn another(&self) -> Self {
        Self { expected: self.flag(), ..Self::default() }
    }

    /// Whether any is expected, as it is at each moment.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.expected)
    }

    /// Counts the caller if it is away.
    pub(super) fn sits(&mut self, caller: &Waiting) {
        if let Some(who) = away(caller) {
            *self.seats.entry(who).or_default() += 1;
        }
    }

    /// Counts it no more.
    pub(super) fn rises(&mut self, caller: &Waiting) {
        if let Some(who) = away(caller)
            && let Some(count) = self.seats.get_mut(&who)
        {
            *count -= 1;
            if *count == 0 {
                self.seats.remove(&who);
            }
        }
    }

    pub(super) fn has(&self, client: Id, key: CallerKey) -> bool {
        key.is_same_process(key) && self.seats.contains_key(&(client, key))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Until when they may come back; `None` where nobody is expected.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// From here on they are expected until then; with `None` nobody is.
    pub(super) fn expect(&mut self, until: Option<Instant>) {
        self.until = until;
        self.expected.store(until.is_some(), Ordering::Release);
    }
}
