//! Several people have to say yes: nobody is two of them, and nothing that was said is worth more than it is by now.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::support::approvers::{Panel, TWO, place};
use crate::support::chats::send;
use crate::support::etc::{at_home, etc};
use crate::support::other::{UID, by, is_root, open_to_others, set_user};
use crate::support::{text, until};

fn nothing_ran(panel: &Panel) {
    assert!(panel.house.events("started").is_empty());
    assert!(!panel.mark().exists());
}

#[test]
fn one_person_is_not_two_by_another_token_or_another_door() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    panel.token_in("bob", "bobs-other");
    panel.token("alice");
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.by("bob", &["approve", &short]).0, Some(0));
    for again in ["bob", "bobs-other"] {
        let (code, said) = panel.by(again, &["approve", &short]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("bob has approved"), "{said}");
    }
    nothing_ran(&panel);
    assert_eq!(panel.progress(), "1 of 2 approvals: bob");
    assert_eq!(panel.by("alice", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
    assert_eq!(panel.house.events("voted").len(), 1);
}

#[test]
fn two_doors_that_nobody_has_said_whose_they_are_make_no_two_people() {
    let panel =
        Panel::new("rules: [{command: touch, action: ask, quorum: 2, on_no_approver: wait}]");
    panel.token("unknown");
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.here(&["approve", &short]).0, Some(0), "alice is known");
    assert_eq!(panel.by("unknown", &["approve", &short]).0, Some(1));
    nothing_ran(&panel);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn answers_that_are_not_taken_do_not_fill_the_ledger() {
    let panel = Panel::new(
        "rules: [{command: touch, action: ask, approvers: [bob], on_no_approver: wait}]",
    );
    let (mut child, short) = panel.waiting();
    for n in 0..150 {
        assert!(
            post(&panel, &short, &n.to_string()).starts_with("HTTP/1.1 403"),
            "alice is not asked"
        );
    }
    let refused = panel.house.events("control_refused");
    assert_eq!(refused.len(), 100);
    assert!(refused[99]["why"].as_str().unwrap().contains("only counted"), "{}", refused[99]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Sends an answer with its key: by the same one, it is the very same again.
fn post(panel: &Panel, id: &str, key: &str) -> String {
    let mut stream = UnixStream::connect(panel.house.control()).unwrap();
    let request = format!(
        "POST /api/queue/{id}/approve HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_vote_that_is_sent_again_counts_once() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let (mut child, _) = panel.waiting();
    let id = panel.house.pending()["id"].as_str().unwrap().to_owned();
    let (first, again) = (post(&panel, &id, "the-same"), post(&panel, &id, "the-same"));
    assert!(first.contains("\"voted\"") && again.contains("\"voted\""), "{first} {again}");
    assert_eq!(panel.progress(), "1 of 2 approvals: alice");
    assert_eq!(panel.house.events("voted").len(), 1);
    nothing_ran(&panel);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_list_that_changes_between_two_votes_holds_for_both() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    panel.token("carol");
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.here(&["approve", &short]).0, Some(0));
    let narrower =
        "rules: [{command: touch, action: ask, approvers: {from: [bob, carol], count: 2}}]";
    assert_eq!(panel.policy(narrower).0, Some(0));
    let (code, said) = panel.by("bob", &["approve", &short]);
    assert_eq!(code, Some(0));
    assert!(said.contains("1 of 2 approvals: bob"), "{said}");
    nothing_ran(&panel);
    assert_eq!(panel.here(&["approve", &short]).0, Some(1), "alice is none of them any more");
    assert_eq!(panel.by("carol", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
    // A policy that denies by then is not voted away.
    std::fs::remove_file(panel.mark()).unwrap();
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.by("bob", &["approve", &short]).0, Some(0));
    assert_eq!(panel.policy("rules: [{command: touch, action: deny}]").0, Some(0));
    assert_eq!(panel.by("carol", &["approve", &short]).0, Some(1));
    assert_eq!(child.wait().unwrap().code(), Some(126));
    assert!(!panel.mark().exists());
}

#[test]
fn an_answer_for_an_hour_that_one_gave_is_not_enough_once_two_are_wanted() {
    let panel = Panel::new("rules: [{command: touch, action: ask}]");
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.here(&["approve", &short, "--for", "1h"]).0, Some(0));
    assert!(child.wait().unwrap().success());
    std::fs::remove_file(panel.mark()).unwrap();
    panel.token("bob");
    assert_eq!(panel.policy(TWO).0, Some(0));
    let (mut child, _) = panel.waiting();
    assert_eq!(panel.progress(), "0 of 2 approvals");
    assert!(!panel.mark().exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_token_that_is_revoked_between_two_votes_takes_its_vote_along() {
    let panel = Panel::new(TWO);
    let bob = panel.token("bob");
    panel.token("carol");
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.by("bob", &["approve", &short]).0, Some(0));
    assert_eq!(panel.here(&["token", "revoke", &bob]).0, Some(0));
    let (code, said) = panel.by("carol", &["approve", &short]);
    assert_eq!(code, Some(0));
    assert!(said.contains("1 of 2 approvals: carol"), "{said}");
    nothing_ran(&panel);
    assert_eq!(panel.here(&["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
}

#[test]
fn nobody_approves_what_they_ask_by_another_user_of_theirs() {
    if !is_root() {
        eprintln!("not tried: it takes root to be another user");
        return;
    }
    // The warden is root; bob is the user who asks, too.
    let mut panel = Panel::new("rules: [{command: touch, action: ask}]");
    let config = panel.house.path("warden.yaml");
    let said = std::fs::read_to_string(&config).unwrap();
    let said = said.replace("['token:bob',", &format!("['token:bob', 'uid:{UID}',"));
    std::fs::write(&config, said).unwrap();
    panel.crash_and_restart(&[]);
    panel.token("bob");
    panel.token("carol");
    open_to_others(&panel.house);
    let mut touch = panel.house.shimmed("touch");
    touch.arg("/tmp/clawrden-not-by-bob");
    let mut child = by(&set_user(UID), &touch).stderr(Stdio::piped()).spawn().unwrap();
    let short = panel.house.pending()["short"].as_str().unwrap().to_owned();
    let (code, said) = panel.by("bob", &["approve", &short]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nobody approves their own request"), "{said}");
    let refused = until("it to be recorded", || panel.house.events("control_refused").pop());
    assert!(refused["why"].as_str().unwrap().contains("bob (token "), "{refused}");
    assert_eq!(panel.by("carol", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success(), "carol may");
    std::fs::remove_file("/tmp/clawrden-not-by-bob").unwrap();
}

#[test]
fn nobody_accepts_a_suggestion_that_allows_what_their_own_user_asks_for() {
    let etc = etc("policy.yaml", "default_action: ask");
    let config = etc.path().join("clawrden/warden.yaml");
    std::fs::write(&config, format!("people:\n  bob: ['token:bob', 'uid:{UID}']\n")).unwrap();
    let extra = ["--api", "127.0.0.1:0", "--config", config.to_str().unwrap()];
    let Some(house) = at_home(etc.path(), &extra) else { return };
    let made = house.cli(&["token", "create", "--role", "admin", "--name", "bob"]);
    let bob = text(&made.stdout).trim().to_owned();
    let address = place(&house).replace("http://", "");
    open_to_others(&house);
    let folder = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    for _ in 0..3 {
        // By its name: no rule is made for a path.
        let mut touch = Command::new("touch");
        house.governed(&mut touch).arg("always-the-same").current_dir(folder.path());
        let mut child = by(&set_user(UID), &touch).stderr(Stdio::piped()).spawn().unwrap();
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        assert!(house.cli(&["approve", &short]).status.success());
        assert!(child.wait().unwrap().success());
    }
    let path = "/api/policy/suggestions";
    let suggested = until("the suggestion", || {
        let (status, told) = send(&address, &bob, "GET", path, "", "");
        assert_eq!(status, 200, "{told}");
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        told["rules"][0]["rule"].as_str().map(str::to_owned)
    });
    let body = serde_json::json!({"rule": suggested}).to_string();
    let (status, told) = send(&address, &bob, "POST", path, "", &body);
    assert_eq!(status, 400, "{told}");
    assert!(told.contains("your own user asked"), "{told}");
    assert!(house.events("rule_added").is_empty());
    // Another admin may.
    let made = house.cli(&["token", "create", "--role", "admin", "--name", "carol"]);
    let (status, told) = send(&address, text(&made.stdout).trim(), "POST", path, "", &body);
    assert_eq!(status, 200, "{told}");
    assert_eq!(house.events("rule_added").len(), 1);
}
