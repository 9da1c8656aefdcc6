//! Runners that wait for work, so that a supervised command does not wait for its runner.
//!
//! A runner takes what it needs to know with its plan. One that has waited for a while sits in a cgroup of its own;
//! one that is taken sooner, or made on the spot, holds its tree together as its reaper.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, str};

use clawrden_protocol::runner::ARGV0;

use crate::jails::runner::RunnerFile;
use crate::process::Identity;
use crate::process::cgroup::{Cgroups, Kind, Leaf, Parent};

/// Runners that wait at most. More work at once makes its runners on the spot.
const WARM: usize = 4;

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
    idle: Mutex<VecDeque<Idle>>,
}

impl Pool {
    /// An empty pool, whose runners are of this file.
    pub(crate) fn new(file: RunnerFile, cgroups: Option<Cgroups>) -> Self {
        Self { file, cgroups, idle: Mutex::default() }
    }

    /// How runners are kept: in sealed memory, or as a file.
    pub(crate) fn is_sealed(&self) -> bool {
        self.file.is_sealed()
    }

    /// A runner, and the order to make up for it. Blocks for as long as a process takes to make, where none waits.
    pub(super) fn take(self: &Arc<Self>) -> io::Result<Idle> {
        let waiting = self.idle().pop_front();
        let taken = match waiting {
            Some(idle) => idle,
            None => self.make()?,
        };
        taken.leaf.close();
        self.fill();
        Ok(taken)
    }

    /// Makes a runner for the next command, beside the event loop, if fewer wait than may.
    pub(crate) fn fill(self: &Arc<Self>) {
        if self.idle().len() >= WARM {
            return;
        }
        let pool = Arc::clone(self);
        tokio::task::spawn_blocking(move || match pool.make() {
            Ok(idle) => pool.offer(idle),
            Err(error) => tracing::warn!(%error, "no runner can be made in advance"),
        });
    }

    fn offer(&self, idle: Idle) {
        let (pid, leaf) = (idle.process.id(), idle.leaf.clone());
        self.idle().push_back(idle);
        let Some(cgroups) = &self.cgroups else { return };
        // Moving a process takes the kernel tens of milliseconds when it has nothing else to do, so it is done while
        // the runner waits.
        let moved = Identity::of(pid).map_err(|error| error.to_string()).and_then(|identity| {
            let made = cgroups.create(Parent::Own, Kind::Run, &format!("runner-{pid}"));
            let joined = made.and_then(|leaf| leaf.add(identity).map(|()| leaf));
            joined.map_err(|error| error.to_string())
        });
        match moved {
            Ok(moved) => leaf.slot().leaf = Some(moved),
            Err(error) => tracing::debug!(error, pid, "a runner gets no cgroup of its own"),
        }
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

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
