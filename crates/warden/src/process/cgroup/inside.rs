//! What is inside a cgroup, as its directory says.

use std::fs;
use std::path::Path;

use super::directories;

/// What a cgroup of version 2 says of itself and all below it; `None` where it says nothing.
pub(super) fn event(group: &Path, name: &str) -> Option<bool> {
    let text = fs::read_to_string(group.join("cgroup.events")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(value != "0")
}

/// The processes in the cgroup of this directory and below it.
#[must_use]
pub fn processes_in(group: &Path) -> Vec<u32> {
    let mut groups = directories(group);
    groups.push(group.to_owned());
    let lists =
        groups.iter().filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
    // A process of a pid namespace that we do not see is listed as 0.
    lists
        .flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>())
        .filter(|&pid| pid != 0)
        .collect()
}
