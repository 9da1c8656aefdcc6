//! Several policies at once: what is narrower holds at once, what is wider does not.

use std::time::Duration;

use clawrden_policy::{Executor, Timeout};

use super::*;

fn in_force(text: &str) -> InForce {
    let policy = Policy::from_yaml("policy.yaml", text).unwrap();
    let fingerprint = policy.fingerprint().to_owned();
    InForce { policy: Arc::new(policy), name: "policy.yaml".to_owned(), fingerprint, since_ms: 0 }
}

fn judged(policies: &Policies, name: &str) -> Decision {
    let argv: [&[u8]; 1] = [name.as_bytes()];
    let name = name.as_bytes();
    policies.decide(&Facts {
        jail: "dev",
        name,
        path: Some(b"/usr/bin/x"),
        tool: Some(name),
        argv: &argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    })
}

fn action(policies: &Policies, name: &str) -> Action {
    judged(policies, name).action
}

fn a() -> [String; 1] {
    ["a".to_owned()]
}

const FIRST: &str = "rules: [{command: ls, action: allow}, {command: rm, action: deny}]";
const SECOND: &str = "rules: [{command: rm, action: allow}, {command: ls, action: deny}]";

#[test]
fn what_is_narrower_holds_at_once_and_what_is_wider_does_not() {
    let held = Policies::new(in_force(FIRST)).replaced(in_force(SECOND), a());
    assert_eq!(action(&held, "ls"), Action::Deny);
    let rm = judged(&held, "rm");
    assert_eq!(rm.action, Action::Deny);
    assert!(rm.reason.contains("next `clawrden run`"), "{}", rm.reason);
    assert_eq!(held.held_back(), 1);
}

#[test]
fn without_a_prisoner_everything_holds_at_once() {
    let free = Policies::new(in_force(FIRST)).replaced(in_force(SECOND), []);
    assert_eq!(action(&free, "rm"), Action::Allow);
    assert_eq!(free.held_back(), 0);
}

#[test]
fn what_is_held_goes_with_the_last_prisoner_that_it_is_held_for() {
    let both = ["a".to_owned(), "b".to_owned()];
    let held = Policies::new(in_force(FIRST)).replaced(in_force(SECOND), both);
    assert!(held.released("c").is_none());
    let held = held.released("a").unwrap();
    assert_eq!(action(&held, "rm"), Action::Deny);
    let free = held.released("b").unwrap();
    assert_eq!(action(&free, "rm"), Action::Allow);
}

#[test]
fn of_several_changes_in_a_row_the_strictest_holds() {
    let none = "default_action: deny";
    let held = Policies::new(in_force(FIRST))
        .replaced(in_force(none), a())
        .replaced(in_force(SECOND), a())
        .replaced(in_force(FIRST), []);
    assert_eq!(action(&held, "ls"), Action::Deny);
    assert_eq!(held.held_back(), 3);
    let again = held.replaced(in_force(SECOND), a()).replaced(in_force(FIRST), a());
    assert_eq!(again.held_back(), 3, "each counts once");
}

#[test]
fn more_changes_than_are_kept_ask_for_everything() {
    let text = |n: usize| format!("default_action: allow\ndefault_timeout: {}s", n + 1);
    let mut held = Policies::new(in_force(&text(0)));
    for n in 1..=MAX_BEFORE {
        held = held.replaced(in_force(&text(n)), a());
    }
    assert_eq!(action(&held, "ls"), Action::Allow);
    held = held.replaced(in_force(&text(MAX_BEFORE + 1)), a());
    assert_eq!((action(&held, "ls"), held.held_back()), (Action::Ask, MAX_BEFORE));
    assert_eq!(action(&held.released("a").unwrap(), "ls"), Action::Allow);
}

#[test]
fn a_change_never_gives_another_place_or_more_time() {
    let with = |rule: &str| in_force(&format!("rules: [{{command: ls, {rule}}}]"));
    let held =
        |old: &str, new: &str| judged(&Policies::new(with(old)).replaced(with(new), a()), "ls");
    let mirror = "action: allow, timeout: 5s";
    let local = "action: allow, executor: local, timeout: 9s";
    for (old, new) in [(mirror, local), (local, mirror)] {
        let decision = held(old, new);
        assert_eq!((decision.action, decision.executor), (Action::Allow, Executor::Mirror));
        assert_eq!(decision.timeout, Timeout::Rule(Duration::from_secs(5)));
    }
    let other = "action: allow, executor: local, run_as: bob";
    for (old, new) in [(other, local), (local, other)] {
        assert_eq!(held(old, new).action, Action::Deny);
    }
    let same = held(other, other);
    assert_eq!((same.action, same.run_as.as_deref()), (Action::Allow, Some("bob")));
    let asked = held("action: ask", "action: allow, executor: local");
    assert_eq!((asked.action, asked.executor), (Action::Ask, Executor::Mirror));
    let narrowed = held(local, "action: ask");
    assert_eq!((narrowed.action, narrowed.executor), (Action::Ask, Executor::Mirror));
    let wider = held("action: ask", other);
    assert_eq!((wider.action, wider.run_as), (Action::Ask, None));
}

#[test]
fn a_change_takes_no_limit_away() {
    let with = |limits: &str| {
        in_force(&format!("rules: [{{command: ls, action: allow, name: a, limits: {limits}}}]"))
    };
    let (tight, wide) = ("{pids: 5, rate: 1/1m}", "{memory: 64m, pids: 500, rate: 100/1m}");
    for (old, new) in [(tight, wide), (wide, tight)] {
        let decision = judged(&Policies::new(with(old)).replaced(with(new), a()), "ls");
        let bounds = decision.bounds.unwrap();
        assert_eq!((bounds.limits.pids, bounds.limits.memory), (Some(5), Some(64 << 20)));
        let [quota] = &bounds.quotas[..] else { panic!("{bounds:?}") };
        assert_eq!(quota.rate.map(|rate| rate.to_string()).as_deref(), Some("1/1m"));
    }
}
