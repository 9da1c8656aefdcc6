//! The door over TCP, for bridges to chats: whom they speak for, and who becomes somebody by them.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use clawrden_api::Role;
use clawrden_warden::control::Limits;
use clawrden_warden::control::table::{Least, Method, ROUTES};
use support::{
    Served, WAITING, ask, bearer, header, helper, over_tcp, request_to, status, token, whole,
    with_headers,
};

/// Not a test: a client in a process of its own, see [`support::helper`].
#[test]
fn helper_client() {
    support::be_a_client();
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
            let sent = request_to(route, &(bearer(&bridge) + &headers));
            let (head, body) = over_tcp(&served, &sent);
            assert!(body.contains(&format!("\"{code}\"")), "{} {headers}: {body}", route.path);
            assert!(matches!(status(&head), 400 | 403), "{head}");
        }
        let known = request_to(route, &(bearer(&bridge) + &behalf("slack:T1/U1")));
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
