use super::*;
use crate::layers::{Layer, Source};

fn found(rules: &str) -> Vec<(u32, &'static str)> {
    let policy = Policy::from_yaml("p.yaml", &format!("rules:\n{rules}")).unwrap();
    policy.lint().iter().map(|lint| (lint.rule.line, lint.kind.as_str())).collect()
}

#[test]
fn every_probe_is_one_and_each_stands_there_once() {
    let lines: Vec<&str> =
        PROBES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    for line in &lines {
        let (_, command) = probe(line).unwrap_or_else(|| panic!("{line}"));
        assert!(!words::split(command).unwrap().is_empty(), "{line}");
    }
    let mut once = lines.clone();
    once.sort_unstable();
    once.dedup();
    assert!(once.len() == lines.len() && once.len() > 40);
}

#[test]
fn a_rule_behind_one_that_takes_everything_is_unreachable() {
    let two = "  - {command: [ls, rm], action: deny}\n  - {command: rm, args: x, action: allow}\n";
    assert_eq!(found(two), [(3, "unreachable")]);
    let any = "  - {command: '*', action: deny}\n  - {command: rm, args: x, action: deny}\n";
    assert_eq!(found(any), [(3, "unreachable")]);
    let same = "  - {command: rm, args: [a, b], action: deny}\n  - {command: rm, args: [b, a], action: deny}\n";
    assert_eq!(found(same), [(3, "unreachable")]);
}

#[test]
fn what_may_still_be_reached_is_not_spoken_of() {
    for rules in [
        // A copy of the tool is no `rm` to an allow.
        "  - {command: rm, action: allow}\n  - {command: rm, args: x, action: deny}\n",
        "  - {command: rm, args: x, action: deny}\n  - {command: rm, action: deny}\n",
        "  - {command: rm, action: deny}\n  - {command: [rm, ls], action: allow}\n",
        "  - {command: rm, action: deny, jail: ci}\n  - {command: rm, args: x, action: deny}\n",
        "  - {command: /opt/rm, action: deny}\n  - {command: /opt/rm, args: x, action: allow}\n",
        "  - {command: 'r*', action: deny}\n  - {command: rm, args: x, action: allow}\n",
    ] {
        assert_eq!(found(rules), [], "{rules}");
    }
}

#[test]
fn two_rules_that_say_different_things_of_the_same_contradict() {
    let rules = "  - {command: rm, args: x, action: ask, reason: r}\n  - {command: rm, args: x, action: deny}\n";
    assert_eq!(found(rules), [(3, "contradiction")]);
}

#[test]
fn an_ask_wants_a_reason() {
    assert_eq!(found("  - {command: rm, action: ask}\n"), [(2, "no-reason")]);
    assert_eq!(found("  - {command: rm, action: ask, reason: look}\n"), []);
}

#[test]
fn an_allow_that_can_be_turned_into_another_command_is_named() {
    // What find and sh run is judged with them; what find writes by itself is not.
    assert_eq!(found("  - {command: find, action: allow}\n"), [(2, "writes-files")]);
    assert_eq!(found("  - {command: sort, args: '-r *', action: allow}\n"), []);
    assert_eq!(found("  - {command: make, action: allow, jail: ci}\n"), [(2, "runs-commands")]);
    let kept_in = "  - {command: make, action: allow}\nallowed_paths: [/app/*]\n";
    assert_eq!(found(kept_in), [(2, "runs-commands")]);
    let earlier = "  - {command: find, args: [-exec, -execdir, -delete, -fprint], action: deny}\n  - {command: find, action: allow}\n";
    assert_eq!(found(earlier), []);
}

#[test]
fn large_policies_are_looked_at_in_bounded_time() {
    let rule = |n: usize| format!("  - {{command: tool{n}, args: x, action: deny}}\n");
    let many: String = (0..12_000).map(rule).collect();
    assert_eq!(found(&many), []);
}

#[test]
fn a_rule_that_asks_anybody_is_spoken_of_where_others_say_whom() {
    let anybody = "  - {command: rm, action: ask, reason: x}\n";
    let security = "  - {command: dd, action: ask, reason: x, approvers: [security]}\n";
    assert_eq!(found(anybody), []);
    assert_eq!(found(security), []);
    assert_eq!(found(&format!("{security}{anybody}")), [(3, "no-approvers")]);
    let usual = format!("defaults: {{approvers: [security]}}\nrules:\n{security}{anybody}");
    assert_eq!(Policy::from_yaml("p.yaml", &usual).unwrap().lint(), []);
}

#[test]
fn what_runs_an_allowed_command_is_no_matter_of_the_rule_about_that() {
    // `bash -c id` and `find . -exec id` run what the rule allows and nothing else.
    assert_eq!(found("  - {command: [id, whoami, bash], action: allow}\n"), []);
    assert_eq!(found("  - {command: '*', action: allow}\n").len(), 2);
}

#[test]
fn rules_of_several_files_are_spoken_of_one_by_one_in_their_order() {
    let source = |layer, name, rules: &str| Source::new(layer, name, format!("rules: [{rules}]"));
    let policy = Policy::from_sources(&[
        source(Layer::Host, "z", "{command: tee, action: allow}"),
        source(Layer::Rules, "a", "{command: cp, action: allow}"),
    ]);
    let lints = policy.unwrap().lint();
    assert!(lints.iter().all(|lint| lint.kind == LintKind::WritesFiles), "{lints:?}");
    let told: Vec<String> = lints.iter().map(|lint| lint.rule.to_string()).collect();
    assert_eq!(told, ["z:1", "a:1"]);
}

#[test]
fn there_is_nothing_to_say_of_profiles_and_packs() {
    let profiles =
        Policy::profiles().map(|name| Policy::from_sources(&[Policy::profile(name).unwrap()]));
    let packs = Policy::packs().map(|name| Policy::from_yaml(name, Policy::pack(name).unwrap()));
    for policy in profiles.chain(packs) {
        assert_eq!(policy.unwrap_or_else(|error| panic!("{error}")).lint(), []);
    }
}

#[test]
fn ones_own_rule_before_those_of_a_pack_is_meant() {
    let own = "use: [pack:git]\nrules:\n  - {command: git, action: deny}\n";
    assert_eq!(Policy::from_yaml("p.yaml", own).unwrap().lint(), []);
}
