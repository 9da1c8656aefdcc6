//! Answering from a second terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::pty::Pty;
use crate::support::{House, clawrden, text, until};

const POLICY: &str =
    "default_action: deny\nrules:\n  - {command: 'true', action: ask, reason: look first}\n";

/// Somebody types no sooner than this.
const READING: Duration = Duration::from_millis(700);

fn ask(house: &House) -> Child {
    run(house, "true")
}

fn run(house: &House, tool: &str) -> Child {
    let mut command = house.shimmed(tool);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

fn watching(house: &House) -> Command {
    let mut command = clawrden();
    command.arg("--control").arg(house.control()).args(["watch", "--no-notify"]);
    command
}

/// Reads until a request is shown whole.
fn shown(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"[q]uit > ") {
        assert_eq!(from.read(&mut byte).unwrap(), 1, "{}", text(&bytes));
        bytes.push(byte[0]);
    }
    text(&bytes)
}

#[test]
fn who_watches_is_asked_about_what_comes_and_hears_who_was_faster() {
    let house = House::new(POLICY);
    let mut watch = watching(&house).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut typed, mut told) = (watch.stdin.take().unwrap(), watch.stdout.take().unwrap());
    let first = ask(&house);
    assert!(shown(&mut told).contains("look first"));
    std::thread::sleep(READING);
    typed.write_all(b"d use a branch\n").unwrap();
    let ended = first.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(126));
    assert!(text(&ended.stderr).contains("use a branch"), "{ended:?}");

    let second = ask(&house);
    shown(&mut told);
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    assert!(house.cli(&["approve", &id]).status.success());
    assert!(second.wait_with_output().unwrap().status.success());
    let mut lines = BufReader::new(told).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("approved by ")), "it says who answered");
    drop(typed);
    assert!(watch.wait().unwrap().success());
}

#[test]
fn what_the_policy_refuses_by_now_is_not_asked_about_for_ever() {
    let both = |action| {
        format!(
            "default_action: deny\nrules:\n  - {{command: ['true', 'false'], action: {action}, reason: closed}}\n  \
             - {{command: touch, action: deny, reason: they {action}}}\n"
        )
    };
    let house = House::new(&both("ask"));
    let mut watch = watching(&house).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut typed, mut told) = (watch.stdin.take().unwrap(), watch.stdout.take().unwrap());
    let first = ask(&house);
    shown(&mut told);
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    let second = run(&house, "false");
    until("both to wait", || {
        (house.json(&["queue", "--json"])["entries"].as_array().unwrap().len() == 2).then_some(())
    });
    std::fs::write(house.path("policy.yaml"), both("deny")).unwrap();
    until("the policy to be in force", || {
        let denied = house.shimmed("touch").output().unwrap();
        text(&denied.stderr).contains("they deny").then_some(())
    });
    assert!(!house.cli(&["approve", &id]).status.success());
    assert!(shown(&mut told).contains("denied by the policy"), "who follows the queue hears it");
    std::thread::sleep(READING);
    typed.write_all(b"a\n").unwrap();
    let mut lines = BufReader::new(told).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("by now denies")));
    assert!(lines.next().is_some_and(|line| line.contains("nothing waits")), "it is closed");
    for child in [first, second] {
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(126));
    }
    drop(typed);
    assert!(watch.wait().unwrap().success());
}

#[test]
fn what_was_half_typed_for_one_request_does_not_approve_another() {
    const ASKED: &str = "[q]uit > ";
    let house =
        House::new("default_action: deny\nrules: [{command: ['true', 'false'], action: ask}]\n");
    let first = ask(&house);
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    let mut watch = Pty::spawn(&mut watching(&house));
    watch.expect(ASKED);
    let second = run(&house, "false");
    until("both to wait", || {
        (house.json(&["queue", "--json"])["entries"].as_array().unwrap().len() == 2).then_some(())
    });
    watch.send("a");
    std::thread::sleep(READING);
    assert!(house.cli(&["deny", &id]).status.success());
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(126));
    watch.expect(ASKED);
    std::thread::sleep(READING);
    watch.send("\n");
    watch.expect(ASKED);
    assert_eq!(house.pending()["argv"][0], "false", "it waits on");
    watch.send("d no\n");
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(126));
    watch.send("q\n");
    assert!(watch.child.wait().unwrap().success());
}

#[test]
fn the_queue_that_is_watched_is_a_line_of_json_for_each_change() {
    let house = House::new(POLICY);
    let mut watch = clawrden();
    watch.arg("--control").arg(house.control()).args(["queue", "--watch", "--json"]);
    let mut watch = watch.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> serde_json::Value {
        serde_json::from_str(&lines.next().expect("it goes on").unwrap()).unwrap()
    };
    assert_eq!(next()["entries"], serde_json::json!([]), "the queue as it is comes first");
    let asked = ask(&house);
    let with = next();
    assert_eq!(with["entries"].as_array().unwrap().len(), 1, "{with}");
    assert_eq!(with["entries"][0]["argv"], serde_json::json!(["true"]));
    let id = with["entries"][0]["id"].as_str().unwrap();
    assert!(house.cli(&["deny", id]).status.success());
    assert_eq!(next()["entries"], serde_json::json!([]), "one line for each change");
    assert_eq!(asked.wait_with_output().unwrap().status.code(), Some(126));
    watch.kill().unwrap();
    watch.wait().unwrap();
}
