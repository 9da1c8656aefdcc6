//! `approvers`, `quorum`, `require_reason`, `confirm`, `on_no_approver` and `escalate`, of a rule and of `defaults`.
//! Whether there is anybody of these names is for the warden to say, which knows its people.

use std::sync::Arc;

use super::node::{Node, Value};
use super::report::Report;
use crate::approvers::{Escalation, OnNone, Said};

/// The keys, which go with `action: ask` alone.
pub(super) const KEYS: &[&str] =
    &["approvers", "quorum", "require_reason", "confirm", "on_no_approver", "escalate"];
pub(super) const APPROVER_KEYS: &[&str] = &["from", "count"];
pub(super) const ESCALATE_KEYS: &[&str] = &["after", "to"];

/// Most people that one rule can want.
const MOST: u32 = 32;
/// Most names in one list.
const MAX_NAMES: usize = 64;
/// Most characters of a name.
const MAX_NAME: usize = 80;
/// Most steps of an escalation.
const MAX_STEPS: usize = 8;

/// Reads those of [`KEYS`] that are there.
pub(super) fn read(fields: &[(&str, &Node)], report: &mut Report<'_>) -> Said {
    let mut said = Said::default();
    let get = |key: &str| fields.iter().find(|(found, _)| *found == key).map(|(_, node)| *node);
    if let Some(node) = get("approvers") {
        match &node.value {
            Value::Map(_) => map(node, &mut said, report),
            _ => {
                said.from = names(node, report);
                said.count = Some(1);
            }
        }
    }
    if let Some(node) = get("quorum") {
        let is_said = get("approvers").is_some_and(|node| {
            matches!(&node.value, Value::Map(pairs) if pairs.iter().any(|(key, _)| is(key, "count")))
        });
        if is_said {
            report.add(
                node.at,
                "the number is said twice",
                "`count` of `approvers` says it already",
            );
        }
        said.count = count(node, report);
    }
    said.require_reason = get("require_reason").and_then(|node| report.boolean(node));
    said.confirm_on_page = get("confirm")
        .and_then(|node| report.choice(node, "confirm", &[("page", true), ("none", false)]));
    said.on_none = get("on_no_approver").and_then(|node| {
        let choices = [("deny", OnNone::Deny), ("wait", OnNone::Wait)];
        report.choice(node, "on_no_approver", &choices)
    });
    said.escalate = get("escalate").and_then(|node| escalate(node, report));
    said
}

fn is(node: &Node, word: &str) -> bool {
    matches!(&node.value, Value::Scalar { text, .. } if text == word)
}

fn map(node: &Node, said: &mut Said, report: &mut Report<'_>) {
    let Some(fields) = report.fields(node, "`from` and `count`", APPROVER_KEYS) else { return };
    if matches!(&node.value, Value::Map(pairs) if pairs.is_empty()) {
        report.add(node.at, "`approvers` says nothing", "write `{from: [security], count: 2}`");
    }
    for (key, node) in fields {
        match key {
            "from" => said.from = names(node, report),
            _ => said.count = count(node, report),
        }
    }
    if said.from.is_some() && said.count.is_none() {
        said.count = Some(1);
    }
}

fn count(node: &Node, report: &mut Report<'_>) -> Option<u32> {
    let text = report.word(node, "a number of people, such as `2`")?;
    match text.parse::<u32>() {
        Ok(count) if (1..=MOST).contains(&count) => Some(count),
        _ => {
            let help = format!("from 1 to {MOST} people can be wanted");
            report.add(node.at, format!("bad number of people `{text}`"), &help);
            None
        }
    }
}

fn names(node: &Node, report: &mut Report<'_>) -> Option<Arc<[Arc<str>]>> {
    let words = report.words(node, "a person or a group, or a list of them")?;
    if words.len() > MAX_NAMES {
        let help = "make a group of them in the warden's settings";
        report.add(node.at, format!("more than {MAX_NAMES} names"), help);
        return None;
    }
    let mut names: Vec<Arc<str>> = Vec::with_capacity(words.len());
    for (at, text) in words {
        let plain = |c: char| c.is_ascii_alphanumeric() || " ._@:/-".contains(c);
        let is_name = (1..=MAX_NAME).contains(&text.len()) && text.chars().all(plain);
        if !is_name || text.trim() != text {
            let help = "a name of the warden's settings: a person, a group, `uid:1000`, `token:ci` or `slack:T1/U1`";
            report.add(at.at, format!("bad name `{text}`"), help);
        } else if !names.iter().any(|name| **name == *text) {
            names.push(text.into());
        }
    }
    (!names.is_empty()).then(|| names.into())
}

fn escalate(node: &Node, report: &mut Report<'_>) -> Option<Arc<[Escalation]>> {
    let mut steps: Vec<Escalation> = match &node.value {
        Value::List(items) if items.is_empty() => {
            report.add(node.at, "`escalate` says nothing", "write `{after: 10m, to: [leads]}`");
            return None;
        }
        Value::List(items) if items.len() > MAX_STEPS => {
            report.add(node.at, format!("more than {MAX_STEPS} steps"), "");
            return None;
        }
        Value::List(items) => items.iter().filter_map(|item| step(item, report)).collect(),
        _ => step(node, report).into_iter().collect(),
    };
    steps.sort_by_key(|step| step.after);
    (!steps.is_empty()).then(|| steps.into())
}

fn step(node: &Node, report: &mut Report<'_>) -> Option<Escalation> {
    let fields = report.fields(node, "`after` and `to`", ESCALATE_KEYS)?;
    let (mut after, mut to) = (None, None);
    for (key, node) in &fields {
        match *key {
            "after" => {
                after = report.duration(node).flatten();
                if after.is_none() && report.is_clean() {
                    let help = "who may answer from the first stands in `approvers`";
                    report.add(node.at, "`after` cannot be 0", help);
                }
            }
            _ => to = names(node, report),
        }
    }
    for required in ESCALATE_KEYS {
        if !fields.iter().any(|(key, _)| key == required) {
            let help = "write `{after: 10m, to: [leads]}`";
            report.add(node.at, format!("the escalation has no `{required}`"), help);
        }
    }
    Some(Escalation { after: after?, to: to? })
}

#[cfg(test)]
mod tests {
    use crate::load::from_text;
    use crate::load::tests::{decide, told};
    use crate::{Action, Approvers, Facts, OnNone};

    fn one(text: &str, tool: &str) -> Approvers {
        let decision = decide(text, tool);
        assert_eq!((decision.action, decision.approvers.len()), (Action::Ask, 1));
        Approvers::clone(&decision.approvers[0])
    }

    fn names(of: &Approvers) -> Vec<&str> {
        of.from.iter().map(|name| &**name).collect()
    }

    #[test]
    fn a_list_is_one_of_these_and_the_number_is_said_in_one_of_two_ways() {
        let rule =
            |keys: &str| one(&format!("rules: [{{command: rm, action: ask, {keys}}}]"), "rm");
        for (keys, from, count) in [
            ("approvers: [alice, security]", vec!["alice", "security"], 1),
            ("approvers: alice", vec!["alice"], 1),
            ("approvers: {from: [security], count: 2}", vec!["security"], 2),
            ("approvers: {from: security}", vec!["security"], 1),
            ("approvers: [security], quorum: 2", vec!["security"], 2),
            ("approvers: {from: [security]}, quorum: 3", vec!["security"], 3),
            ("approvers: {count: 2}", vec![], 2),
            ("quorum: 2", vec![], 2),
            ("approvers: ['uid:1000', 'token:ci bot']", vec!["uid:1000", "token:ci bot"], 1),
            ("approvers: ['slack:T1/U1', 'telegram:7']", vec!["slack:T1/U1", "telegram:7"], 1),
        ] {
            let found = rule(keys);
            assert_eq!((names(&found), found.count), (from, count), "{keys}");
        }
    }

    #[test]
    fn what_a_rule_leaves_unsaid_comes_from_defaults_and_a_list_is_taken_whole() {
        let text =
            "defaults: {action: ask, approvers: {from: [security], count: 2}, require_reason: true,
  on_no_approver: wait, escalate: {after: 10m, to: leads}}
rules:
  - {command: npm, action: ask, approvers: [alice]}
  - {command: pip, action: ask, quorum: 3, require_reason: false, on_no_approver: deny}
  - {command: ls, action: allow}
";
        let npm = one(text, "npm");
        assert_eq!((names(&npm), npm.count, npm.require_reason), (vec!["alice"], 1, true));
        assert_eq!((npm.on_none, npm.escalate.len()), (OnNone::Wait, 1));
        let pip = one(text, "pip");
        assert_eq!((names(&pip), pip.count, pip.require_reason), (vec!["security"], 3, false));
        assert_eq!(pip.on_none, OnNone::Deny);
        let unsaid = one(text, "cat");
        assert_eq!((names(&unsaid), unsaid.count), (vec!["security"], 2));
        assert_eq!(decide(text, "ls").approvers.len(), 0);
    }

    #[test]
    fn that_a_yes_by_a_chat_is_a_wish_is_said_by_a_rule_or_for_all_of_them() {
        let text = "defaults: {action: ask, confirm: page}
rules:
  - {command: npm, action: ask, approvers: [alice]}
  - {command: pip, action: ask, confirm: none}
  - {command: ls, action: allow}
";
        assert!(one(text, "cat").confirm_on_page && one(text, "npm").confirm_on_page);
        assert_eq!(decide(text, "pip").approvers.len(), 0, "anybody's yes will do");
        let alone = one("rules: [{command: rm, action: ask, confirm: page}]", "rm");
        assert_eq!((alone.confirm_on_page, alone.count, alone.from.len()), (true, 1, 0));
        assert_eq!(decide(text, "ls").approvers.len(), 0);
    }

    #[test]
    fn whoever_is_asked_by_several_rules_is_asked_by_all_of_them() {
        let text = "on_unparsed: ask
rules:
  - {command: git, args: push, action: ask, approvers: [dev]}
  - {command: npm, action: ask, approvers: {from: [security], count: 2}}
  - {command: ls, action: ask}
  - {command: sh, action: allow}
";
        let policy = from_text("policy.yaml", text).unwrap();
        let asked = |line: &str| {
            let argv: [&[u8]; 3] = [b"sh", b"-c", line.as_bytes()];
            let facts = Facts {
                name: b"sh",
                tool: Some(b"sh"),
                argv: &argv,
                cwd: Some(b"/w"),
                ..Facts::default()
            };
            let decision = policy.decide(&facts);
            let mut of: Vec<String> = decision
                .approvers
                .iter()
                .map(|of| format!("{} {}", of.count, of.from[0]))
                .collect();
            of.sort_unstable();
            (decision.action, of.join(", "))
        };
        assert_eq!(asked("git push; npm publish"), (Action::Ask, "1 dev, 2 security".into()));
        assert_eq!(asked("npm publish; git push"), (Action::Ask, "1 dev, 2 security".into()));
        assert_eq!(
            asked("ls; npm publish"),
            (Action::Ask, "2 security".into()),
            "the first asks for less"
        );
        assert_eq!(asked("ls"), (Action::Ask, String::new()));
    }

    #[test]
    fn a_rule_that_may_match_takes_nobody_away_from_one_that_does() {
        let text = "rules:
  - {command: tool, env: {CI: yes}, action: ask, approvers: [dev]}
  - {command: tool, action: ask, approvers: {from: [security], count: 2}}
";
        // Without an environment to look at, the first rule only may match.
        let found = decide(text, "tool");
        assert_eq!(found.approvers.len(), 2, "{found:?}");
    }

    #[test]
    fn nothing_of_it_stands_on_a_rule_that_does_not_ask() {
        for action in ["allow", "deny"] {
            for key in [
                "approvers: [a]",
                "quorum: 2",
                "require_reason: true",
                "confirm: page",
                "on_no_approver: wait",
                "escalate: {after: 1m, to: b}",
            ] {
                let found = told(&format!("rules: [{{command: ls, action: {action}, {key}}}]"));
                assert!(found[0].contains("is for `action: ask`"), "{found:?}");
            }
        }
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        for keys in [
            "approvers: []",
            "approvers: {}",
            "approvers: {from: []}",
            "approvers: {from: [a], count: 0}",
            "approvers: {from: [a], count: 33}",
            "approvers: {from: [a], count: two}",
            "approvers: {form: [a]}",
            "approvers: [\"a\\tb\"]",
            "approvers: [' a']",
            "quorum: 0",
            "quorum: -1",
            "approvers: {from: [a], count: 2}, quorum: 2",
            "require_reason: maybe",
            "confirm: chat",
            "confirm: [page]",
            "on_no_approver: allow",
            "escalate: {after: 10m}",
            "escalate: {to: [a]}",
            "escalate: {after: 0, to: [a]}",
            "escalate: []",
        ] {
            let found = told(&format!("rules: [{{command: ls, action: ask, {keys}}}]"));
            assert_eq!(found.len(), 1, "{keys}: {found:?}");
        }
    }
}
