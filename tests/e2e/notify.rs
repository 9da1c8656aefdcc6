//! Channels: what waits is told elsewhere, and answered from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::approvers::Panel;
use crate::support::hook::{Hook, SECRET, now};
use crate::support::{House, clawrden, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask, reason: look first}
  - {command: rm, action: ask, reason: security looks, approvers: {from: [bob], count: 1}}
";

const PEOPLE: &str = "people: {alice: ['webhook:alice'], bob: ['webhook:bob']}\n";

fn secret(folder: &Path) -> PathBuf {
    let path = folder.join("secret");
    fs::write(&path, SECRET).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A house with a channel of its own.
fn house(hook: &Hook) -> House {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let secret = secret(dir.path());
    let settings = format!(
        "{PEOPLE}notify:\n  - {{name: hook, kind: webhook, url: 'http://{}/in', secret_file: {}, listen: '{}'}}\n",
        hook.address,
        secret.display(),
        hook.listen,
    );
    let config = dir.path().join("warden.yaml");
    fs::write(&config, settings).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let house = House::within(dir, &[], POLICY, &["--config", &config]);
    // Who has nothing but a chat can answer once its bridge is there.
    house.is_heard_in("webhook");
    house
}

fn ask(house: &House, tool: &str, word: &str) -> Child {
    let mut command = house.shimmed(tool);
    command.arg(word).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn channel(house: &House) -> Value {
    house.json(&["notify", "--json"])["channels"][0].clone()
}

#[test]
fn a_shim_waits_a_person_answers_by_a_channel_and_the_message_says_what_came_of_it() {
    let hook = Hook::new();
    let house = house(&hook);
    let child = ask(&house, "touch", "made");
    let id = hook.waiting();
    let start = Instant::now();
    let (status, said) = hook.answer("alice", &id, "approve");
    assert_eq!((status, said.contains("Approved.")), (200, true), "{said}");
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success() && house.path("made").exists(), "{ended:?}");
    let event = hook.stage(&id, "finished");
    eprintln!("from the tap to the message that says how it ended: {:?}", start.elapsed());
    let [by, outcome] =
        [&event["card"]["stage"]["finished"][0], &event["card"]["stage"]["finished"][1]];
    assert_eq!((&by["who"], &by["through"]), (&json!("alice"), &json!("webhook")));
    assert_eq!(outcome["exit"], 0);
    let approved = house.event("approved");
    assert_eq!(
        (&approved["channel"], &approved["chat"]["user"]),
        (&json!("webhook"), &json!("webhook:alice"))
    );
    let (status, said) = hook.answer("bob", &id, "deny");
    assert_eq!(status, 200);
    assert!(said.contains("Already approved by alice (webhook)"), "{said}");
    let status =
        until("a quiet channel", || Some(channel(&house)).filter(|channel| channel["outbox"] == 0));
    assert_eq!((&status["connected"], &status["heard"]), (&json!(true), &json!(2)));
    let page = text(&house.cli(&["metrics"]).stdout);
    assert!(
        page.contains("clawrden_channel_connected{channel=\"hook\",kind=\"webhook\"} 1"),
        "{page}"
    );
    assert!(text(&house.cli(&["status"]).stdout).contains("channel hook (webhook) connected"));
}

#[test]
fn a_denial_s_reason_goes_to_the_agent_and_an_answer_elsewhere_to_the_message() {
    let hook = Hook::new();
    let house = house(&hook);
    let child = ask(&house, "touch", "made");
    let id = hook.waiting();
    let no = json!({"user": "alice", "request": id, "answer": "deny", "reason": "use a branch"});
    assert_eq!(hook.call(&no).0, 200);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(126));
    assert!(text(&ended.stderr).contains("use a branch"), "{ended:?}");
    hook.stage(&id, "denied");
    let child = ask(&house, "touch", "other");
    let other = house.pending()["id"].as_str().unwrap().to_owned();
    hook.event("a message", |event| event["message"] == other[..]);
    assert!(house.cli(&["approve", &other]).status.success());
    assert!(child.wait_with_output().unwrap().status.success());
    let said = hook.stage(&other, "finished");
    assert_eq!(said["card"]["stage"]["finished"][0]["through"], "cli");
}

#[test]
fn the_warden_with_its_channel_is_killed_in_between_and_nothing_is_lost() {
    let hook = Hook::new();
    let mut house = house(&hook);
    let child = ask(&house, "touch", "made");
    let id = hook.waiting();
    until("the message to be remembered", || {
        let file = house.path("ledger.jsonl.bridges/hook.jsonl");
        let text = fs::read_to_string(file).unwrap_or_default();
        text.contains("\"posted\":{").then_some(())
    });
    house.crash();
    house.restart();
    let (status, said) = hook.answer("alice", &id, "approve");
    // Its caller may be back by now, or come in a moment.
    assert_eq!((status, said.contains("Approved")), (200, true), "{said}");
    assert!(child.wait_with_output().unwrap().status.success());
    hook.stage(&id, "finished");
    let posts = hook.events().iter().filter(|event| event["event"] == "waiting").count();
    assert_eq!(posts, 1, "it is the same message");
}

#[test]
fn a_bridge_apart_is_killed_in_between_and_nothing_is_lost() {
    let hook = Hook::new();
    let panel = Panel::of(PEOPLE, POLICY);
    let token = panel.bridge("webhook", &[]).token().to_owned();
    let file = panel.house.path("token");
    fs::write(&file, &token).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let secret = secret(panel.house.dir.path());
    let config = panel.house.path("hook.yaml");
    let settings = format!(
        "name: hook\nkind: webhook\nurl: http://{}/in\nsecret_file: {}\nlisten: {}\n",
        hook.address,
        secret.display(),
        hook.listen
    );
    fs::write(&config, settings).unwrap();
    let bridge = |words: &[&str]| {
        let mut command = clawrden();
        command
            .args(["--host", &panel.url, "--token-file"])
            .arg(&file)
            .args(["bridge", "webhook", "--config"])
            .arg(&config)
            .arg("--state")
            .arg(panel.house.path("bridges"))
            .args(words)
            .stdout(Stdio::piped())
            .stderr(
                fs::File::options()
                    .create(true)
                    .append(true)
                    .open(panel.house.path("bridge.log"))
                    .unwrap(),
            );
        command.spawn().unwrap()
    };
    let mut first = bridge(&[]);
    let child = ask(&panel.house, "touch", "made");
    let id = hook.waiting();
    until("the message to be remembered", || {
        let text = fs::read_to_string(panel.house.path("bridges/hook-apart.jsonl"));
        text.unwrap_or_default().contains("\"posted\":{").then_some(())
    });
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = bridge(&[]);
    let (status, said) = hook.answer("alice", &id, "approve");
    assert_eq!((status, said.contains("Approved.")), (200, true), "{said}");
    assert!(child.wait_with_output().unwrap().status.success());
    hook.stage(&id, "finished");
    let posts = hook.events().iter().filter(|event| event["event"] == "waiting").count();
    assert_eq!(posts, 1, "it is the same message");
    let taken = bridge(&[]).wait_with_output().unwrap();
    assert_eq!(taken.status.code(), Some(1), "one bridge has the file at a time");
    second.kill().unwrap();
    second.wait().unwrap();
    let tried = bridge(&["--test"]).wait_with_output().unwrap();
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    assert!(text(&tried.stdout).contains("ok     the warden tells it what happens"));
    let log = fs::read_to_string(panel.house.path("bridge.log")).unwrap();
    assert!(!log.contains(SECRET) && !log.contains(&token), "{log}");
}

#[test]
fn a_test_says_which_step_fails_and_what_to_do() {
    let hook = Hook::new();
    let house = house(&hook);
    let tried = house.json(&["notify", "test", "hook", "--json"]);
    assert!(
        tried["steps"].as_array().unwrap().iter().all(|step| step["failed"].is_null()),
        "{tried}"
    );
    hook.event("the test", |event| event["event"] == "test");
    assert_eq!(house.cli(&["notify", "test", "other"]).status.code(), Some(1));
    fs::set_permissions(house.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let mut house = house;
    house.crash();
    house.restart();
    let tried = house.cli(&["notify", "test", "hook"]);
    assert_eq!(tried.status.code(), Some(1));
    let said = text(&tried.stdout);
    assert!(said.contains("FAILED") && said.contains("chmod 600"), "{said}");
    assert_eq!(channel(&house)["connected"], false);
    assert!(text(&house.cli(&["status"]).stdout).contains("channel hook (webhook) not connected"));
    // Put right, it comes about by itself.
    fs::set_permissions(house.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    until("it to connect", || (channel(&house)["connected"] == true).then_some(()));
}

#[test]
fn who_is_not_meant_answers_nothing_by_a_channel() {
    let hook = Hook::new();
    let house = house(&hook);
    let mut child = ask(&house, "rm", "made");
    let id = hook.waiting();
    let (_, said) = hook.answer("mallory", &id, "approve");
    assert!(said.contains("webhook:mallory") && said.contains("pair CODE"), "{said}");
    let (_, said) = hook.answer("alice", &id, "approve");
    assert!(said.contains("Not taken"), "{said}");
    let yes = json!({"user": "bob", "request": id, "answer": "approve"});
    assert_eq!(hook.call_at(now(), "another secret that is wrong", &yes).0, 401);
    assert_eq!(hook.call_at(now() - 400, SECRET, &yes).0, 401);
    assert_eq!(hook.send("", "", &yes.to_string()).0, 401);
    let (_, said) = hook.call(&json!({"user": "mallory", "command": ["queue"]}));
    assert!(said.contains("webhook:mallory") && !said.contains("security looks"), "{said}");
    let (_, said) = hook.call(&json!({"user": "mallory", "command": ["kill"]}));
    assert!(said.contains("webhook:mallory"), "{said}");
    assert!(house.json(&["status", "--json"])["stopped"].is_null());
    assert!(child.try_wait().unwrap().is_none(), "it waits all the same");
    let refused = house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("webhook:mallory"), "{refused}");
    assert_eq!(hook.answer("bob", &id, "deny").0, 200);
    assert_eq!(child.wait().unwrap().code(), Some(126));
    let (_, said) = hook.call(&json!({"user": "bob", "command": ["status"]}));
    assert!(said.contains("0 waiting"), "{said}");
    let log = fs::read_to_string(house.path("warden.log")).unwrap();
    assert!(!log.contains(SECRET));
    assert!(!fs::read_to_string(house.path("ledger.jsonl")).unwrap().contains(SECRET));
}
