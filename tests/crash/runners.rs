//! Runners that were made because more had to be run at once than waited, and what a warden leaves of its runners.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::other::{all_gone, children, pids_in};
use crate::support::{House, until};
use crate::{POLICY, tree};

/// More than wait in advance.
const AT_ONCE: usize = 10;

/// The cgroup that a process sits in, as the kernel names it.
fn group(pid: &str) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

/// A house with cgroups; without them nothing but the runner holds a tree together.
fn house() -> Option<House> {
    let house = House::with(POLICY, &["--grace", "300ms"]);
    let methods = house.json(&["status", "--json"])["methods"].clone();
    (methods["cgroup"] != "no").then_some(house)
}

#[test]
fn what_runs_under_one_that_was_made_on_the_spot_ends_with_it() {
    let Some(house) = house() else { return };
    let all: Vec<Child> = (0..AT_ONCE).map(|_| tree(&house).spawn().unwrap()).collect();
    let pids = pids_in(&house.path("pids"), 3 * AT_ONCE);
    until("every process to be in its runner's cgroup", || {
        pids.iter().all(|pid| group(pid).contains("runner-")).then_some(())
    });
    for runner in children(house.warden.id()) {
        kill_process(Pid::from_raw(runner.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    }
    all_gone(&pids);
    for mut child in all {
        until("the shim to end", || child.try_wait().unwrap());
    }
}

#[test]
fn a_warden_that_goes_down_leaves_neither_runners_nor_their_cgroups() {
    let Some(mut house) = house() else { return };
    assert!(house.shimmed("sort").stdin(std::process::Stdio::null()).status().unwrap().success());
    until("the run to be over and its runner to wait", || {
        (house.json(&["status", "--json"])["running"] == 0).then_some(())
    });
    let runners = until("runners in their cgroups", || {
        let runners = children(house.warden.id());
        let sit = runners.iter().all(|runner| group(runner).contains(&format!("runner-{runner}")));
        (sit && !runners.is_empty()).then_some(runners)
    });
    let groups: Vec<String> = runners.iter().map(|runner| group(runner)).collect();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" cgroup2 ")).unwrap();
    let mount = mount.split(' ').nth(1).unwrap();
    let folder = |group: &String| format!("{mount}{group}");
    assert!(groups.iter().all(|group| fs::metadata(folder(group)).is_ok()), "{groups:?}");
    let warden = i32::try_from(house.warden.id()).unwrap();
    kill_process(Pid::from_raw(warden).unwrap(), Signal::TERM).unwrap();
    until("the warden to end", || house.warden.try_wait().unwrap());
    all_gone(&runners);
    assert!(groups.iter().all(|group| fs::metadata(folder(group)).is_err()), "{groups:?}");
}
