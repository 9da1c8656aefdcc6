//! `clawrden warden --dry-run`: what would have been asked or denied runs, and the ledger says so.

use crate::support::{House, text};

const POLICY: &str = "
default_action: deny
rules:
  - {command: echo, action: deny, reason: 'no'}
  - {command: printf, action: ask}
  - {command: pwd, action: allow}
  - {command: id, action: deny, executor: local}
  - {command: touch, action: ask, executor: local}
  - {command: git, action: ask}
";

fn dry() -> House {
    House::with(POLICY, &["--dry-run"])
}

#[test]
fn what_is_asked_or_denied_runs_and_the_ledger_says_what_was_decided() {
    let house = dry();
    for (tool, decision) in [("echo", "deny"), ("printf", "ask"), ("true", "deny")] {
        let output = house.shimmed(tool).arg("x").output().unwrap();
        assert!(output.status.success(), "{tool}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        let decided = house
            .record(tool, |record| record["event"] == "decided" && record["decision"] == decision);
        assert_eq!(decided["let_through"], true, "{decided}");
    }
    house.shimmed("pwd").output().unwrap();
    let allowed = house.record("the allow", |record| record["decision"] == "allow");
    assert!(allowed["let_through"].is_null(), "{allowed}");
    assert!(house.ledger().iter().all(|record| record["dry_run"] == true));
    assert_eq!(house.json(&["status", "--json"])["dry_run"], true);
    assert!(text(&house.cli(&["status"]).stdout).contains("DRY RUN"));
}

#[test]
fn without_a_dry_run_no_record_says_so() {
    let house = House::new(POLICY);
    assert_eq!(house.shimmed("echo").output().unwrap().status.code(), Some(126));
    assert!(house.ledger().iter().all(|record| record["dry_run"].is_null()));
    assert_eq!(house.json(&["status", "--json"])["dry_run"], false);
}

#[test]
fn a_disaster_keeps_its_decision() {
    let house = dry();
    let push = ["push", "--force", "origin", "main"];
    let mut child = house.shimmed("git").args(push).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &short]).status.success());
    assert_eq!(child.wait().unwrap().code(), Some(126));
    let output = house.shimmed("git").arg("--version").output().unwrap();
    assert!(output.status.success(), "another git command is none: {}", text(&output.stderr));
}

#[test]
fn what_would_run_with_more_than_the_prisoners_authority_is_decided_as_ever() {
    let house = dry();
    let output = house.shimmed("id").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()));
    let file = house.path("made");
    let mut child = house.shimmed("touch").arg(&file).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(!file.exists());
    assert!(house.cli(&["approve", &short]).status.success());
    assert!(child.wait().unwrap().success() && file.exists());
}
