//! Counting, and what cannot make it grow without end.

use std::sync::Arc;
use std::time::Duration;

use clawrden_policy::{Action, Executor, RuleId};

use super::rules::{MAX_RULES, NO_RULE, OTHERS};
use super::*;

fn rule(file: &str, line: u32, name: &str) -> RuleId {
    let short = file.rsplit('/').next().unwrap();
    let text = if name.is_empty() {
        format!("{short}:{line}")
    } else {
        format!("{short}:{line} ({name})")
    };
    RuleId { file: file.into(), line, column: 1, index: 0, text: text.into() }
}

/// How long a decision takes.
const TOOK: Duration = Duration::from_micros(40);

fn counted(rules: &Rules) -> Vec<(String, Action, u64)> {
    let mut all = Vec::new();
    let told = rules.each(|label, action, count| {
        all.push((label.to_owned(), action, count));
        Ok::<(), ()>(())
    });
    told.unwrap();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn a_decision_is_counted_for_its_rule() {
    let rules = Rules::default();
    let one = rule("/etc/clawrden/policy.yaml", 3, "no pushes");
    rules.count(Some(&one), Action::Deny, TOOK);
    rules.count(Some(&one), Action::Deny, TOOK);
    rules.count(None, Action::Ask, TOOK);
    assert_eq!(
        counted(&rules),
        [
            (NO_RULE.to_owned(), Action::Ask, 1),
            ("policy.yaml:3 (no pushes)".to_owned(), Action::Deny, 2)
        ]
    );
    rules.forget();
    assert_eq!(counted(&rules).len(), 1);
}

#[test]
fn how_long_decisions_took_is_counted_for_their_rule_in_few_buckets() {
    let rules = Rules::default();
    let one = rule("p.yaml", 3, "");
    for micros in [40, 100, 101, 5_000_000] {
        rules.count(Some(&one), Action::Allow, Duration::from_micros(micros));
    }
    rules.count(None, Action::Ask, Duration::from_millis(7));
    let mut told = Vec::new();
    let each = rules.each_time(|label, took| {
        told.push((label.to_owned(), took.clone()));
        Ok::<(), ()>(())
    });
    each.unwrap();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let [(none, first), (apart, second)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&none[..], &apart[..]), (NO_RULE, "p.yaml:3"));
    let counts = |took: &Took| took.buckets.map(|(_, count)| count);
    assert_eq!((first.count, counts(first)), (1, [0, 0, 1, 0, 0, 0]));
    assert_eq!((second.count, counts(second)), (4, [2, 1, 0, 0, 0, 1]));
    assert!((second.seconds - 5.000_241).abs() < 1e-9, "{}", second.seconds);
    assert!((second.buckets[0].0 - 0.000_1).abs() < 1e-12);
}

#[test]
fn there_are_only_so_many_rules() {
    let rules = Rules::default();
    for line in 0..5_000 {
        rules.count(Some(&rule("p.yaml", line, "")), Action::Allow, TOOK);
    }
    let counted = counted(&rules);
    assert_eq!(counted.len(), MAX_RULES + 1);
    let others = counted.iter().find(|(label, ..)| label == OTHERS).unwrap();
    assert_eq!(others.2, 5_000 - MAX_RULES as u64);
}

#[test]
fn what_a_prisoner_can_write_is_no_label() {
    let rules = Rules::default();
    for line in 0..100 {
        rules.count(Some(&rule("/work/.clawrden.yaml", line, "rm -rf /")), Action::Deny, TOOK);
    }
    rules.count(Some(&rule("p.yaml", 7, &"x".repeat(900))), Action::Deny, TOOK);
    assert_eq!(
        counted(&rules),
        [
            (".clawrden.yaml".to_owned(), Action::Deny, 100),
            ("p.yaml:7".to_owned(), Action::Deny, 1)
        ]
    );
}

#[test]
fn a_command_runs_until_its_meter_is_dropped() {
    let counts = Arc::<JailCounts>::default();
    let meter = Meter::start(&counts, Executor::Local);
    assert_eq!(counts.runs(Executor::Local).running(), 1);
    meter.finished(Duration::from_millis(1_500), Outcome::Ok);
    meter.finished(Duration::from_millis(1_500), Outcome::TimedOut);
    drop(meter);
    let runs = counts.runs(Executor::Local);
    assert_eq!((runs.running(), runs.started.get(), runs.time.count()), (0, 1, 2));
    let ended: Vec<u64> = runs.outcomes.iter().map(Count::get).collect();
    assert_eq!(ended, [1, 0, 0, 1, 0, 0]);
    assert_eq!(counts.runs(Executor::Ghost).started.get(), 0);
}

#[test]
fn a_decision_is_counted_with_its_time() {
    let counts = JailCounts::default();
    counts.decided(Action::Ask, Duration::from_micros(40));
    assert_eq!(counts.decision(Action::Ask).count(), 1);
    assert_eq!(counts.decision(Action::Deny).count(), 0);
}
