//! The warden is killed at each step of dropping a segment: what is left holds, nothing is gone that no record says, and
//! the next warden goes on with it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use clawrden_warden::ledger::{Proof, PublicKey, Summary, verify_by};

use crate::POLICY;
use crate::points::asked;
use crate::support::{House, until};

/// A warden that keeps little.
fn house() -> House {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let settings = dir.path().join("warden.yaml");
    fs::write(&settings, "ledger: {segment: {bytes: 4KiB}, keep: {bytes: 12KiB}}\n").unwrap();
    let settings = settings.to_str().unwrap().to_owned();
    House::within(dir, &[], POLICY, &["--grace", "300ms", "--config", &settings])
}

fn holds(house: &House) -> Summary {
    let keys = vec![PublicKey::of(&house.path("")).unwrap()];
    let proof = Proof { keys, ..Proof::default() };
    // The warden that serves may be in the middle of a line, or before its first one.
    let begun = |summary: &Summary| summary.lines > 0;
    until("the ledger to hold", || {
        verify_by(&house.path("ledger.jsonl"), &proof).ok().filter(begun)
    })
}

fn segments(house: &House) -> Vec<PathBuf> {
    let all = fs::read_dir(house.path("")).unwrap().map(|entry| entry.unwrap().path());
    let is_closed = |path: &PathBuf| path.to_string_lossy().contains("ledger-0");
    let mut closed: Vec<PathBuf> = all.filter(is_closed).collect();
    closed.sort();
    closed
}

fn run(house: &House) -> bool {
    let mut shim = house.shimmed("true");
    shim.stderr(Stdio::null()).status().unwrap().success()
}

/// Runs commands until so many segments are closed, or nobody serves any more.
fn until_closed(house: &House, count: usize) {
    until("segments to be closed", || {
        (segments(house).len() >= count || !run(house)).then_some(())
    });
}

#[test]
fn at_each_step_of_dropping_a_segment() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    for point in ["drop_said", "drop_recordings", "drop_removed"] {
        let mut house = house();
        let mut first = 1;
        for round in 0..3 {
            house.crash();
            house.restart_with(&[("CLAWRDEN_CRASH_AT", point)]);
            until("the warden to crash", || (!run(&house)).then_some(()));
            crate::has_crashed(&mut house);
            let left = holds(&house);
            let dropped = left.dropped.clone().unwrap();
            let is_there = dropped.last >= left.first_seq;
            assert_eq!(is_there, point != "drop_removed", "{point}, round {round}: {left:?}");
            house.restart();
            until("it to be removed", || (holds(&house).first_seq > dropped.last).then_some(()));
            assert!(run(&house));
            let now = holds(&house).first_seq;
            assert!(now > first, "{point}, round {round}");
            first = now;
        }
    }
}

#[test]
fn at_moments_that_nobody_chose() {
    let mut house = house();
    let mut first = 1;
    for round in 0..12 {
        std::thread::scope(|scope| {
            let pid = rustix::process::Pid::from_child(&house.warden);
            for _ in 0..3 {
                scope.spawn(|| while run(&house) {});
            }
            std::thread::sleep(std::time::Duration::from_millis(40 + 17 * round));
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        });
        crate::has_crashed(&mut house);
        house.restart();
        let left = holds(&house);
        assert!(left.first_seq >= first);
        first = left.first_seq;
    }
    until_closed(&house, 3);
    until("segments to be dropped", || (run(&house) && holds(&house).first_seq > 1).then_some(()));
}

#[test]
fn what_waits_for_a_person_is_kept_over_restarts_and_dropped_when_it_is_over() {
    let mut house = house();
    let mut child = asked(&house, "tee");
    let entry = house.pending();
    for _ in 0..2 {
        let count = segments(&house).len() + 4;
        until_closed(&house, count);
        assert_eq!(holds(&house).first_seq, 1, "the request is in the oldest segment");
        house.crash();
        house.restart();
    }
    let short = entry["short"].as_str().unwrap();
    assert!(house.cli(&["deny", short]).status.success());
    assert_eq!(until("its end", || child.try_wait().unwrap()).code(), Some(126));
    until("it to be dropped", || (run(&house) && holds(&house).first_seq > 1).then_some(()));
    let text = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let ledger = house.path("ledger.jsonl");
    let said = text(house.cli(&["audit", "verify", ledger.to_str().unwrap()]));
    assert!(said.contains("were dropped by retention on 2"), "{said}");
    let first = holds(&house).first_seq;
    let history = house.json(&["history", "--json", "--limit", "1000"]);
    let entries = history["entries"].as_array().unwrap();
    let least = entries.iter().map(|entry| entry["sequence"].as_u64().unwrap()).min();
    assert!(least.is_some_and(|least| least >= first), "{least:?}");
}
