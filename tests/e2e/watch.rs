//! Answering from a second terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{House, clawrden, text};

const POLICY: &str =
    "default_action: deny\nrules:\n  - {command: 'true', action: ask, reason: look first}\n";

/// Somebody types no sooner than this.
const READING: Duration = Duration::from_millis(700);

fn ask(house: &House) -> Child {
    let mut command = house.shimmed("true");
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
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
    let mut watch = clawrden()
        .arg("--control")
        .arg(house.control())
        .args(["watch", "--no-notify"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
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
