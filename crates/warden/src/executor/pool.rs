//! Runners that wait for work, so that a supervised command does not wait for its runner.
//!
//! A runner takes what it needs to know with its plan, and comes back when nothing of its run is left. Each gets a
//! cgroup of its own beside its work; until all that it started is in there, it holds its tree together as its reaper.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, str};

use clawrden_protocol::runner::ARGV0;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::jails::runner::RunnerFile;
use crate::process::Identity;
use crate::process::cgroup::{Bounded, Cgroups, Kind, Leaf, Parent};
use crate::process::tree::descendants;
use crate::sys::limits::limits_of;

/// Runners that are made in advance.
const WARM: usize = 4;

/// With fewer than these waiting, one more is made.
const LOW: usize = 2;

/// Runners that are kept after much work at once.
const KEPT: usize = 16;

/// Looks at a tree whose processes are put into a cgroup one by one. One that forks faster stays partly outside.
const ROUNDS: usize = 8;

/// How long a warden that goes down waits for runners that are still being made or moved.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);

/// A runner without work.
pub(super) struct Idle {
    pub(super) socket: UnixStream,
    pub(super) process: Child,
    pub(super) leaf: LeafSlot,
}

/// Where a runner's cgroup will be once it is in it.
#[derive(Clone, Default)]
pub(super) struct LeafSlot(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    leaf: Option<Leaf>,
    /// The runner had work before it was in: what it started may be outside.
    late: bool,
}

/// The runners that wait.
pub(crate) struct Pool {
    file: RunnerFile,
    cgroups: Option<Cgroups>,
    /// The limits that runners start with: the warden's.
    limits: Vec<(u32, u64, u64)>,
    waiting: Mutex<Waiting>,
    /// Told whenever one more has its cgroup, or has none.
    settled: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The next one to be taken stands last.
    idle: VecDeque<Idle>,
    /// The place of the one that was last looked at.
    looked_at: usize,
    /// Runners that are being made in advance.
    coming: usize,
    /// Runners that are being put into their cgroups.
    moving: usize,
    /// Nothing waits here any more.
    closed: bool,
}

impl Waiting {
    /// Looks at one more of those that wait, and gives it away where it has ended: some are never taken.
    fn dead(&mut self) -> Option<Idle> {
        self.looked_at = (self.looked_at + 1) % self.idle.len().max(1);
        let is_dead = self.idle.get(self.looked_at).is_some_and(|idle| !idle.is_alive());
        is_dead.then(|| self.idle.remove(self.looked_at)).flatten()
    }
}

impl Pool {
    /// An empty pool, whose runners are of this file.
    pub(crate) fn new(file: RunnerFile, cgroups: Option<Cgroups>) -> Self {
        // Limits that are not known are like nobody's.
        let limits = limits_of(std::process::id()).unwrap_or_default();
        Self { file, cgroups, limits, waiting: Mutex::default(), settled: Condvar::new() }
    }

    /// Those of a command's limits that its runner has to set.
    pub(super) fn unlike_own(&self, mut limits: Vec<(u32, u64, u64)>) -> Vec<(u32, u64, u64)> {
        limits.retain(|limit| !self.limits.contains(limit));
        limits
    }

    /// How runners are kept: in sealed memory, or as a file.
    pub(crate) fn is_sealed(&self) -> bool {
        self.file.is_sealed()
    }

    /// Makes the first runners, beside the event loop.
    pub(crate) fn fill(self: &Arc<Self>) {
        (0..WARM).for_each(|_| self.add());
    }

    /// A runner. Blocks for as long as a process takes to make, where none waits.
    pub(super) fn take(self: &Arc<Self>) -> io::Result<Idle> {
        let (idle, left) = {
            let mut waiting = self.waiting();
            (waiting.idle.pop_back(), waiting.idle.len() + waiting.coming)
        };
        if left < LOW {
            self.add();
        }
        match idle {
            Some(idle) if idle.is_alive() => {
                idle.leaf.close();
                return Ok(idle);
            }
            Some(dead) => end(dead),
            None => {}
        }
        let made = self.make()?;
        made.leaf.close();
        let (pool, pid, leaf) = (Arc::clone(self), made.process.id(), made.leaf.clone());
        self.waiting().moving += 1;
        tokio::task::spawn_blocking(move || pool.enclose(pid, &leaf));
        Ok(made)
    }

    /// A runner of its own for what is kept to limits: it is in its cgroups before it has any work, and is not used again.
    /// The text says why there is none.
    pub(super) async fn take_bounded(
        self: &Arc<Self>,
        mut bounded: Bounded,
    ) -> Result<(Idle, Bounded), String> {
        let pool = Arc::clone(self);
        let taking = move || {
            let idle = pool.make().map_err(|error| format!("no runner can be made: {error}"))?;
            let runner = Identity::of(idle.process.id()).map_err(|error| error.to_string());
            let joined =
                runner.and_then(|runner| bounded.add(runner).map_err(|error| error.to_string()));
            if let Err(error) = joined {
                idle.end();
                return Err(format!("it cannot be limited: {error}; nothing ran"));
            }
            idle.leaf.slot().leaf = bounded.take_leaf();
            idle.leaf.close();
            Ok((idle, bounded))
        };
        tokio::task::spawn_blocking(taking).await.map_err(|error| error.to_string())?
    }

    /// Keeps a runner whose run is over. It is the next to be taken: what it needs is in the caches still.
    pub(super) fn give_back(&self, runner: Idle) {
        self.keep(runner, VecDeque::push_back);
    }

    fn keep(&self, runner: Idle, to: impl FnOnce(&mut VecDeque<Idle>, Idle)) {
        let mut waiting = self.waiting();
        let dead = waiting.dead();
        let unkept = if waiting.idle.len() < KEPT && !waiting.closed {
            to(&mut waiting.idle, runner);
            None
        } else {
            Some(runner)
        };
        drop(waiting);
        dead.into_iter().chain(unkept).for_each(end);
    }

    /// Ends the runners that wait, and their cgroups. Those at work end with their runs.
    pub(crate) fn close(&self) {
        let idle = {
            let mut waiting = self.waiting();
            waiting.closed = true;
            let busy = |waiting: &mut Waiting| waiting.coming + waiting.moving > 0;
            let settled = self.settled.wait_timeout_while(waiting, SETTLED_WITHIN, busy);
            std::mem::take(&mut settled.unwrap_or_else(PoisonError::into_inner).0.idle)
        };
        idle.into_iter().for_each(Idle::end);
    }

    fn add(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        self.waiting().coming += 1;
        tokio::task::spawn_blocking(move || {
            let made = pool.make();
            {
                let mut waiting = pool.waiting();
                waiting.coming -= 1;
                waiting.moving += usize::from(made.is_ok());
            }
            pool.settled.notify_all();
            match made {
                Ok(idle) => {
                    let (pid, leaf) = (idle.process.id(), idle.leaf.clone());
                    // It is better taken once it is in its cgroup.
                    pool.keep(idle, VecDeque::push_front);
                    pool.enclose(pid, &leaf);
                }
                Err(error) => tracing::warn!(%error, "no runner can be made in advance"),
            }
        });
    }

    /// Gives a runner, and what it has started meanwhile, a cgroup. Moving a process takes the kernel tens of
    /// milliseconds when it has nothing else to do, so nobody waits for it.
    fn enclose(&self, pid: u32, slot: &LeafSlot) {
        if let Some(cgroups) = &self.cgroups {
            enclose(cgroups, pid, slot);
        }
        self.waiting().moving -= 1;
        self.settled.notify_all();
    }

    fn make(&self) -> io::Result<Idle> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let process = Command::new(self.file.path())
            .arg0(str::from_utf8(ARGV0).unwrap_or_default())
            .env_clear()
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Idle { socket: ours, process, leaf: LeafSlot::default() })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enclose(cgroups: &Cgroups, pid: u32, slot: &LeafSlot) {
    let enclosed = Identity::of(pid).map_err(|error| error.to_string()).and_then(|runner| {
        let made = cgroups.create(Parent::Own, Kind::Run, &format!("runner-{pid}"));
        let joined = made.and_then(|leaf| leaf.add(runner).map(|()| leaf));
        let joined = joined.map_err(|error| error.to_string())?;
        Ok((runner, whole_tree(&joined, runner), joined))
    });
    match enclosed {
        Ok((runner, whole, leaf)) => {
            let mut slot = slot.slot();
            slot.late &= !whole;
            let leaf = slot.leaf.insert(leaf);
            // Whoever cleaned up after a runner that has ended by now did not find it here.
            if !runner.is_alive()
                && let Err(error) = leaf.kill()
            {
                tracing::warn!(%error, pid, "what a runner left could not be ended");
            }
        }
        Err(error) => tracing::debug!(error, pid, "a runner gets no cgroup of its own"),
    }
}

/// Puts what `runner` has started into its cgroup; whether all of it is there. What is there bears its children there.
fn whole_tree(leaf: &Leaf, runner: Identity) -> bool {
    (0..ROUNDS).any(|_| {
        let Ok(tree) = descendants(runner) else { return false };
        let inside = leaf.processes();
        let mut outside =
            tree.into_iter().filter(|process| !inside.contains(&process.pid)).peekable();
        let whole = outside.peek().is_none();
        // One that has ended meanwhile is not looked for again.
        outside.for_each(|process| drop(leaf.add(process)));
        whole
    })
}

/// Ends a runner beside the event loop: its cgroup may take a while to go.
pub(super) fn end(runner: Idle) {
    tokio::task::spawn_blocking(move || runner.end());
}

impl Idle {
    /// Whether it still waits: it says nothing, and has not gone.
    fn is_alive(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let heard = rustix::net::recv(self.socket.as_fd(), &mut [0; 1], flags);
        matches!(heard, Err(Errno::AGAIN))
    }

    /// Ends it, and leaves no zombie. Blocks until it has gone.
    fn end(mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            tracing::warn!(%error, "an idle runner could not be ended");
        }
    }
}

impl LeafSlot {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runner has work from here on.
    fn close(&self) {
        let mut slot = self.slot();
        slot.late = slot.leaf.is_none();
    }

    /// Acts on the cgroup, whether or not all that the runner started is in it.
    pub(super) fn with_what_is_there<T>(&self, act: impl FnOnce(&Leaf) -> T) -> Option<T> {
        self.slot().leaf.as_ref().map(act)
    }

    /// Acts on the cgroup, if all that the runner started is in it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&Leaf) -> T) -> Option<T> {
        let slot = self.slot();
        slot.leaf.as_ref().filter(|_| !slot.late).map(act)
    }
}
