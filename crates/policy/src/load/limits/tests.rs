use std::time::Duration;

use crate::load::from_text;
use crate::load::tests::told;
use crate::{Bounds, Decision, Facts, Layer, Policy, Rate, Source};

fn judged(policy: &Policy, line: &str) -> Decision {
    judged_words(policy, &line.split(' ').collect::<Vec<_>>())
}

fn judged_words(policy: &Policy, words: &[&str]) -> Decision {
    let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let (name, cwd) = (argv[0], Some(&b"/app"[..]));
    let facts = Facts { jail: "ci", name, tool: Some(name), argv: &argv, cwd, ..Facts::default() };
    assert_eq!(policy.explain(&facts).decision, policy.decide(&facts));
    policy.decide(&facts)
}

fn decide(text: &str, line: &str) -> Decision {
    judged(&from_text("p.yaml", text).unwrap_or_else(|error| panic!("{error}")), line)
}

/// Rule, rate and how many at once, of everything that a command counts towards.
fn quotas(decision: &Decision) -> Vec<String> {
    let Some(bounds) = &decision.bounds else { return Vec::new() };
    let Bounds { quotas, .. } = &**bounds;
    let told = |quota: &crate::Quota| {
        let rate = quota.rate.map(|rate| rate.to_string()).unwrap_or_default();
        format!("{} {rate} {}", quota.rule, quota.concurrent.unwrap_or_default())
    };
    quotas.iter().map(told).collect()
}

#[test]
fn a_rule_says_how_often_its_commands_start_and_how_many_run() {
    let text = "rules:
  - {command: npm, action: ask, name: pkg, limits: {rate: 10/1m, concurrent: 2}}
  - {command: ls, action: allow, limits: {rate: 1/1h30m}}
  - {command: cat, action: allow}
";
    assert_eq!(quotas(&decide(text, "npm ci")), ["p.yaml:2 (pkg) 10/1m 2"]);
    let bounds = decide(text, "ls").bounds.unwrap();
    let rate = Rate { starts: 1, within: Duration::from_secs(5_400) };
    assert_eq!((bounds.quotas[0].rate, bounds.quotas[0].concurrent), (Some(rate), None));
    assert!(bounds.limits.is_empty());
    for free in ["cat", "go"] {
        assert_eq!(decide(text, free).bounds, None, "{free}");
    }
}

#[test]
fn every_layer_that_speaks_of_a_command_keeps_it_to_its_own_limits() {
    let policy = Policy::from_sources(&[
        Source::new(
            Layer::Ceiling,
            "c",
            "rules: [{command: npm, action: ask, limits: {concurrent: 9, rate: 100/1m}}]",
        ),
        Source::new(
            Layer::Host,
            "h",
            "jails: {ci: {rules: [{command: npm, action: allow, limits: {rate: 5/1m}}]}}
rules: [{command: npm, action: allow, limits: {concurrent: 2}}, {command: ls, action: allow}]",
        ),
        Source::new(
            Layer::Repository,
            "r",
            "rules: [{command: ls, action: allow, limits: {concurrent: 1}}]",
        ),
    ])
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(quotas(&judged(&policy, "npm ci")), ["c:1 100/1m 9", "h:2  2", "h:1 5/1m 0"]);
    assert_eq!(quotas(&judged(&policy, "ls")), ["r:1  1"]);
}

#[test]
fn what_runs_beyond_the_shims_counts_towards_the_rules_of_what_it_runs() {
    let rules = "rules:
  - {command: npm, action: allow, limits: {rate: 10/1m}}
  - {command: env, action: allow, limits: {concurrent: 3}}
  - {command: sh, action: allow}
";
    // In the prisoner what it runs is a request of its own, and is counted then.
    assert_eq!(quotas(&decide(rules, "env npm ci")), ["p.yaml:3  3"]);
    assert!(quotas(&decide(rules, "sh -c npm")).is_empty());
    let local = format!("default_executor: local\n{rules}");
    assert_eq!(quotas(&decide(&local, "env npm ci")), ["p.yaml:4  3", "p.yaml:3 10/1m 0"]);
    assert_eq!(quotas(&decide(&local, "sh -c npm")), ["p.yaml:3 10/1m 0"]);
}

#[test]
fn limits_without_sense_are_refused_where_they_stand() {
    for (limits, fact, help) in [
        ("{}", "bounds nothing", "rate: 10/1m"),
        ("{rate: 0/1m}", "bad rate `0/1m`", "action: deny"),
        ("{rate: 10}", "bad rate `10`", "starts and a span"),
        ("{rate: 10/m}", "bad rate", "a number and a unit"),
        ("{rate: -1/1m}", "bad rate", "from `1`"),
        ("{rate: +1/1m}", "bad rate", "from `1`"),
        ("{rate: 10001/1m}", "bad rate", "to `10000`"),
        ("{rate: 1/0}", "bad rate", "from `1s` to `1d`"),
        ("{rate: 1/500ms}", "bad rate", "from `1s` to `1d`"),
        ("{rate: 1/2d}", "bad rate", "from `1s` to `1d`"),
        ("{rate: [1]}", "starts in a span", ""),
        ("{concurrent: 0}", "bad number of commands `0`", "action: deny"),
        ("{concurrent: 1.5}", "bad number of commands", "from `1`"),
        ("{concurrent: 10001}", "bad number of commands", "to `10000`"),
        ("{disk: 1g}", "disk", ""),
    ] {
        let found = told(&format!("rules: [{{command: ls, action: allow, limits: {limits}}}]"));
        assert_eq!(found.len(), 1, "{limits}: {found:?}");
        assert!(found[0].contains(fact) && found[0].contains(help), "{limits}: {found:?}");
    }
    let found = told("rules: [{command: ls, action: allow, limits: {rate: 0/1m}}]");
    assert!(found[0].starts_with("1:53 "), "{found:?}");
}

#[test]
fn what_a_rule_leaves_unsaid_of_limits_comes_from_defaults() {
    let text = "defaults: {action: ask, limits: {memory: 1g, pids: 100, rate: 60/1m}}
rules:
  - {command: npm, action: ask, limits: {memory: 4g, concurrent: 2}}
  - {command: ls, action: allow}
  - {command: rm, action: deny}
";
    let limits = |line| decide(text, line).bounds.map(|bounds| bounds.limits).unwrap_or_default();
    assert_eq!(quotas(&decide(text, "npm ci")), ["p.yaml:3 60/1m 2"]);
    assert_eq!((limits("npm ci").memory, limits("npm ci").pids), (Some(4 << 30), Some(100)));
    assert_eq!(quotas(&decide(text, "ls")), ["p.yaml:4 60/1m 0"]);
    assert_eq!((limits("ls").memory, limits("ls").pids), (Some(1 << 30), Some(100)));
    // What no rule speaks of counts together.
    assert_eq!(quotas(&decide(text, "cat")), ["p.yaml:1 (defaults) 60/1m 0"]);
    assert_eq!(limits("cat"), limits("ls"));
    // A dry run lets it through, and so may a person what a denial only may match.
    assert_eq!(limits("rm x"), limits("ls"));
}

#[test]
fn what_is_not_understood_is_kept_to_limits_as_well() {
    let text = "defaults: {action: allow, executor: local, limits: {pids: 9}}
on_unparsed: ask
allowed_paths: [/app]
rules:
  - {command: rm, args: -rf, action: deny}
  - {command: make, action: allow, limits: {memory: 64m}}
";
    let policy = from_text("p.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    for (line, memory) in [
        // It may be what is denied, it may be anything, and it may be elsewhere.
        ("rm $WHAT", None),
        ("$WHAT", None),
        ("cd $PLACE && make", Some(64 << 20)),
        ("make; $WHAT", Some(64 << 20)),
    ] {
        let decision = judged_words(&policy, &["sh", "-c", line]);
        assert_eq!(decision.action, crate::Action::Ask, "{line}");
        let limits = decision.bounds.unwrap_or_else(|| panic!("{line}")).limits;
        assert_eq!((limits.pids, limits.memory), (Some(9), memory), "{line}");
    }
}

#[test]
fn further_files_and_packs_are_kept_to_the_defaults_of_the_policy_itself() {
    let policy = Policy::from_sources(&[
        Source::new(
            Layer::Host,
            "h",
            "use: [pack:base]\ndefaults: {action: ask, limits: {pids: 9}}",
        ),
        Source::new(Layer::Rules, "more", "rules: [{command: npm, action: allow}]"),
    ])
    .unwrap_or_else(|error| panic!("{error}"));
    for line in ["npm ci", "cat a", "frob"] {
        let bounds = judged(&policy, line).bounds;
        assert_eq!(bounds.and_then(|bounds| bounds.limits.pids), Some(9), "{line}");
    }
}

#[test]
fn the_defaults_of_a_ceiling_hold_for_everything_and_are_counted_together() {
    let ceiling = "defaults: {limits: {memory: 1g, rate: 100/1m}}
rules: [{command: npm, action: allow, limits: {memory: 4g}}]";
    let host = "default_action: allow
defaults: {limits: {memory: 2g, rate: 5/1m}}
rules: [{command: npm, action: allow}, {command: sh, action: allow, executor: local}]";
    let policy = Policy::from_sources(&[
        Source::new(Layer::Ceiling, "c", ceiling),
        Source::new(Layer::Host, "h", host),
    ])
    .unwrap_or_else(|error| panic!("{error}"));
    for (line, own) in [
        ("npm ci", vec!["h:3 5/1m 0"]),
        ("cat", vec!["h:2 (defaults) 5/1m 0"]),
        ("sh -c cat", vec!["h:3 5/1m 0", "h:2 (defaults) 5/1m 0"]),
    ] {
        let decision = judged(&policy, line);
        let mut wanted = own;
        wanted.push("c:1 (defaults) 100/1m 0");
        assert_eq!(quotas(&decision), wanted, "{line}");
        assert_eq!(decision.bounds.unwrap().limits.memory, Some(1 << 30), "{line}");
    }
}

#[test]
fn a_ghost_is_given_no_more_by_defaults() {
    let text = "defaults: {action: deny, limits: {memory: 4g, pids: 50}}
ghost_images: {npm: {image: a, memory: 512m}, pip: b}
rules:
  - {command: [npm, pip], action: ask, executor: ghost}
  - {command: pip, action: ask}
";
    let ghost = |line| decide(text, line).ghost.unwrap().limits;
    assert_eq!((ghost("npm ci").memory, ghost("npm ci").pids), (Some(512 << 20), Some(50)));
    assert_eq!(ghost("pip x").memory, Some(crate::GHOST_MEMORY));
}

#[test]
fn limits_of_what_never_runs_are_refused() {
    let said = told("rules: [{command: ls, action: deny, limits: {pids: 5}}]");
    assert!(said[0].contains("never runs"), "{said:?}");
    assert_eq!(told("defaults: {limits: {}}").len(), 1);
    assert_eq!(told("defaults: {limits: {pids: 0}}").len(), 1);
}
