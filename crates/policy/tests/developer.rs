//! The stock policy, command line by command line: what it allows, asks about and denies.

mod cases;

use cases::{decide, words};
use clawrden_policy::{Action, Executor, Facts, Policy, Timeout};

/// One case a line: the expected action, then the words of the command; quotes hold words together.
/// Every command is a tool on the PATH, called in /home/ann/project.
const CASES: &str = include_str!("developer.txt");

#[test]
fn every_case_gets_its_action() {
    let policy = Policy::stock();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (expected, command) = line.split_once(' ').expect("an action and a command");
        let decision = decide(&policy, &words(command.trim()));
        count += 1;
        if decision.action.as_str() != expected {
            let rule = decision.rule.map_or_else(|| "no rule".to_owned(), |rule| rule.to_string());
            wrong.push(format!("{command}: {} instead of {expected} ({rule})", decision.action));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 150, "only {count} cases");
}

/// Spelling a path in another way never makes a decision milder.
#[test]
fn no_spelling_of_a_path_is_a_way_around() {
    let policy = Policy::stock();
    for line in CASES.lines().filter(|line| line.starts_with("ask") || line.starts_with("deny")) {
        let (_, command) = line.split_once(' ').expect("an action and a command");
        let plain = words(command.trim());
        let before = decide(&policy, &plain).action;
        for (from, to) in [("/", "//"), ("/", "/./"), ("/", "/x/../")] {
            let respell = |word: &Vec<u8>| {
                let text = String::from_utf8_lossy(word);
                let is_path = text.starts_with(['/', '.']) && !text.contains(':');
                if is_path { text.replace(from, to).into_bytes() } else { word.clone() }
            };
            let spelled: Vec<Vec<u8>> = plain.iter().map(respell).collect();
            let after = decide(&policy, &spelled).action;
            assert!(after >= before, "{command} with {to} for {from}: {after}");
        }
    }
}

#[test]
fn every_ask_and_deny_of_the_stock_policy_says_why() {
    let policy = Policy::stock();
    for line in CASES.lines().filter(|line| line.starts_with("ask") || line.starts_with("deny")) {
        let (_, command) = line.split_once(' ').expect("an action and a command");
        let decision = decide(&policy, &words(command.trim()));
        assert!(!decision.reason.is_empty(), "{command}");
    }
}

/// Builds, servers and editors take the time they take.
#[test]
fn the_stock_policy_sets_no_clock_for_what_it_allows() {
    let policy = Policy::stock();
    let mut count = 0;
    for command in CASES.lines().filter_map(|line| line.strip_prefix("allow ")) {
        let decision = decide(&policy, &words(command.trim()));
        if decision.executor == Executor::Mirror {
            assert_eq!(decision.timeout, Timeout::None, "{command}");
            count += 1;
        }
    }
    assert!(count >= 50, "only {count} cases");
}

#[test]
fn a_changed_variable_turns_looking_into_asking_and_leaves_building_alone() {
    let policy = Policy::stock();
    let with = |command: &str, changed: &[&[u8]]| {
        let words = words(command);
        let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let path = [b"/usr/bin/", argv[0]].concat();
        let facts = Facts {
            name: argv[0],
            path: Some(&path),
            tool: Some(argv[0]),
            argv: &argv,
            cwd: Some(b"/home/ann/project"),
            changed_env: changed,
            ..Facts::default()
        };
        policy.decide(&facts)
    };
    let asked = with("git status", &[b"GIT_SSH_COMMAND"]);
    assert_eq!(asked.action, Action::Ask);
    assert!(asked.reason.contains("GIT_SSH_COMMAND"), "{}", asked.reason);
    assert_eq!(with("cargo test", &[b"RUSTFLAGS"]).action, Action::Allow);
    assert_eq!(with("ls", &[b"MAKEFLAGS"]).action, Action::Allow);
    assert_eq!(with("ls", &[b"LD_PRELOAD"]).action, Action::Ask);
}

#[test]
fn a_copy_of_an_allowed_tool_is_not_allowed() {
    let facts = Facts {
        name: b"./ls",
        path: Some(b"/home/ann/project/ls"),
        tool: None,
        argv: &[b"./ls"],
        cwd: Some(b"/home/ann/project"),
        ..Facts::default()
    };
    assert_eq!(Policy::stock().decide(&facts).action, Action::Ask);
}

#[test]
fn the_stock_policy_governs_the_tools_that_matter() {
    let policy = Policy::stock();
    let commands = policy.commands();
    for tool in ["rm", "git", "npm", "curl", "ssh", "docker", "kubectl", "sudo", "cat", "cargo"] {
        assert!(commands.contains(&tool), "{tool}");
    }
    assert!(commands.is_sorted());
    assert_eq!(policy.default_action(), Action::Ask);
}

/// What the environment of the request says of a variable is one of the values that it may have.
#[test]
fn a_variable_of_the_request_is_what_its_environment_says() {
    let policy = Policy::stock();
    let action = |line: &str, env: &[&[u8]]| {
        let argv: [&[u8]; 3] = [b"bash", b"-c", line.as_bytes()];
        let facts = Facts {
            name: b"bash",
            path: Some(b"/usr/bin/bash"),
            tool: Some(b"bash"),
            argv: &argv,
            cwd: Some(b"/home/ann/project"),
            env: Some(env),
            ..Facts::default()
        };
        policy.decide(&facts).action
    };
    for (line, env) in [
        ("cat \"$f\"", "f=/etc/shadow"),
        ("cat ~/$f", "f=.netrc"),
        ("cat $f/*", "f=/home/ann/.ssh"),
        ("sort $f x", "f=-o/tmp/x"),
        ("find . $f", "f=-delete"),
        ("rg \"$f\" x", "f=--pre=sh"),
        ("git log $f", "f=--output=x"),
    ] {
        assert_eq!(action(line, &[b"g=x"]), Action::Allow, "{line}");
        assert_ne!(action(line, &[env.as_bytes()]), Action::Allow, "{line} with {env}");
    }
    assert_eq!(action("cat \"$f\"", &[b"f=src/main.rs"]), Action::Allow);
}
