//! Warden, shim and runner are killed at moments that nobody chose.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use clawrden_warden::ledger::verify;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::other::{all_gone, children, pids_in};
use crate::support::{House, text, until};
use crate::{POLICY, all_is_in_order, tree, tree_is_gone};

const ROUNDS: u64 = 20;

/// What the test leaves at the end of a ledger; a record never begins so.
const TORN: &[u8] = b"{\"torn\":";

/// A moment of this round: from at once to some 60 ms.
fn moment(round: u64) -> Duration {
    Duration::from_micros(round * round * 150)
}

fn house() -> House {
    House::with(POLICY, &["--grace", "300ms"])
}

/// What the processes that run or ran should come to.
fn end(mut child: Child) -> std::process::Output {
    until("the shim to end", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

#[test]
fn the_warden_during_sixty_four_requests() {
    let mut house = house();
    let marks = house.path("marks");
    fs::create_dir(&marks).unwrap();
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let children: Vec<(String, bool, Child)> = (0..64)
            .map(|n| {
                let name = format!("round-{round}-number-{n}.");
                let mark = marks.join(&name).display().to_string();
                let local = n % 2 == 1;
                let mut command = house.shimmed(if local { "sort" } else { "touch" });
                if local {
                    command.args(["-o", &mark, "/dev/null"]);
                } else {
                    command.arg(&mark);
                }
                command.stdin(Stdio::null()).stderr(Stdio::piped());
                (name, local, command.spawn().unwrap())
            })
            .collect();
        sleep(moment(round));
        house.crash();
        for (name, local, child) in children {
            let output = end(child);
            let said = text(&output.stderr);
            let ran = marks.join(&name).exists();
            match output.status.code() {
                Some(0) => assert!(ran && said.is_empty(), "{name} {said}"),
                Some(125) => {
                    assert_eq!(said.lines().count(), 1, "{said}");
                    // A local one may have been at work when it was ended; mirror runs or does not.
                    assert!(!ran || local && !said.contains("nothing ran"), "{name} {said}");
                }
                _ => panic!("{name}: {output:?}"),
            }
            if ran {
                all.push(name);
            }
        }
        if round % 3 == 0 {
            let mut ledger =
                fs::File::options().append(true).open(house.path("ledger.jsonl")).unwrap();
            std::io::Write::write_all(&mut ledger, TORN).unwrap();
        }
        house.restart();
    }
    house.crash();
    all_is_in_order(&mut house, &all);
    // A kill may tear a line of its own: the kernel leaves a write between two pages.
    let aside: Vec<Vec<u8>> = house
        .events("recovered")
        .iter()
        .map(|record| {
            let aside = fs::read(record["file"].as_str().unwrap()).unwrap();
            assert_eq!(record["torn_bytes"], aside.len());
            assert!(aside.starts_with(b"{") && !aside.contains(&b'\n'), "{}", text(&aside));
            aside
        })
        .collect();
    let ours = aside.iter().filter(|aside| aside.ends_with(TORN)).count();
    assert_eq!(ours as u64, ROUNDS.div_ceil(3), "what the test tore is set aside once each");
}

#[test]
fn the_warden_with_trees_under_way() {
    let mut house = house();
    for round in 0..6 {
        let children: Vec<Child> = (0..4).map(|_| tree(&house).spawn().unwrap()).collect();
        sleep(moment(round * 3));
        house.crash();
        for child in children {
            assert_eq!(end(child).status.code(), Some(125));
        }
        tree_is_gone(&house);
        house.restart();
    }
    house.crash();
    all_is_in_order(&mut house, &[]);
}

#[test]
fn the_shim_of_a_supervised_run() {
    let house = house();
    for round in 0..ROUNDS {
        let mut child = tree(&house).spawn().unwrap();
        sleep(moment(round));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        tree_is_gone(&house);
    }
    // What had not begun begins nothing later.
    until("every run to end", || (house.json(&["status", "--json"])["running"] == 0).then_some(()));
    tree_is_gone(&house);
    let ledger = house.ledger();
    let count = |event: &str| ledger.iter().filter(|record| record["event"] == event).count();
    assert_eq!(count("started"), count("finished"), "each start has its end");
    verify(&house.path("ledger.jsonl")).unwrap();
    assert!(house.shimmed("true").status().unwrap().success());
}

fn parent(pid: &str) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Waits until the runner that comes next sits in a cgroup of its own.
fn warm(house: &House) {
    until("runners that wait", || {
        let sits = |runner: &String| {
            let groups = fs::read_to_string(format!("/proc/{runner}/cgroup")).unwrap_or_default();
            groups.contains(&format!("runner-{runner}"))
        };
        let runners = children(house.warden.id());
        (!runners.is_empty() && runners.iter().all(sits)).then_some(())
    });
}

#[test]
fn the_runner_of_a_supervised_run() {
    let house = house();
    if house.json(&["status", "--json"])["methods"]["cgroup"] == "no" {
        // What holds a tree together without its runner is a cgroup; there is none here.
        return a_runner_that_waits_for_work();
    }
    assert!(house.shimmed("sort").stdin(Stdio::null()).status().unwrap().success());
    for round in 0..8 {
        warm(&house);
        let _ = fs::remove_file(house.path("pids"));
        let child = tree(&house).spawn().unwrap();
        let pids = pids_in(&house.path("pids"), 3);
        let runner = parent(&pids[0]);
        assert_eq!(u32::try_from(parent(&runner.to_string())).unwrap(), house.warden.id());
        sleep(moment(round));
        kill_process(Pid::from_raw(runner).unwrap(), Signal::KILL).unwrap();
        all_gone(&pids);
        let output = end(child);
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");
        house.has(usize::try_from(round).unwrap() + 2, "finished");
    }
    house.record("an end that nobody saw", |record| {
        record["exit_source"].as_str().is_some_and(|source| source.starts_with("unknown"))
    });
    assert!(house.shimmed("true").status().unwrap().success());
    verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_runner_that_waits_for_work() {
    let house = house();
    assert!(house.shimmed("sort").stdin(Stdio::null()).status().unwrap().success());
    for _ in 0..5 {
        for runner in children(house.warden.id()) {
            let _ = kill_process(Pid::from_raw(runner.parse().unwrap()).unwrap(), Signal::KILL);
        }
        // Whoever gets a dead one may be told; nobody waits for ever, and the next are served.
        until("a good end", || {
            let status = house.shimmed("sort").stdin(Stdio::null()).stderr(Stdio::null()).status();
            status.unwrap().success().then_some(())
        });
    }
    until("no dead one to be left", || {
        assert!(house.shimmed("sort").stdin(Stdio::null()).status().unwrap().success());
        let is_zombie = |pid: &String| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains("State:\tZ")
        };
        (!children(house.warden.id()).iter().any(is_zombie)).then_some(())
    });
    verify(&house.path("ledger.jsonl")).unwrap();
}
