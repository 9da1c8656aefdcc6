//! Watching: to learn the answer of a request without being its caller.
//! A watcher never makes anything run: whoever hears "approved" repeats the command, which is then a request as any.

use tokio::sync::oneshot;

use super::Approvals;
use super::answer::Told;
use super::clock::Now;
use super::ids::Prefix;
use super::remembered::{Outcome, Remembered};
use super::state::State;
use crate::ledger::Id;

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a person.
    Waiting {
        /// The entry.
        entry: Id,
        /// Enough digits to name it.
        short: String,
    },
    /// It was answered.
    Answered(Told),
    /// The prefix fits several of this caller's requests.
    Ambiguous(usize),
    /// This caller has no such request, or it was forgotten.
    Unknown,
    /// The prefix is no prefix of an id.
    Malformed,
    /// Too many watch it.
    TooManyWatchers,
}

/// One who waits for the answer to a request that others make.
#[derive(Debug)]
pub struct Watch {
    /// The entry.
    pub entry: Id,
    /// Enough digits to name it.
    pub short: String,
    receiver: oneshot::Receiver<Told>,
}

impl Watch {
    /// Waits for the answer. May be dropped and called again.
    pub async fn told(&mut self) -> Told {
        // The sender is only dropped together with the queue; then nothing will be answered any more.
        (&mut self.receiver).await.unwrap_or(Told::Expired)
    }

    /// The answer, if it is there.
    pub fn try_told(&mut self) -> Option<Told> {
        self.receiver.try_recv().ok()
    }
}

impl Approvals {
    /// How a request of this jail and user stands. `prefix` is of the entry's id or of the request's own.
    #[must_use]
    pub fn status_of(&self, jail: &str, uid: u32, prefix: &str, now: Now) -> Standing {
        find(&self.state(), jail, uid, prefix, now)
    }

    /// Watches a request of this jail and user that waits.
    ///
    /// # Errors
    /// Any other [`Standing`], at once.
    pub fn wait(&self, jail: &str, uid: u32, prefix: &str, now: Now) -> Result<Watch, Standing> {
        let mut state = self.state();
        match find(&state, jail, uid, prefix, now) {
            Standing::Waiting { entry, short } => {
                let found = state.entries.get_mut(&entry).ok_or(Standing::Unknown)?;
                let receiver = found.watch().ok_or(Standing::TooManyWatchers)?;
                Ok(Watch { entry, short, receiver })
            }
            other => Err(other),
        }
    }
}

fn find(state: &State, jail: &str, uid: u32, prefix: &str, now: Now) -> Standing {
    let Some(prefix) = Prefix::new(prefix) else { return Standing::Malformed };
    let waiting = |entry: Id| Standing::Waiting { entry, short: state.short(entry) };
    let open = state.entries.iter().filter(|(id, entry)| {
        entry.details.uid() == Some(uid)
            && entry.details.jail() == jail
            && (prefix.fits(id) || entry.asks().any(|ask| prefix.fits(&ask)))
    });
    let open: Vec<Id> = open.map(|(&id, _)| id).take(2).collect();
    match open[..] {
        [entry] => return waiting(entry),
        [] => {}
        _ => return Standing::Ambiguous(open.len()),
    }
    let is_it = |id: &Id, past: &Remembered| {
        past.uid == Some(uid)
            && past.jail == jail
            && (prefix.fits(id) || past.asks.iter().any(|ask| prefix.fits(ask)))
    };
    let Some((id, past)) = state.memory.newest().find(|(id, past)| is_it(id, past)) else {
        return Standing::Unknown;
    };
    // Another caller got the approval; this one's question is still open under another id.
    if let Some(next) = past.reopened.filter(|next| state.entries.contains_key(next)) {
        return waiting(next);
    }
    Standing::Answered(match &past.outcome {
        Outcome::Approved => Told::Approved {
            by: past.by.clone(),
            kept_until_ms: state.kept.until(&past.identity, id, now),
        },
        Outcome::Denied { reason } => Told::Denied { by: past.by.clone(), reason: reason.clone() },
        Outcome::Expired => Told::Expired,
    })
}
