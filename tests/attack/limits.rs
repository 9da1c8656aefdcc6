//! Whoever wants more than its rule gives, and faster, gets no more.

use std::io::Write;
use std::process::{Child, ExitStatus, Stdio};

use serde_json::Value;

use crate::support::{House, raw, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: 'true', action: allow, limits: {rate: 5/1h}}
  - {command: cat, action: allow, limits: {concurrent: 3}}
  - {command: tee, action: allow, executor: local, limits: {concurrent: 3}}
";

/// How many ask at once.
const CROWD: usize = 60;

fn refused(house: &House) -> usize {
    let is_denied = |record: &Value| record["event"] == "decided" && record["decision"] == "deny";
    house.ledger().iter().filter(|record| is_denied(record)).count()
}

#[test]
fn a_flood_in_parallel_starts_no_more_than_the_rate() {
    let house = House::new(POLICY);
    let crowd: Vec<Child> =
        (0..CROWD).map(|_| house.shimmed("true").stderr(Stdio::null()).spawn().unwrap()).collect();
    let codes: Vec<Option<i32>> =
        crowd.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
    let with = |wanted: i32| codes.iter().filter(|&&code| code == Some(wanted)).count();
    assert_eq!((with(0), with(126)), (5, CROWD - 5), "{codes:?}");
    assert_eq!((house.events("started").len(), refused(&house)), (5, CROWD - 5));
}

#[test]
fn a_flood_in_parallel_never_has_more_running_than_it_may() {
    for tool in ["cat", "tee"] {
        let house = House::new(POLICY);
        let mut crowd: Vec<Child> = (0..CROWD)
            .map(|_| {
                let mut command = house.shimmed(tool);
                command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        until("all to have an answer", || {
            (house.events("started").len() + refused(&house) == CROWD).then_some(())
        });
        assert_eq!(house.events("started").len(), 3, "{tool}");
        // Those that run are let go; the others have ended.
        crowd.iter_mut().for_each(|child| drop(child.stdin.take()));
        let ended = crowd.into_iter().map(|mut child| child.wait().unwrap());
        assert_eq!(ended.filter(ExitStatus::success).count(), 3, "{tool}");
    }
}

#[test]
fn who_leaves_before_it_starts_takes_no_seat_for_good() {
    let house = House::new(POLICY);
    let request = raw::request(house.dir.path(), &["tee"], &raw::path());
    for _ in 0..20 {
        // It is told to send its descriptors, and goes instead.
        let mut stream = raw::connect(&house.socket());
        stream.write_all(&request).unwrap();
        drop(stream);
    }
    until("a seat", || {
        let output = house.shimmed("tee").stdin(Stdio::null()).output().unwrap();
        output.status.success().then_some(())
    });
}

#[test]
fn another_name_or_path_of_the_tool_counts_for_the_same_rule() {
    let house = House::new(POLICY);
    let find = std::process::Command::new("sh")
        .args(["-c", "command -v true; command -v env"])
        .output()
        .unwrap();
    let found = text(&find.stdout);
    assert!(!found.is_empty());
    let ask = |name: &str| {
        raw::ask(&house.socket(), &raw::request(house.dir.path(), &[name], &raw::path()))
    };
    let path = ["/usr/bin/true", "/bin/true"];
    let before = (0..5)
        .map(|n| ask(["true", path[0], path[1]][n % 3]))
        .filter(|said| said.acks == [0])
        .count();
    assert_eq!(before, 5);
    for name in ["true", path[0], path[1]] {
        assert_eq!(ask(name).acks, [1], "{name}");
    }
}
