//! What runs at this moment, so that the kill switch, a person and a shutdown can reach all of it.

mod bequests;
mod card;
mod told;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::ledger::{Finished, RequestId};
use crate::metrics::{Meter, Outcome};
use crate::plan::Origin;
use crate::process::usage::Tree;
use crate::quotas::Seats;

use bequests::Bequests;
pub(crate) use bequests::Heir;
pub(crate) use card::Card;
pub(crate) use told::Unstoppable;

/// Commands that have ended and are still known by their ids. Of older ones nothing is known here.
const REMEMBERED: usize = 4096;

/// What a running command is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// End the whole tree.
    End {
        /// Why, for the person who waits at the other end.
        why: String,
    },
    /// End the whole tree, politely first: a person wants this command to end.
    Stop {
        /// Who says so and why, for the one who waits at the other end.
        why: String,
    },
    /// Stop the whole tree where it stands.
    Freeze,
    /// Let it go on.
    Thaw,
    /// The warden goes down: what was handed off is left to itself, what is supervised is ended.
    Leave,
}

impl Order {
    /// Whether it ends the command.
    pub(crate) fn ends(&self) -> bool {
        match self {
            Self::End { .. } | Self::Stop { .. } | Self::Leave => true,
            Self::Freeze | Self::Thaw => false,
        }
    }
}

/// The commands that run.
#[derive(Debug)]
pub(crate) struct Running {
    table: Mutex<Table>,
    bequests: Mutex<Bequests>,
    count: watch::Sender<usize>,
}

/// In the order in which they began.
#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    ended: VecDeque<RequestId>,
}

#[derive(Debug)]
struct Entry {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
}

/// What is known of a running command, by itself and by whoever asks.
#[derive(Debug)]
struct Shared {
    /// The warden's own random number: no two have the same.
    id: RequestId,
    origin: Origin,
    card: Card,
    /// Where its processes are, once it has some.
    tree: OnceLock<Tree>,
    /// A [`State`].
    state: AtomicU8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Starting,
    Running,
    Paused,
    Ending,
}

impl State {
    fn of(number: u8) -> Self {
        let all = [Self::Starting, Self::Running, Self::Paused];
        all.into_iter().find(|state| *state as u8 == number).unwrap_or(Self::Ending)
    }
}

/// One running command. Dropped when it has ended and its record is written.
#[derive(Debug)]
pub(crate) struct Run {
    registry: Arc<Running>,
    number: u64,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Once its intent is written.
    meter: Option<Meter>,
    /// What it takes of its rules' quotas, until it has ended.
    seats: Option<Seats>,
    /// It hands its approval down to what it starts.
    bequeaths: bool,
}

impl Default for Running {
    fn default() -> Self {
        let (table, bequests) = (Mutex::default(), Mutex::default());
        Self { table, bequests, count: watch::Sender::new(0) }
    }
}

impl Running {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests of all that runs.
    pub(crate) fn ids(&self) -> Vec<RequestId> {
        self.table().entries.values().map(|entry| entry.shared.id).collect()
    }

    /// Enters a command that is about to start. From here on orders reach it.
    pub(crate) fn enter(self: &Arc<Self>, id: RequestId, origin: Origin, card: Card) -> Run {
        let (sender, orders) = mpsc::unbounded_channel();
        let (tree, state) = (OnceLock::new(), AtomicU8::new(State::Starting as u8));
        let shared = Arc::new(Shared { id, origin, card, tree, state });
        let entry = Entry { shared: Arc::clone(&shared), orders: sender };
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.entries.insert(number, entry);
        self.count.send_replace(table.entries.len());
        let (meter, seats, bequeaths) = (None, None, false);
        Run { registry: Arc::clone(self), number, shared, orders, meter, seats, bequeaths }
    }

    /// Gives every running command that `meant` likes an order, and says how many these are.
    pub(crate) fn order(&self, order: &Order, meant: impl Fn(&Origin) -> bool) -> usize {
        let table = self.table();
        let meant = table.entries.values().filter(|entry| meant(&entry.shared.origin));
        meant.map(|entry| entry.order(order.clone())).filter(|&taken| taken).count()
    }

    /// Whether this command runs.
    pub(crate) fn holds(&self, id: RequestId) -> bool {
        self.table().entries.values().any(|entry| entry.shared.id == id)
    }

    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until nothing runs that `meant` likes, at most for `patience`. Gives what is left.
    pub(crate) async fn drained(
        &self,
        patience: Duration,
        meant: impl Fn(&Origin) -> bool,
    ) -> usize {
        let left =
            || self.table().entries.values().filter(|entry| meant(&entry.shared.origin)).count();
        let mut count = self.count.subscribe();
        // It is told of each that begins or ends.
        let empty = async { while left() > 0 && count.changed().await.is_ok() {} };
        // The sender lives as long as this registry, so only the time can run out.
        let _ = tokio::time::timeout(patience, empty).await;
        left()
    }

    /// Waits until one begins or ends, at most for `patience`.
    pub(crate) async fn changed(&self, patience: Duration) {
        let mut count = self.count.subscribe();
        // The sender lives as long as this registry, so only the time can run out.
        let _ = tokio::time::timeout(patience, count.changed()).await;
    }

    /// Waits until this command has ended, at most for `patience`. Whether it has.
    pub(crate) async fn ended(&self, id: RequestId, patience: Duration) -> bool {
        let mut count = self.count.subscribe();
        let gone = async { while self.holds(id) && count.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(patience, gone).await;
        !self.holds(id)
    }
}

impl Entry {
    /// Whether there is somebody who takes it: a receiver that is gone belongs to a command that has ended.
    fn order(&self, order: Order) -> bool {
        let next = |state| match (&order, State::of(state)) {
            (Order::End { .. } | Order::Stop { .. }, _) | (_, State::Ending) => State::Ending,
            (Order::Freeze, _) => State::Paused,
            (Order::Thaw, State::Paused) => State::Running,
            (_, state) => state,
        };
        let state = &self.shared.state;
        // It cannot fail: there is always a next one.
        let _ = state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |is| Some(next(is) as u8));
        self.orders.send(order).is_ok()
    }
}

impl Run {
    /// Whom it runs for.
    pub(crate) fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// Counts it as started, until it is dropped.
    pub(crate) fn counts(&mut self, meter: Meter) {
        self.meter = Some(meter);
    }

    /// Holds these until it is dropped.
    pub(crate) fn takes(&mut self, seats: Seats) {
        self.seats = Some(seats);
    }

    /// Whether it hands its approval down to what it starts.
    pub(crate) fn bequeaths(&self) -> bool {
        self.bequeaths
    }

    /// Whether nothing that others may do depends on whether it still runs.
    pub(crate) fn is_nobodys_condition(&self) -> bool {
        self.seats.is_none() && !self.bequeaths
    }

    /// It may start now, and its start counts.
    pub(crate) fn begins(&mut self) {
        if let Some(seats) = &mut self.seats {
            seats.begin();
        }
    }

    /// Counts how it ended.
    pub(crate) fn finished(&self, how: &Finished) {
        if let Some(meter) = &self.meter {
            meter.finished(Duration::from_millis(how.duration_ms), outcome(how));
        }
    }

    /// Tells where its processes are, once, as far as they are seen. It counts as running from here on.
    pub(crate) fn is_in(&self, tree: Option<Tree>) {
        let Shared { tree: place, state, .. } = &*self.shared;
        // Whoever looks before it runs finds no processes.
        tree.map(|tree| place.set(tree));
        let (starting, running) = (State::Starting as u8, State::Running as u8);
        // One that was told something meanwhile stays what it is by that.
        let _ = state.compare_exchange(starting, running, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The next order. Cancel-safe; never resolves when there is none.
    pub(crate) async fn order(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }
}

/// What an end counts as.
fn outcome(how: &Finished) -> Outcome {
    match (how.exit_code, how.signal) {
        _ if how.timed_out => Outcome::TimedOut,
        _ if how.cancelled => Outcome::Cancelled,
        (Some(0), _) => Outcome::Ok,
        (Some(_), _) => Outcome::Failed,
        (None, Some(_)) => Outcome::Killed,
        (None, None) => Outcome::Unknown,
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.bequeaths {
            self.bequeaths_no_more();
        }
        let mut table = self.registry.table();
        if table.entries.remove(&self.number).is_some() {
            if table.ended.len() == REMEMBERED {
                table.ended.pop_front();
            }
            table.ended.push_back(self.shared.id);
        }
        self.registry.count.send_replace(table.entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jails::JailName;

    fn of(jail: &str) -> Origin {
        Origin { jails: vec![JailName::new(jail).unwrap()], container: None, is_told: true }
    }

    #[test]
    fn an_end_counts_as_what_has_ended_it() {
        let how = |exit_code, signal| Finished {
            id: crate::ledger::Id([1; 16]),
            exit_code,
            signal,
            exit_source: String::new(),
            duration_ms: 1_500,
            timed_out: false,
            cancelled: false,
            bytes_out: None,
            error: None,
            recording: None,
        };
        assert_eq!(outcome(&how(Some(0), None)), Outcome::Ok);
        assert_eq!(outcome(&how(Some(3), None)), Outcome::Failed);
        assert_eq!(outcome(&how(None, Some(9))), Outcome::Killed);
        assert_eq!(outcome(&how(None, None)), Outcome::Unknown);
        let late = Finished { timed_out: true, ..how(None, Some(15)) };
        assert_eq!(outcome(&late), Outcome::TimedOut);
        assert_eq!(
            outcome(&Finished { cancelled: true, ..how(None, Some(15)) }),
            Outcome::Cancelled
        );
    }

    #[tokio::test]
    async fn an_order_reaches_everything_that_runs() {
        let running = Arc::new(Running::default());
        let (mut a, b) = (
            running.enter([1; 16], of("web"), Card::default()),
            running.enter([2; 16], of("db"), Card::default()),
        );
        assert_eq!(running.order(&Order::Freeze, |_| true), 2);
        assert_eq!(a.order().await, Order::Freeze);
        drop(b);
        assert_eq!(running.count(), 1);
        assert_eq!(running.drained(Duration::from_millis(1), |_| true).await, 1);
        drop(a);
        assert_eq!(running.drained(Duration::from_secs(5), |_| true).await, 0);
    }

    #[tokio::test]
    async fn an_order_for_one_jail_leaves_others_alone() {
        let running = Arc::new(Running::default());
        let (mut a, mut b) = (
            running.enter([1; 16], of("web"), Card::default()),
            running.enter([2; 16], of("db"), Card::default()),
        );
        let web = |origin: &Origin| *origin == of("web");
        assert_eq!(running.order(&Order::Thaw, web), 1);
        assert_eq!(a.order().await, Order::Thaw);
        assert!(tokio::time::timeout(Duration::from_millis(10), b.order()).await.is_err());
        let waiting = running.drained(Duration::from_secs(5), web);
        drop(a);
        assert_eq!(waiting.await, 0);
    }
}
