//! Exports of the ledger over the control API: how many there are at once, and what becomes of who does not read.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clawrden_warden::control::Limits;
use clawrden_warden::control::MAX_EXPORTS;
use support::{Served, token, with_headers};

/// More than the kernel takes for a reader that does not read.
const LINES: usize = 400_000;

fn request(method: &str, token: &str) -> String {
    let headers = format!("authorization: Bearer {token}\r\nte: trailers\r\n");
    with_headers(method, "/api/audit/export", &headers, "")
}

/// A whole answer.
fn answer(served: &Served, request: &str) -> String {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// One that has begun, and is not read any further.
fn begun(served: &Served, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request("GET", token).as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[test]
fn so_many_are_given_at_once_and_one_whose_reader_goes_makes_room() {
    let served = Served::start(Limits::default());
    served.backend.write_lines(LINES);
    let token = token(&served, r#"{"role":"admin"}"#);
    let mut all: Vec<TcpStream> = (0..MAX_EXPORTS).map(|_| begun(&served, &token)).collect();
    let refused = answer(&served, &request("GET", &token));
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("too_many") && refused.contains("exports are under way"), "{refused}");
    // Others are served meanwhile.
    let headers = format!("authorization: Bearer {token}\r\n");
    let status = answer(&served, &with_headers("GET", "/api/status", &headers, ""));
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    all.pop();
    let start = Instant::now();
    let given = loop {
        let given = answer(&served, &request("GET", &token));
        if given.starts_with("HTTP/1.1 200") {
            break given;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "there is no room: {given}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(given.contains("trailer: x-clawrden-export-end"), "{}", &given[..500]);
    let end = given.rsplit_once("x-clawrden-export-end: ").unwrap().1;
    assert!(end.contains(&format!("\"records\":{LINES},")), "{end}");
}

#[test]
fn a_question_for_the_head_alone_takes_no_turn_for_long() {
    let served = Served::start(Limits::default());
    served.backend.write_lines(LINES);
    let token = token(&served, r#"{"role":"admin"}"#);
    for _ in 0..3 * MAX_EXPORTS {
        let start = Instant::now();
        loop {
            let given = answer(&served, &request("HEAD", &token));
            if given.starts_with("HTTP/1.1 200") {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{given}");
        }
    }
}
