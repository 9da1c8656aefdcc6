//! A warden that dies at each point of an exec, and an engine that goes away in the middle of one.

use std::process::{Child, Stdio};

use super::{Cage, STAY};
use crate::prison::{PATH, house, inside, processes};
use crate::support::engine::Own;
use crate::support::{House, text, until};

/// In their order. Up to the fifth, the tool has not begun.
const POINTS: &[&str] = &[
    "before_intent",
    "after_intent",
    "exec_made",
    "exec_started",
    "runner_taken",
    "plan_sent",
    "tool_started",
    "before_finished",
];

/// What is left of execs in a container, and in their jail's folder.
fn left(house: &House, container: &str) -> Vec<String> {
    let entries = std::fs::read_dir(house.path("jails/box")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = names.filter(|name| name.starts_with("exec-")).collect();
    let ours = |line: &String| line.contains("clawrden-runner") || line.contains("98765");
    left.extend(processes(container).into_iter().filter(ours));
    left
}

#[test]
fn wherever_a_warden_is_killed_its_exec_is_recorded_before_it_runs_and_nothing_of_it_is_left() {
    let mut cage = Cage::new("debian12", STAY);
    for (at, &point) in POINTS.iter().enumerate() {
        cage.house.crash();
        cage.house.restart_with(&[("CLAWRDEN_CRASH_AT", point)]);
        let wait = if point == "before_finished" { "true" } else { "exec sleep 98765" };
        let script = format!("PATH=/usr/bin:/bin; touch /tmp/{point}; {wait}");
        let output = cage.run(&["sh", "-c", &script]);
        let told = text(&output.stderr);
        // What had ended by itself has told its caller so.
        let code = if point == "before_finished" { 0 } else { 125 };
        assert_eq!(output.status.code(), Some(code), "{point}: {told}");
        assert!(!cage.house.warden.wait().unwrap().success(), "{point}");
        assert_eq!(cage.records("started").len(), at, "{point}: each but the first is recorded");
        let ran = cage.container.sh(&format!("test -e /tmp/{point}")).status.success();
        // In between, how far it came before its runner ended it is not said.
        match at {
            0..=4 => assert!(!ran, "{point}"),
            5..=6 => {}
            _ => assert!(ran, "{point}"),
        }
        cage.house.restart();
        until("nothing to be left of it", || {
            left(&cage.house, &cage.container.id).is_empty().then_some(())
        });
    }
    let again = cage.run(&["sh", "-c", "echo again"]);
    assert_eq!(text(&again.stdout), "again\n", "{}", text(&again.stderr));
}

/// A warden of an engine that is this test's own.
fn prison(own: &Own) -> House {
    let mut house = house(STAY);
    house.crash();
    house.add(&["--engine", &own.engine.address]);
    house.restart();
    house.json(&["status", "--json"]);
    house
}

fn command(own: &Own, container: &str, script: &str) -> Child {
    let path = format!("PATH=/clawrden/bin:{PATH}");
    let mut docker = own.engine.docker();
    docker.args(["exec", "-u", "1000:1000", "-w", "/tmp", "-e", &path, container]);
    docker.args(["sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    docker.spawn().unwrap()
}

fn runs(container: &str) {
    // Not the shell that is asked for it, which may still wait for the warden.
    let is_it = |line: &String| line.ends_with("sleep 98765") && !line.contains(" -c ");
    until("the tool to run", || processes(container).iter().any(is_it).then_some(()));
}

#[test]
fn an_engine_that_restarts_in_the_middle_of_an_exec_ends_it_and_serves_its_labelled_prisoner_again()
{
    let mut own = Own::start();
    own.engine.image("debian12");
    let house = prison(&own);
    let spec = inside(&house, own.engine.container("debian12"));
    let spec = spec.label("clawrden.enabled", "true").label("clawrden.jail", "box");
    // It goes with its engine.
    let container = std::mem::ManuallyDrop::new(spec.start()).id.clone();
    let child = command(&own, &container, "/bin/sleep 98765");
    runs(&container);
    own.stop();
    assert_ne!(child.wait_with_output().unwrap().status.code(), Some(0));
    let finished = house.event("finished");
    assert_ne!(finished["exit_code"], 0, "{finished}");
    until("nothing to be left of it", || left(&house, &container).is_empty().then_some(()));
    own.restart_with_containers();
    own.engine.say(&["start", &container]);
    until("the prisoner to be known again", || {
        let jails = house.json(&["jails", "show", "box", "--json"]);
        jails.to_string().contains(&container[..12]).then_some(())
    });
    let again = command(&own, &container, "/bin/echo again").wait_with_output().unwrap();
    assert_eq!(text(&again.stdout), "again\n", "{}", text(&again.stderr));
}

#[test]
fn a_tool_outlives_an_engine_that_is_killed_and_its_end_is_exact() {
    let mut own = Own::start();
    own.engine.image("debian12");
    let house = prison(&own);
    let container =
        std::mem::ManuallyDrop::new(inside(&house, own.engine.container("debian12")).start())
            .id
            .clone();
    let script =
        "/bin/sleep 98765 & while [ ! -e /tmp/go ]; do /bin/sleep 0.1; done; kill $!; exit 7";
    let mut child = command(&own, &container, script);
    runs(&container);
    own.kill();
    // Its client is cut off; the runner is the warden's own.
    child.wait().unwrap();
    until("the engine to be missed", || {
        house.json(&["status", "--json"])["engine"]["error"].is_string().then_some(())
    });
    let is_it = |line: &String| line.ends_with("sleep 98765");
    assert!(processes(&container).iter().any(is_it), "no engine is needed to go on");
    own.restart_with_containers();
    until("nothing to be left of it", || left(&house, &container).is_empty().then_some(()));
    house.event("finished");
}
