//! The warden is killed between the votes of several people: each counts once, and nothing runs before there are enough.

use crate::has_crashed;
use crate::support::approvers::{Panel, TWO};
use crate::support::until;

fn count(panel: &Panel, event: &str) -> usize {
    panel.house.events(event).len()
}

/// The caller is back in its place.
fn is_back(panel: &Panel, times: usize) {
    until("it to be back", || (count(panel, "reconnected") == times).then_some(()));
}

#[test]
fn a_vote_is_there_whoever_serves_by_then_and_the_next_one_lets_it_run_once() {
    let mut panel = Panel::new(TWO);
    panel.token("bob");
    panel.token("carol");
    let (mut child, short) = panel.waiting();
    assert_eq!(panel.by("bob", &["approve", &short, "--reason", "seen"]).0, Some(0));
    for round in 1..=2 {
        panel.crash_and_restart(&[]);
        is_back(&panel, round);
        assert_eq!(panel.progress(), "1 of 2 approvals: bob");
        assert_eq!(panel.by("bob", &["approve", &short]).0, Some(1), "nor twice after a restart");
        assert!(count(&panel, "started") == 0 && !panel.mark().exists());
    }
    let restored = panel.house.event("restored");
    assert!(restored["approver"].as_str().unwrap().starts_with("bob (token "), "{restored}");
    assert_eq!(panel.by("carol", &["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
    panel.house.event("finished");
    assert_eq!(
        (count(&panel, "started"), count(&panel, "voted"), count(&panel, "approved")),
        (1, 1, 1)
    );
    clawrden_warden::ledger::verify(&panel.house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_vote_that_was_kept_and_not_recorded_is_recorded_with_what_is_taken_up() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    for (point, voted) in [("after_vote_kept", 0), ("after_answer_recorded", 1)] {
        let mut panel = Panel::new(TWO);
        panel.token("bob");
        panel.token("carol");
        panel.crash_and_restart(&[("CLAWRDEN_CRASH_AT", point)]);
        let (mut child, short) = panel.waiting();
        assert_ne!(panel.by("bob", &["approve", &short]).0, Some(0), "{point}");
        has_crashed(&mut panel.house);
        assert_eq!(count(&panel, "voted"), voted, "{point}");
        panel.restart(&[]);
        is_back(&panel, 1);
        assert_eq!(panel.progress(), "1 of 2 approvals: bob", "{point}");
        let restored = panel.house.event("restored");
        assert!(restored["approver"].as_str().unwrap().starts_with("bob (token "), "{restored}");
        assert_eq!(count(&panel, "started"), 0);
        assert_eq!(panel.by("carol", &["approve", &short]).0, Some(0));
        assert!(child.wait().unwrap().success());
        assert_eq!(count(&panel, "started"), 1, "{point}");
    }
}

#[test]
fn settings_that_were_read_and_not_put_in_force_are_read_by_who_serves_next() {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be killed at a point");
        return;
    }
    let mut panel = Panel::new(TWO);
    panel.crash_and_restart(&[("CLAWRDEN_CRASH_AT", "people_fit")]);
    let settings = panel.house.path("warden.yaml");
    let before = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, before.replace("bob: ", "bert: ").replace("bob,", "bert,")).unwrap();
    has_crashed(&mut panel.house);
    panel.restart(&[]);
    let shown = panel.here(&["people"]).1;
    assert!(shown.contains("alice bert carol"), "{shown}");
}
