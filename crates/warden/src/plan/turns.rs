//! Whose turn it is to have a large file read: nobody waits for what another jail, or another caller, lets be read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PlanError;
use crate::intercom::Account;
use crate::jails::JailName;

/// Files that are read at once: a caller with many large ones keeps two processors busy at most.
const AT_ONCE: usize = 2;

/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where one waits for its own like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    Account(Account),
    Jail(JailName),
}

/// The turns: one for each account and each jail, and so many for all.
#[derive(Debug)]
pub(super) struct Turns {
    lanes: Mutex<HashMap<Lane, Weak<Semaphore>>>,
    all: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { lanes: Mutex::default(), all: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// A turn of an account and of its jail. For the thread that reads: while that hangs, its own like wait.
#[derive(Debug)]
pub(super) struct Turn {
    _lanes: [OwnedSemaphorePermit; 2],
}

/// One of the turns that are for all. For whoever waits for the thread: a thread that was given up holds up nobody else.
#[derive(Debug)]
pub(super) struct Any {
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// Waits for the turn of a request.
    ///
    /// # Errors
    /// [`PlanError::Busy`] when it takes too long.
    pub(super) async fn next(
        &self,
        account: Account,
        jail: &JailName,
    ) -> Result<(Turn, Any), PlanError> {
        self.within(PATIENCE, account, jail).await
    }

    async fn within(
        &self,
        patience: Duration,
        account: Account,
        jail: &JailName,
    ) -> Result<(Turn, Any), PlanError> {
        let [own, of_jail] =
            [Lane::Account(account), Lane::Jail(jail.clone())].map(|l| self.lane(l));
        let all = Arc::clone(&self.all);
        let turn = async {
            let lanes = [own.acquire_owned().await?, of_jail.acquire_owned().await?];
            let any = Any { _permit: all.acquire_owned().await? };
            Ok::<_, tokio::sync::AcquireError>((Turn { _lanes: lanes }, any))
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(PlanError::Busy),
        }
    }

    /// Lanes in which nobody is are forgotten.
    fn lane(&self, lane: Lane) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lanes.get(&lane).and_then(Weak::upgrade) {
            return known;
        }
        lanes.retain(|_, known| known.strong_count() > 0);
        let fresh = Arc::new(Semaphore::new(1));
        lanes.insert(lane, Arc::downgrade(&fresh));
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    async fn next(turns: &Turns, uid: u32, jail: &str) -> Option<(Turn, Any)> {
        let jail = JailName::new(jail).unwrap();
        turns.within(SHORT, Account::of_uid(uid), &jail).await.ok()
    }

    #[tokio::test]
    async fn a_jail_has_one_turn_however_many_users_it_has() {
        let turns = Turns::default();
        let (greedy, any) = next(&turns, 1, "greedy").await.unwrap();
        assert!(next(&turns, 2, "greedy").await.is_none());
        assert!(next(&turns, 1, "other").await.is_none(), "nor has an account two");
        let other = next(&turns, 3, "other").await.unwrap();
        assert!(next(&turns, 4, "third").await.is_none(), "there are two for all");
        // A thread that hangs was given up: its own like wait on, and the others do not.
        drop(any);
        assert!(next(&turns, 2, "greedy").await.is_none());
        let third = next(&turns, 4, "third").await.unwrap();
        drop((greedy, other));
        assert!(next(&turns, 2, "greedy").await.is_some());
        drop(third);
        assert_eq!(
            turns.lanes.lock().unwrap().values().filter(|l| l.strong_count() > 0).count(),
            0
        );
    }
}
