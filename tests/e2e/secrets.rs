//! Secrets in commands: what runs gets them, and nothing that is written or shown has them.

use std::fs;
use std::path::Path;

use crate::support::{House, text, until};

const POLICY: &str = "default_action: allow\nsecrets:\n  db: {from_file: FILE}\nrules:\n  \
                      - {command: printf, action: ask, reason: asked}\n";

const DECLARED: &str = "correct-horse-battery";
const TYPED: &str = "hunter2-typed-by-hand";

/// Every file below `folder` that has `secret` in it.
fn with_secret(folder: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with_secret(&path, secret));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn secrets_reach_the_tool_and_neither_ledger_nor_queue_nor_any_file() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("db");
    fs::write(&file, format!("{DECLARED}\n")).unwrap();
    let house = House::new(&POLICY.replace("FILE", file.to_str().unwrap()));
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let secrets = [DECLARED, TYPED, &token];
    let password = format!("--password={TYPED}");
    let echoed = house.shimmed("echo").args([DECLARED, &password, &token]).output().unwrap();
    assert_eq!(text(&echoed.stdout).trim(), format!("{DECLARED} {password} {token}"));
    let mut asked = house.shimmed("printf");
    asked.args(["%s\n", &token, "--token", TYPED, DECLARED]);
    let asked = asked.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pending = house.pending();
    let queue = house.cli(&["queue"]);
    let shown = format!("{pending} {}", text(&queue.stdout));
    assert!(shown.contains("[redacted:github-token]"), "{shown}");
    assert!(shown.contains("[redacted:token]") && shown.contains("[redacted:db]"), "{shown}");
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }
    let id = pending["id"].as_str().unwrap().to_owned();
    assert!(house.cli(&["approve", &id]).status.success());
    let done = asked.wait_with_output().unwrap();
    assert!(text(&done.stdout).contains(&token), "what runs has it");
    // The index follows within a second.
    until("the index has everything", || {
        let status = house.json(&["status", "--json"]);
        (status["index"]["sequence"] == status["ledger"]["sequence"]).then_some(())
    });
    let history = text(&house.cli(&["history", "--json"]).stdout);
    let requested = house.record("the first request", |line| {
        line["event"] == "requested"
            && line["argv"][0].as_str().is_some_and(|tool| tool.contains("echo"))
    });
    assert_eq!(requested["redacted"], 3, "{requested}");
    for secret in secrets {
        assert!(!history.contains(secret), "{history}");
        assert_eq!(with_secret(&house.path(""), secret), Vec::<String>::new());
    }
}
