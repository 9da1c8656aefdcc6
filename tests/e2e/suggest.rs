//! From approvals to a rule: what people answer is suggested, pasted, and not asked again.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{House, clawrden, text, until};

const POLICY: &str = "default_action: ask\nrules:\n  - {command: ls, action: allow}\n";

/// Starts a command that asks, and answers it.
fn answered(house: &House, command: &mut Command, answer: &[&str]) -> Option<i32> {
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let args = [&[answer[0], &short], &answer[1..]].concat();
    assert!(house.cli(&args).status.success());
    child.wait().unwrap().code()
}

fn suggested(house: &House) -> Value {
    house.json(&["policy", "suggest", "--json"])
}

/// A rule as an item of the list in [`POLICY`].
fn indented(yaml: &Value) -> String {
    yaml.as_str().unwrap().lines().map(|line| format!("  {line}\n")).collect()
}

#[test]
fn three_approvals_become_a_rule_that_answers_the_fourth() {
    let house = House::new(POLICY);
    for _ in 0..3 {
        assert_eq!(suggested(&house)["rules"].as_array().unwrap().len(), 0);
        let code = answered(&house, house.shimmed("touch").arg("made"), &["approve"]);
        assert_eq!(code, Some(0));
    }
    let deny = ["deny", "--reason", "rm is for people"];
    for _ in 0..3 {
        assert_eq!(answered(&house, house.shimmed("rm").arg("made"), &deny), Some(126));
    }
    let found = suggested(&house);
    let rules = found["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2, "{found}");
    let touch = rules.iter().find(|rule| rule["action"] == "allow").unwrap();
    let (yaml, asks) = (touch["yaml"].as_str().unwrap(), &touch["asks"]);
    assert!(yaml.contains("command: touch, args: made"), "{yaml}");
    assert_eq!((asks, touch["by"][0]["times"].as_u64()), (&3.into(), Some(3)));
    assert!(rules.iter().any(|rule| rule["yaml"].to_string().contains("rm is for people")));

    // For people it is the same, ready to be pasted below `rules:`.
    let shown = text(&house.cli(&["policy", "suggest"]).stdout);
    let pasted: Vec<String> = rules.iter().map(|rule| indented(&rule["yaml"])).collect();
    assert!(pasted.iter().all(|yaml| shown.contains(yaml)), "{shown}");
    fs::write(house.path("policy.yaml"), format!("{POLICY}{}", pasted.concat())).unwrap();
    let reloaded = house.json(&["policy", "reload", "--json"]);
    assert_eq!(reloaded["problems"].as_array().map(Vec::len), Some(0), "{reloaded}");

    let asked = || house.ledger().iter().filter(|record| record["decision"] == "ask").count();
    let before = asked();
    let output = house.shimmed("touch").arg("made").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = house.shimmed("rm").arg("made").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("rm is for people"));
    assert_eq!(asked(), before, "nobody was asked");
    // A file more is another question.
    answered(&house, house.shimmed("touch").arg("other"), &["approve"]);
    assert_eq!(asked(), before + 1);
    assert_eq!(suggested(&house)["settled"], 6);
}

#[test]
fn nothing_is_suggested_for_what_runs_other_programs() {
    let house = House::new(POLICY);
    let tools = house.path("tools");
    fs::create_dir(&tools).unwrap();
    let names = ["xargs", "sudo", "npx", "ssh", "make", "python3", "env", "bash"];
    for name in names {
        // It need not run anything: only what is asked and answered counts.
        fs::write(tools.join(name), "#!/bin/sh\nexit 0\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(tools.join(name), mode).unwrap();
    }
    let bin = house.bin();
    assert!(house.cli(&[&["shims", bin.to_str().unwrap()], &names[..]].concat()).status.success());
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), tools.display());
    let commands: [&[&str]; 8] = [
        &["bash", "-c", "touch made"],
        &["python3", "-c", "print(1)"],
        &["env", "touch", "made"],
        &["xargs", "touch"],
        &["sudo", "touch", "made"],
        &["npx", "eslint"],
        &["ssh", "host", "ls"],
        &["make", "test"],
    ];
    for command in commands {
        for _ in 0..3 {
            let mut shimmed = house.shimmed(command[0]);
            shimmed.args(&command[1..]).env("PATH", &path);
            assert_eq!(answered(&house, &mut shimmed, &["approve"]), Some(0), "{command:?}");
        }
    }
    let found = until("the last answer", || {
        let found = suggested(&house);
        (found["answered"] == 24).then_some(found)
    });
    assert_eq!(found["rules"].as_array().unwrap().len(), 0, "{found}");
    let left = found["left"].as_array().unwrap();
    assert_eq!(left.len(), 8, "{found}");
    assert!(left.iter().all(|left| left["answers"] == 3 && left["why"] != ""), "{found}");
}

#[test]
fn what_a_hook_was_approved_three_times_is_allowed_the_fourth() {
    let house = House::new(POLICY);
    let hook = || {
        let mut command = clawrden();
        house.governed(command.args(["hook", "claude-code"]));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = json!({"hook_event_name": "PreToolUse", "cwd": house.dir.path(), "tool_name": "Bash",
            "tool_input": {"command": "touch made"}});
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        child
    };
    for _ in 0..3 {
        let child = hook();
        let short = house.pending()["short"].as_str().unwrap().to_owned();
        assert!(house.cli(&["approve", &short]).status.success());
        assert!(text(&child.wait_with_output().unwrap().stdout).contains("allow"));
    }
    assert_eq!(suggested(&house)["rules"].as_array().unwrap().len(), 0, "a shell line is none");
    let found = house.json(&["policy", "suggest", "--json", "--shell-lines"]);
    let yaml = found["rules"][0]["yaml"].as_str().unwrap();
    assert!(yaml.contains("command: touch, args: made"), "{yaml}");
    let pasted = indented(&found["rules"][0]["yaml"]);
    fs::write(house.path("policy.yaml"), format!("{POLICY}{pasted}")).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    // It would wait for an answer that nobody gives.
    assert!(text(&hook().wait_with_output().unwrap().stdout).contains("\"allow\""));
    assert_eq!(house.ledger().iter().filter(|record| record["decision"] == "ask").count(), 3);
}
