//! Approvals that are kept: listed, and taken back before anything runs by them.

use crate::support::{House, text, until};

const POLICY: &str = "rules: [{command: echo, action: ask}]";

/// An approved `echo x` whose caller has gone; its id.
fn kept(house: &House) -> String {
    let mut first = house.shimmed("echo").arg("x").spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["approve", &short]).status.success());
    short
}

fn grants(house: &House) -> Vec<serde_json::Value> {
    house.json(&["grants", "--json"])["entries"].as_array().unwrap().clone()
}

#[test]
fn a_grant_is_listed_until_it_is_used() {
    let mut house = House::new(POLICY);
    assert!(grants(&house).is_empty());
    let short = kept(&house);
    for _ in 0..2 {
        let [grant] = &grants(&house)[..] else { panic!() };
        assert_eq!(grant["argv"], serde_json::json!(["echo", "x"]));
        assert!(grant["id"].as_str().unwrap().starts_with(&short));
        assert!(grant["approver"].as_str().unwrap().contains("uid"));
        let shown = text(&house.cli(&["grants"]).stdout);
        assert!(shown.contains("echo x") && shown.contains("1 approval is kept"), "{shown}");
        house.crash();
        house.restart();
    }
    assert!(house.shimmed("echo").arg("x").status().unwrap().success());
    assert!(grants(&house).is_empty());
}

#[test]
fn a_grant_that_was_taken_back_lets_nothing_run_nor_does_a_restart_bring_it_back() {
    let mut house = House::new(POLICY);
    let short = kept(&house);
    assert_eq!(house.cli(&["grants", "revoke", "ffffffff"]).status.code(), Some(1));
    let done = house.cli(&["grants", "revoke", &short, "--reason", "the wrong one"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let revoked = house.event("grant_revoked");
    assert_eq!(revoked["reason"], "the wrong one");
    assert_eq!(house.cli(&["grants", "revoke", &short]).status.code(), Some(1), "it is gone");
    for _ in 0..2 {
        assert!(grants(&house).is_empty());
        let mut again = house.shimmed("echo").arg("x").spawn().unwrap();
        house.pending();
        again.kill().unwrap();
        again.wait().unwrap();
        house.crash();
        house.restart();
    }
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
}
