//! A process and everything below it: counted, signalled, ended, frozen. Signals go through pidfds whose identity was
//! checked, so a number that was used again is never hit. Daemons are found as long as the root, or a process above
//! it, is the subreaper that they fall back to; what a cgroup can do exactly is in [`super::cgroup`].
//!
//! All functions block; call them from a thread that may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::children::children;
use super::pidfd;
use super::proc::{self, Identity, ProcessError, Stat};

/// How long processes may take to vanish after SIGKILL, or to stop after SIGSTOP. Who takes longer (a process that
/// hangs in a file system) is reported as a problem.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two walks while waiting; it doubles from the first to the second value.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Rounds of SIGKILL after which processes are stopped first, so that a tree that forks quickly is caught up with.
const ROUNDS_BEFORE_STOP: u32 = 3;

/// How often a root's children are looked at, one time right after the other, while new ones come.
const LOOKS: u32 = 64;

/// Whether the root is meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The root and all below it.
    Whole,
    /// All below the root: the root is ours and sees them end.
    BelowRoot,
}

/// What was done to a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Processes that were signalled.
    pub processes: usize,
    /// What could not be done, one sentence each.
    pub problems: Vec<String>,
}

/// Everything below a process at the moment, without what has ended. A process is listed before its children.
///
/// # Errors
/// When /proc cannot be read.
pub fn descendants(root: Identity) -> Result<Vec<Identity>, ProcessError> {
    Ok(descendants_in(&Snapshot::take()?, root))
}

/// Everything that was below a process when `all` was taken.
#[must_use]
pub fn descendants_in(all: &Snapshot, root: Identity) -> Vec<Identity> {
    let found = Tree::new(root, Scope::BelowRoot).walk_in(all);
    found.iter().map(Stat::identity).collect()
}

/// Sends a signal once to everything that one walk finds.
#[must_use]
pub fn signal_tree(root: Identity, scope: Scope, signal: Signal) -> Report {
    let mut tree = Tree::new(root, scope);
    match tree.walk() {
        Ok(found) => found.iter().for_each(|stat| tree.send(stat.identity(), signal)),
        Err(error) => tree.problem(error.to_string()),
    }
    tree.into_report()
}

/// Ends a tree: SIGTERM and SIGCONT, after `grace` SIGKILL, until a walk finds nobody. What appears during the grace
/// (clean-up that a trap starts) is left its time. A grace of zero kills at once.
#[must_use]
pub fn end_tree(root: Identity, scope: Scope, grace: Duration) -> Report {
    let mut tree = Tree::new(root, scope);
    if !grace.is_zero() {
        match tree.walk() {
            Ok(found) => {
                for stat in &found {
                    tree.send(stat.identity(), Signal::TERM);
                    tree.send(stat.identity(), Signal::CONT);
                }
            }
            Err(error) => tree.problem(error.to_string()),
        }
        if tree
            .wait(grace, |tree, left| left.is_empty() && tree.settles(left, Stat::has_ended, None))
        {
            return tree.into_report();
        }
    }
    tree.kill();
    tree.into_report()
}

/// Stops a tree with SIGSTOP, again and again until a walk finds nobody that runs.
#[must_use]
pub fn freeze_tree(root: Identity, scope: Scope) -> Report {
    let mut tree = Tree::new(root, scope);
    let stopped = tree.wait(PATIENCE, |tree, found| {
        let running: Vec<_> = found.iter().filter(|stat| !stat.is_stopped()).collect();
        running.iter().for_each(|stat| tree.send(stat.identity(), Signal::STOP));
        running.is_empty()
            && tree.settles(found, |stat| stat.is_stopped() || stat.has_ended(), Some(Signal::STOP))
    });
    if !stopped {
        tree.problem_of_the_rest("does not stop");
    }
    tree.into_report()
}

/// Lets a frozen tree go on.
#[must_use]
pub fn thaw_tree(root: Identity, scope: Scope) -> Report {
    signal_tree(root, scope, Signal::CONT)
}

/// One operation on a tree. Everything that was ever found stays known: when a parent dies between two walks, its
/// children are still looked for under their own name.
struct Tree {
    root: Identity,
    scope: Scope,
    known: BTreeSet<Identity>,
    signalled: BTreeSet<Identity>,
    refused: BTreeSet<Identity>,
    problems: Vec<String>,
}

impl Tree {
    fn new(root: Identity, scope: Scope) -> Self {
        Self {
            root,
            scope,
            known: BTreeSet::from([root]),
            signalled: BTreeSet::new(),
            refused: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    fn into_report(self) -> Report {
        Report { processes: self.signalled.len(), problems: self.problems }
    }

    fn problem(&mut self, text: String) {
        if !self.problems.contains(&text) {
            self.problems.push(text);
        }
    }

    /// What is in the tree and has not ended. This process and what is below it is never part of it.
    fn walk(&mut self) -> Result<Vec<Stat>, ProcessError> {
        Ok(self.walk_in(&Snapshot::take()?))
    }

    fn walk_in(&mut self, Snapshot { all, children }: &Snapshot) -> Vec<Stat> {
        self.known.retain(|known| all.get(&known.pid).is_some_and(|s| s.identity() == *known));
        let mut seen = BTreeSet::from([std::process::id()]);
        let mut found = Vec::new();
        let mut next: Vec<u32> = self.known.iter().map(|known| known.pid).collect();
        // The root comes first, so that a process stands before its children wherever the tree is whole.
        next.sort_by_key(|&pid| pid != self.root.pid);
        let mut at = 0;
        while let Some(&pid) = next.get(at) {
            at += 1;
            let Some(stat) = all.get(&pid).filter(|_| seen.insert(pid)) else { continue };
            next.extend(children.get(&pid).into_iter().flatten());
            self.known.insert(stat.identity());
            let in_scope = self.scope == Scope::Whole || stat.identity() != self.root;
            if in_scope && !stat.has_ended() {
                found.push(*stat);
            }
        }
        found
    }

    fn send(&mut self, identity: Identity, signal: Signal) {
        let sent = pidfd::open_identity(identity).map(|fd| pidfd::send_signal(fd.as_fd(), signal));
        match sent {
            Ok(Ok(())) => {
                self.signalled.insert(identity);
            }
            Ok(Err(error)) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Ok(Err(error)) => {
                self.refused.insert(identity);
                self.problem(format!("cannot signal process {}: {error}", identity.pid));
            }
            Err(ProcessError::Gone { .. }) => {}
            Err(error) => self.problem(error.to_string()),
        }
    }

    /// Walks until `done` says so or the time is over; processes that may not be signalled are not waited for.
    fn wait(&mut self, time: Duration, mut done: impl FnMut(&mut Self, &[Stat]) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut pause = PAUSE.0;
        loop {
            match self.walk() {
                Ok(mut found) => {
                    found.retain(|stat| !self.refused.contains(&stat.identity()));
                    if done(self, &found) {
                        return true;
                    }
                }
                Err(error) => self.problem(error.to_string()),
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// The root stops first and dies last: while it stands, orphans fall back to it and are found.
    fn kill(&mut self) {
        if self.scope == Scope::Whole {
            self.send(self.root, Signal::STOP);
        }
        let mut round = 0;
        let ended = self.wait(PATIENCE, |tree, found| {
            let root = tree.root;
            let below: Vec<_> =
                found.iter().map(Stat::identity).filter(|found| *found != root).collect();
            if below.is_empty() {
                if !tree.settles(found, Stat::has_ended, Some(Signal::KILL)) {
                    return false;
                }
                found.iter().for_each(|stat| tree.send(stat.identity(), Signal::KILL));
                return found.is_empty();
            }
            if round >= ROUNDS_BEFORE_STOP {
                below.iter().for_each(|found| tree.send(*found, Signal::STOP));
            }
            below.iter().for_each(|found| tree.send(*found, Signal::KILL));
            round += 1;
            false
        });
        if !ended {
            self.problem_of_the_rest("does not end");
        }
    }

    /// Whether every child of the root and of those that are `alive`, all of them done, is `done` as well, as far as the kernel
    /// lists children; those that are not get the signal, if there is one. A walk that finds nobody does not tell: what began
    /// while it looked is not seen, and who began it may have ended when its turn came. What such a one began falls to the
    /// root before it has ended: when all were done and none is new since, there is none.
    fn settles(
        &mut self,
        alive: &[Stat],
        done: impl Fn(&Stat) -> bool,
        signal: Option<Signal>,
    ) -> bool {
        let mut parents = BTreeSet::from([self.root]);
        parents.extend(alive.iter().map(Stat::identity));
        let mut seen: BTreeSet<u32> = parents.iter().map(|parent| parent.pid).collect();
        seen.insert(std::process::id());
        let mut all_done = true;
        for _ in 0..LOOKS {
            let listed = parents.iter().filter_map(|parent| children(*parent).ok()).flatten();
            let new: Vec<u32> = listed.filter(|pid| !seen.contains(pid)).collect();
            if new.is_empty() {
                return all_done;
            }
            // The newest first: in a moment it may be another one.
            for stat in new.iter().rev().filter_map(|&pid| proc::stat(pid).ok()) {
                let child = stat.identity();
                if !stat.has_ended() {
                    parents.insert(child);
                }
                if !done(&stat) && !self.refused.contains(&child) {
                    all_done = false;
                    self.known.insert(child);
                    signal.into_iter().for_each(|signal| self.send(child, signal));
                }
            }
            seen.extend(new);
        }
        false
    }

    fn problem_of_the_rest(&mut self, what: &str) {
        let rest = self.walk().unwrap_or_default();
        if rest.is_empty() {
            let root = self.root.pid;
            self.problem(format!(
                "what is below process {root} begins and ends faster than it is looked at"
            ));
        }
        for stat in rest {
            let state = char::from(stat.state);
            self.problem(format!("process {} {what} (state {state})", stat.pid));
        }
    }
}

/// Every process that /proc shows, at one time.
#[derive(Debug)]
pub struct Snapshot {
    all: BTreeMap<u32, Stat>,
    children: BTreeMap<u32, Vec<u32>>,
}

impl Snapshot {
    /// Takes it.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn take() -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Read { pid: 0, file: "..", source };
        let mut all = BTreeMap::new();
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc").map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match proc::stat(pid) {
                Ok(stat) => {
                    children.entry(stat.ppid).or_default().push(pid);
                    all.insert(pid, stat);
                }
                Err(ProcessError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { all, children })
    }
}

#[cfg(test)]
mod tests;
