//! Allow and deny, and what is recorded of them.

use crate::support::{House, text};

const POLICY: &str = "
default_action: deny
rules:
  - {command: echo, args: ['--secret'], action: deny, reason: 'no secrets'}
  - {command: echo, action: allow}
  - {command: sh, action: allow}
  - {command: cat, action: allow}
";

#[test]
fn an_allowed_command_runs_as_if_nothing_were_there() {
    let house = House::new(POLICY);
    let output = house.shimmed("echo").args(["hello", "world"]).output().unwrap();
    assert_eq!(text(&output.stdout), "hello world\n");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_denied_command_is_refused_with_reason_and_rule() {
    let house = House::new(POLICY);
    let output = house.shimmed("echo").arg("--secret").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains("no secrets") && said.contains("policy.yaml:4"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn what_no_rule_names_takes_the_default_action() {
    let house = House::new(POLICY);
    let output = house.shimmed("ls").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
}

#[test]
fn a_tool_that_is_not_there_is_127() {
    let house = House::new("default_action: allow");
    let made = house.cli(&["shims", house.bin().to_str().unwrap(), "no-such-tool-anywhere"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let output = house.shimmed("no-such-tool-anywhere").output().unwrap();
    assert_eq!(output.status.code(), Some(127), "{}", text(&output.stderr));
}

#[test]
fn without_a_warden_nothing_runs() {
    let house = House::new(POLICY);
    let mut command = house.shimmed("echo");
    let output = command.env("CLAWRDEN_SOCKET", "/nonexistent/warden.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = text(&output.stderr);
    assert!(said.contains("/nonexistent/warden.sock"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn the_ledger_tells_the_whole_way_of_a_command_in_order() {
    let house = House::new(POLICY);
    let status = house.shimmed("sh").args(["-c", "exit 7"]).status().unwrap();
    assert_eq!(status.code(), Some(7));
    let finished = house.event("finished");
    assert_eq!(finished["exit_code"], 7);
    let id = &finished["id"];
    let events: Vec<String> = house
        .ledger()
        .iter()
        .filter(|record| record["id"] == *id)
        .map(|record| record["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events, ["requested", "decided", "started", "finished"]);
    let requested = house.event("requested");
    assert_eq!(requested["argv"], serde_json::json!(["sh", "-c", "exit 7"]));
    assert_eq!(requested["caller"]["uid"], rustix::process::getuid().as_raw());
}

#[test]
fn a_tool_that_an_allowed_tool_starts_is_a_request_of_its_own() {
    let house = House::new(POLICY);
    // What `sh -c` would run is judged with it; what stands in a file is not seen before it runs.
    std::fs::write(house.path("script"), "echo inner; ls\n").unwrap();
    let output = house.shimmed("sh").arg(house.path("script")).output().unwrap();
    assert_eq!(text(&output.stdout), "inner\n");
    assert_eq!(output.status.code(), Some(126), "ls is denied inside as well");
    let asked = house.events("requested").len();
    assert!(asked >= 2, "sh and ls at least, {asked} were seen");
}

#[test]
fn history_shows_what_happened_newest_first() {
    let house = House::new(POLICY);
    assert!(house.shimmed("echo").arg("one").status().unwrap().success());
    assert_eq!(house.shimmed("ls").status().unwrap().code(), Some(126));
    house.event("finished");
    let history = house.json(&["history", "--json"]);
    let entries = history["entries"].as_array().unwrap();
    assert_eq!(entries[0]["argv"][0], "ls");
    assert_eq!(entries[0]["decision"], "deny");
    assert_eq!(entries[1]["argv"], serde_json::json!(["echo", "one"]));
    assert_eq!(entries[1]["exit_code"], 0);
    let id = entries[1]["id"].as_str().unwrap();
    for id in [id, &id[..8].to_uppercase()] {
        let history = house.json(&["history", "--json", "--id", id]);
        assert_eq!(history["entries"], serde_json::json!([entries[1]]));
    }
    assert!(!house.cli(&["history", "--id", "abc"]).status.success());
}

#[test]
fn a_candidate_policy_is_tried_on_what_was_really_asked() {
    let house = House::new("default_action: deny\nrules: [{command: echo, action: allow}]");
    assert!(house.shimmed("echo").arg("hi").output().unwrap().status.success());
    assert!(!house.shimmed("cat").output().unwrap().status.success());
    house.event("finished");
    let candidate = house.path("candidate.yaml");
    let yaml = "default_action: deny\nrules: [{command: echo, args: hi, action: ask}]";
    std::fs::write(&candidate, yaml).unwrap();
    let candidate = candidate.to_str().unwrap();
    let output = house.cli(&["policy", "simulate", "--policy", candidate, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["judged"], &found["unchanged"]), (&2.into(), &1.into()), "{found}");
    let change = &found["changes"][0];
    assert_eq!(change["argv"], serde_json::json!(["echo", "hi"]));
    assert_eq!((&change["was"], &change["now"]), (&"allow".into(), &"ask".into()));
    let same = house.path("policy.yaml");
    let same = house.cli(&["policy", "simulate", "--policy", same.to_str().unwrap()]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
}

#[test]
fn a_suggestion_goes_to_the_agent_the_approver_and_the_ledger() {
    const SUGGESTING: &str = "
defaults: {action: deny, suggest: 'ask for another tool'}
rules:
  - {command: echo, action: deny, reason: 'it is loud', suggest: 'use printf'}
  - {command: touch, action: ask, suggest: 'write below out/'}
";
    let house = House::new(SUGGESTING);
    let output = house.shimmed("echo").arg("hello").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    let said = text(&output.stderr);
    assert_eq!(said, "clawrden: denied: it is loud; instead: use printf (policy.yaml:4)\n");
    let decided = house.event("decided");
    assert_eq!(
        (&decided["reason"], &decided["suggest"]),
        (&"it is loud".into(), &"use printf".into())
    );
    let said = text(&house.shimmed("ls").output().unwrap().stderr);
    assert!(said.contains("; instead: ask for another tool"), "{said}");

    let mut touch = house.shimmed("touch");
    let touch = touch.arg("made").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let entry = house.pending();
    assert_eq!(entry["suggest"], "write below out/");
    assert!(text(&house.cli(&["queue"]).stdout).contains("instead: write below out/"));
    assert!(house.cli(&["deny", entry["short"].as_str().unwrap()]).status.success());
    let output = touch.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("; instead: write below out/"), "{output:?}");
}
