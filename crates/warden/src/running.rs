//! What runs at this moment, so that the kill switch and a shutdown can reach all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::jails::JailName;
use crate::plan::RequestId;

/// What a running command is told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// End the whole tree.
    End {
        /// Why, for the person who waits at the other end.
        why: String,
    },
    /// Stop the whole tree where it stands.
    Freeze,
    /// Let it go on.
    Thaw,
    /// The warden goes down: what was handed off is left to itself, what is supervised is ended.
    Leave,
}

/// The commands that run.
#[derive(Debug)]
pub(crate) struct Running {
    entries: Mutex<HashMap<RequestId, (Origin, mpsc::UnboundedSender<Order>)>>,
    count: watch::Sender<usize>,
}

/// Whom a command runs for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The jail that it was asked in, and the one that the caller belongs to where that is another.
    pub(crate) jails: Vec<JailName>,
    /// The id of the container that it was asked from.
    pub(crate) container: Option<String>,
}

/// One running command. Dropped when it has ended and its record is written.
#[derive(Debug)]
pub(crate) struct Run {
    registry: Arc<Running>,
    id: RequestId,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Default for Running {
    fn default() -> Self {
        Self { entries: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Running {
    fn entries(
        &self,
    ) -> MutexGuard<'_, HashMap<RequestId, (Origin, mpsc::UnboundedSender<Order>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a command that is about to start. From here on orders reach it.
    pub(crate) fn enter(self: &Arc<Self>, id: RequestId, origin: Origin) -> Run {
        let (sender, orders) = mpsc::unbounded_channel();
        let mut entries = self.entries();
        entries.insert(id, (origin, sender));
        self.count.send_replace(entries.len());
        Run { registry: Arc::clone(self), id, orders }
    }

    /// Gives every running command that `meant` likes an order, and says how many these are.
    pub(crate) fn order(&self, order: &Order, meant: impl Fn(&Origin) -> bool) -> usize {
        let entries = self.entries();
        let meant = entries.values().filter(|(origin, _)| meant(origin));
        // A receiver that is gone belongs to a command that has ended.
        meant.filter(|(_, sender)| sender.send(order.clone()).is_ok()).count()
    }

    /// Whether this command runs.
    pub(crate) fn holds(&self, id: RequestId) -> bool {
        self.entries().contains_key(&id)
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
        let left = || self.entries().values().filter(|(origin, _)| meant(origin)).count();
        let mut count = self.count.subscribe();
        // It is told of each that begins or ends.
        let empty = async { while left() > 0 && count.changed().await.is_ok() {} };
        // The sender lives as long as this registry, so only the time can run out.
        let _ = tokio::time::timeout(patience, empty).await;
        left()
    }
}

impl Run {
    /// The next order. Cancel-safe; never resolves when there is none.
    pub(crate) async fn order(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut entries = self.registry.entries();
        entries.remove(&self.id);
        self.registry.count.send_replace(entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(jail: &str) -> Origin {
        Origin { jails: vec![JailName::new(jail).unwrap()], container: None }
    }

    #[tokio::test]
    async fn an_order_reaches_everything_that_runs() {
        let running = Arc::new(Running::default());
        let (mut a, b) = (running.enter([1; 16], of("web")), running.enter([2; 16], of("db")));
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
        let (mut a, mut b) = (running.enter([1; 16], of("web")), running.enter([2; 16], of("db")));
        let web = |origin: &Origin| *origin == of("web");
        assert_eq!(running.order(&Order::Thaw, web), 1);
        assert_eq!(a.order().await, Order::Thaw);
        assert!(tokio::time::timeout(Duration::from_millis(10), b.order()).await.is_err());
        let waiting = running.drained(Duration::from_secs(5), web);
        drop(a);
        assert_eq!(waiting.await, 0);
    }
}
