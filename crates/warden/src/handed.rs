//! Tools that were handed off: they outlive the warden that did it, and the next one finds them by what is written here, lets
//! those go on that stand, or ends them. Nobody is touched who is not known to be the same.

mod off;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jails::JailName;
use crate::ledger::Id;
use crate::plan::Origin;
use crate::process::cgroup::{Cgroups, Leaf};
use crate::process::pidfd::open_identity;
use crate::process::tree::{Report, Scope, end_tree, thaw_tree};
use crate::process::{Identity, boot_id};

pub(crate) use off::{Entry, HandedOff, Note};

/// A tool that was handed off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    /// The request.
    pub(crate) id: Id,
    pid: u32,
    start_ticks: u64,
    /// In which boot of the kernel the process has these numbers.
    boot: String,
    /// The cgroup of its own, where it has one: that is frozen then; else its tree is told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<PathBuf>,
    jails: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    is_told: bool,
}

impl Tool {
    /// The tool of request `id`; `None` where nothing would tell its process from another one later.
    pub(crate) fn new(
        id: Id,
        root: Identity,
        cgroup: Option<PathBuf>,
        origin: &Origin,
    ) -> Option<Self> {
        let Identity { pid, start_ticks } = root;
        let Origin { jails, container, is_told } = origin.clone();
        let jails = jails.iter().map(|jail| jail.as_str().to_owned()).collect();
        let boot = boot_id()?.to_owned();
        Some(Self { id, pid, start_ticks, boot, cgroup, jails, container, is_told })
    }

    /// Whom it runs for.
    pub(crate) fn origin(&self) -> Origin {
        let jails = self.jails.iter().filter_map(|jail| JailName::new(jail).ok());
        Origin { jails: jails.collect(), container: self.container.clone(), is_told: self.is_told }
    }

    /// Its process.
    pub(crate) fn root(&self) -> Identity {
        Identity { pid: self.pid, start_ticks: self.start_ticks }
    }

    /// Its process as long as that has not been reaped: the same one, of this boot.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        (boot_id() == Some(&*self.boot)).then(|| open_identity(self.root()).ok()).flatten()
    }

    /// Its cgroup, if that is known to be its own.
    pub(crate) fn leaf(&self, cgroups: Option<&Cgroups>) -> Option<Leaf> {
        let path = self.cgroup.as_ref().filter(|path| path.exists())?;
        cgroups?.of_tool(path, &self.id.to_string())
    }

    /// Lets it go on, if it is still there.
    pub(crate) fn thaw(&self, cgroups: Option<&Cgroups>) -> Report {
        self.reach(
            cgroups,
            |root| thaw_tree(root, Scope::Whole),
            |leaf| {
                let processes = leaf.processes().len();
                (processes, leaf.thaw().err().map(|error| error.to_string()))
            },
        )
    }

    /// Ends it, if it is still there: politely first, and after `grace` not.
    pub(crate) fn end(&self, cgroups: Option<&Cgroups>, grace: Duration) -> Report {
        self.reach(
            cgroups,
            |root| end_tree(root, Scope::Whole, grace),
            |leaf| match leaf.end(grace) {
                Ok(processes) => (processes, None),
                Err(error) => (0, Some(error.to_string())),
            },
        )
    }

    fn reach(
        &self,
        cgroups: Option<&Cgroups>,
        of_tree: impl FnOnce(Identity) -> Report,
        of_leaf: impl FnOnce(&Leaf) -> (usize, Option<String>),
    ) -> Report {
        // The numbers are of another boot, and so is everything else.
        if boot_id() != Some(&*self.boot) {
            return Report::default();
        }
        let Some(path) = &self.cgroup else {
            return of_tree(self.root());
        };
        if !path.exists() {
            return Report::default();
        }
        // Its name has the request in it.
        match self.leaf(cgroups) {
            Some(leaf) => {
                let (processes, problem) = of_leaf(&leaf);
                Report { processes, problems: problem.into_iter().collect() }
            }
            None => Report {
                processes: 0,
                problems: vec![format!(
                    "{} is not known to be of command {}; what is in it is left as it is",
                    path.display(),
                    self.id
                )],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Instant;

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;
    use crate::process::stat;

    fn standing() -> (Child, Tool) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
        stands(&child, true);
        let jails = vec![JailName::new("web").unwrap()];
        let origin = Origin { jails, container: None, is_told: true };
        let root = Identity::of(child.id()).unwrap();
        (child, Tool::new(Id([7; 16]), root, None, &origin).unwrap())
    }

    fn is_stopped(child: &Child) -> bool {
        stat(child.id()).unwrap().is_stopped()
    }

    fn stands(child: &Child, wanted: bool) {
        let begun = Instant::now();
        while is_stopped(child) != wanted {
            assert!(begun.elapsed() < Duration::from_secs(30), "it stands: {}", !wanted);
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_the_same_process_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, frozen) = standing();
        let later = Tool { start_ticks: frozen.start_ticks + 1, ..frozen.clone() };
        let other_boot = Tool { boot: "another".to_owned(), ..frozen.clone() };
        let no_cgroup = Tool { cgroup: Some(folder.path().join("gone")), ..frozen.clone() };
        for other in [later, other_boot, no_cgroup] {
            assert_eq!(other.thaw(None), Report::default());
            assert_eq!(other.end(None, Duration::ZERO), Report::default());
            assert!(is_stopped(&child), "{other:?}");
        }
        let foreign = Tool { cgroup: Some("/proc".into()), ..frozen.clone() };
        assert_eq!(foreign.thaw(None).problems.len(), 1);
        let kept: Tool = serde_json::from_str(&serde_json::to_string(&frozen).unwrap()).unwrap();
        assert_eq!((&kept, kept.origin().jails[0].as_str()), (&frozen, "web"));
        assert_eq!(kept.thaw(None).processes, 1);
        stands(&child, false);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(kept.thaw(None), Report::default(), "it has gone");
    }

    #[test]
    fn what_stands_is_ended() {
        let (mut child, frozen) = standing();
        assert_eq!(frozen.end(None, Duration::from_secs(30)).problems, Vec::<String>::new());
        assert!(!child.wait().unwrap().success());
    }
}
