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
    let mut command = notified(house);
    command.arg("--no-notify");
    command
}

/// The same, with a notification where the desktop takes one.
fn notified(house: &House) -> Command {
    let mut command = clawrden();
    command.arg("--control").arg(house.control()).arg("watch");
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

#[test]
fn the_queue_that_is_watched_ends_when_the_warden_is_killed_and_says_that_it_broke_off() {
    let mut house = House::new(POLICY);
    let mut watch = clawrden();
    watch.arg("--control").arg(house.control()).args(["queue", "--watch", "--json"]);
    watch.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next().is_some(), "the queue as it is comes first");
    house.crash();
    let ended = watch.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    let said = text(&ended.stderr);
    assert!(said.contains("broke off") && !said.contains("not understood"), "{said}");
}

#[test]
fn the_desktop_is_told_what_waits_in_words_that_it_takes_for_no_markup() {
    let house = House::new("default_action: deny\nrules: [{command: echo, action: ask}]\n");
    let (desktop, said) = (house.path("desktop"), house.path("said"));
    std::fs::create_dir(&desktop).unwrap();
    let program = desktop.join("notify-send");
    // Whole, or not there at all.
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{0}.new'\nmv '{0}.new' '{0}'\n",
        said.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let path = format!("{}:{}", desktop.display(), std::env::var("PATH").unwrap());
    let watch = |mut command: Command| {
        command.env("PATH", &path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let ask = || {
        let mut echo = house.shimmed("echo");
        echo.args(["<b>&\u{1b}[2J", "--help"]).stdin(Stdio::null()).stderr(Stdio::null());
        echo.stdout(Stdio::null()).spawn().unwrap()
    };
    let deny = || {
        let id = house.pending()["id"].as_str().unwrap().to_owned();
        assert!(house.cli(&["deny", &id]).status.success());
    };

    let mut quiet = watch(watching(&house));
    let mut asked = ask();
    shown(quiet.stdout.as_mut().unwrap());
    drop(quiet.stdin.take());
    assert!(quiet.wait().unwrap().success());
    deny();
    assert_eq!(asked.wait().unwrap().code(), Some(126));
    assert!(!said.exists(), "nobody wanted to be told");

    let mut loud = watch(notified(&house));
    let mut asked = ask();
    shown(loud.stdout.as_mut().unwrap());
    let said = until("the notification", || std::fs::read_to_string(&said).ok());
    let lines: Vec<&str> = said.lines().collect();
    let command = r"echo $'&lt;b&gt;&amp;\e[2J' --help";
    assert_eq!(lines, ["--app-name=clawrden", "--", "A command waits for you", command]);
    deny();
    assert_eq!(asked.wait().unwrap().code(), Some(126));
    drop(loud.stdin.take());
    assert!(loud.wait().unwrap().success());
}

#[test]
fn who_watches_skips_and_gives_the_reason_that_is_wanted() {
    let house = House::new(
        "default_action: deny\nrules:\n  - {command: 'true', action: ask}\n  - {command: 'false', action: ask, \
         require_reason: true}\n",
    );
    let mut watch = watching(&house).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut typed, mut told) = (watch.stdin.take().unwrap(), watch.stdout.take().unwrap());
    let left = ask(&house);
    shown(&mut told);
    let wanted = run(&house, "false");
    std::thread::sleep(READING);
    typed.write_all(b"s\n").unwrap();
    assert!(shown(&mut told).contains("a yes needs a reason: a REASON"));
    std::thread::sleep(READING);
    typed.write_all(b"a\n").unwrap();
    let again = shown(&mut told);
    assert!(
        again.contains("reason") && again.contains("false"),
        "it is asked about again: {again}"
    );
    std::thread::sleep(READING);
    typed.write_all(b"a it is a test\n").unwrap();
    assert_eq!(wanted.wait_with_output().unwrap().status.code(), Some(1), "it ran");
    let approved = house.event("approved");
    assert_eq!(approved["reason"], "it is a test", "{approved}");
    // The one that was skipped is somebody else's.
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &id]).status.success());
    assert_eq!(left.wait_with_output().unwrap().status.code(), Some(126));
    typed.write_all(b"q\n").unwrap();
    assert!(watch.wait().unwrap().success());
}

#[test]
fn who_watches_hears_that_the_warden_goes_and_is_asked_again_when_it_is_back() {
    let mut house = House::new(POLICY);
    let mut watch = watching(&house).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut typed, mut told) = (watch.stdin.take().unwrap(), watch.stdout.take().unwrap());
    let asked = ask(&house);
    shown(&mut told);
    house.crash();
    let mut line = String::new();
    let mut byte = [0];
    while !(line.contains("warden") && line.ends_with('\n')) {
        assert_eq!(told.read(&mut byte).unwrap(), 1, "{line}");
        line.push(char::from(byte[0]));
    }
    assert!(line.contains("broke off") && !line.contains("not understood"), "{line}");
    house.restart();
    house.pending();
    // What was asked about is still the same.
    std::thread::sleep(READING);
    typed.write_all(b"a\n").unwrap();
    assert!(asked.wait_with_output().unwrap().status.success());
    drop(typed);
    assert!(watch.wait().unwrap().success());
}
