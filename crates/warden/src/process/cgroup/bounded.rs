//! Cgroups that limit what is in them: memory, processors and processes, by whichever hierarchy has the controller.
//!
//! A version 1 controller has a hierarchy of its own, and the process gets a further cgroup there. In version 2 a cgroup has
//! a controller only where those above it pass it on, which one with processes in it cannot do: below our own cgroup we
//! make room, below another process's we take what is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::{
    CgroupError, Cgroups, Kind, Leaf, Leftovers, MAX_NAME, Mount, PREFIX, Parent, directories,
    leftover, removals, unescape,
};
use crate::process::proc::{self, Identity};
use crate::process::{Namespaces, stat};

/// The span that a share of the processors is counted in, in microseconds: the kernel's own.
const PERIOD: u64 = 100_000;

/// How often room is made anew where something is started in our own cgroup meanwhile.
const ROUNDS: usize = 8;

/// What is limited; `None` is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, swap among them.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub milli_cpus: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// What limits one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processors.
    Cpu,
    /// Processes and threads.
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "processors",
            Self::Pids => "processes",
        }
    }
}

/// A limit that cannot be kept here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its {} cannot be limited here by the cgroup controller `{}`: {why}", controller.what(), controller.name())]
pub struct Unkept {
    /// What would limit it.
    pub controller: Controller,
    /// Why it does not.
    pub why: String,
}

/// Where which controller is.
#[derive(Debug, Clone, Default)]
pub struct Controllers {
    /// Those with a version 1 hierarchy of their own.
    first: Vec<(Controller, Mount)>,
    /// All others, as far as there are any.
    second: Option<Cgroups>,
    prefix: String,
}

impl Controllers {
    /// Looks for the hierarchies. `second` is that of version 2, where leaves can be made in it.
    #[must_use]
    pub fn probe(second: Option<&Cgroups>) -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let first = Controller::ALL
            .into_iter()
            .filter_map(|found| Some((found, first_mount(&mountinfo, found.name())?)));
        let prefix = Identity::own().ok().zip(Namespaces::own().ok()).map(|(own, namespaces)| {
            format!("{}.{}.{}", namespaces.pid.inode, own.pid, own.start_ticks)
        });
        Self { first: first.collect(), second: second.cloned(), prefix: prefix.unwrap_or_default() }
    }

    /// For `status`: each controller with the version of its hierarchy.
    #[must_use]
    pub fn told(&self) -> String {
        let version = |controller: Controller| {
            let is_first = self.first.iter().any(|(found, _)| *found == controller);
            let second = self.second.as_ref();
            let is_second = || second.is_some_and(|found| is_listed(&found.own, controller));
            match is_first {
                true => Some(format!("{} v1", controller.name())),
                false => is_second().then(|| format!("{} v2", controller.name())),
            }
        };
        let told: Vec<String> = Controller::ALL.into_iter().filter_map(version).collect();
        if told.is_empty() { "no".to_owned() } else { told.join(", ") }
    }

    /// Makes cgroups below the parent's that limit what is put into them. Blocks.
    ///
    /// # Errors
    /// The first limit that cannot be kept; then nothing is left of it.
    pub fn bound(
        &self,
        parent: Parent,
        kind: Kind,
        name: &str,
        limits: Limits,
    ) -> Result<Bounded, Unkept> {
        let wanted = [
            (Controller::Memory, limits.memory),
            (Controller::Cpu, limits.milli_cpus),
            (Controller::Pids, limits.pids),
        ];
        let mut bounded = Bounded {
            leaf: self.second.as_ref().and_then(|second| second.create(parent, kind, name).ok()),
            ..Bounded::default()
        };
        for (controller, limit) in wanted {
            let Some(limit) = limit else { continue };
            let unkept = |why: String| Unkept { controller, why };
            let mount = self.first.iter().find(|(found, _)| *found == controller);
            let place = match mount {
                Some((_, mount)) => {
                    let file = format!("{PREFIX}.{}.{}.{name}", kind.word(), self.prefix);
                    let place = self.first_place(mount, controller, parent, &file);
                    let place = place.map_err(unkept)?;
                    if let Some(leaf) = bounded.made_at(mount, &place).map_err(unkept)? {
                        bounded.more.push(leaf);
                    }
                    write_first(&place, controller, limit)
                }
                None => {
                    let place = self.second_place(bounded.leaf.as_ref(), controller, parent);
                    write_second(&place.map_err(unkept)?, controller, limit)
                }
            };
            let place = place.map_err(|error| unkept(error.to_string()))?;
            if controller == Controller::Memory {
                bounded.memory = Some((place, mount.is_some(), limit));
            }
        }
        Ok(bounded)
    }

    fn first_place(
        &self,
        mount: &Mount,
        controller: Controller,
        parent: Parent,
        file: &str,
    ) -> Result<PathBuf, String> {
        let pid = match parent {
            Parent::Own => std::process::id(),
            Parent::Of(pid) => pid,
        };
        if self.prefix.is_empty()
            || file.rsplit('.').next().is_none_or(|name| name.len() > MAX_NAME)
        {
            return Err("its cgroup cannot be named".to_owned());
        }
        let text = proc::read(pid, "cgroup").map_err(|error| error.to_string())?;
        let group = first_group(&text, controller.name());
        let above = group.and_then(|group| mount.directory(&group));
        let above = above.ok_or("its hierarchy is not seen from here")?;
        Ok(above.join(file))
    }

    fn second_place(
        &self,
        leaf: Option<&Leaf>,
        controller: Controller,
        parent: Parent,
    ) -> Result<PathBuf, String> {
        let (Some(leaf), Some(second)) = (leaf, &self.second) else {
            return Err("no hierarchy that has it can be written to".to_owned());
        };
        let has_it = || leaf.path().join(main_file(controller)).exists();
        if has_it() {
            return Ok(leaf.path().to_owned());
        }
        let above = leaf.path().parent().unwrap_or(leaf.path());
        if !is_listed(above, controller) {
            return Err(format!("{} has it not", above.display()));
        }
        match parent {
            Parent::Own => second.pass_on(controller.name())?,
            Parent::Of(_) => {
                return Err(format!("{} does not pass it on", above.display()));
            }
        }
        match has_it() {
            true => Ok(leaf.path().to_owned()),
            false => Err(format!("{} does not pass it on", above.display())),
        }
    }

    /// Cleans up after wardens of this user that ended without doing so, in all hierarchies. Blocks for as long as
    /// [`Cgroups::reap_leftovers`] does.
    pub fn sweep(&self, grace: Duration) {
        // First what is ended: it is in cgroups of version 1 as well.
        if let Some(second) = &self.second {
            let Leftovers { removed, ended, kept, problems } = second.reap_leftovers(grace);
            if removed + kept.len() > 0 {
                let kept = kept.len();
                tracing::info!(removed, ended, kept, "an earlier warden left cgroups behind");
            }
            for problem in problems {
                tracing::warn!(problem, "what an earlier warden ran could not be ended");
            }
        }
        for (_, mount) in &self.first {
            for path in directories(&mount.point).into_iter().rev() {
                if leftover(&self.prefix, &path).is_some() {
                    removals::remove(path);
                }
            }
        }
    }
}

impl Cgroups {
    /// Passes a controller on to the leaves below our own cgroup. That must have no processes, or the leaves could have none
    /// of their own, whatever the kernel says to it: they move into a leaf, if all of them are ours.
    fn pass_on(&self, controller: &str) -> Result<(), String> {
        let told =
            |error: io::Error| format!("{} does not pass it on: {error}", self.own.display());
        // The root of the hierarchy, which has no type, may have both.
        let is_root = !self.own.join("cgroup.type").exists();
        let is_empty = || {
            let listed = fs::read_to_string(self.own.join("cgroup.procs"));
            listed.is_ok_and(|listed| listed.trim().is_empty())
        };
        for _ in 0..ROUNDS {
            if is_root || is_empty() {
                let file = self.own.join("cgroup.subtree_control");
                return fs::write(file, format!("+{controller}")).map_err(told);
            }
            self.step_aside()?;
        }
        Err(format!("{} is never empty", self.own.display()))
    }

    /// Moves this process and its children out of our own cgroup into one below it.
    fn step_aside(&self) -> Result<(), String> {
        let told =
            |error: io::Error| format!("{} cannot be made room in: {error}", self.own.display());
        let aside = self.own.join(format!("{PREFIX}.{}.{}.own", Kind::Warden.word(), self.prefix));
        let listed = fs::read_to_string(self.own.join("cgroup.procs")).map_err(told)?;
        let us = std::process::id();
        let is_ours = |pid: u32| pid == us || stat(pid).is_ok_and(|found| found.ppid == us);
        let inside: Vec<u32> = listed.lines().filter_map(|line| line.parse().ok()).collect();
        // One that has ended meanwhile is nobody's.
        let strange = inside.iter().find(|&&pid| !is_ours(pid) && stat(pid).is_ok());
        if let Some(pid) = strange {
            return Err(format!(
                "{} has processes that are not the warden's, such as {pid}; start the warden in a cgroup of its own",
                self.own.display()
            ));
        }
        match fs::create_dir(&aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(told(error)),
            _ => {}
        }
        for pid in inside {
            match fs::write(aside.join("cgroup.procs"), pid.to_string()) {
                Err(error) if Errno::from_io_error(&error) != Some(Errno::SRCH) => {
                    return Err(told(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The cgroups that limit one command. They go when they are dropped, what is in them does not.
#[derive(Debug, Default)]
pub struct Bounded {
    leaf: Option<Leaf>,
    more: Vec<Leaf>,
    /// The cgroup with the limit on memory, whether it is of version 1, and the limit.
    memory: Option<(PathBuf, bool, u64)>,
}

impl Bounded {
    /// Puts a process in; what it starts from here on is born in there. Blocks.
    ///
    /// # Errors
    /// When it is gone, or we may not move it.
    pub fn add(&self, identity: Identity) -> Result<(), CgroupError> {
        self.leaf.iter().chain(&self.more).try_for_each(|leaf| leaf.add(identity))
    }

    /// The leaf of version 2, by which all that is in there can be ended or frozen.
    pub fn take_leaf(&mut self) -> Option<Leaf> {
        self.leaf.take()
    }

    /// The limit on memory, if the kernel has ended something because of it.
    #[must_use]
    pub fn ended_for_memory(&self) -> Option<u64> {
        let (place, is_first, limit) = self.memory.as_ref()?;
        let file = if *is_first { "memory.oom_control" } else { "memory.events" };
        let text = fs::read_to_string(place.join(file)).ok()?;
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        (kills.trim() != "0").then_some(*limit)
    }

    /// Makes the directory unless it is there: two controllers can share a hierarchy.
    fn made_at(&self, mount: &Mount, place: &Path) -> Result<Option<Leaf>, String> {
        if self.more.iter().any(|leaf| leaf.path() == place) {
            return Ok(None);
        }
        fs::create_dir(place).map_err(|error| format!("{}: {error}", place.display()))?;
        let group = mount.group(place).unwrap_or_default();
        Ok(Some(Leaf::new(place.to_owned(), group)))
    }
}

fn main_file(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory.max",
        Controller::Cpu => "cpu.max",
        Controller::Pids => "pids.max",
    }
}

fn put(place: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = place.join(file);
    // Opened without creating: a kernel that lacks the file must say so.
    let opened = fs::OpenOptions::new().write(true).open(&path);
    let written = opened.and_then(|mut opened| io::Write::write_all(&mut opened, value.as_bytes()));
    written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn write_first(place: &Path, controller: Controller, limit: u64) -> io::Result<PathBuf> {
    let limit_text = limit.to_string();
    match controller {
        Controller::Memory => {
            put(place, "memory.limit_in_bytes", &limit_text)?;
            // Without an account of swap none is used as long as there is memory.
            let has_swap = place.join("memory.memsw.limit_in_bytes").exists();
            match has_swap {
                true => put(place, "memory.memsw.limit_in_bytes", &limit_text)?,
                false => put(place, "memory.swappiness", "0")?,
            }
        }
        Controller::Cpu => {
            put(place, "cpu.cfs_period_us", &PERIOD.to_string())?;
            match put(place, "cpu.cfs_quota_us", &share(limit).to_string()) {
                // One above has less to give, and gives no more than that.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                written => written?,
            }
        }
        Controller::Pids => put(place, "pids.max", &limit_text)?,
    }
    Ok(place.to_owned())
}

fn write_second(place: &Path, controller: Controller, limit: u64) -> io::Result<PathBuf> {
    match controller {
        Controller::Memory => {
            put(place, "memory.max", &limit.to_string())?;
            if place.join("memory.swap.max").exists() {
                put(place, "memory.swap.max", "0")?;
            }
        }
        Controller::Cpu => put(place, "cpu.max", &format!("{} {PERIOD}", share(limit)))?,
        Controller::Pids => put(place, "pids.max", &limit.to_string())?,
    }
    Ok(place.to_owned())
}

/// Microseconds of each period.
fn share(milli_cpus: u64) -> u64 {
    milli_cpus.saturating_mul(PERIOD) / 1_000
}

fn is_listed(group: &Path, controller: Controller) -> bool {
    let listed = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    listed.split_whitespace().any(|word| word == controller.name())
}

/// The version 1 hierarchy of a controller in a mountinfo file, see proc_pid_mountinfo(5).
fn first_mount(mountinfo: &str, controller: &str) -> Option<Mount> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        (right.next()? == "cgroup").then_some(())?;
        right.nth(1)?.split(',').find(|word| *word == controller)?;
        let mut fields = left.split(' ').skip(3);
        let root = unescape(fields.next()?);
        let point = PathBuf::from(unescape(fields.next()?));
        Some(Mount { root, point })
    })
}

/// The cgroup of a process in a controller's version 1 hierarchy, in /proc/PID/cgroup.
fn first_group(text: &[u8], controller: &str) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let path = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        parts.next()?.split(',').find(|word| *word == controller)?;
        parts.next()
    })?;
    let inside = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    inside.then(|| path.to_owned())
}

#[cfg(test)]
#[path = "bounded_tests.rs"]
mod tests;
