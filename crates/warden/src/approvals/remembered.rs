//! Entries that were answered: remembered, so that a second answer is told of the first.
//! Only the newest are: an id that is forgotten is unknown, and was never anything but answered.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ledger::Id;
use crate::plan::Identity;

/// Answered entries that are remembered. Beyond it the oldest are forgotten.
pub const MAX_REMEMBERED: usize = 4096;

/// What came of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Approved,
    Denied { reason: Option<String> },
    Expired,
}

impl Outcome {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired => "expired",
        }
    }
}

/// An answered entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) jail: String,
    pub(super) uid: Option<u32>,
    pub(super) identity: Identity,
    /// The requests that shared it, as far as they are known.
    pub(super) asks: Vec<Id>,
    pub(super) outcome: Outcome,
    /// Who answered, empty if nobody did.
    pub(super) by: String,
    pub(super) when_ms: u64,
    /// Where its other callers went on waiting.
    pub(super) reopened: Option<Id>,
}

/// The newest answered entries.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) by_id: BTreeMap<Id, Remembered>,
    order: VecDeque<Id>,
}

impl Memory {
    /// The one that is forgotten when another is added.
    pub(super) fn next_forgotten(&self) -> Option<Id> {
        self.order.front().copied().filter(|_| self.order.len() >= MAX_REMEMBERED)
    }

    pub(super) fn add(&mut self, id: Id, remembered: Remembered) {
        if let Some(oldest) = self.next_forgotten() {
            self.order.pop_front();
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id);
        self.by_id.insert(id, remembered);
    }

    /// Newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = (Id, &Remembered)> {
        self.order.iter().rev().filter_map(|&id| Some((id, self.by_id.get(&id)?)))
    }
}
