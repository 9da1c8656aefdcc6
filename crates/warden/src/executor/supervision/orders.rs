//! What a supervised run is told from outside while it is under way, and how that reaches its processes.

use std::time::Duration;

use clawrden_protocol::limits::EXIT_UNREACHABLE;

use super::Supervision;
use crate::process::Identity;
use crate::process::cgroup::{CgroupError, Leaf};
use crate::process::tree::{Report, Scope, end_tree, freeze_tree, thaw_tree};
use crate::process::usage::Tree;
use crate::running::Order;

/// How long a runner may take to end its tree, and its client to hear of it, once nothing is polite any more.
const STUCK: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 10_000 });

/// Lets a frozen tree go on, the runner last: it must not see its tool stopped, and tell so.
fn thaw_below_first(runner: Identity, scope: Scope) -> Report {
    let below = thaw_tree(runner, Scope::BelowRoot);
    let mut whole = thaw_tree(runner, scope);
    whole.problems.extend(below.problems);
    whole
}

impl Supervision {
    pub(super) async fn obey(&mut self, order: Order) {
        self.is_ordered_to_end |= order.ends();
        match order {
            Order::End { why } => self.stop(EXIT_UNREACHABLE, &why, true).await,
            Order::Stop { why } => {
                self.stop(EXIT_UNREACHABLE, &why, false).await;
                self.stopped.get_or_insert(why);
            }
            // What is about to end could not.
            Order::Freeze if self.is_ordered_to_end => {}
            Order::Freeze => self.freeze().await,
            Order::Thaw => self.thaw().await,
            Order::Leave => self.stop(EXIT_UNREACHABLE, "the warden went down", false).await,
        }
    }

    /// Where its processes are, as far as they can be seen.
    pub(super) fn tree(&self) -> Option<Tree> {
        let pid = self.runner.pid()?;
        let leaf = self.runner.leaf().cloned();
        let members = move || {
            let inside = leaf.as_ref().and_then(|leaf| leaf.with_what_is_there(Leaf::processes));
            inside.unwrap_or_default()
        };
        Some(Tree::of_runner(pid, members))
    }

    pub(super) async fn stop(&mut self, code: u8, text: &str, now: bool) {
        if self.runner.leaf().is_none() {
            let patience = STUCK + if now { Duration::ZERO } else { self.grace };
            let then = tokio::time::Instant::now() + patience;
            self.overdue = Some(self.overdue.map_or(then, |before| before.min(then)));
        }
        if let Err(error) = self.runner.stop(code, text, now).await {
            tracing::warn!(%error, id = %self.id, "a runner could not be told to stop");
        }
        // It hears that once it goes on, before anything else.
        if self.is_frozen {
            self.thaw().await;
        }
    }

    async fn freeze(&mut self) {
        self.is_frozen = true;
        match self.container {
            Some(_) => self.pause(true).await,
            None => self.each(freeze_tree, Leaf::freeze),
        }
    }

    async fn thaw(&mut self) {
        self.is_frozen = false;
        match self.container {
            Some(_) => self.pause(false).await,
            None => self.each(thaw_below_first, Leaf::thaw),
        }
    }

    /// Freezes or thaws the container that is its own.
    async fn pause(&self, freeze: bool) {
        let Some((engine, id)) = &self.container else { return };
        let done = match freeze {
            true => engine.pause_container(id).await,
            false => engine.unpause_container(id).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, id = %self.id, "a ghost could not be frozen or thawed");
        }
    }

    fn each(
        &self,
        tree: impl FnOnce(Identity, Scope) -> Report,
        cgroup: impl FnOnce(&Leaf) -> Result<(), CgroupError>,
    ) {
        let frozen = self.runner.leaf().and_then(|leaf| leaf.with(cgroup));
        let problems = match (frozen, self.runner.identity()) {
            (Some(frozen), _) => frozen.err().map(|error| error.to_string()).into_iter().collect(),
            (None, Some(runner)) => tree(runner, Scope::Whole).problems,
            (None, None) => vec!["its runner has ended".to_owned()],
        };
        for problem in problems {
            tracing::warn!(id = %self.id, problem, "a command could not be frozen or thawed");
        }
    }

    /// Whether its runner was told to end its tree, and has had its time.
    pub(super) fn is_stuck(&self) -> bool {
        self.overdue.is_some_and(|then| then <= tokio::time::Instant::now())
    }

    /// Ends the tree of a runner that does not do it, where the warden can.
    pub(super) async fn end_tree(&self) {
        if let Some((engine, container)) = &self.container {
            match engine.kill_container(container, "KILL").await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, id = %self.id, "a ghost could not be killed"),
            }
        }
        let Some(runner) = self.engines else { return };
        let ending = move || end_tree(runner, Scope::Whole, Duration::ZERO).problems;
        let problems = tokio::task::spawn_blocking(ending).await.unwrap_or_default();
        if !problems.is_empty() {
            tracing::warn!(id = %self.id, ?problems, "not all of a command could be ended");
        }
    }
}
