//! Asking a person: approve, deny, expire, park, and wait again.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{House, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: echo, action: ask}
";

const SHORT_HOLD: &str = "
default_action: deny
jails: {default: {commands: [touch], hold: 2s}}
rules:
  - {command: touch, action: ask, reason: 'it writes'}
";

#[test]
fn an_approved_command_runs_and_the_caller_was_told_what_it_waited_for() {
    let house = House::new(POLICY);
    let child = house
        .shimmed("echo")
        .arg("hi")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entry = house.pending();
    assert_eq!(entry["argv"], serde_json::json!(["echo", "hi"]));
    std::thread::sleep(Duration::from_millis(1200));
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "hi\n");
    let said = text(&output.stderr);
    assert!(
        said.contains("waiting for approval") && said.contains(entry["short"].as_str().unwrap()),
        "{said}"
    );
    let approved = house.event("approved");
    assert_eq!(approved["channel"], "cli");
}

#[test]
fn a_denied_command_gets_the_persons_reason() {
    let house = House::new(POLICY);
    let child = house
        .shimmed("echo")
        .arg("hi")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &short, "--reason", "use printf"]).status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("use printf"));
}

#[test]
fn an_answer_that_nobody_gives_is_a_denial_recorded_as_expired() {
    let house = House::new("approval_timeout: 1s\nrules: [{command: echo, action: ask}]");
    let output = house.shimmed("echo").output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    house.event("expired");
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
}

#[test]
fn after_hold_the_caller_is_sent_away_with_75_and_the_request_is_parked() {
    let house = House::new(SHORT_HOLD);
    let file = house.path("made");
    let output = house.shimmed("touch").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    let said = text(&output.stderr);
    assert!(said.contains("nothing ran") && said.contains("clawrden wait"), "{said}");
    let entry = house.pending();
    assert_eq!(entry["callers"], 0);
    assert!(!file.exists());

    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!file.exists(), "nothing runs without a caller");
    assert!(house.shimmed("touch").arg(&file).status().unwrap().success());
    assert!(file.exists());
    house.event("grant_used");

    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        house.shimmed("touch").arg(&file).status().unwrap().code(),
        Some(75),
        "one approval, one run"
    );
    assert!(!file.exists());
}

#[test]
fn a_hold_of_nothing_keeps_the_caller_waiting() {
    let policy = SHORT_HOLD.replace("hold: 2s", "hold: 0");
    assert_ne!(policy, SHORT_HOLD);
    let (house, short) = (House::new(&policy), House::new(SHORT_HOLD));
    let mut waits = house.shimmed("touch").arg("made").stderr(Stdio::null()).spawn().unwrap();
    let entry = house.pending();
    assert_eq!(short.shimmed("touch").arg("made").output().unwrap().status.code(), Some(75));
    std::thread::sleep(Duration::from_secs(1));
    assert!(waits.try_wait().unwrap().is_none(), "it waits after 3 s");
    assert_eq!(house.pending()["callers"], 1);
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    assert!(waits.wait().unwrap().success());
    assert!(house.path("made").exists());
}

#[test]
fn killed_at_two_seconds_approved_at_four_repeated_at_six_runs_exactly_once() {
    let house = House::new("rules: [{command: sh, action: ask}]");
    let counter = house.path("count");
    let script = format!("echo run >> {}", counter.display());
    let mut first = house.shimmed("sh").args(["-c", &script]).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    std::thread::sleep(Duration::from_secs(2));
    first.kill().unwrap();
    first.wait().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    assert!(house.cli(&["approve", &short]).status.success());
    assert!(!counter.exists());
    std::thread::sleep(Duration::from_secs(2));
    assert!(house.shimmed("sh").args(["-c", &script]).status().unwrap().success());
    house.event("finished");
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "run\n");
    assert_eq!(house.events("started").len(), 1);
}

#[test]
fn a_parked_denial_answers_the_next_identical_request_at_once() {
    let house = House::new(POLICY);
    let mut first = house.shimmed("echo").arg("x").spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["deny", &short, "--reason", "not today"]).status.success());
    let output = house.shimmed("echo").arg("x").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("not today"));
}

#[test]
fn clawrden_wait_tells_what_came_of_it_over_the_intercom() {
    let house = House::new(POLICY);
    let mut first = house.shimmed("echo").arg("x").spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    let mut waiting = crate::support::clawrden();
    let waiting = house.governed(waiting.args(["wait", &short]));
    let waiting = waiting.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(house.cli(&["approve", &short]).status.success());
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut unknown = crate::support::clawrden();
    let unknown = house.governed(unknown.args(["wait", "0123456789abcdef"])).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown.stderr));
}

#[test]
fn the_first_answer_wins_and_the_second_is_told_so() {
    let house = House::new(POLICY);
    let mut child = house.shimmed("echo").stdout(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["approve", &short]).status.success());
    child.wait().unwrap();
    let second = house.cli(&["deny", &short]);
    assert_eq!(second.status.code(), Some(1));
    let unknown = house.cli(&["approve", "ffffffffffff"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn identical_requests_share_an_entry_and_one_approval_lets_one_run() {
    let house = House::new(POLICY);
    let spawn = || house.shimmed("echo").arg("same").stdout(Stdio::piped()).spawn().unwrap();
    let mut callers = [spawn(), spawn()];
    let entry = until("both callers", || {
        let queue = house.json(&["queue", "--json"]);
        let entries = queue["entries"].as_array().unwrap().clone();
        (entries.len() == 1 && entries[0]["callers"] == 2).then(|| entries[0].clone())
    });
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    house.has(1, "finished");
    assert_eq!(house.pending()["callers"], 1);
    // Either of them may be the one that still waits.
    for caller in &mut callers {
        let _ = caller.kill();
        caller.wait().unwrap();
    }
}

#[test]
fn what_helps_to_judge_a_request_stands_beside_it() {
    let house = House::new(POLICY);
    let place = house.path("project");
    std::fs::create_dir_all(place.join(".git")).unwrap();
    std::fs::write(place.join(".git/HEAD"), "ref: refs/heads/feature\n").unwrap();
    let config = "[remote \"origin\"]\n\turl = https://git.example/team/app.git\n";
    std::fs::write(place.join(".git/config"), config).unwrap();
    until("the index", || {
        (house.json(&["status", "--json"])["index"]["state"] == "ready").then_some(())
    });
    for before in [0, 1] {
        // The shell stays: it is the parent.
        let line = format!("{} hi; true", house.bin().join("echo").display());
        let mut parent = std::process::Command::new("/bin/sh");
        house.governed(&mut parent).args(["-c", &line, "a-b"]).current_dir(&place);
        let mut child = parent.spawn().unwrap();
        let entry = house.pending();
        let context = &entry["context"];
        assert_eq!(context["git_remote"], "https://git.example/team/app.git", "{entry}");
        assert_eq!(context["git_branch"], "feature");
        assert_eq!(context["parent"], serde_json::json!(["/bin/sh", "-c", line, "a-b"]));
        assert_eq!(context["approved_before"], before);
        let shown = text(&house.cli(&["queue"]).stdout);
        assert!(shown.contains("team/app.git") && shown.contains("feature"), "{shown}");
        assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
        assert!(child.wait().unwrap().success());
        until("the index to have it", || {
            let told = house.json(&["history", "--json", "--outcome", "approved"]);
            (told["entries"].as_array().unwrap().len() == before + 1).then_some(())
        });
    }
}
