//! One leaf: processes put in, counted, ended, frozen. The directory goes when the leaf is dropped, its processes do
//! not: who wants them gone says so first.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::{pidfd, proc::Identity, proc::ProcessError};
use super::inside::{event, processes_in};
use super::{CgroupError, PATIENCE, directories, removals};

/// The pause between two looks while waiting.
const PAUSE: Duration = Duration::from_millis(5);

/// A cgroup of ours.
#[derive(Debug)]
pub struct Leaf {
    path: PathBuf,
    group: String,
    kept: bool,
}

impl Leaf {
    pub(super) fn new(path: PathBuf, group: String) -> Self {
        Self { path, group, kept: false }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name as /proc/PID/cgroup shows it.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Whether a cgroup, as [`cgroup_of`](crate::process::cgroup_of) gives it, is this one or below it.
    #[must_use]
    pub fn contains(&self, group: &str) -> bool {
        group.strip_prefix(&self.group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Puts a process in, with all its threads; its later children are born here.
    ///
    /// # Errors
    /// When it is gone, or we may not move it.
    pub fn add(&self, identity: Identity) -> Result<(), CgroupError> {
        let held = pidfd::open_identity(identity)?;
        self.write("cgroup.procs", &identity.pid.to_string())?;
        // As long as the process has not ended its number was its own, so nobody else was moved.
        if pidfd::has_ended(held.as_fd()) {
            return Err(ProcessError::Gone { pid: identity.pid }.into());
        }
        Ok(())
    }

    /// Whether nothing is in it or below it. A leaf that cannot be read counts as not empty; one that was removed was
    /// empty, as the kernel removes no other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.event("populated").map_or_else(|| self.was_removed(), |populated| !populated)
    }

    /// Whether its directory has gone from the hierarchy, and not that with it.
    fn was_removed(&self) -> bool {
        let is_gone = |at: &Path| {
            fs::symlink_metadata(at).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        is_gone(&self.path)
            && self.path.parent().is_some_and(|above| !is_gone(&above.join("cgroup.procs")))
    }

    /// The processes in it and below it.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        processes_in(&self.path)
    }

    /// Sends a signal once to each process in it.
    pub fn signal(&self, signal: Signal) -> usize {
        self.processes().into_iter().filter(|&pid| self.signal_one(pid, signal)).count()
    }

    /// SIGTERM and SIGCONT, after `grace` [`Leaf::kill`]. Gives the number of processes. Blocks.
    ///
    /// # Errors
    /// As [`Leaf::kill`].
    pub fn end(&self, grace: Duration) -> Result<usize, CgroupError> {
        let signalled = self.signal(Signal::TERM);
        // What stands would stand through its grace.
        self.wake();
        if self.wait(grace, Self::is_empty) {
            return Ok(signalled);
        }
        Ok(signalled.max(self.kill()?))
    }

    /// Ends everything in it at once and waits until it is empty. Gives the number of processes. Blocks.
    ///
    /// # Errors
    /// When something survives for [`PATIENCE`].
    pub fn kill(&self) -> Result<usize, CgroupError> {
        let processes = self.processes().len();
        if self.write("cgroup.kill", "1").is_ok() {
            return self.emptied(|_| {}).map(|()| processes);
        }
        self.kill_one_by_one()
    }

    /// As [`Leaf::kill`], for kernels without `cgroup.kill`. What is frozen cannot fork; a signal that kills is taken
    /// in the freezer too.
    ///
    /// # Errors
    /// When something survives for [`PATIENCE`].
    pub fn kill_one_by_one(&self) -> Result<usize, CgroupError> {
        let processes = self.processes().len();
        let frozen = self.write("cgroup.freeze", "1").is_ok();
        let result = self.emptied(|leaf| {
            leaf.signal(Signal::KILL);
        });
        if frozen {
            self.thaw()?;
        }
        result.map(|()| processes)
    }

    /// Freezes everything in it and waits until it stands. Blocks.
    ///
    /// # Errors
    /// When the kernel cannot, or something still runs after [`PATIENCE`]; it stays ordered to freeze.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "1")?;
        if self.wait(PATIENCE, |leaf| leaf.event("frozen") == Some(true)) {
            return Ok(());
        }
        Err(self.survivors("freeze"))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When the kernel cannot.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", "0")
    }

    /// Lets go on whatever stands in it or below it, by whichever way it was told to, as far as that can be.
    pub fn wake(&self) {
        self.signal(Signal::CONT);
        for group in directories(&self.path) {
            let _thawed = write(&group, "cgroup.freeze", "0");
        }
        let _thawed = self.thaw();
    }

    /// Gives the leaf up without removing its directory.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn emptied(&self, each_time: impl Fn(&Self)) -> Result<(), CgroupError> {
        let empty = self.wait(PATIENCE, |leaf| {
            each_time(leaf);
            leaf.is_empty()
        });
        if empty { Ok(()) } else { Err(self.survivors("end")) }
    }

    fn survivors(&self, what: &'static str) -> CgroupError {
        CgroupError::Survivors { path: self.path.clone(), what, pids: self.processes() }
    }

    fn signal_one(&self, pid: u32, signal: Signal) -> bool {
        // Pinned first and looked up after: what is in the leaf then is what the descriptor names.
        let Ok(held) = pidfd::open(pid) else { return false };
        let inside = crate::process::cgroup_of(pid)
            .is_ok_and(|group| group.is_some_and(|group| self.contains(&group)));
        inside
            && !pidfd::has_ended(held.as_fd())
            && pidfd::send_signal(held.as_fd(), signal).is_ok()
    }

    pub(super) fn wait(&self, time: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + time;
        loop {
            if done(self) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(PAUSE.min(left));
        }
    }

    fn event(&self, name: &str) -> Option<bool> {
        event(&self.path, name)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), CgroupError> {
        write(&self.path, file, text)
    }
}

fn write(group: &Path, file: &str, text: &str) -> Result<(), CgroupError> {
    let path = group.join(file);
    // Opened without creating: a kernel that lacks the file must say so.
    let written = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut opened| io::Write::write_all(&mut opened, text.as_bytes()));
    written.map_err(|source| CgroupError::File { operation: "write", path, source })
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if !self.kept {
            removals::remove(std::mem::take(&mut self.path));
        }
    }
}
