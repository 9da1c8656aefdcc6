//! `limits` of rules: how often their commands start, how many run at once, and what is told of it.

use std::io::Write;
use std::process::{Child, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{House, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: echo, action: allow, name: loud, limits: {rate: 2/1h}}
  - {command: cat, action: allow, limits: {concurrent: 1}}
  - {command: tee, action: allow, executor: local, limits: {concurrent: 1}}
  - {command: printf, action: ask, limits: {rate: 1/1h}}
  - {command: pwd, action: allow}
";

/// A command that runs for as long as its input is held open.
fn held(house: &House, tool: &str) -> Child {
    let mut command = house.shimmed(tool);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_ref().unwrap().write_all(b"x").unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0]).unwrap();
    child
}

fn let_go(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn run(house: &House, tool: &str) -> Output {
    house.shimmed(tool).arg("x").stdin(Stdio::null()).output().unwrap()
}

#[test]
fn over_its_rate_a_command_is_denied_with_the_limit_the_rule_and_when_to_try_again() {
    let house = House::new(POLICY);
    for _ in 0..2 {
        assert!(run(&house, "echo").status.success());
    }
    let output = run(&house, "echo");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()));
    let said = text(&output.stderr);
    let wanted = "clawrden: denied: its rate is 2/1h, and 2 of its commands started in jail default in that \
                  time; try again in ";
    assert!(said.starts_with(wanted), "{said}");
    assert!(said.ends_with("(policy.yaml:4 (loud))\n") && said.lines().count() == 1, "{said}");
    let refused = house.record("the denial", |record| record["decision"] == "deny");
    assert_eq!(refused["rule"], "policy.yaml:4 (loud)");
    assert!(refused["reason"].as_str().unwrap().starts_with("its rate is 2/1h"), "{refused}");
    let of_it =
        |event: &str| house.events(event).iter().filter(|r| r["id"] == refused["id"]).count();
    assert_eq!((of_it("started"), of_it("failed"), of_it("decided")), (0, 0, 2));
    // Others have nothing to do with it.
    assert!(run(&house, "pwd").status.success());
    let history = house.json(&["history", "--json"]);
    let entry =
        history["entries"].as_array().unwrap().iter().find(|entry| entry["id"] == refused["id"]);
    assert_eq!(entry.unwrap()["decision"], "deny");
}

#[test]
fn one_after_the_other_they_never_meet_the_limit() {
    let house = House::new(POLICY);
    for tool in ["cat", "tee"] {
        for round in 0..50 {
            let output = house.shimmed(tool).stdin(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{tool}, {round}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn a_handed_off_and_a_supervised_command_hold_their_seat_until_they_have_ended() {
    let house = House::new(POLICY);
    for (tool, rule) in [("cat", "policy.yaml:5"), ("tee", "policy.yaml:6")] {
        let first = held(&house, tool);
        let output = house.shimmed(tool).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(126), "{tool}");
        let said = text(&output.stderr);
        let wanted = "at most 1 of its commands run at once in jail default, and 1 run; try again when one has ended";
        assert!(said.contains(wanted) && said.contains(rule), "{said}");
        let_go(first);
        until("a seat", || {
            let output = house.shimmed(tool).stdin(Stdio::null()).output().unwrap();
            output.status.success().then_some(())
        });
    }
}

#[test]
fn a_killed_command_gives_its_seat_back() {
    let house = House::new(POLICY);
    let mut first = held(&house, "cat");
    first.kill().unwrap();
    first.wait().unwrap();
    until("a seat", || {
        let output = house.shimmed("cat").stdin(Stdio::null()).output().unwrap();
        output.status.success().then_some(())
    });
}

#[test]
fn what_waits_for_a_person_is_counted_when_it_starts_and_the_approval_outlasts_a_refusal() {
    let house = House::new(POLICY);
    let ask = |word: &str| {
        let mut command = house.shimmed("printf");
        command.arg(word).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let approve = |word: &str| {
        let entry = until("the entry", || {
            let queue = house.json(&["queue", "--json"]);
            queue["entries"].as_array()?.iter().find(|e| e["argv"][1] == word).cloned()
        });
        assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    };
    let (one, two) = (ask("one"), ask("two"));
    approve("one");
    assert!(one.wait_with_output().unwrap().status.success());
    approve("two");
    let output = two.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("its rate is 1/1h"), "{}", text(&output.stderr));
    // Nothing ran, so the person's word is kept for the next one who asks the same, and judged then again.
    let returned = house.event("approval_returned");
    let refused = house.record("the denial", |r| r["decision"] == "deny");
    assert_eq!(returned["id"], refused["id"]);
    let output = ask("two").wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("its rate is 1/1h"), "{}", text(&output.stderr));
    assert_eq!(house.events("started").len(), 1);
}

#[test]
fn another_warden_counts_from_none() {
    let mut house = House::new(POLICY);
    for code in [0, 0, 126] {
        assert_eq!(run(&house, "echo").status.code(), Some(code));
    }
    let first = held(&house, "cat");
    house.crash();
    house.restart();
    assert!(run(&house, "echo").status.success());
    // What an earlier warden handed off is not followed any more.
    assert!(house.shimmed("cat").stdin(Stdio::null()).output().unwrap().status.success());
    let_go(first);
}

#[test]
fn a_changed_policy_goes_on_counting_for_a_rule_that_stays_where_it_is() {
    let house = House::new(POLICY);
    for code in [0, 0, 126] {
        assert_eq!(run(&house, "echo").status.code(), Some(code));
    }
    let before = house.events("policy_loaded").len();
    std::fs::write(house.path("policy.yaml"), POLICY.replace("2/1h", "3/1h")).unwrap();
    until("the change", || (house.events("policy_loaded").len() > before).then_some(()));
    for code in [0, 126] {
        assert_eq!(run(&house, "echo").status.code(), Some(code));
    }
}

#[test]
fn a_dry_run_lets_it_through_and_says_so() {
    let house = House::with(POLICY, &["--dry-run"]);
    for _ in 0..3 {
        assert!(run(&house, "echo").status.success());
    }
    let let_through: Vec<Value> =
        house.events("decided").into_iter().filter(|r| r["let_through"] == true).collect();
    assert_eq!(let_through.len(), 1, "{let_through:?}");
    assert_eq!(
        (&let_through[0]["decision"], &let_through[0]["executor"]),
        (&"deny".into(), &"mirror".into())
    );
    // What has more than the prisoner's authority is denied as ever.
    let first = held(&house, "tee");
    let output = house.shimmed("tee").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    let_go(first);
}

#[test]
fn limits_are_explained_and_what_history_cannot_tell_is_said() {
    let house = House::new(POLICY);
    let policy = house.path("policy.yaml");
    let policy = policy.to_str().unwrap();
    let explain =
        |more: &[&str]| house.cli(&[&["policy", "explain", "--policy", policy], more].concat());
    let said = text(&explain(&["--", "echo", "x"]).stdout);
    assert!(
        said.contains("limits  2 starts in any 1 h in a jail, by policy.yaml:4 (loud)"),
        "{said}"
    );
    let json: Value = serde_json::from_slice(&explain(&["--json", "--", "echo"]).stdout).unwrap();
    let quota = json!({"rule": "policy.yaml:4 (loud)", "rate_starts": 2, "rate_ms": 3_600_000, "concurrent": null});
    assert_eq!(json["limits"]["quotas"], json!([quota]));
    let free: Value = serde_json::from_slice(&explain(&["--json", "--", "pwd"]).stdout).unwrap();
    assert!(free["limits"].is_null(), "{free}");
    assert!(run(&house, "echo").status.success());
    house.event("finished");
    let found = house.json(&["policy", "simulate", "--policy", policy, "--json"]);
    assert_eq!((&found["limited"], &found["unchanged"]), (&1.into(), &1.into()), "{found}");
    let said = text(&house.cli(&["policy", "simulate", "--policy", policy]).stdout);
    assert!(said.contains("1 request counts towards a rate"), "{said}");
}
