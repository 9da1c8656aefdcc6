//! The stock packs, command line by command line and trick by trick.
//! The cases are in `corpus/`. `tool-*.txt` are commands that are judged by their own rules, `wrapped-*.txt`
//! are commands whose answer may be that of what they run, and `shell-*.txt` are lines for `bash -c`. A
//! line is `allow`, `ask` or `deny`, or `notallow` for either of the two; then the command. For a tool all
//! but `notallow` are by a rule of a pack.

#![allow(clippy::expect_used)]

mod cases;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cases::{decide, words};
use clawrden_policy::{Action, Policy};

/// Fewest cases in all files together.
const CASES: usize = 1500;
/// Fewest harmless lines, and how many of a hundred of them must be allowed.
const HARMLESS: usize = 400;
const ALLOWED_PERCENT: usize = 95;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The packs, as somebody finds them who looks into the repository.
fn packs() -> Vec<(String, String)> {
    let folder = repository().join("policies/packs");
    let mut packs = Vec::new();
    for entry in fs::read_dir(folder).expect("the packs") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        packs.push((name, fs::read_to_string(&path).expect("a pack")));
    }
    packs.sort();
    packs
}

struct Case {
    file: String,
    line: usize,
    expected: String,
    command: String,
}

/// Every case of the files whose name starts with `kind`.
fn corpus(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !file.starts_with(kind) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text");
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with(['#', '@']) {
                continue;
            }
            let (expected, command) = line.split_once(' ').expect("an action and a command");
            cases.push(Case {
                file: file.clone(),
                line: number + 1,
                expected: expected.to_owned(),
                command: command.trim().to_owned(),
            });
        }
    }
    cases
}

fn as_expected(expected: &str, action: Action) -> bool {
    match expected {
        "notallow" => action != Action::Allow,
        _ => action.as_str() == expected,
    }
}

#[test]
fn every_pack_loads_alone_brings_only_rules_and_is_in_the_developers_profile() {
    let profile = Policy::stock_source().text;
    for (name, text) in packs() {
        let loaded = Policy::from_yaml(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.default_action(), Action::Deny, "{name} sets a default_action");
        assert!(text.starts_with(&format!("# Clawrden's stock pack `{name}`")), "{name}");
        assert!(text.lines().count() <= 400, "{name} is too long to read");
        assert_eq!(Policy::pack(&name), Some(text.as_str()), "{name} is not in the table");
        assert!(profile.contains(&format!("  - pack:{name}\n")), "{name} is not in the profile");
    }
}

/// So that the order of packs never matters.
#[test]
fn no_command_is_spoken_of_by_two_packs() {
    let mut seen = HashSet::new();
    let mut twice = Vec::new();
    for (name, text) in packs() {
        let policy = Policy::from_yaml(&name, &text).expect("a pack");
        let again = |command: &&str| !seen.insert((*command).to_owned());
        twice.extend(
            policy.commands().into_iter().filter(again).map(|found| format!("{found} in {name}")),
        );
    }
    assert!(twice.is_empty(), "{}", twice.join(", "));
}

/// Fails with every case whose action is another one than it says.
fn judge(kind: &str, by_rule: bool, words: impl Fn(&str) -> Vec<Vec<u8>>) {
    let policy = Policy::stock();
    let mut wrong = String::new();
    for case in corpus(kind) {
        let decision = decide(&policy, &words(&case.command));
        let Case { file, line, expected, command } = &case;
        if !as_expected(expected, decision.action) {
            let action = decision.action;
            let rule = decision.rule.map_or_else(|| "no rule".to_owned(), |rule| rule.to_string());
            let _ = writeln!(wrong, "{file}:{line}: {command}: {action}, not {expected} ({rule})");
        } else if by_rule && expected != "notallow" && decision.rule.is_none() {
            let _ = writeln!(wrong, "{file}:{line}: {command}: {expected} by no rule");
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{wrong}", wrong.lines().count());
}

#[test]
fn every_case_of_a_tool_gets_its_action() {
    judge("tool-", true, words);
}

#[test]
fn every_wrapped_command_gets_its_action() {
    judge("wrapped-", false, words);
}

/// The command by which agents run a line.
fn bash(line: &str) -> Vec<Vec<u8>> {
    vec![b"bash".to_vec(), b"-c".to_vec(), line.as_bytes().to_vec()]
}

#[test]
fn every_shell_line_gets_its_action() {
    judge("shell-", false, bash);
}

#[test]
fn no_case_is_there_twice_and_every_trick_says_where_it_is_known_from() {
    let mut seen = HashSet::new();
    for case in corpus("") {
        let known = ["allow", "ask", "deny", "notallow"].contains(&case.expected.as_str());
        assert!(known, "{}:{}: {}", case.file, case.line, case.expected);
        let kind = case.file.split('-').next().unwrap_or_default().to_owned();
        assert!(
            seen.insert((kind, case.command.clone())),
            "{}:{}: {} is there twice",
            case.file,
            case.line,
            case.command
        );
    }
    assert!(seen.len() >= CASES, "only {} cases", seen.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for entry in fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a text");
        let tricks: Vec<&str> = text.lines().filter(|line| line.starts_with('@')).collect();
        assert!(!tricks.is_empty(), "{} names no trick", path.display());
        for trick in tricks {
            let told = trick.strip_prefix("@trick ").and_then(|rest| rest.split_once(" — "));
            assert!(told.is_some_and(|(_, source)| source.len() > 5), "{trick}");
        }
    }
}

/// Lines that only read, as agents give them to a shell. They stand in `harmless.txt` without what is expected of
/// each, because the share is what counts; none of them may be denied.
#[test]
fn of_the_plainly_harmless_lines_at_least_95_in_100_are_allowed() {
    let policy = Policy::stock();
    let lines: Vec<&str> = include_str!("harmless.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let distinct: HashSet<&str> = lines.iter().copied().collect();
    assert!(distinct.len() >= HARMLESS, "only {} lines", distinct.len());
    let mut stopped = String::new();
    let mut allowed = 0;
    for line in &distinct {
        let decision = decide(&policy, &bash(line));
        match decision.action {
            Action::Allow => allowed += 1,
            Action::Ask => {
                let _ = writeln!(stopped, "{line}: {}", decision.reason);
            }
            Action::Deny => panic!("{line} is denied"),
        }
    }
    let share = allowed * 100 / distinct.len();
    println!("{allowed} of {} harmless lines are allowed; not these:\n{stopped}", distinct.len());
    assert!(share >= ALLOWED_PERCENT, "only {share} % are allowed; not these:\n{stopped}");
}
