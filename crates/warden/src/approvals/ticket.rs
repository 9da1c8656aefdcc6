//! A caller's place in the queue, for as long as it waits.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::answer::{Answer, Denial, Refusal};
use super::clock::Now;
use super::entry::Place;
use super::state::{Gap, State};
use crate::ledger::Id;
use crate::plan::Identity;

/// A caller's place in the queue. Dropping it says that the caller has gone.
#[must_use = "a ticket that is dropped says that its caller has gone"]
pub struct Ticket {
    /// The entry's id when the caller came. Where several share it, the answer may come under a later one.
    pub entry: Id,
    /// Enough of its digits to name it.
    pub short: String,
    /// Since when the caller has waited, over restarts, in milliseconds since the epoch.
    pub since_ms: u64,
    pub(super) identity: Identity,
    pub(super) place: Place,
    pub(super) receiver: oneshot::Receiver<Answer>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) has_left: bool,
}

/// What a caller leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// Others wait for the same.
    Others,
    /// It was the last: the entry waits on without a caller.
    Parked(Id),
    /// It was answered before it left. An approval that it did not take is kept, or handed on.
    Answered,
}

impl Ticket {
    /// Waits for the answer. May be dropped and called again, until it has given one.
    pub async fn answered(&mut self) -> Answer {
        match (&mut self.receiver).await {
            Ok(answer) => answer,
            // No sender is dropped unused; if one were, nothing may run.
            Err(_) => {
                let (why, entry) = (Refusal::Superseded, self.entry);
                Answer::Denied(Denial { entry, why, ask: entry, until: None, row: None })
            }
        }
    }

    /// The answer, if it is there.
    pub fn try_answer(&mut self) -> Option<Answer> {
        self.receiver.try_recv().ok()
    }

    /// The caller goes. The same as dropping the ticket, but tells what is left behind.
    pub fn leave(mut self) -> Left {
        self.go()
    }

    /// The warden goes down: the place is the caller's when it is back. What it was answered meanwhile it hears then.
    pub fn stay(mut self) {
        self.has_left = true;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stay(&self.identity, self.place);
    }

    fn go(&mut self) -> Left {
        self.has_left = true;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.leave(&self.identity, self.place) {
            Gap::Others => return Left::Others,
            Gap::Parked(entry) => return Left::Parked(entry),
            Gap::None => {}
        }
        match self.receiver.try_recv() {
            Ok(Answer::Approved(approval)) => state.hand_on(approval, Now::read()),
            Ok(Answer::Denied(denial)) => state.keep_denial(self.identity, denial),
            Err(_) => {}
        }
        Left::Answered
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.has_left {
            self.go();
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("entry", &self.entry).finish_non_exhaustive()
    }
}
