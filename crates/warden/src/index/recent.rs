//! Finds the request that a record belongs to while the index is built: of requests that are not over as many as can
//! be, of others the last. What is said of a request that is forgotten is left out, as history does without an index.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::ledger::Id;

/// Requests that are not over and are remembered.
const MAX_OPEN: usize = 128 * 1024;

/// Requests that are over and are remembered: a record may come late.
const MAX_OVER: usize = 32 * 1024;

/// Ids and sequence numbers.
#[derive(Default)]
pub(super) struct Recent {
    open: FxHashMap<Id, u64>,
    over: FxHashMap<Id, u64>,
    order: VecDeque<Id>,
}

impl Recent {
    pub(super) fn put(&mut self, id: Id, sequence: u64, is_over: bool) {
        if !is_over {
            if self.open.len() < MAX_OPEN || self.open.contains_key(&id) {
                self.open.insert(id, sequence);
            }
            return;
        }
        self.open.remove(&id);
        if self.over.insert(id, sequence).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_OVER
            && let Some(oldest) = self.order.pop_front()
        {
            self.over.remove(&oldest);
        }
    }

    pub(super) fn find(&self, id: Id) -> Option<u64> {
        self.open.get(&id).or_else(|| self.over.get(&id)).copied()
    }
}
