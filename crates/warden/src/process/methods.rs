//! What the kernel offers here, found out once at the start by trying it, and told in the log and by `status`.

use std::collections::BTreeMap;

use super::cgroup::{Cgroups, Controllers};
use super::pidfd::ExitInfo;
use crate::sys;

/// What was found.
#[derive(Debug, Clone)]
pub struct Methods {
    /// A socket's peer can be had as a pidfd.
    pub peer_pidfd: bool,
    /// Exit codes by pidfd.
    pub exit_info: ExitInfo,
    /// Where cgroups can be made, if anywhere.
    pub cgroups: Option<Cgroups>,
    /// What limits commands.
    pub controllers: Controllers,
}

impl Methods {
    /// Tries everything. Blocks for about a millisecond.
    #[must_use]
    pub fn probe() -> Self {
        let cgroups = Cgroups::probe();
        Self {
            peer_pidfd: sys::peer::has_peer_pidfd(),
            exit_info: ExitInfo::probe(),
            controllers: Controllers::probe(cgroups.as_ref()),
            cgroups,
        }
    }

    /// For `status`: a word or a short phrase for each.
    #[must_use]
    pub fn map(&self) -> BTreeMap<String, String> {
        let cgroups = self.cgroups.as_ref();
        let yes = |flag| if flag { "yes" } else { "no" }.to_owned();
        BTreeMap::from([
            ("peer_pidfd".to_owned(), yes(self.peer_pidfd)),
            ("pidfd_exit_info".to_owned(), yes(self.exit_info.is_available())),
            (
                "cgroup".to_owned(),
                cgroups.map_or_else(|| "no".to_owned(), |found| found.own().display().to_string()),
            ),
            ("cgroup_kill".to_owned(), yes(cgroups.is_some_and(Cgroups::has_kill))),
            ("cgroup_freeze".to_owned(), yes(cgroups.is_some_and(Cgroups::has_freeze))),
            ("cgroup_limits".to_owned(), self.controllers.told()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_told() {
        let told = Methods::probe().map();
        for name in [
            "peer_pidfd",
            "pidfd_exit_info",
            "cgroup",
            "cgroup_kill",
            "cgroup_freeze",
            "cgroup_limits",
        ] {
            assert!(told.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_told_as_no() {
        let none = Methods {
            peer_pidfd: false,
            exit_info: ExitInfo::disabled(),
            cgroups: None,
            controllers: Controllers::default(),
        }
        .map();
        assert!(none.values().all(|value| value == "no"));
    }
}
