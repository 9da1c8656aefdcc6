//! A shim that waits for a person looks for a warden that has gone, and for nothing else does it ask twice.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use clawrden_protocol::ToClient;
use support::{Client, Warden, shims};

fn start(warden: &Warden, shim: &std::path::Path) -> Child {
    let mut command = warden.command(shim, &["a", "b"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Says how long it may look for us.
fn patience(client: &mut Client, seconds: u16) {
    client.send(&ToClient::Reconnect(seconds));
}

#[test]
fn the_very_same_request_comes_again_and_its_answer_counts() {
    for shim in shims() {
        let warden = Warden::new();
        let child = start(&warden, &shim);
        let (mut client, first) = warden.asked();
        client.byte(2);
        for _ in 0..3 {
            drop(client);
            let (again, request) = warden.asked();
            assert_eq!(request, first);
            client = again;
            client.byte(2);
            client.send(&ToClient::Notice("again"));
        }
        client.byte(1);
        client.send(&ToClient::Denial { rule: "", reason: "no" });
        let (code, said) = end(child);
        assert_eq!(code, Some(126));
        assert!(said.ends_with("clawrden: denied: no\n"), "{said}");
    }
}

#[test]
fn a_notice_that_was_cut_off_is_no_answer() {
    for shim in shims() {
        let warden = Warden::new();
        let child = start(&warden, &shim);
        let (mut client, first) = warden.asked();
        client.byte(2);
        client.byte(34);
        client.byte(0);
        drop(client);
        let (mut client, again) = warden.asked();
        assert_eq!(first, again);
        // Not even told to wait yet: it is the same request that comes once more.
        drop(client);
        (client, _) = warden.asked();
        client.hand_off(false, "/bin/true", b"");
        assert_eq!(end(child), (Some(0), String::new()));
    }
}

#[test]
fn only_for_as_long_as_it_was_told() {
    for shim in shims() {
        let warden = Warden::new();
        let child = start(&warden, &shim);
        let (mut client, _) = warden.asked();
        client.byte(2);
        patience(&mut client, 1);
        let began = Instant::now();
        drop(client);
        std::fs::remove_file(warden.socket()).unwrap();
        let (code, said) = end(child);
        let took = began.elapsed();
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
        assert_eq!(code, Some(125));
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("did not come back in time; nothing ran"), "{said}");
    }
}

#[test]
fn not_at_all_where_it_is_told_so() {
    for shim in shims() {
        let warden = Warden::new();
        let child = start(&warden, &shim);
        let (mut client, _) = warden.asked();
        client.byte(2);
        patience(&mut client, 0);
        drop(client);
        let (code, said) = end(child);
        assert_eq!((code, said.lines().count()), (Some(125), 1));
        assert!(said.contains("went away while the command waited; nothing ran"), "{said}");
    }
}

#[test]
fn a_request_that_was_not_told_to_wait_or_may_run_is_not_made_twice() {
    for shim in shims() {
        for (answer, told) in
            [(&[][..], "nothing ran"), (&[2, 0], "may have run"), (&[0], "may have run")]
        {
            let warden = Warden::new();
            let child = start(&warden, &shim);
            let (mut client, _) = warden.asked();
            answer.iter().for_each(|&byte| client.byte(byte));
            drop(client);
            let (code, said) = end(child);
            assert_eq!((code, said.lines().count()), (Some(125), 1), "{answer:?}");
            assert!(said.contains(told), "{answer:?} {said}");
        }
    }
}
