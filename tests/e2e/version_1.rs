//! A client that knows only version 1.

use std::io::{Read, Write};

use crate::support::client::{ask, finish, header, send};
use crate::support::{House, text};

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, executor: local}
  - {command: echo, action: allow}
  - {command: cat, action: ask, executor: local}
";

#[test]
fn it_gets_streams_and_exit_code_by_frames() {
    let house = House::new(POLICY);
    let script = "printf out; printf err >&2; exit 3";
    let answer = ask(&house.socket(), &header("sh", &["-c", script], house.dir.path()));
    assert_eq!(answer.acks, [0]);
    assert_eq!(text(&answer.stdout), "out");
    assert_eq!(text(&answer.stderr), "err");
    assert_eq!(answer.exit, Some(3));
}

#[test]
fn a_signal_death_is_128_and_the_signal() {
    let house = House::new(POLICY);
    let answer = ask(&house.socket(), &header("sh", &["-c", "kill -TERM $$"], house.dir.path()));
    assert_eq!(answer.exit, Some(128 + 15));
    assert_eq!(house.event("finished")["signal"], 15);
}

#[test]
fn it_is_never_handed_off_and_never_falls_to_local_instead() {
    let house = House::new(POLICY);
    let answer = ask(&house.socket(), &header("echo", &["hi"], house.dir.path()));
    assert_eq!(answer.acks, [1]);
    assert_eq!(answer.exit, Some(126));
    assert!(text(&answer.stderr).contains("executor: local"), "{}", text(&answer.stderr));
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
}

#[test]
fn a_denial_says_why() {
    let house = House::new(POLICY);
    let answer = ask(&house.socket(), &header("rm", &["-rf", "/"], house.dir.path()));
    assert_eq!((answer.acks, answer.exit), (vec![1], Some(126)));
    assert!(text(&answer.stderr).starts_with("clawrden: denied"), "{}", text(&answer.stderr));
}

#[test]
fn it_waits_for_a_person() {
    let house = House::new(POLICY);
    let stream = send(&house.socket(), &header("cat", &["/dev/null"], house.dir.path()));
    let id = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["approve", &id]).status.success());
    let answer = finish(stream);
    assert_eq!((answer.acks, answer.exit), (vec![2, 0], Some(0)));
}

#[test]
fn its_cancel_ends_the_command() {
    let house = House::new(POLICY);
    let mut stream =
        send(&house.socket(), &header("sh", &["-c", "echo $$; sleep 1000"], house.dir.path()));
    let mut ack = [9];
    stream.read_exact(&mut ack).unwrap();
    assert_eq!(ack, [0]);
    let mut first = [0; 6];
    stream.read_exact(&mut first).unwrap();
    stream.write_all(&[4, 0, 0, 0, 0]).unwrap();
    let finished = house.event("finished");
    assert_eq!(finished["cancelled"], true, "{finished}");
}
