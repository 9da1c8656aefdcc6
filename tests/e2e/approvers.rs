//! Who must answer: several people, with reasons, and others when nobody does.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

use crate::support::approvers::{Panel, TWO};
use crate::support::{House, clawrden, events, text, until};

fn code(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_request_starts_when_enough_different_people_have_said_yes() {
    let panel = Panel::new(TWO);
    panel.token("alice");
    panel.token("bob");
    let (child, short) = panel.waiting();
    let shown = panel.here(&["queue"]).1;
    assert!(shown.contains("0 of 2 approvals (from security)"), "{shown}");
    let (code_, said) = panel.here(&["approve", &short, "--reason", "reviewed"]);
    assert_eq!(code_, Some(0), "{said}");
    assert!(said.contains("nothing runs yet: 1 of 2 approvals: alice"), "{said}");
    assert_eq!(panel.progress(), "1 of 2 approvals: alice");
    let (code_, said) = panel.by("alice", &["approve", &short]);
    assert_eq!(code_, Some(1));
    assert!(said.contains("alice has approved") && said.contains("1 of 2"), "{said}");
    assert!(panel.house.events("started").is_empty() && !panel.mark().exists());
    let (code_, said) = panel.by("bob", &["approve", &short]);
    assert_eq!(code_, Some(0), "{said}");
    assert_eq!(code(child).0, Some(0));
    assert!(panel.mark().exists());
    let voted = panel.house.event("voted");
    assert_eq!(
        (&voted["person"], &voted["reason"], &voted["channel"]),
        (&"alice".into(), &"reviewed".into(), &"cli".into())
    );
    assert_eq!(voted["progress"], "1 of 2 approvals: alice");
    let approved = panel.house.event("approved");
    let approver = approved["approver"].as_str().unwrap();
    assert!(approver.contains("uid ") && approver.contains(" and bob (token "), "{approver}");
    assert_eq!(voted["id"], approved["id"]);
    let order: Vec<String> =
        panel.house.ledger().iter().map(|r| r["event"].as_str().unwrap().to_owned()).collect();
    let at = |event: &str| order.iter().position(|one| one == event).unwrap();
    assert!(at("voted") < at("approved") && at("approved") < at("started"));
}

#[test]
fn who_is_not_asked_is_refused_a_yes_and_recorded_and_one_no_is_enough() {
    let panel = Panel::new(TWO);
    for name in ["bob", "carol", "dave", "mallory"] {
        panel.token(name);
    }
    let (child, short) = panel.waiting();
    for name in ["dave", "mallory"] {
        let (code, said) = panel.by(name, &["approve", &short]);
        assert_eq!(code, Some(1), "{name}");
        assert!(said.contains("2 of security"), "{said}");
    }
    let refused = panel.house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("dave (token "), "{refused}");
    assert_eq!(panel.by("bob", &["approve", &short]).0, Some(0));
    assert_eq!(panel.by("carol", &["deny", &short, "--reason", "not today"]).0, Some(0));
    let (code, said) = code(child);
    assert_eq!(code, Some(126));
    assert!(said.contains("not today"), "{said}");
    let (child, short) = panel.waiting();
    assert_eq!(panel.by("dave", &["deny", &short, "--reason", "nor today"]).0, Some(0));
    assert!(crate::approvers::code(child).1.contains("nor today"));
    assert!(!panel.mark().exists());
}

#[test]
fn no_rule_for_always_takes_the_place_of_the_people_who_are_asked() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let always = |short: &str| panel.here(&["approve", short, "--always", "--yes"]);
    let refused = |(code, said): (Option<i32>, String)| {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("laid down in the policy"), "{said}");
    };
    let (mut child, short) = panel.waiting();
    refused(always(&short));
    assert_eq!(panel.here(&["deny", &short]).0, Some(0));
    child.wait().unwrap();
    // Nor where they are asked by a policy that is newer than the request.
    assert_eq!(panel.policy("default_action: ask").0, Some(0));
    let (mut child, short) = panel.waiting();
    let tight = "defaults: {action: ask, approvers: {from: [security], count: 2}}";
    assert_eq!(panel.policy(tight).0, Some(0));
    refused(always(&short));
    let ledger = panel.house.path("ledger.jsonl");
    assert!(events(&ledger, "rule_added").is_empty() && events(&ledger, "started").is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reason_is_asked_for_where_the_rule_wants_one() {
    let panel = Panel::new("rules: [{command: touch, action: ask, require_reason: true}]");
    let (child, short) = panel.waiting();
    let shown = panel.here(&["queue"]).1;
    assert!(shown.contains("a yes needs a reason"), "{shown}");
    for words in [&["approve", &short][..], &["approve", &short, "--reason", "  "]] {
        let (code, said) = panel.here(words);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("--reason 'TEXT'"), "{said}");
    }
    // A no needs none.
    let mut other = panel.house.shimmed("touch").arg("other").spawn().unwrap();
    let waits = until("the other", || {
        let queue = panel.house.json(&["queue", "--json"]);
        queue["entries"].as_array().unwrap().iter().find(|e| e["short"] != *short).cloned()
    });
    assert_eq!(panel.here(&["deny", waits["short"].as_str().unwrap()]).0, Some(0));
    assert_eq!(other.wait().unwrap().code(), Some(126));
    assert_eq!(panel.here(&["approve", &short, "--reason", "it is reviewed"]).0, Some(0));
    assert_eq!(code(child).0, Some(0));
    assert_eq!(panel.house.event("approved")["reason"], "it is reviewed");
}

#[test]
fn what_nobody_can_answer_is_denied_at_once_and_shown_unless_the_rule_waits() {
    let policy = "
default_action: deny
rules:
  - {command: touch, action: ask, approvers: [leads]}
  - {command: tee, action: ask, approvers: [leads], on_no_approver: wait}
  - {command: rm, action: ask, approvers: {from: [security], count: 3}}
";
    let panel = Panel::new(policy);
    let denied = panel.house.shimmed("touch").arg(panel.mark()).output().unwrap();
    assert_eq!(denied.status.code(), Some(126));
    let told = text(&denied.stderr);
    assert!(
        told.contains("no approver: it takes 1 of leads, and nobody of them can log in"),
        "{told}"
    );
    panel.token("bob");
    let denied = panel.house.shimmed("rm").arg("x").output().unwrap();
    let told = text(&denied.stderr);
    assert!(told.contains("3 of security, and 2 of them can log in"), "{told}");
    let status = panel.here(&["status"]).1;
    assert!(
        status.contains("NOBODY COULD ANSWER: 2 requests denied for that since the start"),
        "{status}"
    );
    let metrics = panel.here(&["metrics"]).1;
    assert!(metrics.contains("clawrden_no_approver_total 2"), "{metrics}");
    assert!(panel.here(&["queue"]).1.contains("nothing waits"));
    // It waits for somebody to be let in.
    let mut tee = panel.house.shimmed("tee");
    let mut child = tee.arg(panel.mark()).stdin(std::process::Stdio::null()).spawn().unwrap();
    let short = panel.house.pending()["short"].as_str().unwrap().to_owned();
    assert_eq!(panel.here(&["approve", &short]).0, Some(1), "alice does not lead");
    panel.token("dave");
    assert_eq!(panel.by("dave", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success() && panel.mark().exists());
}

/// What is said of these events, until one of them comes.
fn heard(panel: &Panel) -> UnixStream {
    let mut stream = UnixStream::connect(panel.house.control()).unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut first = [0; 512];
    let _ = stream.read(&mut first).unwrap();
    stream
}

fn hears(stream: &mut UnixStream, wanted: &str) -> String {
    let (mut all, mut bytes) = (String::new(), [0; 4096]);
    while !all.contains(wanted) {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "{all}");
        all.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    all
}

#[test]
fn others_may_answer_after_a_while_and_everybody_is_told_of_it_and_of_votes() {
    let policy = "
rules:
  - {command: touch, action: ask, approvers: {from: [bob, carol, leads], count: 2}, on_no_approver: wait}
  - {command: tee, action: ask, approvers: [bob], escalate: {after: 6s, to: [leads]}}
";
    let panel = Panel::new(policy);
    for name in ["bob", "dave"] {
        panel.token(name);
    }
    let mut events = heard(&panel);
    let mut tee = panel.house.shimmed("tee");
    let mut child = tee.arg(panel.mark()).stdin(std::process::Stdio::null()).spawn().unwrap();
    let short = panel.house.pending()["short"].as_str().unwrap().to_owned();
    let (code, said) = panel.by("dave", &["approve", &short]);
    assert_eq!(code, Some(1), "{said}");
    assert!(panel.here(&["queue"]).1.contains("leads may answer from"));
    let told = panel.house.event("escalated");
    assert_eq!(
        (&told["to"], told["after_ms"].as_u64().unwrap() >= 6000),
        (&serde_json::json!(["leads"]), true)
    );
    hears(&mut events, "event: escalated");
    assert!(panel.here(&["queue"]).1.contains("leads may answer as well by now"));
    assert_eq!(panel.by("dave", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.by("dave", &["approve", &short]).0, Some(0));
    let said = hears(&mut events, "event: voted");
    assert!(said.contains("1 of 2 approvals: token:dave"), "{said}");
    assert_eq!(panel.by("bob", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_policy_that_asks_people_of_whom_nobody_has_heard_is_refused_and_the_last_one_stays() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let (code, said) = panel.policy("rules: [{command: touch, action: ask, approvers: [nobodys]}]");
    assert_ne!(code, Some(0));
    assert!(said.contains("\"nobodys\"") && said.contains("warden.yaml"), "{said}");
    assert!(panel.here(&["status"]).1.contains("nobodys"));
    let (mut child, _) = panel.waiting();
    assert_eq!(panel.progress(), "0 of 2 approvals", "the last good one");
    child.kill().unwrap();
    child.wait().unwrap();
    // No warden starts with one.
    let house = House::new("rules: []");
    std::fs::write(house.path("other.yaml"), TWO).unwrap();
    let mut warden = clawrden();
    warden.arg("warden").arg("--policy").arg(house.path("other.yaml"));
    warden.arg("--control").arg(house.path("c.sock")).arg("--socket").arg(house.path("i.sock"));
    let output = warden.arg("--audit").arg(house.path("other.jsonl")).output().unwrap();
    assert!(
        !output.status.success() && text(&output.stderr).contains("\"security\""),
        "{}",
        text(&output.stderr)
    );
}
