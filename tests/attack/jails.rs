//! A prisoner of one jail gets nothing of another's: not its answers, not its approvals, not its requests.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::other::{Home, UID, by, is_root, open_to_others, set_user};
use crate::support::{House, raw, text, until};

const POLICY: &str = "
default_action: deny
jails:
  one: {commands: [touch], hold: 60s}
  two: {commands: [touch], hold: 60s}
rules:
  - {command: touch, action: ask}
  - {command: echo, action: allow, jail: one}
";

fn waiting(home: &Home, jail: &str) -> (Child, String) {
    let mark = home.house.path("mark");
    let child = home.shimmed(jail, "touch").arg(mark).stderr(Stdio::piped()).spawn().unwrap();
    let entry = until("the entry", || {
        let queue = home.json(&["queue", "--json"]);
        let entries = queue["entries"].as_array()?.clone();
        entries.into_iter().find(|entry| entry["jail"] == jail)
    });
    (child, entry["id"].as_str().unwrap().to_owned())
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a raw wait for `id` gets.
fn wait_for(stream: &mut UnixStream, id: &str) -> raw::Said {
    let body = json!({"v": 2, "wait": id}).to_string();
    stream.write_all(&raw::framed(body.as_bytes())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    raw::finish(stream)
}

#[test]
fn another_jails_request_cannot_be_waited_for() {
    let home = Home::new(POLICY);
    let (child, id) = waiting(&home, "one");
    // The socket of a user's warden is for that user; as root one gets in, and is another caller.
    let mut wait = home.command(&home.cli);
    wait.args(["wait", &id]).env("CLAWRDEN_SOCKET", home.jail_socket("two"));
    let output = wait.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let mut wait = home.command(&home.cli);
    wait.args(["wait", &id]).env("CLAWRDEN_SOCKET", home.jail_socket("one"));
    let own = wait.stderr(Stdio::piped()).spawn().unwrap();
    assert!(home.clawrden().args(["approve", &id]).status().unwrap().success());
    let output = own.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(child.wait_with_output().unwrap().status.success());
    // Nor is it told afterwards what came of it.
    let mut wait = home.command(&home.cli);
    wait.args(["wait", &id]).env("CLAWRDEN_SOCKET", home.jail_socket("two"));
    assert_eq!(wait.output().unwrap().status.code(), Some(1));
}

#[test]
fn another_jails_approval_is_no_approval() {
    let home = Home::new(POLICY);
    let (first, id) = waiting(&home, "one");
    end(first);
    until("it to be parked", || (home.pending()["callers"] == 0).then_some(()));
    assert!(home.clawrden().args(["approve", &id]).status().unwrap().success());
    let (second, other) = waiting(&home, "two");
    assert_ne!(id, other);
    assert!(!home.house.path("mark").exists());
    end(second);
    let mark = home.house.path("mark");
    assert!(home.shimmed("one", "touch").arg(&mark).status().unwrap().success());
}

#[test]
fn identical_requests_of_two_jails_are_two_entries() {
    let home = Home::new(POLICY);
    let (first, one) = waiting(&home, "one");
    let (second, two) = waiting(&home, "two");
    assert_ne!(one, two);
    assert!(home.clawrden().args(["deny", &one]).status().unwrap().success());
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(126));
    assert_eq!(home.json(&["queue", "--json"])["entries"].as_array().unwrap().len(), 1);
    end(second);
}

#[test]
fn a_rule_for_one_jail_is_no_rule_for_another() {
    let home = Home::new(POLICY);
    let run = |jail| home.shimmed(jail, "echo").arg("hi").output().unwrap();
    assert_eq!(text(&run("one").stdout), "hi\n");
    assert_eq!(run("two").status.code(), Some(126));
}

#[test]
fn another_users_request_cannot_be_waited_for() {
    let house = House::new("rules: [{command: touch, action: ask}]");
    let mut child = house.shimmed("touch").arg("mark").stderr(Stdio::null()).spawn().unwrap();
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    if is_root() {
        open_to_others(&house);
        let copy = house.path("cli");
        std::fs::copy(crate::support::clawrden().get_program(), &copy).unwrap();
        let mut wait = std::process::Command::new(copy);
        wait.args(["wait", &id]).env("CLAWRDEN_SOCKET", house.socket());
        let output = by(&set_user(UID), &wait).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    }
    for id in ["0000000000", "", "zz", "*", "../x", &"f".repeat(64), &id[..3]] {
        let said = wait_for(&mut raw::connect(&house.socket()), id);
        assert_ne!(said.acks, [0], "{id:?}");
        assert!(!said.text().contains("touch"), "{id:?}: {}", said.text());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
