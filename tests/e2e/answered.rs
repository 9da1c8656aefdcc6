//! Of every answer the ledger has who gave it, when, through what, from where and why.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

use crate::support::approvers::{Panel, TWO};
use crate::support::chats::exchange_by;
use crate::support::{House, clawrden, text, until};

/// A verb by the control socket that must do; gives the process that it was, as the ledger calls it.
fn here(house: &House, words: &[&str]) -> String {
    let mut command = clawrden();
    command.arg("--control").arg(house.control()).args(words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    format!("local: pid {pid}, uid {}", rustix::process::geteuid().as_raw())
}

/// A request over TCP, with these headers, which must do. Gives its answer, and from where it was.
fn over_tcp(panel: &Panel, path: &str, headers: &str, body: &str) -> (String, Value, String) {
    let stream = TcpStream::connect(panel.url.strip_prefix("http://").unwrap()).unwrap();
    let from = stream.local_addr().unwrap().to_string();
    let (status, head, said) = exchange_by(stream, "POST", path, headers, body);
    assert_eq!(status, 200, "{said}");
    (head, serde_json::from_str(&said).unwrap(), from)
}

#[test]
fn an_answer_on_this_machine_is_recorded_with_the_process_that_gave_it() {
    let mut house = House::new("rules: [{command: echo, action: ask}]");
    let park = |house: &House| {
        let mut caller = house.shimmed("echo").arg("x").spawn().unwrap();
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        caller.kill().unwrap();
        caller.wait().unwrap();
        until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
        short
    };
    let short = park(&house);
    let from = here(&house, &["approve", &short, "--reason", "as agreed"]);
    let approved = house.event("approved");
    assert_eq!(
        (&approved["from"], &approved["reason"]),
        (&from.clone().into(), &"as agreed".into())
    );
    // Whoever runs by it later does so by an answer from there.
    house.crash();
    house.restart();
    assert_eq!(house.event("restored")["from"], from);
    assert!(house.shimmed("echo").arg("x").status().unwrap().success());
    let used = house.event("grant_used");
    assert_eq!(used["from"], from);
    let id = used["id"].as_str().unwrap();
    let told = house.json(&["history", "--id", id, "--json"]);
    assert_eq!(told["entries"][0]["answered_from"], from, "{told}");
    let shown = text(&house.cli(&["history", "--id", id]).stdout);
    let words: Vec<&str> =
        shown.split(['│', '┆', ' ', '\n']).filter(|word| !word.is_empty()).collect();
    assert!(words.contains(&"from") && words.contains(&"local:"), "{shown}");
    let ledger = house.path("ledger.jsonl");
    let csv =
        clawrden().args(["audit", "export", "--format", "csv"]).arg(&ledger).output().unwrap();
    assert!(text(&csv.stdout).contains(&format!("\"{from}\"")), "{}", text(&csv.stdout));
    // What is taken back is an answer too, and so is a no.
    let short = park(&house);
    here(&house, &["approve", &short]);
    let from = here(&house, &["grants", "revoke", &short]);
    assert_eq!(house.event("grant_revoked")["from"], from);
    let short = park(&house);
    let from = here(&house, &["deny", &short, "--reason", "no"]);
    assert_eq!(house.event("denied")["from"], from);
    assert!(clawrden().args(["audit", "verify"]).arg(&ledger).output().unwrap().status.success());
}

#[test]
fn an_answer_over_tcp_is_recorded_with_the_address_that_it_came_from() {
    let panel = Panel::new(TWO);
    let secret =
        |name: &str| fs::read_to_string(panel.house.path(&format!("token-{name}"))).unwrap();
    for name in ["alice", "carol"] {
        panel.token(name);
    }
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let bridge = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    let path = format!("/api/queue/{short}/approve");
    let (_, _, from) = over_tcp(&panel, &path, &bearer(&secret("alice")), "{}");
    let voted = panel.house.event("voted");
    assert_eq!((&voted["from"], &voted["channel"]), (&from.into(), &"api".into()));
    // Of a chat's user no more is known than where their bridge is.
    let tap = format!("{}clawrden-on-behalf: slack:T1/BOB\r\n", bearer(bridge.token()));
    let (_, _, from) = over_tcp(&panel, &path, &tap, "{}");
    assert!(child.wait().unwrap().success());
    let approved = panel.house.event("approved");
    assert_eq!((&approved["from"], &approved["channel"]), (&from.into(), &"slack".into()));
    assert_eq!(approved["chat"]["user"], "slack:T1/BOB");
    // A session is where the page is, not where it was opened.
    fs::remove_file(panel.mark()).unwrap();
    let (mut child, short) = panel.waiting();
    let token = serde_json::json!({ "token": secret("carol").trim() }).to_string();
    let (head, session, _) = over_tcp(&panel, "/api/session", "", &token);
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let csrf = session["csrf"].as_str().unwrap();
    let headers = format!("cookie: {cookie}\r\nx-csrf-token: {csrf}\r\n");
    let (_, _, from) = over_tcp(&panel, &format!("/api/queue/{short}/deny"), &headers, "{}");
    assert_eq!(child.wait().unwrap().code(), Some(126));
    let denied = panel.house.event("denied");
    assert_eq!((&denied["from"], &denied["channel"]), (&from.into(), &"web".into()));
}
