//! Whether who comes to the API over TCP may be a prisoner: in a container, by its address, as the engine tells it: no
//! earlier than the question is about, by one at a time, and not without a pause; on this machine, by its process. While the
//! engine does not answer, what is known holds.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::Warden;
use super::containers::mounts;
use crate::containers::{Addresses, Whose, named};
use crate::engine::{EngineError, Listed};
use crate::executor::is_ghost;
use crate::process::holders;

/// How long whoever comes may wait for the engine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// From one question to the next at least: whoever may be anybody keeps no engine busy.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of the addresses.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: Mutex<Known>,
    /// Held by who asks the engine; when it was asked last. Whatever happened before that is known, if it answered.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Arc<Addresses>,
    /// When something happened to a container last.
    changed: Option<Instant>,
}

impl Neighbours {
    /// Something happened to a container: what was asked for before is outdated.
    pub(super) fn changed(&self) {
        self.known().changed = Some(Instant::now());
    }

    /// The addresses, asked for by `ask` where what is known is of before `since`, or something has happened by now.
    async fn since(
        &self,
        since: Option<Instant>,
        ask: impl Future<Output = Result<Addresses, EngineError>>,
    ) -> Arc<Addresses> {
        let since = since.max(self.known().changed);
        let mut asked = self.asked.lock().await;
        if asked.is_none() || *asked < since {
            if let Some(asked) = *asked {
                sleep_until((asked + PAUSE).into()).await;
            }
            let begin = Instant::now();
            *asked = match timeout(PATIENCE, ask).await {
                Ok(Ok(addresses)) => {
                    self.known().addresses = Arc::new(addresses);
                    Some(begin)
                }
                // Nobody who came meanwhile is told more by asking again.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "where prisoners in containers come from is not told");
                    Some(Instant::now())
                }
                Err(_) => {
                    tracing::warn!("where prisoners in containers come from is not told in time");
                    Some(Instant::now())
                }
            };
        }
        drop(asked);
        Arc::clone(&self.known().addresses)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warden {
    /// Whether a connection that came at `since` from another network namespace, or another machine, may be a prisoner's in
    /// a container.
    pub(super) async fn is_prisoners_address(&self, address: IpAddr, since: Instant) -> bool {
        self.prisoners_addresses(Some(since)).await.has(address)
    }

    /// Whether a socket of this machine is a prisoner's: of a run's, or of a container's that has the machine's network.
    /// `None` where there is neither.
    pub(super) async fn is_prisoners_socket(&self, number: u64) -> Option<bool> {
        let addresses = self.prisoners_addresses(None).await;
        let has_runs = !self.jails.prisoners().is_empty();
        if !has_runs && !addresses.has_containers() {
            return None;
        }
        let is_prisoners = |pid: u32| {
            let is_contained =
                || named(pid).iter().any(|container| addresses.has_container(container));
            matches!(self.jails.prisoner_of(pid), Ok(Some(_))) || is_contained()
        };
        Some(holders(number).into_iter().any(is_prisoners))
    }

    async fn prisoners_addresses(&self, since: Option<Instant>) -> Arc<Addresses> {
        // One that is away is looked for by who follows it.
        if self.engine.may_be_there() {
            return self.neighbours.since(since, self.ask_for_addresses()).await;
        }
        Arc::clone(&self.neighbours.known().addresses)
    }

    async fn ask_for_addresses(&self) -> Result<Addresses, EngineError> {
        let listed = self.engine.list_containers(&[], false).await?;
        let ways = self.ways(mounts(&listed)).await?;
        let whose = |one: &Listed| {
            if !self.jails_of(one, &ways).is_empty() {
                Whose::Jails
            } else if is_ghost(&one.labels) {
                Whose::Ghost
            } else {
                Whose::Others
            }
        };
        let whose: Vec<Whose> = listed.iter().map(whose).collect();
        if whose.iter().all(|whose| *whose == Whose::Others) {
            return Ok(Addresses::default());
        }
        // Not every engine's socket lets that be asked; then all of each network counts.
        let drivers = self.engine.drivers_of_networks().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what networks are made of is not known");
            BTreeMap::new()
        });
        Ok(Addresses::of(&listed, &whose, &drivers))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_is_known_of_before_is_asked_for_again_and_once_for_all_who_wait() {
        let (neighbours, count) = (Neighbours::default(), AtomicUsize::new(0));
        let ask = || async {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Addresses::default())
        };
        let begin = Instant::now();
        let came = Some(begin);
        let all = (0..20).map(|_| neighbours.since(came, ask()));
        futures_util::future::join_all(all).await;
        assert_eq!(count.load(Ordering::SeqCst), 1, "one asks for all who came before");
        neighbours.since(came, ask()).await;
        assert_eq!(count.load(Ordering::SeqCst), 1, "the same connection's next request");
        neighbours.changed();
        neighbours.since(came, ask()).await;
        neighbours.since(Some(Instant::now()), ask()).await;
        assert_eq!(count.load(Ordering::SeqCst), 3, "something happened; then somebody came");
        assert!(begin.elapsed() >= 2 * PAUSE, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn an_engine_that_does_not_answer_takes_away_nothing_that_is_known() {
        let neighbours = Neighbours::default();
        let told = neighbours.since(Some(Instant::now()), async { Ok(Addresses::default()) }).await;
        let failed = async { Err(EngineError::Unwanted) };
        let kept = neighbours.since(Some(Instant::now()), failed).await;
        assert!(Arc::ptr_eq(&told, &kept));
        let kept = neighbours.since(Some(Instant::now()), std::future::pending()).await;
        assert!(Arc::ptr_eq(&told, &kept), "nor one that hangs");
    }
}
