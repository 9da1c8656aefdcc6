//! The door of the control API over TCP: who gets in, with what, and to what.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use clawrden_api::Role;
use clawrden_warden::control::Limits;
use clawrden_warden::control::table::{Least, ROUTES};
use support::{
    Served, WAITING, ask, bearer, header, over_tcp, request_to, status, token, with_headers,
};

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

#[test]
fn no_route_but_liveness_answers_who_is_not_known() {
    let served = Served::start(Limits::default());
    for route in ROUTES {
        let (head, body) = over_tcp(&served, &request_to(route, ""));
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
            let (head, body) = over_tcp(&served, &request_to(route, &bearer(&token)));
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
        let (head, _) = over_tcp(&served, &request_to(route, &bearer(&mine)));
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
