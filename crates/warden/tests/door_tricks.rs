//! The door over TCP, tried by who guesses, by who says more than it may, and by prisoners.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clawrden_warden::control::Limits;
use clawrden_warden::control::access::TOLERATED;
use clawrden_warden::control::table::{Method, ROUTES};
use support::{Served, ask, bearer, header, over_tcp, status, token, with_headers};

const JSON: &str = "content-type: application/json\r\n";

fn login(served: &Served, body: &str) -> (String, String) {
    over_tcp(served, &with_headers("POST", "/api/session", JSON, body))
}

fn get(served: &Served, path: &str, headers: &str) -> (String, String) {
    over_tcp(served, &with_headers("GET", path, headers, ""))
}

/// The code of a fresh link.
fn code(served: &Served) -> String {
    let (_, link) = ask(&served.path, "POST", "/api/login-links", "");
    let link: serde_json::Value = serde_json::from_str(&link).unwrap();
    link["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned()
}

#[test]
fn a_process_of_a_prisoners_is_refused_with_any_token_and_looked_for_once_by_connection() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"admin"}"#);
    let (used, code) = (code(&served), code(&served));
    let twice = with_headers("GET", "/api/status", &bearer(&token), "");
    let twice = format!("{}{twice}", twice.replace("connection: close\r\n", ""));
    let (head, rest) = over_tcp(&served, &twice);
    assert_eq!(format!("{head}{rest}").matches("HTTP/1.1 200").count(), 2, "{head}{rest}");
    assert_eq!(served.backend.looks(), 1, "two requests of one connection");
    served.backend.imprison_sockets();
    // Nothing is looked for of who has nothing that opens.
    assert_eq!(status(&get(&served, "/api/status", &bearer("clawrden_00000000_x")).0), 401);
    assert_eq!(status(&get(&served, "/api/status", "").0), 401);
    assert_eq!(status(&login(&served, r#"{"code":"x"}"#).0), 401);
    assert_eq!(served.backend.looks(), 1);
    for (head, body) in [
        get(&served, "/api/status", &bearer(&token)),
        login(&served, &format!(r#"{{"token":"{token}"}}"#)),
        login(&served, &format!(r#"{{"code":"{used}"}}"#)),
    ] {
        assert_eq!(status(&head), 403, "{body}");
        assert!(body.contains("you belong to a prisoner"), "{body}");
        assert_eq!(header(&head, "set-cookie"), None);
    }
    let refusals = served.backend.refusals();
    assert_eq!(refusals.iter().filter(|why| why.contains("belong to a prisoner")).count(), 3);
    let (_, sessions) = ask(&served.path, "GET", "/api/tokens", "");
    assert!(sessions.contains("\"sessions\":[]"), "{sessions}");
    // Nor is anything told of a link that was not used.
    assert!(!refusals.iter().any(|why| why.contains(&code)), "{refusals:?}");
}

#[test]
fn guessing_at_the_login_is_locked_out_as_guessing_tokens_is_and_what_opens_still_opens() {
    for guess in [
        |n: usize| {
            (
                "POST",
                "/api/session",
                JSON.to_owned(),
                format!(r#"{{"token":"clawrden_{n:08x}_x"}}"#),
            )
        },
        |n: usize| ("POST", "/api/session", JSON.to_owned(), format!(r#"{{"code":"guess-{n}"}}"#)),
        |n: usize| ("GET", "/api/status", bearer(&format!("clawrden_{n:08x}_x")), String::new()),
        |n: usize| {
            let cookie = format!("cookie: clawrden_session=guess-{n}\r\nx-csrf-token: x\r\n");
            ("GET", "/api/status", cookie, String::new())
        },
    ] {
        let served = Served::start(Limits::default());
        let token = token(&served, r#"{"role":"viewer"}"#);
        let code = code(&served);
        let tolerated = usize::try_from(TOLERATED).unwrap();
        let mut answers = Vec::new();
        for n in 0..40 {
            let (method, path, headers, body) = guess(n);
            let (head, body) = over_tcp(&served, &with_headers(method, path, &headers, &body));
            // Nobody learns more by being wrong in another way.
            assert!(!body.contains("guess") && !body.contains("clawrden_0"), "{body}");
            answers.push(status(&head));
        }
        let what = guess(0);
        assert_eq!(answers[..tolerated - 1], vec![401; tolerated - 1], "{what:?}");
        assert_eq!(answers[tolerated - 1..], vec![429; 41 - tolerated], "{what:?}");
        assert_eq!(served.backend.refusals().len(), tolerated, "{what:?}");
        // One kind of guess counts as another does.
        assert_eq!(status(&login(&served, r#"{"code":"y"}"#).0), 429);
        // And who knows gets in, by each way.
        assert_eq!(status(&get(&served, "/api/status", &bearer(&token)).0), 200);
        let (head, body) = login(&served, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(status(&head), 200, "{body}");
        let (head, body) = login(&served, &format!(r#"{{"code":"{code}"}}"#));
        assert_eq!(status(&head), 200, "{body}");
    }
}

#[test]
fn a_body_that_is_no_login_is_no_guess() {
    let served = Served::start(Limits::default());
    let body = |body: &str| login(&served, body);
    for _ in 0..5 {
        for odd in ["", "{}", "[]", "null", r#"{"token":"x","code":"y"}"#, r#"{"token":7}"#, "{"] {
            assert_eq!(status(&body(odd).0), 400, "{odd}");
        }
    }
    assert_eq!(status(&body(r#"{"code":"x"}"#).0), 401, "not locked out");
}

/// What each answer has, so that a browser makes nothing of it.
fn is_kept_in(head: &str, what: &str) {
    let small = head.to_ascii_lowercase();
    for wanted in [
        "content-security-policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
        "cross-origin-opener-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert_eq!(small.matches(wanted).count(), 1, "{what}: {wanted} in {head}");
    }
    assert!(!small.contains("access-control-"), "{what}: {head}");
    let id = header(head, "x-request-id").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{what}: {id}");
}

#[test]
fn no_answer_of_the_api_is_run_framed_guessed_at_or_kept_by_a_browser() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"admin"}"#);
    let mut ids = std::collections::BTreeSet::new();
    let mut answered = |method: &str, path: &str, headers: &str| {
        let (head, _) = over_tcp(&served, &with_headers(method, path, headers, ""));
        is_kept_in(&head, &format!("{method} {path}"));
        assert!(ids.insert(header(&head, "x-request-id").unwrap().to_owned()), "{path}");
        status(&head)
    };
    for route in ROUTES {
        let path = route.path.replace("{id}", "bbbb").replace("{name}", "default");
        for headers in [String::new(), bearer(&token), format!("{}{JSON}", bearer(&token))] {
            answered(route.method.as_str(), &path, &headers);
        }
        if route.method == Method::Get {
            answered("HEAD", &path, &bearer(&token));
        }
    }
    let evil = "host: evil.example\r\n";
    for (method, path, headers, expected) in [
        ("GET", "/nothing", bearer(&token), 404),
        ("PUT", "/api/status", bearer(&token), 405),
        ("OPTIONS", "/api/status", bearer(&token), 405),
        ("OPTIONS", "/api/status", "origin: https://evil.example\r\n".to_owned(), 403),
        ("GET", "/api/status", evil.to_owned(), 421),
        ("GET", "/api/history?limit=x", bearer(&token), 400),
    ] {
        assert_eq!(answered(method, path, &headers), expected, "{method} {path}");
    }
}

#[test]
fn what_proxies_and_frameworks_obey_in_a_header_changes_nothing_here() {
    let served = Served::start(Limits::default());
    let viewer = token(&served, r#"{"role":"viewer"}"#);
    for said in [
        "x-http-method-override: POST",
        "x-http-method: POST",
        "x-method-override: POST",
        "x-original-url: /api/kill",
        "x-rewrite-url: /api/kill",
        "x-forwarded-host: evil.example",
        "x-forwarded-prefix: /api/kill",
        "forwarded: for=10.0.0.9;host=evil.example",
        "clawrden-role: admin",
        "x-remote-user: root",
        "remote-user: root",
        "upgrade: websocket\r\nconnection: upgrade",
        "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
        "range: bytes=0-1",
        "expect: 100-continue",
        "proxy-authorization: Basic cm9vdDpyb290",
    ] {
        let headers = format!("{}{said}\r\n", bearer(&viewer));
        let (head, body) = get(&served, "/api/status", &headers);
        // An interim answer goes before the one that counts.
        let head = if status(&head) == 100 { body } else { head };
        assert_eq!(status(&head), 200, "{said}: {head}");
        let kill = with_headers("POST", "/api/kill", &headers, "{}");
        let (head, body) = over_tcp(&served, &kill);
        assert!(format!("{head}{body}").contains("this needs the role approver"), "{said}: {head}");
    }
    assert!(!served.backend.calls().iter().any(|call| call.starts_with("kill")));
    // Whoever guesses is the one who connected, whatever it says of itself.
    for n in 0..12 {
        let headers =
            format!("{}x-forwarded-for: 10.9.8.{n}\r\nx-real-ip: 10.9.8.{n}\r\n", bearer("x"));
        let code = status(&get(&served, "/api/status", &headers).0);
        assert_eq!(code, if n < 9 { 401 } else { 429 }, "{n}");
    }
    assert!(served.backend.refusals().iter().all(|why| why.starts_with("127.0.0.1:")));
}

#[test]
fn a_head_that_is_too_much_or_none_is_refused_and_nobody_else_minds() {
    let served = Served::start(Limits { head: Duration::from_secs(2), ..Limits::default() });
    let admin = token(&served, r#"{"role":"admin"}"#);
    let many = (0..80).fold(String::new(), |all, n| format!("{all}x-{n}: y\r\n"));
    let long = format!("x-long: {}\r\n", "y".repeat(33 * 1024));
    for (what, headers) in [("many", &many), ("long", &long)] {
        let (head, _) = get(&served, "/api/status", &format!("{headers}{}", bearer(&admin)));
        assert!([431, 0].contains(&status(&head)), "{what}: {head}");
    }
    let path = format!("/api/{}", "a".repeat(33 * 1024));
    assert!([414, 431, 0].contains(&status(&get(&served, &path, &bearer(&admin)).0)));
    let own = bearer(&admin);
    for bytes in [
        // Another protocol, or another version of this one.
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(),
        format!("GET /api/kill\r\n{own}\r\n"),
        format!("GET /api/status HTTP/0.9\r\nhost: localhost\r\n{own}\r\n"),
        format!("GET /api/status HTTP/9.9\r\nhost: localhost\r\n{own}\r\n"),
        // Lines that one reads otherwise than another.
        format!("GET /api/status HTTP/1.1\r\nhost: localhost\r\n{own}x: a\r\n b\r\n\r\n"),
        format!("GET /api/status HTTP/1.1\r\nhost: localhost\r\n{own}x: a\u{0}b\r\n\r\n"),
        format!("GET /api/status HTTP/1.1\r\nhost: localhost\r\n{own}bad name: a\r\n\r\n"),
        format!("GET /api/status\u{0} HTTP/1.1\r\nhost: localhost\r\n{own}\r\n"),
        format!("GET  /api/status HTTP/1.1\r\nhost: localhost\r\n{own}\r\n"),
        format!("CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22\r\n{own}\r\n"),
        format!("GET http://evil.example/api/status HTTP/1.1\r\nhost: localhost\r\n{own}\r\n"),
        format!("TRACE /api/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{own}\r\n"),
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let code = status(&answer);
        assert!([0, 400, 404, 405, 421, 431, 501, 505].contains(&code), "{bytes:?}: {answer}");
        assert!(!answer.contains(&admin), "{bytes:?}: nothing is given back: {answer}");
    }
    assert_eq!(status(&get(&served, "/api/status", &bearer(&admin)).0), 200);
    let calls = served.backend.calls();
    assert_eq!(calls.iter().filter(|call| *call == "status").count(), 1, "{calls:?}");
}
