//! The door over TCP, and those who stay: who sits there keeps nobody out, and hears nothing that they may not hear any more.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clawrden_warden::control::Limits;
use clawrden_warden::events::MAX_LISTENERS;
use support::{RECORDED, Served, ask, bearer, hear, joined, over_tcp, status, token, with_headers};

/// The head of somebody's log-in whose body never comes.
fn waiting_login() -> String {
    let head = with_headers("POST", "/api/session", "content-type: application/json\r\n", "");
    head.replace("content-length: 0", "content-length: 9")
}

#[test]
fn a_user_that_prisoners_run_as_is_refused_with_any_token() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"admin"}"#);
    served.backend.imprison_user(rustix::process::getuid().as_raw());
    let (head, body) = over_tcp(&served, &with_headers("GET", "/api/status", &bearer(&token), ""));
    assert_eq!(status(&head), 403, "{body}");
    assert!(body.contains("prisoners run as uid"), "{body}");
    assert_eq!(served.backend.refusals().len(), 1);
    let login = format!(r#"{{"token":"{token}"}}"#);
    let kind = "content-type: application/json\r\n";
    let (head, _) = over_tcp(&served, &with_headers("POST", "/api/session", kind, &login));
    assert_eq!(status(&head), 403);
    // Also before its body is there.
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(waiting_login().as_bytes()).unwrap();
    assert!(hear(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 403"));
}

#[test]
fn nobody_known_keeps_nobody_out() {
    let served = Served::start(Limits { connections: 8, ..Limits::default() });
    let token = token(&served, r#"{"role":"viewer"}"#);
    let all: Vec<_> = (0..16)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            stream.write_all(waiting_login().as_bytes()).unwrap();
            stream
        })
        .collect();
    let begin = std::time::Instant::now();
    let (head, body) = over_tcp(&served, &with_headers("GET", "/api/status", &bearer(&token), ""));
    assert_eq!(status(&head), 200, "{body}");
    // A body may take 20 s.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(all);
}

#[test]
fn who_reads_a_long_answer_is_not_cut_by_those_who_only_sit_there() {
    let served = Served::start(Limits { connections: 4, ..Limits::default() });
    served.backend.fill_queue(40_000);
    let token = token(&served, r#"{"role":"viewer"}"#);
    let mut reader = TcpStream::connect(served.address).unwrap();
    reader.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let asked = with_headers("GET", "/api/queue", &bearer(&token), "");
    reader.write_all(asked.as_bytes()).unwrap();
    let mut first = [0; 64];
    reader.read_exact(&mut first).unwrap();
    let idle: Vec<_> = (0..12).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(1500));
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    let (_, body) = rest.split_once("\r\n\r\n").unwrap();
    let queue: clawrden_api::Queue = serde_json::from_str(&joined(body)).unwrap();
    assert_eq!(queue.entries.len(), 40_000);
    drop(idle);
}

#[test]
fn a_connection_that_stands_ends_with_its_answer() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"viewer"}"#);
    let mut stream = TcpStream::connect(served.address).unwrap();
    // Less than the time for which an idle connection is kept.
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let asked = with_headers("HEAD", "/api/events", &bearer(&token), "");
    stream.write_all(asked.replace("connection: close\r\n", "").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("connection: close"), "{text}");
}

/// A stream of events, and what it says first.
fn listen(served: &Served, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let asked =
        with_headers("GET", "/api/events", headers, "").replace("connection: close\r\n", "");
    stream.write_all(asked.as_bytes()).unwrap();
    let said = hear(&mut stream, "\n\n");
    (stream, said)
}

#[test]
fn more_listeners_than_seats_hear_and_keep_nobody_out() {
    let served = Served::start(Limits { connections: 8, ..Limits::default() });
    let token = token(&served, r#"{"role":"viewer"}"#);
    let mut all: Vec<_> = (0..100).map(|_| listen(&served, &bearer(&token))).collect();
    for (_, said) in &all {
        assert!(said.contains("event: hello"), "{said}");
    }
    let get =
        || status(&over_tcp(&served, &with_headers("GET", "/api/status", &bearer(&token), "")).0);
    assert_eq!(get(), 200);
    served.alarm();
    for (stream, _) in &mut all {
        let heard = hear(stream, "ledger_failed");
        assert!(heard.contains("event: ledger_failed"), "{heard}");
    }
}

#[test]
fn there_is_a_bound_on_listeners_and_beyond_it_a_plain_no() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"viewer"}"#);
    let all: Vec<_> = (0..MAX_LISTENERS).map(|_| listen(&served, &bearer(&token)).0).collect();
    let (head, body) = over_tcp(&served, &with_headers("GET", "/api/events", &bearer(&token), ""));
    assert_eq!(status(&head), 429, "{body}");
    drop(all);
}

#[test]
fn a_revoked_token_hears_no_more() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"viewer"}"#);
    let (mut stream, _) = listen(&served, &bearer(&token));
    let id = token.split('_').nth(1).unwrap();
    assert_eq!(ask(&served.path, "DELETE", &format!("/api/tokens/{id}"), "").0, 200);
    std::thread::sleep(Duration::from_millis(1100));
    served.alarm();
    let heard = hear(&mut stream, "bye");
    assert!(heard.contains("event: bye") && !heard.contains("ledger_failed"), "{heard}");
}

#[test]
fn a_revoked_token_sees_no_more_of_a_recording() {
    let served = Served::start(Limits { connections: 2, ..Limits::default() });
    let token = token(&served, r#"{"role":"admin"}"#);
    let path = format!("/api/recordings/{RECORDED}?follow=true");
    let watch = || {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let asked = with_headers("GET", &path, &bearer(&token), "");
        stream.write_all(asked.as_bytes()).unwrap();
        let said = hear(&mut stream, "version");
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        stream
    };
    // More than there are seats: they stand.
    let mut all: Vec<_> = (0..6).map(|_| watch()).collect();
    let id = token.split('_').nth(1).unwrap();
    assert_eq!(ask(&served.path, "DELETE", &format!("/api/tokens/{id}"), "").0, 200);
    for stream in &mut all {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains(clawrden_api::RECORDING_REVOKED), "{rest}");
    }
}
