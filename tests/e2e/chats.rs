//! Answers through a chat, as a bridge gives them.

use crate::support::approvers::{Panel, TWO};

#[test]
fn an_answer_by_a_chat_starts_the_command_and_the_ledger_says_who_gave_it() {
    let panel = Panel::new("rules: [{command: touch, action: ask}]");
    let slack = panel.bridge("slack", &["--jail", "default"]);
    let (mut child, short) = panel.waiting();
    let (status, said) = slack.tap("slack:T1/ALICE", "approve", &short);
    assert_eq!((status, said.contains("\"approved\"")), (200, true), "{said}");
    assert!(child.wait().unwrap().success());
    let approved = panel.house.event("approved");
    assert_eq!(approved["channel"], "slack");
    let who = format!("alice (slack:T1/ALICE, token {})", slack.id());
    assert_eq!(approved["approver"], who);
    let chat = &approved["chat"];
    assert_eq!((&chat["person"], &chat["user"]), (&"alice".into(), &"slack:T1/ALICE".into()));
    assert_eq!(chat["token"], slack.id());
    assert_eq!(panel.house.event("token_created")["speaks_for"], "slack");
    let (status, said) = slack.tap("slack:T1/BOB", "deny", &short);
    assert_eq!(status, 409, "{said}");
    assert!(said.contains("approved before, by alice (slack:T1/ALICE"), "{said}");
}

#[test]
fn a_person_is_one_by_chat_and_socket_and_their_vote_falls_with_the_bridge() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let (slack, other) = (panel.bridge("slack", &[]), panel.bridge("slack", &[]));
    let (mut child, short) = panel.waiting();
    assert_eq!(slack.tap("slack:T1/ALICE", "approve", &short).0, 200);
    assert_eq!(panel.here(&["approve", &short]).0, Some(1), "alice is alice");
    let voted = panel.house.event("voted");
    assert_eq!((&voted["person"], &voted["channel"]), (&"alice".into(), &"slack".into()));
    assert_eq!(voted["chat"]["token"], slack.id());
    assert!(panel.house.cli(&["token", "revoke", slack.id()]).status.success());
    assert_eq!(other.tap("slack:T1/BOB", "approve", &short).0, 200);
    assert_eq!(
        panel.progress(),
        "1 of 2 approvals: bob",
        "what a revoked bridge said counts no more"
    );
    assert_eq!(other.tap("slack:T1/ALICE", "approve", &short).0, 200);
    assert!(child.wait().unwrap().success());
    assert_eq!(panel.house.events("voted").len(), 2);
}

#[test]
fn who_answers_by_a_chat_may_stop_everything_and_let_it_go_on() {
    let panel = Panel::new("rules: [{command: touch, action: ask}]");
    let telegram = panel.bridge("telegram", &[]);
    assert_eq!(telegram.post(Some("telegram:7"), "/api/kill", "{}").0, 403);
    let slack = panel.bridge("slack", &[]);
    assert_eq!(slack.post(Some("slack:T1/BOB"), "/api/kill", "{}").0, 200);
    let stopped = panel.house.event("stopped");
    assert!(stopped["by"].as_str().unwrap().starts_with("bob (slack:T1/BOB"), "{stopped}");
    assert_eq!(slack.post(Some("slack:T1/BOB"), "/api/resume", "{}").0, 200);
}
