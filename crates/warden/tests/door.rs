//! The door of the control API over TCP: who gets in, with what, and to what.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clawrden_api::Role;
use clawrden_warden::control::Limits;
use clawrden_warden::control::table::{Least, Method, ROUTES, Route};
use clawrden_warden::events::MAX_LISTENERS;
use support::{
    RECORDED, Served, ask, bearer, header, helper, joined, over_tcp, status, token, whole,
    with_headers,
};

const WAITING: &str = "bbbb0000000000000000000000000000";

/// A request that a route would carry out, or refuse for what it says.
fn request(route: &Route, headers: &str) -> String {
    let path = route.path.replace("{id}", WAITING).replace("{name}", "default");
    let body = if route.method == Method::Post { "{}" } else { "" };
    let kind = "content-type: application/json\r\n";
    with_headers(route.method.as_str(), &path, &format!("{headers}{kind}"), body)
}

/// Not a test: a client in a process of its own, see [`support::helper`].
#[test]
fn helper_client() {
    support::be_a_client();
}

#[test]
fn an_answer_that_is_sent_again_with_its_key_is_given_once() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"approver"}"#);
    let before = served.backend.calls().len();
    let send = |key: &str, verb: &str| {
        let headers = format!("{}idempotency-key: {key}\r\n", bearer(&token));
        let path = format!("/api/queue/{WAITING}/{verb}");
        over_tcp(&served, &with_headers("POST", &path, &headers, "{}"))
    };
    let (first, told) = send("one", "approve");
    let (again, same) = send("one", "approve");
    assert_eq!((status(&first), status(&again), &told), (200, 200, &same));
    assert_eq!(header(&first, "idempotency-replayed"), None);
    assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
    assert_eq!(status(&send("one", "deny").0), 409);
    assert_eq!(status(&send("a b", "deny").0), 400);
    let answers = |calls: &[String]| calls.iter().filter(|call| call.starts_with("answer")).count();
    assert_eq!(answers(&served.backend.calls()[before..]), 1);
    assert_eq!(status(&send("two", "approve").0), 200);
    assert_eq!(answers(&served.backend.calls()[before..]), 2);
}

fn behalf(user: &str) -> String {
    format!("clawrden-on-behalf: {user}\r\n")
}

const BRIDGE: &str = r#"{"role":"approver","name":"slack","speaks_for":"slack"}"#;

#[test]
fn a_bridge_changes_nothing_but_for_a_user_whom_the_warden_knows() {
    let served = Served::start(Limits::default());
    let bridge = token(&served, BRIDGE);
    let before = served.backend.calls().len();
    for route in ROUTES.iter().filter(|route| route.method != Method::Get) {
        let Least::Role(least) = route.least else { continue };
        // Who is nobody yet becomes somebody there.
        if route.path == "/api/pairings/redeem" {
            continue;
        }
        for (headers, code) in [
            (String::new(), "forbidden"),
            (behalf("slack:T1/U2"), "unknown_user"),
            (behalf("telegram:5"), "forbidden"),
            (behalf("slack:T1/U1") + &behalf("slack:T1/U1"), "bad_request"),
            (behalf("slack:"), "bad_request"),
            (behalf("U1"), "bad_request"),
        ] {
            let sent = request(route, &(bearer(&bridge) + &headers));
            let (head, body) = over_tcp(&served, &sent);
            assert!(body.contains(&format!("\"{code}\"")), "{} {headers}: {body}", route.path);
            assert!(matches!(status(&head), 400 | 403), "{head}");
        }
        let known = request(route, &(bearer(&bridge) + &behalf("slack:T1/U1")));
        let (_, body) = over_tcp(&served, &known);
        assert_eq!(body.contains("this needs the role"), least > Role::Approver, "{body}");
    }
    let calls = &served.backend.calls()[before..];
    let answers: Vec<_> = calls.iter().filter(|call| call.starts_with("answer")).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    let id = bridge.split('_').nth(1).unwrap();
    let by = format!("slack by alice (slack:T1/U1, token {id})");
    assert!(answers.iter().all(|call| call.ends_with(&by)), "{answers:?}");
    for _ in 0..150 {
        let path = format!("/api/queue/{WAITING}/deny");
        let headers = bearer(&bridge) + &behalf("slack:T1/U2");
        assert_eq!(status(&over_tcp(&served, &with_headers("POST", &path, &headers, "{}")).0), 403);
    }
    let refusals = served.backend.refusals();
    assert!(refusals.iter().any(|refusal| refusal.contains("slack:T1/U2")), "{refusals:?}");
    assert_eq!(refusals.len(), 100, "they are bounded");
    // It reads as any approver, with a user and without.
    for headers in [String::new(), behalf("slack:T1/U2")] {
        let sent = with_headers("GET", "/api/queue", &(bearer(&bridge) + &headers), "");
        assert_eq!(status(&over_tcp(&served, &sent).0), 200);
    }
    let (_, who) = over_tcp(&served, &with_headers("GET", "/api/session", &bearer(&bridge), ""));
    assert!(who.contains("\"speaks_for\":\"slack\""), "{who}");
}

#[test]
fn nobody_but_a_bridge_speaks_for_others_and_a_bridge_has_no_session() {
    let served = Served::start(Limits::default());
    let path = format!("/api/queue/{WAITING}/approve");
    for role in Role::ALL {
        let token = token(&served, &format!(r#"{{"role":"{role}"}}"#));
        for (method, path) in [("POST", &*path), ("GET", "/api/queue")] {
            let headers = bearer(&token) + &behalf("slack:T1/U1");
            let (head, body) = over_tcp(&served, &with_headers(method, path, &headers, ""));
            assert_eq!(status(&head), 403, "{role}: {body}");
        }
    }
    let own = with_headers("POST", &path, &behalf("slack:T1/U1"), "{}");
    assert_eq!(status(&whole(&served.path, &own).0), 403, "the control socket");
    assert!(!served.backend.calls().iter().any(|call| call.starts_with("answer")));
    assert!(served.backend.refusals()[0].contains("no bridge"));
    let bridge = token(&served, BRIDGE);
    let login = format!(r#"{{"token":"{bridge}"}}"#);
    let kind = "content-type: application/json\r\n";
    let (head, body) = over_tcp(&served, &with_headers("POST", "/api/session", kind, &login));
    assert_eq!(status(&head), 401, "{body}");
    for role in ["viewer", "admin"] {
        let wish = format!(r#"{{"role":"{role}","speaks_for":"slack"}}"#);
        assert_eq!(ask(&served.path, "POST", "/api/tokens", &wish).0, 400, "{role}");
    }
}

#[test]
fn the_warden_s_own_bridge_comes_by_a_door_that_no_other_process_gets_through() {
    let served = Served::start(Limits::default());
    let path = format!("/api/queue/{WAITING}/approve");
    let send = |headers: &str| whole(&served.bridge, &with_headers("POST", &path, headers, "{}"));
    assert_eq!(status(&send("").0), 403);
    assert_eq!(status(&send(&behalf("telegram:5")).0), 403);
    let (_, body) = send(&behalf("slack:T1/U2"));
    assert!(body.contains("clawrden people pair"), "{body}");
    let (head, body) = send(&behalf("slack:T1/U1"));
    assert_eq!(status(&head), 200, "{body}");
    let calls = served.backend.calls();
    assert!(calls.last().unwrap().ends_with("slack by alice (slack:T1/U1)"), "{calls:?}");
    let admin = with_headers("POST", "/api/tokens", &behalf("slack:T1/U1"), r#"{"role":"admin"}"#);
    assert_eq!(status(&whole(&served.bridge, &admin).0), 403);
    let asked = ["GET", "/api/queue"];
    let said = helper(&[]).arg(&served.bridge).args(asked).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("said:403") && said.contains("own bridge"), "{said}");
    assert!(served.backend.refusals().last().unwrap().contains("NotTheBridge"));
}

#[test]
fn a_code_is_redeemed_by_a_bridge_for_a_user_who_is_nobody_yet() {
    let served = Served::start(Limits::default());
    let (status_, body) = ask(&served.path, "POST", "/api/pairings", r#"{"person":"mallory"}"#);
    assert_eq!(status_, 404, "{body}");
    let made = |body: &str| {
        let (status, made) = ask(&served.path, "POST", "/api/pairings", body);
        assert_eq!(status, 200, "{made}");
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        made["code"].as_str().unwrap().to_owned()
    };
    let code = made(r#"{"person":"alice"}"#);
    assert!(code.len() >= 8, "{code}");
    let bridge = token(&served, &BRIDGE.replace("\"name\"", "\"jails\":[\"one\"],\"name\""));
    let redeem = |user: &str, code: &str| {
        let body = format!(r#"{{"code":"{code}"}}"#);
        let headers = bearer(&bridge) + &behalf(user);
        let (head, body) =
            over_tcp(&served, &with_headers("POST", "/api/pairings/redeem", &headers, &body));
        (status(&head), body)
    };
    assert_eq!(redeem("slack:T1/U1", &code).0, 409, "is somebody");
    let (status_, body) = redeem("slack:T1/U2", &code);
    assert_eq!(status_, 200, "{body}");
    assert_eq!(redeem("slack:T1/U3", &code).0, 404, "once");
    for role in Role::ALL {
        let token = token(&served, &format!(r#"{{"role":"{role}"}}"#));
        let body = format!(r#"{{"code":"{}"}}"#, made(r#"{"person":"alice"}"#));
        let sent = with_headers("POST", "/api/pairings/redeem", &bearer(&token), &body);
        assert_eq!(status(&over_tcp(&served, &sent).0), 403, "{role} is no bridge");
    }
    let binds = served.backend.calls();
    assert_eq!(binds.iter().filter(|call| call.starts_with("bind")).count(), 2, "{binds:?}");
}

#[test]
fn the_key_of_one_user_of_a_chat_is_not_another_s() {
    let served = Served::start(Limits::default());
    let bridge = token(&served, BRIDGE);
    let path = format!("/api/queue/{WAITING}/approve");
    let send = |user: &str| {
        let headers = format!("{}idempotency-key: tap-1\r\n{}", bearer(&bridge), behalf(user));
        over_tcp(&served, &with_headers("POST", &path, &headers, "{}"))
    };
    assert_eq!(status(&send("slack:T1/U1").0), 200);
    assert_eq!(header(&send("slack:T1/U1").0, "idempotency-replayed"), Some("true"));
    assert_eq!(status(&send("slack:T1/U2").0), 403, "what came of it is not told to others");
}

#[test]
fn no_route_but_liveness_answers_who_is_not_known() {
    let served = Served::start(Limits::default());
    for route in ROUTES {
        let (head, body) = over_tcp(&served, &request(route, ""));
        let expected = match route.least {
            Least::Anyone => 200,
            // What it needs is in the body, and there is nothing.
            Least::Login => 400,
            Least::Role(_) => 401,
        };
        assert_eq!(status(&head), expected, "{} {}: {body}", route.method.as_str(), route.path);
    }
    for path in ["//", "/api", "/nothing", "/api/queue/x"] {
        let (head, _) = over_tcp(&served, &with_headers("GET", path, "", ""));
        assert_eq!(status(&head), 401, "{path}");
    }
    assert!(served.backend.calls().is_empty(), "{:?}", served.backend.calls());
}

#[test]
fn each_role_gets_to_its_routes_and_to_no_others() {
    let served = Served::start(Limits::default());
    for role in Role::ALL {
        let token = token(&served, &format!(r#"{{"role":"{role}"}}"#));
        for route in ROUTES {
            let Least::Role(least) = route.least else { continue };
            let (head, body) = over_tcp(&served, &request(route, &bearer(&token)));
            let may = role >= least;
            // Some can be done on the Unix socket only, and say so.
            let told_off = body.contains("this needs the role");
            assert_eq!(told_off, !may, "{role} {} {}: {body}", route.method.as_str(), route.path);
            assert_eq!(may, !(status(&head) == 403 && told_off));
            assert_ne!(status(&head), 401, "{role} {}", route.path);
            assert_ne!(status(&head), 500, "{role} {}: {body}", route.path);
            if may && route.path.ends_with("approve") {
                let calls = served.backend.calls();
                assert!(calls.iter().any(|call| call.contains(WAITING)), "{calls:?}");
            }
            let (head, _) =
                over_tcp(&served, &with_headers("GET", "/nothing", &bearer(&token), ""));
            assert_eq!(status(&head), 404);
        }
    }
}

#[test]
fn who_is_bounded_to_jails_sees_and_does_nothing_of_others() {
    let served = Served::start(Limits::default());
    served.backend.fill_queue(3);
    let mine = token(&served, r#"{"role":"approver","jails":["default"]}"#);
    let other = token(&served, r#"{"role":"approver","jails":["other"]}"#);
    let queue = |token: &str| {
        let (_, body) = over_tcp(&served, &with_headers("GET", "/api/queue", &bearer(token), ""));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["entries"].as_array().unwrap().len()
    };
    assert_eq!((queue(&mine), queue(&other)), (3, 0));
    let does = |token: &str, path: &str, body: &str| {
        let (head, body) = over_tcp(&served, &with_headers("POST", path, &bearer(token), body));
        (status(&head), body)
    };
    let (code, body) = does(&other, "/api/kill", r#"{"jail":"default"}"#);
    assert_eq!(code, 403, "{body}");
    for path in ["/api/kill", "/api/resume"] {
        assert_eq!(does(&other, path, "{}").0, 403, "everything");
        assert_eq!(does(&other, path, r#"{"jail":"other","container":"x"}"#).0, 403);
        assert_eq!(does(&other, path, r#"{"jail":"other"}"#).0, 200);
    }
    for route in ROUTES.iter().filter(|route| !route.keeps_scope()) {
        let (head, _) = over_tcp(&served, &request(route, &bearer(&mine)));
        assert_eq!(status(&head), 403, "{}", route.path);
    }
    let ruled = token(&served, r#"{"role":"approver","rules":["policy.yaml:1"]}"#);
    assert_eq!(does(&ruled, "/api/kill", "{}").0, 200, "whoever answers may stop");
    assert_eq!(does(&ruled, "/api/resume", "{}").0, 403, "but not let everything go on");
    let (head, _) =
        over_tcp(&served, &with_headers("GET", "/api/jails/default", &bearer(&other), ""));
    assert_eq!(status(&head), 404);
}

#[test]
fn of_other_jails_who_is_bounded_learns_nothing_not_even_how_much_there_is() {
    let served = Served::start(Limits::default());
    served.backend.have_in(&["mine", "other", "other"]);
    let token = token(&served, r#"{"role":"viewer","jails":["mine"]}"#);
    let get = |path: &str| {
        let (head, body) = over_tcp(&served, &with_headers("GET", path, &bearer(&token), ""));
        assert_eq!(status(&head), 200, "{path}: {body}");
        assert!(!body.contains("other"), "{path}: {body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    for path in ["/api/queue", "/api/running", "/api/history", "/api/history?jail=mine"] {
        let entries = &get(path)["entries"];
        assert_eq!(entries.as_array().unwrap().len(), 1, "{path}: {entries}");
        assert_eq!(entries[0]["jail"], "mine");
    }
    let others = get("/api/history?jail=other&text=word&limit=1");
    assert!(others["entries"].as_array().unwrap().is_empty() && others["next"].is_null());
    let status = get("/api/status");
    assert_eq!((&status["pending"], &status["running"]), (&1.into(), &1.into()));
    let last = &status["no_approver"];
    assert_eq!((&last["jail"], &last["count"]), (&"mine".into(), &1.into()));
    assert_eq!((&status["ledger"]["path"], &status["ledger"]["sequence"]), (&"".into(), &0.into()));
    let (head, _) =
        over_tcp(&served, &with_headers("GET", "/api/history?jails=other", &bearer(&token), ""));
    assert_eq!(self::status(&head), 400, "nobody says for which jails they ask");
}

#[test]
fn who_is_bounded_asks_for_numbers_and_explanations_of_their_jails_alone() {
    let served = Served::start(Limits::default());
    let mine = token(&served, r#"{"role":"approver","jails":["mine"]}"#);
    let does = |method: &str, path: &str, body: &str| {
        let headers = format!("{}content-type: application/json\r\n", bearer(&mine));
        let before = served.backend.calls().len();
        let (head, body) = over_tcp(&served, &with_headers(method, path, &headers, body));
        (status(&head), body, served.backend.calls().split_off(before))
    };
    for path in ["/api/overview", "/api/overview?jail=mine"] {
        let (code, body, calls) = does("GET", path, "");
        assert_eq!(code, 200, "{path}: {body}");
        assert_eq!(calls, [r#"overview 86400000 ["mine"]"#], "{path}");
    }
    let (code, body, calls) = does("GET", "/api/overview?jail=other", "");
    assert_eq!((code, calls), (404, Vec::new()), "{body}");
    assert!(body.contains(r#"there is no jail \"other\" for"#), "{body}");
    for body in [r#"{"argv":["ls"],"jail":"other"}"#, r#"{"argv":["ls"]}"#] {
        let (code, told, calls) = does("POST", "/api/policy/explain", body);
        assert_eq!((code, calls), (404, Vec::new()), "{body}: {told}");
    }
    let (code, told, calls) =
        does("POST", "/api/policy/explain", r#"{"argv":["ls"],"jail":"mine"}"#);
    assert_eq!(code, 200, "{told}");
    assert_eq!(calls, [r#"explain ["ls"] None Some("mine") bounded true"#]);
}

#[test]
fn a_token_that_is_revoked_or_wrong_opens_nothing_and_is_nowhere() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"viewer","name":"alice"}"#);
    let get = |headers: &str| {
        status(&over_tcp(&served, &with_headers("GET", "/api/status", headers, "")).0)
    };
    assert_eq!(get(&bearer(&token)), 200);
    assert_eq!(get(&format!("authorization: bearer {token}\r\n")), 200);
    let altered =
        format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
    for headers in [
        bearer(&altered),
        bearer(""),
        format!("authorization: Basic {token}\r\n"),
        format!("authorization: {token}\r\n"),
        format!("{}{}", bearer(&token), bearer(&token)),
    ] {
        assert_eq!(get(&headers), 401, "{headers}");
    }
    let (head, _) =
        over_tcp(&served, &with_headers("GET", &format!("/api/status?token={token}"), "", ""));
    assert_eq!(status(&head), 401, "a token in a URL is none");
    let (_, list) = ask(&served.path, "GET", "/api/tokens", "");
    let secret = token.splitn(3, '_').nth(2).unwrap();
    let kept = std::fs::read_to_string(&served.tokens).unwrap();
    for place in
        [&list, &kept, &format!("{:?}{:?}", served.backend.calls(), served.backend.refusals())]
    {
        assert!(!place.contains(secret), "{place}");
    }
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list["tokens"][0]["id"].as_str().unwrap();
    assert_eq!(ask(&served.path, "DELETE", &format!("/api/tokens/{id}"), "").0, 200);
    assert_eq!(ask(&served.path, "DELETE", &format!("/api/tokens/{id}"), "").0, 404);
    assert_eq!(get(&bearer(&token)), 401);
}

#[test]
fn a_token_that_cannot_be_recorded_is_not_made() {
    let served = Served::start(Limits::default());
    served.backend.keep_no_record();
    let (status, body) = ask(&served.path, "POST", "/api/tokens", r#"{"role":"admin"}"#);
    assert_eq!(status, 503, "{body}");
    let (_, list) = ask(&served.path, "GET", "/api/tokens", "");
    assert!(list.contains("\"tokens\":[]"), "{list}");
}

#[test]
fn guessing_is_locked_out_without_a_record_of_each_try_and_who_has_a_token_gets_in() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"viewer"}"#);
    let mut codes = Vec::new();
    for n in 0..50 {
        let guess = bearer(&format!("clawrden_{n:08x}_guess"));
        codes.push(status(&over_tcp(&served, &with_headers("GET", "/api/status", &guess, "")).0));
    }
    assert_eq!(codes[..9], [401; 9]);
    assert_eq!(codes[9..], [429; 41]);
    assert_eq!(served.backend.refusals().len(), 10);
    let (head, _) = over_tcp(&served, &with_headers("GET", "/api/status", &bearer(&token), ""));
    assert_eq!(status(&head), 200, "nobody is kept out by a neighbour");
}

#[test]
fn a_host_that_is_not_served_is_refused_whatever_else_is_right() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"admin"}"#);
    let get = |line: &str, host: &str| {
        let head = format!("{line}\r\n{host}connection: close\r\n{}\r\n", bearer(&token));
        status(&over_tcp(&served, &head).0)
    };
    let port = served.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "WARDEN.example", &format!("localhost:{port}")]
    {
        assert_eq!(get("GET /api/status HTTP/1.1", &format!("host: {host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a@localhost"]
    {
        assert_eq!(get("GET /api/status HTTP/1.1", &format!("host: {host}\r\n")), 421, "{host}");
    }
    assert_ne!(get("GET /api/status HTTP/1.0", ""), 200, "a request that names no host");
    assert_ne!(get("GET /api/status HTTP/1.1", "host: localhost\r\nhost: localhost\r\n"), 200);
    let absolute = |host: &str| format!("GET http://{host}/api/status HTTP/1.1");
    assert_eq!(get(&absolute("localhost"), "host: localhost\r\n"), 200);
    assert_eq!(get(&absolute("evil.example"), "host: localhost\r\n"), 421);
    assert_eq!(get(&absolute("evil.example"), "host: evil.example\r\n"), 421);
}

#[test]
fn a_page_of_elsewhere_is_refused_whatever_else_is_right() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"admin"}"#);
    for (origin, expected) in [
        ("http://localhost", 200),
        ("http://localhost:3000", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let headers = format!("{}origin: {origin}\r\n", bearer(&token));
        let (head, _) = over_tcp(&served, &with_headers("POST", "/api/kill", &headers, ""));
        assert_eq!(status(&head), expected, "{origin}");
        assert!(!head.contains("access-control-allow"), "{head}");
    }
}

#[test]
fn a_path_that_is_written_otherwise_is_another_path() {
    let served = Served::start(Limits::default());
    let viewer = token(&served, r#"{"role":"viewer"}"#);
    for path in [
        "//api/kill",
        "/api//kill",
        "/api/kill/",
        "/api/./kill",
        "/api/x/../kill",
        "/api%2fkill",
        "/API/kill",
        "/api/kill%00",
        "/%61pi/kill",
        "/api/kill;x",
        "/healthz/../api/kill",
        "/healthz%2f..%2fapi/kill",
    ] {
        let (head, body) = over_tcp(&served, &with_headers("POST", path, &bearer(&viewer), "{}"));
        assert!(matches!(status(&head), 400 | 403 | 404 | 405), "{path}: {head} {body}");
    }
    assert!(!served.backend.calls().iter().any(|call| call.starts_with("kill")));
}

#[test]
fn one_request_is_not_read_as_two() {
    let served = Served::start(Limits::default());
    let viewer = token(&served, r#"{"role":"viewer"}"#);
    let hidden = format!("POST /api/kill HTTP/1.1\r\nhost: localhost\r\n{}\r\n", bearer(&viewer));
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length: +5\r\n",
        "content-length : 5\r\n",
    ] {
        let head = format!(
            "POST /api/session HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n0\r\n\r\n{hidden}"
        );
        let (answer, rest) = over_tcp(&served, &head);
        let answers = format!("{answer}{rest}").matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{headers}: {answer}\n{rest}");
    }
}

#[test]
fn a_session_needs_its_cookie_and_its_second_half_and_ends_when_it_is_told_to() {
    let served = Served::start(Limits::default());
    let token = token(&served, r#"{"role":"approver","name":"bob"}"#);
    let kind = "content-type: application/json\r\n";
    let login = |body: &str, kind: &str| {
        over_tcp(&served, &with_headers("POST", "/api/session", kind, body))
    };
    let with_token = format!(r#"{{"token":"{token}"}}"#);
    assert_eq!(
        status(&login(&with_token, "content-type: text/plain\r\n").0),
        400,
        "as a form would"
    );
    let (head, body) = login(&with_token, kind);
    assert_eq!(status(&head), 200, "{body}");
    let cookie = header(&head, "set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let session: serde_json::Value = serde_json::from_str(&body).unwrap();
    let csrf = session["csrf"].as_str().unwrap();
    let get = |headers: &str| over_tcp(&served, &with_headers("GET", "/api/session", headers, ""));
    let whole = format!("cookie: x=y; {cookie}\r\nx-csrf-token: {csrf}\r\n");
    let (head, body) = get(&whole);
    assert_eq!(status(&head), 200, "{body}");
    assert!(body.contains("bob (token ") && !body.contains(csrf), "{body}");
    assert_eq!(status(&get(&format!("cookie: {cookie}\r\n")).0), 401, "the cookie alone");
    assert_eq!(status(&get(&format!("cookie: {cookie}\r\nx-csrf-token: x\r\n")).0), 401);
    assert_eq!(status(&get(&format!("x-csrf-token: {csrf}\r\n")).0), 401);
    assert_eq!(status(&get(&format!("{whole}sec-fetch-site: cross-site\r\n")).0), 403);
    let (head, _) = over_tcp(&served, &with_headers("DELETE", "/api/session", &whole, ""));
    assert_eq!(status(&head), 200);
    assert!(header(&head, "set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(status(&get(&whole).0), 401);
}

#[test]
fn a_link_opens_one_session_and_a_revoked_session_ends() {
    let served = Served::start(Limits::default());
    let (code, body) = ask(&served.path, "POST", "/api/login-links", "");
    assert_eq!(code, 200, "{body}");
    let link: serde_json::Value = serde_json::from_str(&body).unwrap();
    let (page, code) = link["url"].as_str().unwrap().split_once('#').unwrap();
    assert_eq!(page, format!("http://warden.example:{}/login", served.address.port()));
    let body = format!(r#"{{"code":"{code}"}}"#);
    let kind = "content-type: application/json\r\n";
    let login = || over_tcp(&served, &with_headers("POST", "/api/session", kind, &body));
    let (head, session) = login();
    assert_eq!(status(&head), 200, "{session}");
    assert_eq!(status(&login().0), 401, "a second time");
    let session: serde_json::Value = serde_json::from_str(&session).unwrap();
    let cookie = header(&head, "set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let headers =
        format!("cookie: {cookie}\r\nx-csrf-token: {}\r\n", session["csrf"].as_str().unwrap());
    let get = || status(&over_tcp(&served, &with_headers("GET", "/api/tokens", &headers, "")).0);
    assert_eq!(get(), 200);
    let (_, list) = ask(&served.path, "GET", "/api/tokens", "");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let id = list["sessions"][0]["id"].as_str().unwrap();
    assert_eq!(ask(&served.path, "DELETE", &format!("/api/tokens/{id}"), "").0, 200);
    assert_eq!(get(), 401);
    let by_tcp = token(&served, r#"{"role":"admin"}"#);
    let (head, _) =
        over_tcp(&served, &with_headers("POST", "/api/login-links", &bearer(&by_tcp), ""));
    assert_eq!(status(&head), 403, "links are made on the socket");
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

/// The head of somebody's log-in whose body never comes.
fn waiting_login() -> String {
    let head = with_headers("POST", "/api/session", "content-type: application/json\r\n", "");
    head.replace("content-length: 0", "content-length: 9")
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

/// Reads until `what` was said, or the stream has ended.
fn hear(stream: &mut TcpStream, what: &str) -> String {
    let (mut heard, mut buffer) = (String::new(), [0; 4096]);
    while !heard.contains(what) {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => heard.push_str(&String::from_utf8_lossy(&buffer[..n])),
            _ => break,
        }
    }
    heard
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

#[test]
fn the_web_page_is_given_to_everybody_and_nothing_else_comes_with_it() {
    let served = Served::start(Limits::default());
    let get = |path: &str| over_tcp(&served, &with_headers("GET", path, "", ""));
    for path in ["/", "/login", "/ui/app.js", "/ui/base.css"] {
        let (head, _) = get(path);
        assert_eq!(status(&head), 200, "{path}");
        let head = head.to_ascii_lowercase();
        for wanted in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "frame-ancestors 'none'",
            "x-frame-options: deny",
            "x-content-type-options: nosniff",
        ] {
            assert!(head.contains(wanted), "{path}: no {wanted:?} in {head}");
        }
    }
    for path in ["/ui/", "/ui/../api/status", "/ui/%2e%2e/api/status", "/ui/..%2fapi%2fstatus"] {
        assert!([401, 404].contains(&status(&get(path).0)), "{path}");
    }
    for path in ["//", "/ui", "/login/", "/index.html", "/api/queue"] {
        assert_eq!(status(&get(path).0), 401, "{path}");
    }
    let (head, _) = over_tcp(&served, &with_headers("POST", "/", "", "{}"));
    assert_eq!(status(&head), 401);
    assert!(served.backend.calls().is_empty(), "{:?}", served.backend.calls());
}
