//! One open question, and who waits for its answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::answer::{Answer, Told};
use super::clock::Now;
use super::key::CallerKey;
use super::remembered::{Outcome, Remembered};
use super::scope::Life;
use super::vote::Vote;
use super::wants::Wants;
use super::written::Written;
use super::{MAX_GONE, MAX_WATCHERS};
use crate::again::Case;
use crate::ledger::Id;
use crate::plan::Identity;

/// One question to a person.
pub(super) struct Entry {
    /// The id that it had first, by which the store knows it.
    pub(super) row: Id,
    pub(super) identity: Identity,
    /// The same without its words.
    pub(super) frame: Option<Identity>,
    pub(super) details: Written,
    pub(super) since_ms: u64,
    pub(super) expires: Now,
    pub(super) timeout: Duration,
    pub(super) case: Option<Arc<Case>>,
    /// Whose life it is, of the caller that is shown.
    pub(super) life: Option<Life>,
    /// Whose yes it takes.
    pub(super) wants: Wants,
    /// Those that it has.
    pub(super) votes: Arc<[Vote]>,
    /// How long it had waited when others were last told that they may answer.
    pub(super) escalated: Duration,
    /// When others are told next.
    pub(super) next_step: Option<Instant>,
    /// Oldest first, which is the order of their serial numbers.
    pub(super) callers: VecDeque<Waiting>,
    /// Requests whose callers have gone, the newest last.
    pub(super) gone: VecDeque<Id>,
    pub(super) watchers: Vec<oneshot::Sender<Told>>,
}

pub(super) struct Waiting {
    pub(super) place: Place,
    pub(super) ask: Id,
    pub(super) client: Option<Id>,
    pub(super) key: CallerKey,
    pub(super) life: Option<Life>,
    pub(super) since_ms: u64,
    pub(super) seat: Seat,
}

/// Whether a caller is there to hear the answer.
pub(super) enum Seat {
    Here(oneshot::Sender<Answer>),
    /// The warden was restarted, and it has not come back yet.
    Away,
}

/// A caller's place in the row, and which of its connections has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) serial: u64,
    pub(super) connection: u64,
}

impl Entry {
    /// All requests that are known to have asked this.
    pub(super) fn asks(&self) -> impl Iterator<Item = Id> {
        self.gone.iter().copied().chain(self.callers.iter().map(|c| c.ask))
    }

    /// The bytes that it holds for showing it and judging it again.
    pub(super) fn bytes(&self) -> usize {
        self.details.bytes() + self.case.as_ref().map_or(0, |case| case.bytes())
    }

    pub(super) fn remembered(&self, outcome: Outcome, by: &str, when_ms: u64) -> Remembered {
        Remembered {
            jail: self.details.jail().to_owned(),
            uid: self.details.uid(),
            identity: self.identity,
            asks: self.asks().take(MAX_GONE).collect(),
            outcome,
            by: by.to_owned(),
            when_ms,
            reopened: None,
        }
    }

    /// How long it has waited, by the clock that measures.
    pub(super) fn waited(&self, now: Now) -> Duration {
        let left = self.expires.instant.saturating_duration_since(now.instant);
        // Whoever was told that they may answer may do so, whatever a clock says after a restart.
        self.timeout.saturating_sub(left).max(self.escalated)
    }

    /// When it has waited for so long.
    pub(super) fn at(&self, waited: Duration) -> Option<Instant> {
        self.expires.instant.checked_sub(self.timeout.saturating_sub(waited))
    }

    /// Adds one who only wants to know; `None` when there are too many.
    pub(super) fn watch(&mut self) -> Option<oneshot::Receiver<Told>> {
        self.watchers.retain(|w| !w.is_closed());
        if self.watchers.len() >= MAX_WATCHERS {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.watchers.push(sender);
        Some(receiver)
    }
}

pub(super) fn tell(watchers: Vec<oneshot::Sender<Told>>, told: &Told) {
    for watcher in watchers {
        // One that has gone does not need to know.
        let _ = watcher.send(told.clone());
    }
}
