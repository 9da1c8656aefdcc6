//! Answers through chats: a bridge decides nothing, and nobody is taken for whom they are not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::nothing_started;
use crate::support::approvers::{Panel, TWO};
use crate::support::chats::{exchange, exchange_by, send};
use crate::support::{clawrden, text};

const ASK: &str = "
default_action: deny
rules:
  - {command: touch, action: ask}
";

fn refusals(panel: &Panel) -> Vec<String> {
    let all = panel.house.events("control_refused");
    all.iter().map(|record| record["why"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn nobody_but_a_bridge_answers_for_a_user_of_a_chat() {
    let panel = Panel::new(ASK);
    let (mut child, short) = panel.waiting();
    let made = panel.house.cli(&["token", "create", "--role", "admin", "--name", "carol"]);
    let admin = text(&made.stdout).trim().to_owned();
    let address = panel.url.strip_prefix("http://").unwrap();
    let path = format!("/api/queue/{short}/approve");
    let forged = "clawrden-on-behalf: slack:T1/ALICE\r\n";
    let (status, said) = send(address, &admin, "POST", &path, forged, "{}");
    assert_eq!(status, 403, "{said}");
    assert!(said.contains("is no bridge"), "{said}");
    assert!(refusals(&panel)[0].contains("is no bridge"));
    nothing_started(&panel.house);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_bridge_answers_nothing_by_itself_and_nothing_for_a_user_who_is_nobody() {
    let panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    let path = format!("/api/queue/{short}/approve");
    let (status, said) = slack.post(None, &path, "{}");
    assert_eq!((status, said.contains("say who it is")), (403, true), "{said}");
    for verb in ["approve", "deny"] {
        let (status, said) = slack.tap("slack:T1/MALLORY", verb, &short);
        assert_eq!(status, 403, "{said}");
        assert!(said.contains("\"unknown_user\"") && said.contains("people pair"), "{said}");
    }
    for path in ["/api/kill", "/api/resume"] {
        assert_eq!(slack.post(Some("slack:T1/MALLORY"), path, "{}").0, 403);
        assert_eq!(slack.post(None, path, "{}").0, 403);
    }
    // The id is the service's: another service's user of the same id is nobody.
    let telegram = panel.bridge("telegram", &[]);
    assert_eq!(telegram.tap("telegram:42", "approve", &short).0, 403);
    assert_eq!(telegram.tap("telegram:T1/ALICE", "approve", &short).0, 400, "it has no such users");
    assert_eq!(telegram.tap("slack:T1/ALICE", "approve", &short).0, 403);
    let all = refusals(&panel);
    assert!(all.iter().any(|why| why.contains("slack:T1/MALLORY") && why.contains(slack.id())));
    nothing_started(&panel.house);
    assert!(panel.house.events("stopped").is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_bridge_s_token_of_a_person_s_name_makes_nobody_that_person() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let slack = panel.bridge("slack", &["--name", "alice"]);
    let (mut child, short) = panel.waiting();
    assert_eq!(slack.tap("slack:T1/MALLORY", "approve", &short).0, 403);
    assert_eq!(slack.tap("slack:T1/BOB", "approve", &short).0, 200);
    assert_eq!(panel.progress(), "1 of 2 approvals: bob");
    assert_eq!(slack.tap("slack:T1/BOB", "approve", &short).0, 409, "a person counts once");
    nothing_started(&panel.house);
    assert_eq!(slack.tap("slack:T1/ALICE", "approve", &short).0, 200);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_tap_for_another_jail_or_rule_than_the_bridge_s_is_not_taken() {
    let panel = Panel::new(ASK);
    let elsewhere = panel.bridge("slack", &["--jail", "elsewhere"]);
    let other_rule = panel.bridge("slack", &["--rule", "policy.yaml:99"]);
    let (mut child, short) = panel.waiting();
    for verb in ["approve", "deny"] {
        assert_eq!(elsewhere.tap("slack:T1/ALICE", verb, &short).0, 404, "it sees nothing of it");
        assert_eq!(other_rule.tap("slack:T1/ALICE", verb, &short).0, 403);
    }
    assert_eq!(elsewhere.post(Some("slack:T1/ALICE"), "/api/kill", "{}").0, 403);
    nothing_started(&panel.house);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_bridge_that_is_taken_over_opens_no_session_makes_no_token_and_writes_no_rule() {
    let mut panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &[]);
    let alice = Some("slack:T1/ALICE");
    let login = format!(r#"{{"token":"{}"}}"#, slack.token());
    assert_eq!(slack.post(alice, "/api/session", &login).0, 401);
    assert_eq!(slack.post(alice, "/api/tokens", r#"{"role":"approver"}"#).0, 403);
    assert_eq!(slack.post(alice, "/api/policy/rules", r#"{"id":"abcd"}"#).0, 403);
    let (mut child, short) = panel.waiting();
    let revoked = panel.house.cli(&["token", "revoke", slack.id()]);
    assert!(revoked.status.success());
    assert_eq!(slack.tap("slack:T1/ALICE", "approve", &short).0, 401);
    nothing_started(&panel.house);
    child.kill().unwrap();
    child.wait().unwrap();
    let ledger = fs::read_to_string(panel.house.path("ledger.jsonl")).unwrap();
    assert!(!ledger.contains(slack.token().splitn(3, '_').nth(2).unwrap()));
    // Nor by a file of tokens that says that it is more than a bridge.
    let slack = panel.bridge("slack", &[]);
    panel.house.crash();
    let tokens = panel.house.path("ledger.jsonl.tokens.json");
    let kept = fs::read_to_string(&tokens).unwrap();
    let forged = kept.replace("\"role\":\"approver\"", "\"role\":\"admin\"");
    assert_ne!(forged, kept);
    fs::write(&tokens, forged).unwrap();
    panel.restart(&[]);
    let address = panel.url.strip_prefix("http://").unwrap();
    let user = "clawrden-on-behalf: slack:T1/ALICE\r\n";
    for (path, body) in [
        ("/api/tokens", r#"{"role":"approver"}"#),
        ("/api/pairings", r#"{"person":"carol"}"#),
        ("/api/policy/reload", "{}"),
    ] {
        assert_eq!(send(address, slack.token(), "POST", path, user, body).0, 403, "{path}");
    }
}

#[test]
fn who_asks_by_their_own_user_does_not_approve_it_by_a_chat() {
    use crate::support::other::{UID, by, is_root, open_to_others, set_user};
    if !is_root() {
        eprintln!("skipped: this needs root");
        return;
    }
    let mallory = format!("people: {{mallory: ['uid:{UID}', 'slack:T1/M']}}\n");
    let panel = Panel::of(&mallory, ASK);
    open_to_others(&panel.house);
    let slack = panel.bridge("slack", &[]);
    let mut touch: Command = by(&set_user(UID), &panel.house.shimmed("touch"));
    let mut child = touch.arg(panel.mark()).stderr(Stdio::null()).spawn().unwrap();
    let short = panel.house.pending()["short"].as_str().unwrap().to_owned();
    let (status, said) = slack.tap("slack:T1/M", "approve", &short);
    assert_eq!(status, 403, "{said}");
    assert!(said.contains("own_request"), "{said}");
    assert_eq!(slack.tap("slack:T1/M", "deny", &short).0, 200);
    assert_eq!(child.wait().unwrap().code(), Some(126));
    nothing_started(&panel.house);
}

fn code(panel: &Panel, words: &[&str]) -> String {
    let made = panel.house.cli(&[&["people", "pair"][..], words].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
    text(&made.stdout).trim().to_owned()
}

#[test]
fn a_pairing_code_is_neither_guessed_nor_used_twice_nor_taken_by_who_is_no_bridge() {
    let panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &[]);
    let code = code(&panel, &["carol", "--service", "slack"]);
    let right = format!(r#"{{"code":"{code}"}}"#);
    let path = "/api/pairings/redeem";
    // Without a user, by the control socket, by an ordinary token, by another service's bridge.
    assert_eq!(slack.post(None, path, &right).0, 403);
    for headers in ["", "clawrden-on-behalf: slack:T1/M\r\n"] {
        let socket = UnixStream::connect(panel.house.control()).unwrap();
        assert_eq!(exchange_by(socket, "POST", path, headers, &right).0, 403);
    }
    panel.token("mallory");
    let token = fs::read_to_string(panel.house.path("token-mallory")).unwrap();
    let address = panel.url.strip_prefix("http://").unwrap();
    assert_eq!(send(address, token.trim(), "POST", path, "", &right).0, 403);
    let forged = "clawrden-on-behalf: slack:T1/M\r\n";
    assert_eq!(send(address, token.trim(), "POST", path, forged, &right).0, 403);
    assert_eq!(
        send(address, token.trim(), "POST", "/api/pairings", "", r#"{"person":"alice"}"#).0,
        403
    );
    let telegram = panel.bridge("telegram", &[]);
    assert_eq!(telegram.post(Some("telegram:7"), path, &right).0, 404);
    assert_eq!(slack.post(Some("slack:T1/ALICE"), "/api/pairings", r#"{"person":"alice"}"#).0, 403);
    // Guessed.
    for n in 1..=7 {
        let (status, said) = slack.post(Some("slack:T1/M"), path, r#"{"code":"AAAAA-AAAAA"}"#);
        assert_eq!(status, if n < 5 { 404 } else { 429 }, "{n}: {said}");
    }
    assert_eq!(
        slack.post(Some("slack:T1/M"), path, &right).0,
        429,
        "locked out, by the right one too"
    );
    assert!(refusals(&panel).iter().any(|why| why.contains("slack:T1/M") && why.contains("wrong")));
    // Used, and used again.
    let (status, said) = slack.post(Some("slack:T1/CAROL"), path, &right);
    assert_eq!(status, 200, "{said}");
    assert_eq!(slack.post(Some("slack:T1/M2"), path, &right).0, 404);
    assert_eq!(panel.house.events("paired").len(), 1);
    let (mut child, short) = panel.waiting();
    for user in ["slack:T1/M", "slack:T1/M2"] {
        assert_eq!(slack.tap(user, "approve", &short).0, 403);
    }
    nothing_started(&panel.house);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_code_is_worth_nothing_once_what_made_it_opens_nothing_more() {
    let panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &[]);
    let address = panel.url.strip_prefix("http://").unwrap();
    let made = panel.house.cli(&["token", "create", "--role", "admin", "--name", "mallory"]);
    let admin = text(&made.stdout).trim().to_owned();
    let id = admin.split('_').nth(1).unwrap();
    let (pairings, wanted) = ("/api/pairings", r#"{"person":"alice"}"#);
    let code_of = |said: &str| {
        let said: serde_json::Value = serde_json::from_str(said).unwrap();
        said["code"].as_str().unwrap().to_owned()
    };
    let redeemed = |user: &str, code: &str| {
        slack.post(Some(user), "/api/pairings/redeem", &format!(r#"{{"code":"{code}"}}"#)).0
    };
    // While it holds, so does what it made.
    let by_token = |wanted: &str| code_of(&send(address, &admin, "POST", pairings, "", wanted).1);
    assert_eq!(redeemed("slack:T1/A", &by_token(wanted)), 200);
    let offered = panel.house.events("pairing_offered").pop().unwrap();
    assert_eq!((&offered["person"], &offered["service"]), (&"alice".into(), &().into()));
    assert!(offered["by"].as_str().unwrap().contains(id), "{offered}");
    // Of a session that is logged out.
    let login = format!(r#"{{"token":"{admin}"}}"#);
    let (status, head, body) = exchange(address, "POST", "/api/session", "", &login);
    assert_eq!(status, 200, "{body}");
    let cookie = head.split("clawrden_session=").nth(1).unwrap().split(';').next().unwrap();
    let session: serde_json::Value = serde_json::from_str(&body).unwrap();
    let csrf = session["csrf"].as_str().unwrap();
    let headers = format!("cookie: clawrden_session={cookie}\r\nx-csrf-token: {csrf}\r\n");
    let (status, _, said) = exchange(address, "POST", pairings, &headers, wanted);
    assert_eq!(status, 200, "{said}");
    assert_eq!(exchange(address, "DELETE", "/api/session", &headers, "").0, 200);
    assert_eq!(redeemed("slack:T1/M1", &code_of(&said)), 404);
    // Of a token that is revoked.
    let code = by_token(wanted);
    assert_eq!(panel.here(&["token", "revoke", id]).0, Some(0));
    assert_eq!(redeemed("slack:T1/M2", &code), 404);
    assert_eq!(panel.house.events("paired").len(), 1);
}

#[test]
fn a_code_is_in_no_file_and_is_worth_nothing_after_a_restart() {
    let mut panel = Panel::new(ASK);
    let code = code(&panel, &["carol"]);
    let plain = code.replace('-', "");
    let mut folders = vec![panel.house.dir.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let about = path.symlink_metadata().unwrap();
            if about.is_dir() {
                folders.push(path);
            } else if about.is_file() {
                let said = text(&fs::read(&path).unwrap());
                assert!(!said.contains(&code) && !said.contains(&plain), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 5, "only {files} files were looked at");
    panel.crash_and_restart(&[]);
    let slack = panel.bridge("slack", &[]);
    let body = format!(r#"{{"code":"{code}"}}"#);
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/pairings/redeem", &body).0, 404);
}

/// What a warden says that does not start in this place.
fn refusal(panel: &Panel) -> String {
    let at = |name: &str| panel.house.path(name);
    let mut command = Command::new("timeout");
    // One that starts is ended, and has refused nothing.
    command.arg("10").arg(clawrden().get_program()).arg("warden");
    command.arg("--socket").arg(at("warden.sock")).arg("--control").arg(at("control.sock"));
    command.arg("--policy").arg(at("policy.yaml")).arg("--config").arg(at("warden.yaml"));
    let output = command.arg("--audit").arg(at("ledger.jsonl")).output().unwrap();
    assert_ne!(output.status.code(), Some(124), "it serves");
    text(&output.stderr)
}

#[test]
fn who_is_paired_is_read_from_no_file_that_others_may_write() {
    use crate::support::other::{UID, is_root};
    let mut panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &[]);
    let body = format!(r#"{{"code":"{}"}}"#, code(&panel, &["carol"]));
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/pairings/redeem", &body).0, 200);
    let kept = panel.house.path("ledger.jsonl.paired.json");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let right = fs::read_to_string(&kept).unwrap();
    panel.house.crash();
    // What somebody else has written, or may write at any time.
    let forged = right.replace("T1/CAROL", "T1/MALLORY");
    assert_ne!(forged, right);
    fs::write(&kept, &forged).unwrap();
    for mode in [0o602, 0o620, 0o666] {
        fs::set_permissions(&kept, fs::Permissions::from_mode(mode)).unwrap();
        let said = refusal(&panel);
        assert!(said.contains("paired.json") && said.contains("chmod 600"), "{mode:o}: {said}");
    }
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        chown(&kept, Some(UID), Some(UID)).unwrap();
        let said = refusal(&panel);
        assert!(said.contains(&format!("belongs to uid {UID}")), "{said}");
    }
    let elsewhere = panel.house.path("elsewhere.json");
    fs::rename(&kept, &elsewhere).unwrap();
    symlink(&elsewhere, &kept).unwrap();
    let said = refusal(&panel);
    assert!(said.contains("no regular file"), "{said}");
    fs::remove_file(&kept).unwrap();
    fs::write(&kept, &right).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
    panel.restart(&[]);
    let slack = panel.bridge("slack", &[]);
    assert_eq!(slack.post(Some("slack:T1/MALLORY"), "/api/kill", "{}").0, 403);
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/kill", "{}").0, 200);
}
