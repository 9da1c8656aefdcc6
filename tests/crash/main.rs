//! Any part is killed at any moment: no command runs without its intent in the ledger, whoever waits is told, nothing
//! supervised is left behind, and the ledger holds.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod any_moment;
mod asking;
mod dropping;
mod platter;
mod points;
mod power;
mod reload;
mod runners;
mod upgrade;
mod voting;

use std::process::{Output, Stdio};

use support::other::all_gone;
use support::{House, text, until};

/// The ways in which a command comes to run.
pub(crate) const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: 'true', action: allow}
  - {command: sh, args: ['-c mirror:*'], action: allow}
  - {command: bash, action: allow, executor: local}
  - {command: touch, action: allow}
  - {command: tee, action: ask}
  - {command: dd, action: ask, executor: local}
  - {command: sort, action: allow, executor: local}
";

/// After a crash: the ledger is whole, the next warden serves, and each of `ran` was announced before it ran.
pub(crate) fn all_is_in_order(house: &mut House, ran: &[String]) {
    house.restart();
    // The warden that serves by now may be in the middle of a line.
    let whole = || clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).ok();
    until("the ledger to be whole", whole);
    let ledger = house.ledger();
    let started: Vec<&str> = ledger
        .iter()
        .filter(|record| record["event"] == "started")
        .filter_map(|record| record["id"].as_str())
        .collect();
    for name in ran {
        let announced = ledger.iter().any(|record| {
            record["event"] == "requested"
                && record["argv"].to_string().contains(name.as_str())
                && started.contains(&record["id"].as_str().unwrap())
        });
        assert!(announced, "{name} ran without a record of its intent");
    }
    assert!(house.shimmed("true").status().unwrap().success());
    assert_eq!(house.json(&["queue", "--json"])["entries"], serde_json::json!([]));
}

/// The caller was told that the warden went away: 125, and one sentence.
pub(crate) fn was_told(output: &Output) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("clawrden: "), "{said}");
}

/// A local tool with a child and a daemon, whose pids are in the house's file `pids`.
pub(crate) fn tree(house: &House) -> std::process::Command {
    let script = format!(
        "echo $$ >> {0}; sleep 300 & echo $! >> {0}; (setsid sh -c 'echo $$ >> {0}; exec sleep 300' &); wait",
        house.path("pids").display()
    );
    let mut bash = house.shimmed("bash");
    // What is inside the script is not what this is about.
    bash.args(["-c", &script]).env("PATH", std::env::var("PATH").unwrap());
    bash.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    bash
}

/// Whatever processes wrote their pids are gone.
pub(crate) fn tree_is_gone(house: &House) -> usize {
    let text = std::fs::read_to_string(house.path("pids")).unwrap_or_default();
    let pids: Vec<String> = text.lines().map(str::to_owned).collect();
    all_gone(&pids);
    pids.len()
}

/// Waits until the warden is dead by SIGKILL.
pub(crate) fn has_crashed(house: &mut House) {
    let status = until("the warden to crash", || house.warden.try_wait().unwrap());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    house.is_silent();
}
