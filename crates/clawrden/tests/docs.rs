//! What the documents say of the command line is what it does.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;

use common::Sandbox;
use serde_json::Value;

const README: &str = include_str!("../../../README.md");
const POLICY: &str = include_str!("../../../docs/policy.md");
const RUNNING: &str = include_str!("../../../docs/running.md");

fn help(sandbox: &Sandbox, words: &[&str]) -> String {
    let output = sandbox.clawrden().args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that a help screen lists.
fn verbs(help: &str) -> Vec<&str> {
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let named = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let first = named.filter_map(|line| line.split_whitespace().next());
    first.filter(|verb| *verb != "help").collect()
}

#[test]
fn the_readme_names_every_verb_there_is_and_no_other() {
    let sandbox = Sandbox::new();
    let whole = help(&sandbox, &[]);
    let all = verbs(&whole);
    for verb in &all {
        assert!(README.contains(&format!("`clawrden {verb}")), "{verb}");
    }
    let of_policy = help(&sandbox, &["policy"]);
    for verb in verbs(&of_policy) {
        let named = [format!("`clawrden policy {verb}`"), format!("`{verb}`")];
        assert!(named.iter().any(|text| README.contains(text)), "policy {verb}");
    }
    for named in README.split("clawrden ").skip(1) {
        let verb = named.split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
        assert!(verb.is_empty() || all.contains(&verb), "{verb}");
    }
}

#[test]
fn every_command_line_of_the_policy_reference_runs() {
    let sandbox = Sandbox::for_examples("rules: [{command: ls, action: allow}]\n");
    let mut count = 0;
    for line in POLICY.lines().filter_map(|line| line.strip_prefix("    clawrden policy ")) {
        let (code, said) = sandbox.example(&format!("clawrden policy {line}"));
        assert!(matches!(&*code, "0" | "1") && said.is_empty(), "{line}: {code} {said}");
        count += 1;
    }
    assert!(count >= 6, "only {count} command lines");
}

/// The settings of a kind that a text shows.
fn settings(text: &str) -> Vec<Value> {
    let blocks = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .map(|block| serde_json::from_str(block).unwrap_or_else(|e| panic!("{e}: {block}")))
        .collect()
}

#[test]
fn the_hooks_that_are_shown_are_commands_that_answer_in_time() {
    let sandbox = Sandbox::new();
    let of_hook = help(&sandbox, &["hook"]);
    let default = of_hook.split("[default: ").nth(1).unwrap().split('s').next().unwrap();
    let default: u64 = default.parse().unwrap();
    let shown = settings(RUNNING);
    let mut agents = Vec::new();
    for settings in &shown {
        let group = &settings["hooks"]["PreToolUse"][0];
        assert_eq!(group["matcher"], "*", "every tool");
        let hook = &group["hooks"][0];
        assert_eq!(hook["type"], "command");
        let limit = hook["timeout"].as_u64().unwrap();
        assert!(limit > default, "an agent that gives up first lets the tool run");
        let command = hook["command"].as_str().unwrap();
        // It is understood as it stands; no warden is there, and so it denies.
        let input = r#"{"hook_event_name":"PreToolUse","cwd":"/","tool_name":"Bash","tool_input":{"command":"ls"}}"#;
        let (code, said) = sandbox.example(&format!("echo '{input}' | {command}"));
        assert!(code == "2" && said.contains("no warden answers"), "{command}: {code} {said}");
        agents.push(command);
        // The help shows the same, without line ends.
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert!(squeezed(&of_hook).contains(&squeezed(&settings_text(settings))), "{of_hook}");
    }
    assert_eq!(agents, ["clawrden hook claude-code", "clawrden hook codex"]);
}

/// The command of a hook as both places write it.
fn settings_text(settings: &Value) -> String {
    format!("\"command\": {}", settings["hooks"]["PreToolUse"][0]["hooks"][0]["command"])
}
