//! Telling what runs, and finding the one that a person means.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use clawrden_api::{RunningEntry, RunningList};

use super::{Order, Running, Shared, State};
use crate::jails::JailName;
use crate::ledger::{Id, Method, RequestId};
use crate::process::tree::Snapshot;
use crate::process::usage::{Tree, usage};

/// The fewest digits that name a command.
const FEWEST: usize = 4;

/// Why a command cannot be stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unstoppable {
    /// There is none.
    #[error("nothing runs as {0}; `clawrden ps` lists what runs")]
    Unknown(String),
    /// It has ended by itself.
    #[error("command {0} has ended already")]
    Ended(String),
    /// The digits are those of several.
    #[error("{prefix} names {count} running commands: {}; give more of its digits", ids.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Some of them, whole.
        ids: Vec<String>,
        /// How many there are.
        count: usize,
    },
}

/// Ids that are named where digits fit several.
const NAMED: usize = 4;

impl Running {
    /// What runs, oldest first. Reads /proc; blocks.
    pub(crate) fn list(&self) -> RunningList {
        let all: Vec<Arc<Shared>> =
            self.table().entries.values().map(|entry| Arc::clone(&entry.shared)).collect();
        // Nobody who begins or ends waits for words that are made, nor for what is read of the kernel.
        let mut entries: Vec<RunningEntry> = all.iter().map(|shared| shared.told()).collect();
        let seen = if all.is_empty() { None } else { Snapshot::take().ok() };
        let mut ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        ids.sort_unstable();
        for (entry, shared) in entries.iter_mut().zip(&all) {
            entry.short = shortest(&entry.id, &ids);
            let used = seen.as_ref().zip(shared.tree.get());
            let Some(used) = used.and_then(|(seen, tree)| usage(seen, tree)) else { continue };
            entry.cpu_ms = Some(used.cpu_ms);
            entry.memory = Some(used.memory);
            entry.processes = Some(used.processes);
        }
        RunningList { entries }
    }

    /// How many run that were asked in a jail that `in_jail` picks.
    pub(crate) fn count_in(&self, in_jail: &dyn Fn(&str) -> bool) -> usize {
        self.table().entries.values().filter(|entry| in_jail(entry.shared.jail())).count()
    }

    /// The running command that `prefix` names, digits of its id in small letters, and where its processes are.
    ///
    /// # Errors
    /// When it is none, or none alone.
    pub(crate) fn find(&self, prefix: &str) -> Result<(RequestId, Vec<Tree>), Unstoppable> {
        let table = self.table();
        let is_it = |id: &RequestId| Id(*id).to_string().starts_with(prefix);
        let found: Vec<RequestId> =
            table.entries.values().map(|entry| entry.shared.id).filter(is_it).collect();
        let id = match found[..] {
            [id] => id,
            [] => {
                let has_ended = table.ended.iter().any(is_it);
                let prefix = prefix.to_owned();
                return Err(if has_ended {
                    Unstoppable::Ended(prefix)
                } else {
                    Unstoppable::Unknown(prefix)
                });
            }
            _ => {
                let ids = found.iter().take(NAMED).map(|&id| Id(id).to_string()).collect();
                let (prefix, count) = (prefix.to_owned(), found.len());
                return Err(Unstoppable::Ambiguous { prefix, ids, count });
            }
        };
        let of_it = table.entries.values().filter(|entry| entry.shared.id == id);
        Ok((id, of_it.filter_map(|entry| entry.shared.tree.get().cloned()).collect()))
    }

    /// Tells this command to stop; `why` is for whoever waits for it.
    pub(crate) fn stop(&self, id: RequestId, why: &str) {
        self.tell(id, &Order::Stop { why: why.to_owned() });
    }

    /// Gives this command an order.
    pub(crate) fn tell(&self, id: RequestId, order: &Order) {
        for entry in self.table().entries.values().filter(|entry| entry.shared.id == id) {
            entry.order(order.clone());
        }
    }
}

impl Shared {
    fn jail(&self) -> &str {
        self.origin.jails.first().map_or("", JailName::as_str)
    }

    fn told(&self) -> RunningEntry {
        let card = &self.card;
        RunningEntry {
            id: Id(self.id).to_string(),
            short: String::new(),
            jail: self.jail().to_owned(),
            caller: card.caller(),
            argv: card.argv(),
            executor: card.executor.to_owned(),
            cooperative: card.method == Some(Method::Handoff),
            rule: card.rule.as_deref().map(str::to_owned),
            run_as: card.run_as.clone(),
            recording: card.recording.clone(),
            started_ms: card.started_ms(),
            cpu_ms: None,
            memory: None,
            processes: None,
            state: match State::of(self.state.load(Ordering::Acquire)) {
                State::Starting => "starting",
                State::Running => "running",
                State::Paused => "paused",
                State::Ending => "ending",
            }
            .to_owned(),
        }
    }
}

/// The shortest beginning of `id` that no other of `ids`, which are sorted, has.
fn shortest(id: &str, ids: &[String]) -> String {
    let common = |other: &String| {
        other.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count().min(id.len() - 1)
    };
    let at = ids.partition_point(|other| other.as_str() < id);
    let end = ids.partition_point(|other| other.as_str() <= id);
    let before = at.checked_sub(1).and_then(|at| ids.get(at));
    let needed = [before, ids.get(end)].into_iter().flatten().map(|other| common(other) + 1).max();
    id.get(..needed.unwrap_or_default().max(FEWEST)).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Origin;
    use crate::running::Card;

    fn running(ids: &[RequestId]) -> (Arc<Running>, Vec<crate::running::Run>) {
        let running = Arc::new(Running::default());
        let origin = || Origin { jails: Vec::new(), container: None, is_told: true };
        let runs = ids.iter().map(|&id| running.enter(id, origin(), Card::default())).collect();
        (running, runs)
    }

    #[tokio::test]
    async fn the_one_that_is_meant_is_stopped_and_told_why() {
        let (running, mut runs) = running(&[[0xab; 16], [0xac; 16]]);
        let (id, trees) = running.find("abab").unwrap();
        assert_eq!((id, trees.len()), ([0xab; 16], 0));
        running.stop(id, "ann says so");
        assert_eq!(runs[0].order().await, Order::Stop { why: "ann says so".to_owned() });
        let states: Vec<String> = running.list().entries.into_iter().map(|e| e.state).collect();
        assert_eq!(states, ["ending", "starting"]);
    }

    #[test]
    fn digits_of_none_of_several_and_of_an_ended_one_are_told_apart() {
        let mut other = [0xab; 16];
        other[15] = 0;
        let (running, mut runs) = running(&[[0xab; 16], other]);
        let why = |prefix: &str| running.find(prefix).map(|_| ()).unwrap_err();
        assert_eq!(why("ffff"), Unstoppable::Unknown("ffff".to_owned()));
        let told = why("abab");
        assert!(matches!(told, Unstoppable::Ambiguous { count: 2, .. }));
        assert!(told.to_string().contains(&"ab".repeat(16)), "{told}");
        let shorts: Vec<String> = running.list().entries.into_iter().map(|e| e.short).collect();
        assert_eq!(shorts, ["ab".repeat(15) + "a", "ab".repeat(15) + "0"]);
        runs.remove(0);
        assert_eq!(why(&"ab".repeat(16)), Unstoppable::Ended("ab".repeat(16)));
        assert_eq!(running.list().entries[0].short, "abab");
    }
}
