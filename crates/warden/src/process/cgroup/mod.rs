//! Leaves of the version 2 cgroup hierarchy, where we may make some: a set of processes that nothing leaves by
//! forking, ended or frozen as one. Only leaves of our own are touched, and a controller is switched on nowhere but in our
//! own cgroup, for a command that is limited by it.

mod bounded;
mod inside;
mod leaf;
mod removals;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};

pub use bounded::{Bounded, Controller, Controllers, Limits, Unkept};
pub use inside::processes_in;
pub use leaf::Leaf;

use super::namespaces::Namespaces;
use super::proc::{Identity, ProcessError};

/// Directories that one walk through the hierarchy visits. What lies behind them is not seen.
pub const MAX_CGROUPS: usize = 65_536;

/// Bytes of a leaf's own name.
pub const MAX_NAME: usize = 64;

/// How long processes may take to vanish after they were killed, or to stop after they were frozen.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Every leaf is called so, which is how those of a crashed warden are found again.
const PREFIX: &str = "clawrden";

/// Why something could not be done with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The name cannot be that of a leaf.
    #[error("{0:?} cannot name a cgroup; use 1 to 64 letters, digits, `-` and `_`")]
    BadName(String),
    /// A file of the hierarchy could not be read or written.
    #[error("cannot {operation} {path}: {source}")]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The process is gone, or its cgroup is not in our part of the hierarchy.
    #[error("process {0} is not in a cgroup that can be seen from here")]
    Unseen(u32),
    /// About the process itself.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Processes that did not end or stop in time.
    #[error("{} processes of {path} did not {what} in time, such as {}", pids.len(), pids.first().unwrap_or(&0))]
    Survivors {
        /// The leaf.
        path: PathBuf,
        /// What they should have done.
        what: &'static str,
        /// The processes.
        pids: Vec<u32>,
    },
}

/// What a leaf is for; it decides what becomes of its processes when the warden that made it has crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A supervised run, with authority: ended.
    Run,
    /// A prisoner: left alone, it has no authority of its own.
    Prisoner,
    /// A handed-off tool: left alone like the prisoner that it belongs to.
    Handoff,
    /// The warden itself, where its cgroup has to have none but leaves.
    Warden,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Prisoner => "prisoner",
            Self::Handoff => "handoff",
            Self::Warden => "warden",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Run, Self::Prisoner, Self::Handoff, Self::Warden]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// Below which cgroup a leaf is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// That of this process.
    Own,
    /// That of another process, whose limits then hold for the leaf too.
    Of(u32),
}

/// What became of leaves that a crashed warden left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Leaves that were removed.
    pub removed: usize,
    /// Processes that were ended in them.
    pub ended: usize,
    /// Leaves with processes that were left alone; they go when those have ended.
    pub kept: Vec<PathBuf>,
    /// What could not be done, one sentence each.
    pub problems: Vec<String>,
}

/// A hierarchy in which we may make leaves.
#[derive(Debug, Clone)]
pub struct Cgroups {
    mount: Mount,
    own: PathBuf,
    prefix: String,
    kill: bool,
    freeze: bool,
}

impl Cgroups {
    /// Looks for a mounted version 2 hierarchy and tries to make a leaf below our own cgroup. `None` where that
    /// cannot be done.
    #[must_use]
    pub fn probe() -> Option<Self> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
        mounts(&mountinfo).into_iter().find_map(Self::try_mount)
    }

    fn try_mount(mount: Mount) -> Option<Self> {
        let own = mount.directory(&super::cgroup_of(std::process::id()).ok()??)?;
        access(own.join("cgroup.procs"), Access::WRITE_OK).ok()?;
        let namespace = Namespaces::own().ok()?.pid.inode;
        let identity = Identity::own().ok()?;
        let (pid, start) = (identity.pid, identity.start_ticks);
        let prefix = format!("{namespace}.{pid}.{start}");
        let mut found = Self { mount, own, prefix, kill: false, freeze: false };
        let trial = found.create(Parent::Own, Kind::Run, "probe").ok()?;
        found.kill = trial.path().join("cgroup.kill").exists();
        found.freeze = trial.path().join("cgroup.freeze").exists();
        Some(found)
    }

    /// The directory of our own cgroup.
    #[must_use]
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Whether a leaf can be killed as one (Linux 5.14).
    #[must_use]
    pub fn has_kill(&self) -> bool {
        self.kill
    }

    /// Whether a leaf can be frozen as one (Linux 5.2).
    #[must_use]
    pub fn has_freeze(&self) -> bool {
        self.freeze
    }

    /// Makes an empty leaf.
    ///
    /// # Errors
    /// When the name is bad or taken, the parent is not seen, or the directory cannot be made.
    pub fn create(&self, parent: Parent, kind: Kind, name: &str) -> Result<Leaf, CgroupError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(CgroupError::BadName(name.to_owned()));
        }
        let directory = match parent {
            Parent::Own => self.own.clone(),
            Parent::Of(pid) => super::cgroup_of(pid)?
                .and_then(|path| self.mount.directory(&path))
                .ok_or(CgroupError::Unseen(pid))?,
        };
        let path = directory.join(format!("{PREFIX}.{}.{}.{name}", kind.word(), self.prefix));
        let group = self.mount.group(&path).ok_or(CgroupError::BadName(name.to_owned()))?;
        fs::create_dir(&path).map_err(|source| CgroupError::File {
            operation: "make",
            path: path.clone(),
            source,
        })?;
        Ok(Leaf::new(path, group))
    }

    /// The leaf at `path`, if a warden of this user made it, this one or one before, for a handed-off tool by this name.
    pub(crate) fn of_tool(&self, path: &Path, name: &str) -> Option<Leaf> {
        let made = Made::of(path)?;
        let is_it = made.kind == Kind::Handoff && made.name == name;
        (is_it && made.is_ours(&self.prefix, path)).then_some(())?;
        Some(Leaf::new(path.to_owned(), self.mount.group(path)?))
    }

    /// Cleans up after wardens of this user that ended without doing so: what they supervised has `grace` to end by its
    /// runners, which see that their warden has gone, and is ended then; a leaf that something else is in goes when that has
    /// ended. Blocks for as long.
    #[must_use]
    pub fn reap_leftovers(&self, grace: Duration) -> Leftovers {
        let mut result = Leftovers::default();
        let mut busy = Vec::new();
        for path in directories(&self.mount.point) {
            let Some(kind) = leftover(&self.prefix, &path) else { continue };
            // A warden that was started by what an earlier one ran is in there itself.
            if self.own.starts_with(&path) {
                continue;
            }
            let Some(group) = self.mount.group(&path) else { continue };
            let leaf = Leaf::new(path.clone(), group);
            if leaf.is_empty() {
                result.removed += 1;
            } else if kind == Kind::Run {
                // What stands would stand through its grace.
                leaf.wake();
                busy.push(leaf);
            } else {
                result.kept.push(path);
            }
        }
        let end = Instant::now() + grace;
        for leaf in busy {
            leaf.wait(end.saturating_duration_since(Instant::now()), Leaf::is_empty);
            match leaf.kill() {
                Ok(processes) => {
                    result.removed += 1;
                    result.ended += processes;
                }
                Err(error) => result.problems.push(error.to_string()),
            }
        }
        result
    }
}

/// What the name of a leaf says.
struct Made<'a> {
    kind: Kind,
    /// The pid namespace of the warden that made it.
    namespace: &'a str,
    by: Identity,
    name: &'a str,
}

impl<'a> Made<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let mut words = path.file_name()?.to_str()?.splitn(6, '.');
        (words.next()? == PREFIX).then_some(())?;
        let kind = Kind::from_word(words.next()?)?;
        let namespace = words.next()?;
        let (pid, start_ticks) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (by, name) = (Identity { pid, start_ticks }, words.next().unwrap_or_default());
        Some(Self { kind, namespace, by, name })
    }

    /// Whether a warden of this user and of the pid namespace in our own `prefix` made it.
    fn is_ours(&self, prefix: &str, path: &Path) -> bool {
        let same_user = fs::symlink_metadata(path)
            .is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
        prefix.split('.').next() == Some(self.namespace) && same_user
    }
}

/// The kind of a leaf whose warden, one of this user and of the pid namespace in our own `prefix`, is gone.
fn leftover(prefix: &str, path: &Path) -> Option<Kind> {
    let made = Made::of(path)?;
    (made.is_ours(prefix, path) && !made.by.is_alive()).then_some(made.kind)
}

/// A mounted version 2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// The cgroup that is mounted.
    root: String,
    /// Where.
    point: PathBuf,
}

impl Mount {
    /// The directory of a cgroup as /proc/PID/cgroup names it.
    fn directory(&self, group: &str) -> Option<PathBuf> {
        let below = group.strip_prefix(self.root.trim_end_matches('/'))?;
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        Some(match below.trim_start_matches('/') {
            "" => self.point.clone(),
            below => self.point.join(below),
        })
    }

    /// The name of a directory's cgroup in /proc/PID/cgroup.
    fn group(&self, directory: &Path) -> Option<String> {
        let below = directory.strip_prefix(&self.point).ok()?.to_str()?;
        Some(format!("{}/{below}", self.root.trim_end_matches('/')))
    }
}

/// The version 2 hierarchies of a mountinfo file, see proc_pid_mountinfo(5).
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let one = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next()? == "cgroup2").then_some(())?;
        let mut fields = left.split(' ').skip(3);
        let root = unescape(fields.next()?);
        let point = PathBuf::from(unescape(fields.next()?));
        Some(Mount { root, point })
    };
    mountinfo.lines().filter_map(one).collect()
}

/// Space, tab, newline and backslash stand in a mountinfo file as three octal digits.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// All directories below one, parents first, up to [`MAX_CGROUPS`]. Links are not followed.
fn directories(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut at = 0;
    while at < found.len() && found.len() < MAX_CGROUPS {
        let inside = fs::read_dir(&found[at]).into_iter().flatten().flatten();
        found.extend(
            inside
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
        at += 1;
    }
    found.remove(0);
    found
}

#[cfg(test)]
mod tests;
