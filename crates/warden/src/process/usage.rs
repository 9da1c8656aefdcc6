//! What a tree of processes uses: processor time and resident memory, read of /proc.
//!
//! No controller of cgroups is on, so that these tell no more than who is in them.

use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use super::cgroup::processes_in;
use super::pidfd::has_ended;
use super::proc::{self, Identity, Stat};
use super::tree::{Snapshot, descendants_in};

/// Which processes are those of a command.
#[derive(Clone)]
pub struct Tree {
    root: Root,
    /// The root is the tool; otherwise it only waits for it.
    is_tool: bool,
    /// What the root and its ended children had used when the command began, in clock ticks.
    before: u64,
    /// Those in its cgroup, where it has one.
    members: Members,
}

#[derive(Clone)]
enum Root {
    /// This one, if it was there.
    Known(Option<Identity>),
    /// The one behind a descriptor. Its start time is read when somebody wants to know.
    Behind(u32, Arc<OwnedFd>),
}

#[derive(Clone)]
enum Members {
    /// Of this cgroup, if there is one.
    Of(Option<PathBuf>),
    Given(Arc<dyn Fn() -> Vec<u32> + Send + Sync>),
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("is_tool", &self.is_tool).finish_non_exhaustive()
    }
}

impl Tree {
    /// What a runner, process `pid`, has started from here on, and those that `members` gives. Reads /proc.
    #[must_use]
    pub fn of_runner(pid: u32, members: impl Fn() -> Vec<u32> + Send + Sync + 'static) -> Self {
        let text = proc::read(pid, "stat").unwrap_or_default();
        let root = Root::Known(Stat::parse(pid, &text).ok().map(|stat| stat.identity()));
        let before = Figures::parse(&text).map_or(0, |figures| figures.own + figures.children);
        Self { root, is_tool: false, before, members: Members::Given(Arc::new(members)) }
    }

    /// The tool `root`, what it has started, and those in its `cgroup`.
    #[must_use]
    pub fn of_tool(root: Option<Identity>, cgroup: Option<PathBuf>) -> Self {
        Self { root: Root::Known(root), is_tool: true, before: 0, members: Members::Of(cgroup) }
    }

    /// The same of the tool that is process `pid` for as long as `pidfd` has not ended. Reads nothing.
    #[must_use]
    pub fn behind(pid: u32, pidfd: Arc<OwnedFd>, cgroup: Option<PathBuf>) -> Self {
        let root = Root::Behind(pid, pidfd);
        Self { root, is_tool: true, before: 0, members: Members::Of(cgroup) }
    }

    /// The process that everything of it descends from; `None` once that is known to have ended, or it never was known.
    #[must_use]
    pub fn root(&self) -> Option<Identity> {
        match &self.root {
            Root::Known(root) => *root,
            Root::Behind(pid, pidfd) => {
                Identity::of(*pid).ok().filter(|_| !has_ended(pidfd.as_fd()))
            }
        }
    }

    fn members(&self) -> Vec<u32> {
        match &self.members {
            Members::Of(cgroup) => cgroup.as_deref().map(processes_in).unwrap_or_default(),
            Members::Given(members) => members(),
        }
    }
}

/// What is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Milliseconds of processor time, of children that have ended as well.
    pub cpu_ms: u64,
    /// Bytes of resident memory; what processes share counts for each of them.
    pub memory: u64,
    /// Processes.
    pub processes: usize,
}

/// What `tree`, found in `all`, uses at the moment; `None` when its root has gone. Blocks.
#[must_use]
pub fn usage(all: &Snapshot, tree: &Tree) -> Option<Usage> {
    let root_is = tree.root()?;
    let below = descendants_in(all, root_is);
    let mut pids: BTreeSet<u32> = below.into_iter().map(|process| process.pid).collect();
    pids.extend(tree.members());
    pids.remove(&root_is.pid);
    let root = Figures::of(root_is.pid)?;
    let mut ticks = root.own + root.children;
    let (mut pages, mut processes) = if tree.is_tool { (root.pages, 1) } else { (0, 0) };
    for figures in pids.into_iter().filter_map(Figures::of) {
        ticks += figures.own + figures.children;
        pages += figures.pages;
        processes += 1;
    }
    // What was read of its number was its own if it still is.
    root_is.is_alive().then(|| Usage {
        cpu_ms: ticks.saturating_sub(tree.before) * 1000 / rustix::param::clock_ticks_per_second(),
        memory: pages * rustix::param::page_size() as u64,
        processes,
    })
}

/// Of one process: clock ticks of its own and of its ended children, pages that are resident.
struct Figures {
    own: u64,
    children: u64,
    pages: u64,
}

impl Figures {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&proc::read(pid, "stat").ok()?)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|&b| b == b')')?;
        let fields = text[end + 1..].split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
        let fields: Vec<&[u8]> = fields.collect();
        // Counted as in proc_pid_stat(5), where the state, the first of these, is the third.
        let number = |at: usize| -> Option<u64> {
            std::str::from_utf8(fields.get(at - 3)?).ok()?.parse().ok()
        };
        Some(Self {
            own: number(14)? + number(15)?,
            children: number(16)?.saturating_add(number(17)?),
            pages: number(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_tree_is_measured_with_what_its_ended_children_used() {
        let script = "x=; for i in 1 2 3 4 5 6; do (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done); done; \
                      echo done; read -r line";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let tree = Tree::of_tool(Identity::of(shell.id()).ok(), None);
        let usage = |tree: &Tree| usage(&Snapshot::take().unwrap(), tree);
        let mut out = shell.stdout.take().unwrap();
        std::io::Read::read_exact(&mut out, &mut [0; 5]).unwrap();
        let used = usage(&tree).unwrap();
        assert_eq!(used.processes, 1);
        assert!(used.cpu_ms >= 20, "{used:?}");
        assert!(used.memory >= 100_000, "{used:?}");
        let fd = crate::process::pidfd::open_identity(Identity::of(shell.id()).unwrap()).unwrap();
        let behind = Tree::behind(shell.id(), Arc::new(fd), None);
        assert_eq!(usage(&behind).unwrap().processes, 1);
        let from_here = Tree::of_runner(shell.id(), Vec::new);
        assert_eq!(usage(&from_here).unwrap(), Usage::default(), "from here on nothing was used");
        drop(shell.stdin.take());
        let start = Instant::now();
        while shell.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(10) {}
        assert_eq!(usage(&tree), None);
        assert_eq!(usage(&behind), None);
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = b"77 (a) R 1 (b) S 41 9 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 9 10 11 12";
        let figures = Figures::parse(text).unwrap();
        assert_eq!((figures.own, figures.children, figures.pages), (11, 15, 11));
        assert!(Figures::parse(b"77 (a) S 1 2").is_none());
    }
}
