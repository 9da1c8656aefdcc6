//! Agents' hooks: the warden judges what an agent's own tool would run, a person is asked, and whatever fails denies.

use std::io::{ErrorKind, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{House, clawrden, text, until};

/// The line of a shell and what is in it are spoken of alike.
const POLICY: &str = "
default_action: ask
rules:
  - {command: bash, args: \"-c 'echo hi'\", action: allow}
  - {command: echo, action: allow}
  - {command: bash, args: [\"-c rm*\", \"-c >*\"], action: deny, reason: use git clean}
  - {command: [rm, '>'], action: deny, reason: use git clean}
";

fn start(house: &House, args: &[&str], input: &str) -> Child {
    let mut command = clawrden();
    house.governed(command.arg("hook").args(args));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A wrong command line is answered before anything is read.
    match child.stdin.take().unwrap().write_all(input.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    child
}

fn input(house: &House, line: &str) -> String {
    json!({
        "session_id": "s", "transcript_path": null, "cwd": house.dir.path(), "permission_mode": "default",
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": line},
        "tool_use_id": "t", "model": "m", "turn_id": "u",
    })
    .to_string()
}

/// What an agent hears: the decision, the reason, and the exit code.
fn heard(output: &Output) -> (String, String, Option<i32>) {
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = &said["hookSpecificOutput"];
    let field = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    (field("permissionDecision"), field("permissionDecisionReason"), output.status.code())
}

fn asked(house: &House, line: &str) -> (String, String, Option<i32>) {
    let child = start(house, &["claude-code"], &input(house, line));
    heard(&child.wait_with_output().unwrap())
}

#[test]
fn what_the_policy_says_is_said_to_the_agent_and_recorded_and_nothing_runs() {
    let house = House::new(POLICY);
    assert_eq!(asked(&house, "echo hi"), ("allow".into(), "clawrden: allowed".into(), Some(0)));
    let (decision, reason, code) = asked(&house, "rm -rf x");
    assert_eq!((decision.as_str(), code), ("deny", Some(0)));
    assert!(reason.contains("use git clean") && reason.contains("policy.yaml"), "{reason}");
    // Codex is told nothing where nothing stands in the way.
    let child = start(&house, &["codex"], &input(&house, "echo hi"));
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout), output.status.code()), (String::new(), Some(0)));
    let child = start(&house, &["codex"], &input(&house, "rm -rf x"));
    assert_eq!(heard(&child.wait_with_output().unwrap()).0, "deny");
    let ledger = house.ledger();
    let decisions: Vec<&str> = ledger.iter().filter_map(|r| r["decision"].as_str()).collect();
    assert_eq!(decisions, ["allow", "deny", "allow", "deny"]);
    assert!(ledger.iter().all(|record| record["event"] != "started"));
    let requested = house.event("requested");
    assert_eq!(requested["argv"], json!(["bash", "-c", "echo hi"]));
}

#[test]
fn a_rate_of_the_line_itself_counts_and_what_nobody_would_keep_to_is_denied() {
    let house = House::new(
        "default_action: deny
rules:
  - {command: bash, args: \"-c 'echo hi'\", action: allow, limits: {rate: 1/1h}}
  - {command: bash, action: allow, limits: {concurrent: 5}}
  - {command: [echo, pwd], action: allow}
",
    );
    assert_eq!(asked(&house, "echo hi").0, "allow");
    let (decision, reason, _) = asked(&house, "echo hi");
    assert_eq!(decision, "deny");
    assert!(reason.contains("its rate is 1/1h"), "{reason}");
    let (decision, reason, _) = asked(&house, "pwd");
    assert_eq!(decision, "deny");
    assert!(reason.contains("limits how many run at once"), "{reason}");
}

#[test]
fn an_ask_waits_in_the_queue_and_a_person_lets_it_through_once() {
    let house = House::new(POLICY);
    let child = start(&house, &["claude-code"], &input(&house, "touch made"));
    let entry = house.pending();
    assert_eq!(entry["argv"], json!(["bash", "-c", "touch made"]));
    assert!(entry["noticed"].to_string().contains("hook"), "{entry}");
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    assert_eq!(heard(&child.wait_with_output().unwrap()).0, "allow");
    assert!(!house.path("made").exists(), "the warden runs nothing of it");
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));

    let child = start(&house, &["claude-code"], &input(&house, "touch made"));
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &short, "--reason", "use mktemp"]).status.success());
    let (decision, reason, code) = heard(&child.wait_with_output().unwrap());
    assert_eq!((decision.as_str(), code), ("deny", Some(0)));
    assert!(reason.contains("use mktemp"), "{reason}");
}

#[test]
fn when_nobody_answers_in_time_it_is_denied_and_a_later_answer_is_kept() {
    let house = House::new(POLICY);
    let began = Instant::now();
    let args = ["claude-code", "--timeout", "2s"];
    let child = start(&house, &args, &input(&house, "touch made"));
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let (decision, reason, code) = heard(&child.wait_with_output().unwrap());
    assert_eq!((decision.as_str(), code), ("deny", Some(0)));
    assert!(reason.contains(&short) && reason.contains("nothing ran"), "{reason}");
    assert!(began.elapsed().as_secs() < 30, "its own limit ends it, not that of the jail");

    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["approve", &short]).status.success());
    assert_eq!(asked(&house, "touch made").0, "allow");
    house.event("grant_used");
    let child = start(&house, &args, &input(&house, "touch made"));
    assert_eq!(heard(&child.wait_with_output().unwrap()).0, "deny", "one approval, one use");
}

#[test]
fn an_approval_for_the_hook_is_none_for_a_run() {
    let house = House::new(POLICY);
    let args = ["claude-code", "--timeout", "2s"];
    let child = start(&house, &args, &input(&house, "touch made"));
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    child.wait_with_output().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["approve", &short]).status.success());
    let mut run = house.shimmed("bash");
    let mut run = run.args(["-c", "touch made"]).stderr(Stdio::null()).spawn().unwrap();
    let entry = house.pending();
    // Not only about the tool in it, as when bash were running already.
    assert_eq!(entry["argv"], json!(["bash", "-c", "touch made"]), "it is asked about anew");
    assert!(house.ledger().iter().all(|record| record["event"] != "grant_used"));
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn a_warden_that_is_away_denies_by_words_and_by_exit_code() {
    let mut house = House::new(POLICY);
    house.crash();
    for agent in ["claude-code", "codex"] {
        let child = start(&house, &[agent], &input(&house, "echo hi"));
        let output = child.wait_with_output().unwrap();
        let (decision, reason, code) = heard(&output);
        assert_eq!((decision.as_str(), code), ("deny", Some(2)), "{agent}");
        assert!(reason.contains("no warden answers"), "{reason}");
        assert!(text(&output.stderr).contains("no warden answers"), "Codex reads it there");
    }
}

#[test]
fn a_warden_that_says_nothing_is_given_up_before_the_agent_does() {
    let house = House::new(POLICY);
    let silent = house.path("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    let mut command: Command = clawrden();
    house.governed(command.args(["hook", "codex", "--timeout", "1s"]));
    command.env("CLAWRDEN_SOCKET", &silent);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever never ends its input is given up, too.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input(&house, "echo hi").as_bytes()).unwrap();
    let (decision, _, code) = heard(&child.wait_with_output().unwrap());
    assert_eq!((decision.as_str(), code), ("deny", Some(2)));
    drop(stdin);
}

#[test]
fn what_is_not_understood_is_denied() {
    let house = House::new(POLICY);
    for bad in ["", "{", "null", r#"{"tool_name":"Bash"}"#] {
        for agent in ["claude-code", "codex"] {
            let output = start(&house, &[agent], bad).wait_with_output().unwrap();
            let (decision, _, code) = heard(&output);
            assert_eq!((decision.as_str(), code), ("deny", Some(2)), "{bad:?}");
            assert!(!text(&output.stderr).trim().is_empty());
        }
    }
    let code = |args: &[&str]| start(&house, args, "{}").wait_with_output().unwrap().status.code();
    assert_eq!(code(&["no-such-agent"]), Some(2));
    assert_eq!(code(&["codex", "--timeout", "soon"]), Some(2));
    assert!(house.ledger().iter().all(|record| record["event"] != "requested"));
}

#[test]
fn tools_that_neither_run_nor_write_are_left_alone_and_writers_are_judged() {
    let house = House::new(POLICY);
    let of = |tool: &str, tool_input: Value| {
        let mut whole: Value = serde_json::from_str(&input(&house, "x")).unwrap();
        whole["tool_name"] = tool.into();
        whole["tool_input"] = tool_input;
        start(&house, &["claude-code"], &whole.to_string()).wait_with_output().unwrap()
    };
    let output = of("Read", json!({"file_path": "/etc/passwd"}));
    assert_eq!((text(&output.stdout), output.status.code()), (String::new(), Some(0)));
    let (decision, ..) = heard(&of("Write", json!({"file_path": "/etc/passwd", "content": "x"})));
    assert_eq!(decision, "deny");
    assert_eq!(house.event("requested")["argv"], json!(["bash", "-c", "> '/etc/passwd'"]));
}

#[test]
fn while_everything_is_stopped_nothing_is_allowed() {
    let house = House::new(POLICY);
    assert!(house.cli(&["kill"]).status.success());
    let (decision, reason, _) = asked(&house, "echo hi");
    assert_eq!(decision, "deny");
    assert!(reason.contains("stopped") || reason.contains("kill"), "{reason}");
}

#[test]
fn what_says_a_thing_twice_is_too_deep_or_too_large_is_denied_and_so_is_a_hook_that_cannot_answer()
{
    let house = House::new(POLICY);
    let twice = input(&house, "echo hi")
        .replace(r#""command":"echo hi""#, r#""command":"rm -rf x","command":"echo hi""#);
    assert!(twice.contains("rm -rf x"));
    let deep = input(&house, "echo hi").replace(
        r#""command":"#,
        &format!(r#""x":{}{},"command":"#, "[".repeat(9000), "]".repeat(9000)),
    );
    let large = input(&house, &format!("echo {}", "x".repeat(33 * 1024 * 1024)));
    for bad in [twice, deep, large] {
        for agent in ["claude-code", "codex"] {
            let output = start(&house, &[agent], &bad).wait_with_output().unwrap();
            let (decision, _, code) = heard(&output);
            assert_eq!((decision.as_str(), code), ("deny", Some(2)), "{bad:.300}");
        }
    }
    assert!(house.ledger().iter().all(|record| record["event"] != "requested"));
    // Nobody reads what it says: the exit code does.
    let mut command = clawrden();
    house.governed(command.args(["hook", "claude-code"]));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = command.stdin(Stdio::piped()).stdout(full).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input(&house, "echo hi").as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
}
