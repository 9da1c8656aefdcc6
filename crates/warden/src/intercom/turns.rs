//! Turns: whoever asks for much at once is served, and so is everybody else meanwhile.
//!
//! Reading a request costs the event loop little, and what follows costs it much. So a request that was read takes a
//! turn, of which each account has few in each round of the loop; the rest of that account's requests wait in line. A
//! turn is for the loop's time alone: a request that has to wait for something else has had its turn.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Account;

/// Requests of one account that are served in one round of the event loop.
pub(crate) const TURNS: usize = 4;

/// Bytes of one jail's requests that wait in line. Beyond it no further connection is accepted there for a while.
pub(crate) const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// What a request in line costs beside its own bytes, about.
const OVERHEAD: usize = 4 * 1024;

/// The turns of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    accounts: Mutex<HashMap<Account, Arc<Semaphore>>>,
}

/// Those who wait in line at one jail's door.
#[derive(Debug, Default)]
pub(crate) struct Line {
    bytes: AtomicUsize,
    shorter: Notify,
}

/// A request's share of a line, given back when it is dropped.
struct InLine<'a>(&'a Line, usize);

/// An account of which at least one request is here.
struct Present {
    turns: Arc<Turns>,
    account: Account,
}

/// Fields are dropped in this order: an account without requests is forgotten.
struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _present: Present,
}

impl Turns {
    /// Does `work` for a request of `account` that holds so many `bytes`, when it is its turn. Until then there is no
    /// room for what the work needs.
    pub(crate) async fn take<F: Future>(
        self: &Arc<Self>,
        account: Account,
        (line, bytes): (&Line, usize),
        work: impl FnOnce() -> F,
    ) -> F::Output {
        let mut turn = Some(self.next(account, line, bytes).await);
        let mut work = Box::pin(work());
        std::future::poll_fn(|context| {
            let done = work.as_mut().poll(context);
            if let Some(turn) = turn.take() {
                // Given back by a task of its own, which runs behind all that is ready already: so that the others
                // come first.
                tokio::spawn(async move { drop(turn) });
            }
            done
        })
        .await
    }

    async fn next(self: &Arc<Self>, account: Account, line: &Line, bytes: usize) -> Turn {
        let semaphore = {
            let mut accounts = self.accounts();
            let known = accounts.get(&account).cloned();
            known.unwrap_or_else(|| {
                let fresh = Arc::new(Semaphore::new(TURNS));
                accounts.insert(account.clone(), Arc::clone(&fresh));
                fresh
            })
        };
        let present = Present { turns: Arc::clone(self), account };
        let permit = match Arc::clone(&semaphore).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _share = line.join(bytes);
                // It is never closed; if it were, nobody would have to wait.
                semaphore.acquire_owned().await.ok()
            }
        };
        Turn { _permit: permit, _present: present }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Account, Arc<Semaphore>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut accounts = self.turns.accounts();
        // Others that are here hold it as well, and nobody gets hold of it without the lock.
        if accounts.get(&self.account).is_some_and(|all| Arc::strong_count(all) == 1) {
            accounts.remove(&self.account);
        }
    }
}

impl Line {
    fn join(&self, bytes: usize) -> InLine<'_> {
        let bytes = bytes + OVERHEAD;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        InLine(self, bytes)
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= MAX_LINE_BYTES
    }

    /// Resolves when there is room for one more.
    pub(crate) async fn has_room(&self) {
        while self.is_full() {
            let mut shorter = pin!(self.shorter.notified());
            shorter.as_mut().enable();
            if self.is_full() {
                shorter.await;
            }
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
        self.0.shorter.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Served = Arc<Mutex<Vec<u32>>>;

    /// A request of this user, which was read.
    fn request(turns: &Arc<Turns>, line: &Arc<Line>, served: &Served, uid: u32) {
        let (turns, line, served) = (Arc::clone(turns), Arc::clone(line), Arc::clone(served));
        tokio::spawn(async move {
            let work = || async { served.lock().unwrap().push(uid) };
            turns.take(Account::of_uid(uid), (&line, 1000), work).await;
        });
    }

    async fn all_served(served: &Served, count: usize) -> Vec<u32> {
        while served.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
        served.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn however_many_wait_in_line_another_account_is_served_among_the_first() {
        let (turns, line, served) = (Arc::default(), Arc::default(), Served::default());
        (0..500).for_each(|_| request(&turns, &line, &served, 1));
        request(&turns, &line, &served, 2);
        let order = all_served(&served, 501).await;
        let before = order.iter().position(|&uid| uid == 2).unwrap();
        assert!(before <= 4, "{before} were served before it");
    }

    #[tokio::test]
    async fn accounts_that_all_ask_for_much_take_turns() {
        let (turns, line, served) = (Arc::default(), Arc::default(), Served::default());
        for uid in 1..=5 {
            (0..40).for_each(|_| request(&turns, &line, &served, uid));
        }
        let order = all_served(&served, 200).await;
        for round in order.chunks(5 * TURNS) {
            for uid in 1..=5 {
                let turns = round.iter().filter(|&&other| other == uid).count();
                assert_eq!(turns, TURNS, "of {uid} in {round:?}");
            }
        }
    }

    #[tokio::test]
    async fn who_has_to_wait_for_something_else_keeps_no_turn() {
        let (turns, line, served) =
            (Arc::<Turns>::default(), Arc::<Line>::default(), Served::default());
        for _ in 0..2 * TURNS {
            let (turns, line) = (Arc::clone(&turns), Arc::clone(&line));
            let never = std::future::pending::<()>;
            tokio::spawn(async move {
                turns.take(Account::of_uid(1), (&line, 1000), never).await;
            });
        }
        request(&turns, &line, &served, 1);
        assert_eq!(all_served(&served, 1).await, [1]);
    }

    #[tokio::test]
    async fn a_line_is_bounded_by_its_bytes_and_nothing_is_left_of_it() {
        let (turns, line, served) = (Arc::<Turns>::default(), Arc::default(), Served::default());
        let fill = u32::try_from(MAX_LINE_BYTES / (1000 + OVERHEAD)).unwrap() + 500;
        (0..fill).for_each(|_| request(&turns, &line, &served, 1));
        while !line.is_full() {
            tokio::task::yield_now().await;
        }
        tokio::time::timeout(std::time::Duration::from_secs(20), line.has_room()).await.unwrap();
        assert!(!line.is_full());
        all_served(&served, fill as usize).await;
        while !turns.accounts().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(line.bytes.load(Ordering::Relaxed), 0);
    }
}
