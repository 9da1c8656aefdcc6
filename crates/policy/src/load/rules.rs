//! The `rules:` list. A rule names a command and an action; everything else narrows or explains.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::approvers;
use super::conditions;
use super::ghosts;
use super::limits;
use super::node::{Node, Value};
use super::outcome;
use super::recording;
use super::report::Report;
use super::structured;
use crate::action::{Action, Executor};
use crate::conditions::Conditions;
use crate::ghosts::Secret;
use crate::matchers::args::ArgsPattern;
use crate::matchers::glob::Kind;
use crate::matchers::name::NamePattern;
use crate::recording::Said;
use crate::rule::{Rule, RuleTimeout, rule_id};

pub(super) const KEYS: &[&str] = &[
    "command",
    "args",
    "action",
    "reason",
    "timeout",
    "executor",
    "run_as",
    "image",
    "network",
    "secrets",
    "limits",
    "fallback",
    "supervised",
    "record",
    "record_bytes",
    "name",
    "dangerous_env",
    "jail",
    "cwd",
    "caller",
    "tty",
    "env",
    "container",
    "approval_timeout",
    "approvers",
    "quorum",
    "require_reason",
    "confirm",
    "on_no_approver",
    "escalate",
    "suggest",
    "match",
    "not_match",
];

/// What the rest of the file says that rules depend on.
pub(super) struct Known<'a> {
    pub(super) executor: Executor,
    pub(super) secrets: &'a BTreeMap<String, Arc<Secret>>,
}

/// Longest name of a user; a login name on Linux has no more.
const MAX_USER: usize = 32;

pub(super) fn rules(
    node: &Node,
    file: &Arc<str>,
    known: &Known<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<Rule>> {
    let Value::List(items) = &node.value else {
        report.wrong_type(node, "a list of rules, each `- {command: …, action: …}`");
        return None;
    };
    let mut rules = Vec::with_capacity(items.len());
    for (item, index) in items.iter().zip(0..) {
        if report.is_spent() {
            break;
        }
        rules.extend(rule(item, index, (file, known), report));
    }
    Some(rules)
}

fn rule(
    node: &Node,
    index: u32,
    (file, known): (&Arc<str>, &Known<'_>),
    report: &mut Report<'_>,
) -> Option<Rule> {
    let fields = report.fields(node, "a rule's keys", KEYS)?;
    let get = |key: &str| fields.iter().find(|(found, _)| *found == key).map(|(_, node)| *node);
    for required in ["command", "action"] {
        if get(required).is_none() {
            let help = "a rule is at least `{command: ls, action: allow}`";
            report.add(node.at, format!("the rule has no `{required}`"), help);
        }
    }
    let action = get("action").and_then(|node| report.action(node));
    let commands = get("command").and_then(|node| commands(node, report));
    // Without a valid action the patterns are still checked, as the milder of the two kinds.
    let args = get("args").and_then(|node| patterns(node, action.unwrap_or(Action::Deny), report));
    let name = get("name").and_then(|node| report.sentence(node)).unwrap_or_default();
    let reason = get("reason").and_then(|node| report.sentence(node));
    let timeout = match get("timeout").map(|node| report.duration(node)) {
        None | Some(None) => RuleTimeout::Unset,
        Some(Some(None)) => RuleTimeout::Never,
        Some(Some(Some(limit))) => RuleTimeout::After(limit),
    };
    let executor = get("executor").and_then(|node| report.executor(node));
    let place = executor.unwrap_or(known.executor);
    let limits = get("limits").and_then(|node| {
        if action == Some(Action::Deny) {
            report.add(
                node.at,
                "`limits` of what never runs",
                "leave it out, or allow the command",
            );
        }
        limits::limits(node, report)
    });
    let limits = limits.unwrap_or_default();
    let ghost = ghosts::rule(&fields, (place, limits.limits), known.secrets, report);
    let supervised = get("supervised").is_some_and(|node| {
        if place != Executor::Mirror {
            let help = "every other executor stays with what it runs; leave it out";
            report.add(node.at, "`supervised` is for `executor: mirror`", help);
        }
        report.boolean(node).unwrap_or_default()
    });
    let record = Said {
        record: get("record").and_then(|node| recording::record(node, report)),
        bytes: get("record_bytes").and_then(|node| recording::bytes(node, report)),
    };
    let run_as = get("run_as").and_then(|node| {
        if place != Executor::Local {
            let help = "only a local run has a user of its own: write `executor: local` beside it";
            report.add(node.at, "run_as without `executor: local`", help);
        }
        user(node, report)
    });
    let dangerous_env = get("dangerous_env").and_then(|node| report.action(node));
    let jail = get("jail").and_then(|node| {
        let text = report.word(node, "a jail's name or a glob")?;
        report.glob(node, text, Kind::Text)
    });
    let mut found = Conditions::default();
    for key in conditions::KEYS {
        if let Some(node) = get(key) {
            conditions::read(key, node, &mut found, report);
        }
    }
    let is_bound = conditions::KEYS.iter().any(|key| get(key).is_some());
    let approval_timeout =
        get("approval_timeout").and_then(|node| outcome::approval_timeout(node, report));
    let approvers = approvers::read(&fields, report);
    if action.is_some_and(|action| action != Action::Ask) {
        for (key, node) in fields.iter().filter(|(key, _)| approvers::KEYS.contains(key)) {
            let help = "nobody is asked about what another rule simply allows or denies";
            report.add(node.at, format!("`{key}` is for `action: ask`"), help);
        }
    }
    let suggest = get("suggest").and_then(|node| outcome::suggest(node, report));
    let id = rule_id(file, node.at.line, node.at.column, index, name);
    Some(Rule {
        bounds: limits.of(&id),
        id,
        commands: commands?,
        args,
        jail,
        conditions: is_bound.then(|| Box::new(found)),
        action: action?,
        reason: reason.map(Into::into),
        executor,
        run_as,
        timeout,
        approval_timeout,
        approvers: approvers.is_said().then(|| Box::new(approvers)),
        suggest,
        dangerous_env,
        ghost: ghost.map(Arc::new),
        supervised,
        record,
    })
}

/// The name or the number of a user. Whether there is one is looked up when it is needed.
fn user(node: &Node, report: &mut Report<'_>) -> Option<Arc<str>> {
    let text = report.word(node, "a user, such as `nobody` or `1000`")?;
    let help = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        match text.parse::<u32>() {
            Ok(0) => "write `run_as: root` where root is meant",
            Ok(u32::MAX) | Err(_) => "a user's number is at most 4294967294",
            Ok(_) => return Some(text.into()),
        }
    } else {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let of_names =
            |b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        if first && text.len() <= MAX_USER && text.bytes().all(of_names) {
            return Some(text.into());
        }
        "a user's name: letters, digits, `_`, `.` and `-`, a letter or `_` first, 32 at most"
    };
    report.add(node.at, format!("bad user `{text}`"), help);
    None
}

fn commands(node: &Node, report: &mut Report<'_>) -> Option<Vec<NamePattern>> {
    let words = report.words(node, "a command such as `git`, or a list of them")?;
    let mut patterns = Vec::with_capacity(words.len());
    for (at, text) in words {
        if !report.may_spell_out(at, text) {
            return None;
        }
        match NamePattern::new(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(help) => report.add(at.at, format!("bad command `{text}`"), &help),
        }
    }
    Some(patterns)
}

fn patterns(node: &Node, action: Action, report: &mut Report<'_>) -> Option<Vec<ArgsPattern>> {
    match &node.value {
        Value::Map(_) => return structured::pattern(node, action, report).map(|found| vec![found]),
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_))) => {
            let found = items.iter().map(|item| patterns(item, action, report));
            return Some(found.collect::<Vec<_>>().into_iter().flatten().flatten().collect());
        }
        _ => {}
    }
    let words = report.words(node, "a pattern such as `push --force`, or a list of them")?;
    let mut patterns = Vec::with_capacity(words.len());
    for (at, text) in words {
        if !report.may_spell_out(at, text) {
            return None;
        }
        match ArgsPattern::compile(text, action) {
            Ok(found) => patterns.extend(found),
            Err(help) => report.add(at.at, format!("bad pattern `{text}`"), &help),
        }
    }
    Some(patterns)
}
