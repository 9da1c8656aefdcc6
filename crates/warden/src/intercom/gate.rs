//! How many connections may be half-open, and how much memory requests may take until they are decided: in all, and for
//! each peer.
//!
//! Whoever holds many never keeps another out: at a limit the oldest half-open connection is closed, at a process's
//! own share its own oldest; what waits for a person leaves as much to others as it takes. Memory counts until it is
//! given back, not only until its owner was told to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use clawrden_protocol::limits::REQUEST_DEADLINE;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Account;

/// Connections whose request is not read yet, of all peers. Beyond it the oldest is closed.
pub(crate) const MAX_HALF_OPEN: usize = 1024;

/// Such connections of one process. Beyond it its own oldest is closed.
pub(crate) const MAX_HALF_OPEN_PER_PEER: usize = 512;

/// Bytes of a request that every connection may send without asking.
pub(crate) const FREE_BYTES: usize = 16 * 1024;

/// Bytes beyond the free ones, of all requests that are not decided yet. Beyond it the oldest large half-open
/// connection is closed, and who wants more waits until there is room.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Such bytes of requests that wait for a person and have to be kept meanwhile. Beyond it a further one is refused.
pub(crate) const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// How many times what one account's waiting requests take must be left free for the others. So one alone has half,
/// and however many take all they can, something is left for the next.
const LEFT_TO_OTHERS: usize = 1;

/// Guards the way in.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Told whenever bytes are given back.
    freed: Notify,
    /// Told when somebody comes while nobody looks at the clock.
    entered: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, Held>,
    per_peer: HashMap<u32, BTreeSet<u64>>,
    bytes: usize,
    waiting: usize,
    waiting_of: HashMap<Account, usize>,
    /// Somebody looks at the clock.
    is_timed: bool,
}

#[derive(Debug)]
struct Held {
    peer: u32,
    is_large: bool,
    late_from: Instant,
    close: Arc<Close>,
}

/// Tells a connection to close.
#[derive(Debug, Default)]
struct Close {
    told: Notify,
    is_late: AtomicBool,
}

/// Why a half-open connection has to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Others need its room.
    Evicted,
    /// It took longer than [`REQUEST_DEADLINE`].
    Late,
}

/// A place for one half-open connection, and its bytes until it is decided. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    number: u64,
    free: AtomicUsize,
    bytes: AtomicUsize,
    waits: OnceLock<Account>,
    close: Arc<Close>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from process `peer` (0: unseen).
    pub(crate) fn enter(self: &Arc<Self>, peer: u32) -> Pass {
        let mut state = self.state();
        let own = state.per_peer.get(&peer).filter(|own| own.len() >= MAX_HALF_OPEN_PER_PEER);
        let crowd = (state.open.len() >= MAX_HALF_OPEN).then(|| state.open.keys().next());
        let leaving = own.map_or(crowd.flatten(), BTreeSet::first).copied();
        if let Some(number) = leaving {
            state.evict(number);
        }
        let number = state.next;
        state.next += 1;
        state.per_peer.entry(peer).or_default().insert(number);
        let close = Arc::<Close>::default();
        let held = Held {
            peer,
            is_large: false,
            late_from: Instant::now() + REQUEST_DEADLINE,
            close: Arc::clone(&close),
        };
        state.open.insert(number, held);
        if !state.is_timed {
            state.is_timed = true;
            self.entered.notify_one();
        }
        Pass {
            gate: Arc::clone(self),
            number,
            free: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            waits: OnceLock::new(),
            close,
        }
    }

    /// Closes connections that are half-open for too long, for ever. One clock for all: a timer for each would cost
    /// each request a wake-up of the event loop.
    pub(crate) async fn keep_time(&self) {
        loop {
            match self.close_late(Instant::now()) {
                Some(next) => sleep_until(next).await,
                None => self.entered.notified().await,
            }
        }
    }

    /// When to look again; `None` when there is nobody to look at.
    fn close_late(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        // The oldest comes first.
        while let Some((&number, held)) = state.open.first_key_value() {
            if held.late_from > now {
                return Some(held.late_from);
            }
            held.close.is_late.store(true, Ordering::Relaxed);
            state.evict(number);
        }
        state.is_timed = false;
        None
    }

    /// Closes the oldest half-open connections, at most so many.
    pub(crate) fn evict_oldest(&self, count: usize) {
        let mut state = self.state();
        let oldest: Vec<u64> = state.open.keys().take(count).copied().collect();
        oldest.into_iter().for_each(|number| state.evict(number));
    }
}

impl State {
    fn evict(&mut self, number: u64) {
        if let Some(held) = self.leave(number) {
            held.close.told.notify_one();
        }
    }

    /// It is half-open no longer.
    fn leave(&mut self, number: u64) -> Option<Held> {
        let held = self.open.remove(&number)?;
        if let Some(own) = self.per_peer.get_mut(&held.peer) {
            own.remove(&number);
            if own.is_empty() {
                self.per_peer.remove(&held.peer);
            }
        }
        Some(held)
    }

    fn may_wait(&self, account: &Account, bytes: usize) -> bool {
        let own = self.waiting_of.get(account).copied().unwrap_or(0);
        let left = MAX_WAITING_BYTES.checked_sub(self.waiting + bytes);
        bytes == 0 || left.is_some_and(|left| (own + bytes) * LEFT_TO_OTHERS <= left)
    }

    fn wait_no_more(&mut self, account: &Account, bytes: usize) {
        self.waiting -= bytes;
        if let Some(own) = self.waiting_of.get_mut(account) {
            *own -= bytes;
            if *own == 0 {
                self.waiting_of.remove(account);
            }
        }
    }
}

impl Pass {
    /// Takes `more` bytes beyond the free ones, as soon as there is room. `false`: this connection was closed to make
    /// room for others.
    pub(crate) async fn take(&self, more: usize) -> bool {
        loop {
            let mut freed = pin!(self.gate.freed.notified());
            freed.as_mut().enable();
            if let Some(taken) = self.try_take(more) {
                return taken;
            }
            freed.await;
        }
    }

    /// `None`: somebody else was told to make room, or all others are being decided.
    fn try_take(&self, more: usize) -> Option<bool> {
        let mut state = self.gate.state();
        let has_room = state.bytes + more <= MAX_BYTES;
        let Some(held) = state.open.get_mut(&self.number) else { return Some(false) };
        held.is_large = true;
        if has_room {
            state.bytes += more;
            self.bytes.fetch_add(more, Ordering::Relaxed);
            return Some(true);
        }
        let others =
            state.open.iter().filter(|&(&number, held)| number != self.number && held.is_large);
        let oldest = others.map(|(&number, _)| number).next();
        if let Some(number) = oldest {
            state.evict(number);
        }
        None
    }

    /// A request of this length was read: the connection is half-open no longer, and its bytes stay until this is
    /// dropped.
    pub(crate) fn read(&self, length: usize) {
        self.free.store(length.min(FREE_BYTES), Ordering::Relaxed);
        self.gate.state().leave(self.number);
    }

    /// Of what was read, the bytes that it did not have to ask for.
    pub(crate) fn free_bytes(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// The request waits for a person, and its bytes with it, on `account`. `false`: there is no room for that.
    pub(crate) fn wait(&self, account: Account) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed);
        {
            let mut state = self.gate.state();
            if self.waits.get().is_some() {
                return true;
            }
            if !state.may_wait(&account, bytes) {
                return false;
            }
            state.waiting += bytes;
            state.bytes -= bytes;
            if bytes > 0 {
                *state.waiting_of.entry(account.clone()).or_default() += bytes;
            }
            // Under the lock, so that nobody else has set it.
            let _ = self.waits.set(account);
        }
        self.gate.freed.notify_waiters();
        true
    }

    /// Resolves when this connection has to close.
    pub(crate) async fn closing(&self) -> Closing {
        self.close.told.notified().await;
        if self.close.is_late.load(Ordering::Relaxed) { Closing::Late } else { Closing::Evicted }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        {
            let mut state = self.gate.state();
            state.leave(self.number);
            let bytes = self.bytes.load(Ordering::Relaxed);
            match self.waits.get() {
                Some(account) => state.wait_no_more(account, bytes),
                None => state.bytes -= bytes,
            }
        }
        self.gate.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_greedy_peer_pushes_out_its_own_oldest_and_nobody_else() {
        let gate = Arc::new(Gate::default());
        let other = gate.enter(8);
        let held: Vec<_> = (0..=MAX_HALF_OPEN_PER_PEER).map(|_| gate.enter(7)).collect();
        assert!(other.take(1).await);
        assert!(!held[0].take(1).await);
        assert!(held[1].take(1).await);
    }

    #[tokio::test]
    async fn the_oldest_makes_room_for_a_newcomer() {
        let gate = Arc::new(Gate::default());
        let peers = u32::try_from(MAX_HALF_OPEN).unwrap();
        let held: Vec<_> = (0..peers).map(|peer| gate.enter(peer)).collect();
        let newcomer = gate.enter(peers);
        assert_eq!(gate.state().open.len(), MAX_HALF_OPEN);
        assert!(!held[0].take(1).await, "the oldest has lost its place");
        assert!(newcomer.take(1).await);
        gate.evict_oldest(2);
        assert!(!held[1].take(1).await && !held[2].take(1).await && held[3].take(1).await);
    }

    #[tokio::test]
    async fn who_takes_too_long_is_closed_and_who_was_read_in_time_is_not() {
        let gate = Arc::new(Gate::default());
        let (slow, quick) = (gate.enter(1), gate.enter(1));
        let begun = Instant::now();
        assert!(gate.state().is_timed, "who came first asked for the clock");
        let next = gate.close_late(begun).unwrap();
        assert!(next <= begun + REQUEST_DEADLINE);
        quick.read(0);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let later = gate.enter(1);
        assert!(gate.close_late(next).unwrap() > next, "the later one has its own time");
        assert_eq!(slow.closing().await, Closing::Late);
        gate.evict_oldest(1);
        assert_eq!(later.closing().await, Closing::Evicted);
        assert!(gate.close_late(next).is_none() && !gate.state().is_timed);
        let told = tokio::time::timeout(Duration::from_millis(5), quick.closing()).await;
        assert!(told.is_err());
        drop(gate.enter(1));
        assert!(gate.state().is_timed, "and so does who comes after a rest");
    }

    #[tokio::test]
    async fn bytes_are_bounded_over_all_until_they_are_given_back() {
        let gate = Arc::new(Gate::default());
        let (first, second) = (gate.enter(1), gate.enter(2));
        assert!(first.take(MAX_BYTES).await);
        let waits = tokio::time::timeout(Duration::from_millis(20), second.take(MAX_BYTES)).await;
        assert!(waits.is_err(), "the first was told to go, and its bytes are there still");
        assert!(!first.take(1).await, "the first was closed to make room");
        drop(first);
        assert!(second.take(MAX_BYTES).await);
        drop(second);
        assert_eq!(gate.state().bytes, 0);
        assert!(gate.state().per_peer.is_empty());
    }

    fn held(gate: &Gate) -> (usize, usize) {
        let state = gate.state();
        (state.bytes, state.waiting)
    }

    #[tokio::test]
    async fn what_waits_for_a_person_has_a_bound_of_its_own() {
        const HALF: usize = MAX_WAITING_BYTES / 2;
        let gate = Arc::new(Gate::default());
        let (first, second) = (gate.enter(1), gate.enter(2));
        assert!(first.take(HALF).await && second.take(1).await);
        let (one, other) = (Account::of_uid(1), Account::of_uid(1));
        assert!(first.wait(one.clone()) && first.wait(one.clone()));
        assert!(!second.wait(one.clone()), "one account alone has half, whatever process asks");
        assert_eq!(held(&gate), (1, HALF));
        let small = gate.enter(1);
        assert!(small.wait(one.clone()), "what takes none of it may wait in any case");
        drop(first);
        assert!(second.wait(other));
        drop((second, small));
        assert_eq!(held(&gate), (0, 0));
        assert!(gate.state().waiting_of.is_empty());
    }

    #[tokio::test]
    async fn however_many_wait_with_all_they_can_there_is_room_for_the_next() {
        let gate = Arc::new(Gate::default());
        let mut waiting = Vec::new();
        let mut shares = Vec::new();
        for uid in 0..10 {
            let mut share = 0;
            loop {
                let pass = gate.enter(uid);
                assert!(pass.take(4096).await);
                if !pass.wait(Account::of_uid(uid)) {
                    break;
                }
                share += 4096;
                waiting.push(pass);
            }
            shares.push(share);
        }
        assert_eq!(shares[..4], [4 << 20, 2 << 20, 1 << 20, 1 << 19]);
        assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
        assert!(held(&gate).1 <= MAX_WAITING_BYTES);
    }

    #[tokio::test]
    async fn who_was_read_is_not_closed_and_is_waited_for() {
        let gate = Arc::new(Gate::default());
        let (first, second) = (gate.enter(1), gate.enter(2));
        assert!(first.take(MAX_BYTES).await);
        first.read(0);
        let closed = tokio::time::timeout(Duration::from_millis(20), async {
            tokio::select! {
                _ = first.closing() => true,
                taken = second.take(1) => taken,
            }
        });
        assert!(closed.await.is_err());
        drop(first);
        assert!(second.take(1).await);
    }
}
