//! The caller's environment names no server that helps it, skips no policy, and leaks none.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::nothing_started;
use crate::support::other::{by, can};
use crate::support::{House, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: id, action: allow, executor: local}
  - {command: [echo, env], action: allow}
";

/// A warden of the prisoner's own, which says this to everybody.
fn fake(path: &Path, answer: Vec<u8>) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_ok() {
                let mut request = vec![0; u32::from_be_bytes(length) as usize];
                let _ = stream.read_exact(&mut request);
            }
            // A client that has heard enough goes away.
            let _ = stream.write_all(&answer);
        }
    });
}

fn handoff(path: &str) -> Vec<u8> {
    let length = u32::try_from(path.len() + 2).unwrap();
    let mut bytes = vec![0, 33];
    bytes.extend(length.to_be_bytes());
    bytes.push(0);
    bytes.extend(path.as_bytes());
    bytes.push(0);
    bytes
}

#[test]
fn a_warden_of_the_prisoners_own_gives_it_what_it_has_and_no_more() {
    let house = House::new(POLICY);
    let own = house.path("own.sock");
    fake(&own, handoff("/usr/bin/id"));
    house.event("policy_loaded");
    let before = house.ledger().len();
    let native = Command::new("/usr/bin/id").output().unwrap();
    let output = house.shimmed("id").env("CLAWRDEN_SOCKET", &own).output().unwrap();
    // It has run what it could have run without us, as itself: no authority and no record was to be had.
    assert_eq!(text(&output.stdout), text(&native.stdout));
    assert_eq!(house.ledger().len(), before);
    nothing_started(&house);
}

#[test]
fn a_warden_that_talks_nonsense_makes_the_shim_end_with_125() {
    let house = House::new(POLICY);
    let mut answers: Vec<Vec<u8>> = vec![
        vec![],
        vec![3],
        vec![0],
        vec![2, 40, 0, 0, 0, 2, 0, 0],
        vec![2, 40, 0, 0, 0, 1, 0],
        vec![2, 2],
        vec![2, 0],
        vec![0, 255, 255, 255, 255, 255],
        vec![0, 33, 255, 255, 255, 255],
        vec![0, 33, 0, 0, 0, 0],
        vec![0, 99, 0, 0, 0, 1, 0],
        vec![1, 1, 0, 0, 0, 1, b'x'],
        vec![1, 35, 0, 0, 0, 1, 255],
        vec![2, 33, 0, 0, 0, 0],
        vec![16, 0, 0, 0, 0],
        b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
    ];
    answers.push(handoff("/nowhere/at/all")[..8].to_vec());
    for (number, answer) in answers.into_iter().enumerate() {
        let socket = house.path(&format!("fake-{number}.sock"));
        fake(&socket, answer.clone());
        let mut echo = house.shimmed("echo");
        let output = echo.arg("ran").env("CLAWRDEN_SOCKET", &socket).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{answer:?} {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{answer:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{answer:?}");
    }
}

#[test]
fn a_socket_that_is_none_is_told_in_one_line_and_nothing_runs() {
    let house = House::new(POLICY);
    fs::write(house.path("file"), "").unwrap();
    let long = format!("/{}", "x".repeat(5000));
    for socket in
        ["file", "nowhere", "/", ".", "/dev/null", "warden.sock/x", "bin", &long, "\u{1b}[2J"]
    {
        let mut echo = house.shimmed("echo");
        let output = echo.arg("ran").env("CLAWRDEN_SOCKET", socket).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{socket}: {said}");
        assert_eq!((text(&output.stdout).as_str(), said.lines().count()), ("", 1), "{said}");
        assert!(said.contains("nothing ran") && !said.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn without_any_environment_the_shim_still_asks() {
    let house = House::new(POLICY);
    let output = house.shimmed("echo").env_clear().arg("hi").output().unwrap();
    assert_eq!(text(&output.stdout), "hi\n", "{}", text(&output.stderr));
    let output = house.shimmed("rm").env_clear().arg("x").output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    assert_eq!(house.events("requested").len(), 2);
}

#[test]
fn a_path_of_whatever_kind_leads_past_no_decision() {
    let house = House::new(POLICY);
    let twice = house.path("twice");
    fs::create_dir(&twice).unwrap();
    fs::copy(house.bin().join("rm"), twice.join("rm")).unwrap();
    let bin = house.bin();
    for path in [
        "".to_owned(),
        ":".to_owned(),
        ".".to_owned(),
        "/nowhere".to_owned(),
        "/usr/bin".to_owned(),
        format!("{0}:{0}:{1}", bin.display(), twice.display()),
        format!("{}:/usr/bin", "/usr/bin/../bin:".repeat(2000)),
        "/usr/bin\u{1b}[2J".to_owned(),
    ] {
        let output = house.shimmed("rm").env("PATH", &path).arg("mark").output().unwrap();
        // Where there is no such tool at all, a deny is still a deny.
        assert_eq!(output.status.code(), Some(126), "{path:.60}: {}", text(&output.stderr));
    }
    nothing_started(&house);
}

#[test]
fn two_folders_of_shims_never_hand_off_to_each_other() {
    let house = House::new("default_action: allow");
    let twice = house.path("twice");
    fs::create_dir(&twice).unwrap();
    fs::copy(house.bin().join("echo"), twice.join("echo")).unwrap();
    let path = format!("{}:{}", house.bin().display(), twice.display());
    let output = house.shimmed("echo").env("PATH", path).arg("x").output().unwrap();
    assert_eq!(output.status.code(), Some(127), "{}", text(&output.stderr));
}

#[test]
fn a_shim_that_is_called_as_a_runner_runs_nothing() {
    let house = House::new(POLICY);
    let mut shim = house.shimmed("echo");
    shim.arg0("clawrden-runner").arg("ran").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = shim.spawn().unwrap();
    let status = until("the runner to end", || child.try_wait().unwrap());
    assert!(!status.success());
    nothing_started(&house);
}

#[test]
fn what_is_mirrored_has_no_more_in_its_environment_than_the_caller() {
    let house = House::under(&["env", "WARDEN_SECRET=hidden"], POLICY, &[]);
    let seen = |mut command: Command| {
        command.env_clear().env("A", "1").env("CLAWRDEN_SOCKET", house.socket());
        text(&command.env("PATH", "/usr/bin:/bin").output().unwrap().stdout)
    };
    let native = seen(Command::new("/usr/bin/env"));
    assert_eq!(seen(house.shimmed("env")), native);
}

#[test]
fn without_proc_a_deny_stays_a_deny_and_nothing_goes_unrecorded() {
    let house = House::new(POLICY);
    let prefix = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/proc"];
    if !can(&prefix) {
        // Nobody can hide /proc here; an empty environment hides as much from the shim.
        return without_any_environment_the_shim_still_asks();
    }
    let output = by(&prefix, house.shimmed("rm").arg("mark")).output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    let output = by(&prefix, &house.shimmed("id")).output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    let output = by(&prefix, house.shimmed("echo").arg("hi")).output().unwrap();
    assert_eq!(text(&output.stdout), "hi\n", "{}", text(&output.stderr));
    assert_eq!(house.events("started").len(), 1);
}
