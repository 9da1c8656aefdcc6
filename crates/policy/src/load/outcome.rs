//! What a rule makes of a command beside its action, and the `defaults` for what it leaves unsaid.

use std::sync::Arc;
use std::time::Duration;

use super::approvers;
use super::limits;
use super::node::{Node, Value};
use super::recording;
use super::report::Report;
use crate::policy::Policy;
use crate::rule::rule_id;

/// Most characters of a suggestion: with its reason it has to fit into what an agent is told.
const MAX_SUGGEST: usize = 300;

/// What `defaults` has.
pub(super) const DEFAULT_KEYS: &[&str] = &[
    "action",
    "executor",
    "timeout",
    "approval_timeout",
    "approvers",
    "quorum",
    "require_reason",
    "confirm",
    "on_no_approver",
    "escalate",
    "reason",
    "suggest",
    "limits",
    "record",
    "record_bytes",
];

/// Reads `defaults` into `policy`; `root` is the whole of `file`.
pub(super) fn defaults(
    policy: &mut Policy,
    node: &Node,
    (file, root): (&Arc<str>, &Node),
    report: &mut Report<'_>,
) {
    let Some(fields) = report.fields(node, "defaults", DEFAULT_KEYS) else { return };
    policy.approvers = approvers::read(&fields, report);
    for (key, node) in fields {
        // The key of the file that says the same.
        let twin = match key {
            "action" => "default_action",
            "executor" => "default_executor",
            "timeout" => "default_timeout",
            "approval_timeout" => "approval_timeout",
            _ => "",
        };
        if let Some(line) = line_of(root, twin) {
            let help = format!("`{twin}` on line {line} says it already; keep one of them");
            report.add(node.at, format!("the default `{key}` is said twice"), &help);
        }
        match key {
            "action" => {
                policy.says.action = true;
                policy.default_action = report.action(node).unwrap_or(policy.default_action);
            }
            "executor" => {
                policy.default_executor = report.executor(node).unwrap_or(policy.default_executor);
            }
            "timeout" => policy.default_timeout = report.duration(node).flatten(),
            "approval_timeout" => {
                policy.says.approval_timeout = true;
                let timeout = approval_timeout(node, report);
                policy.approval_timeout = timeout.unwrap_or(policy.approval_timeout);
            }
            "reason" => policy.default_reason = report.sentence(node).map(Into::into),
            "limits" => {
                let said = limits::limits(node, report).unwrap_or_default();
                let id = rule_id(file, node.at.line, node.at.column, u32::MAX, "defaults");
                policy.bounds = said.of(&id);
            }
            "record" => policy.record.record = recording::record(node, report).flatten(),
            "record_bytes" => policy.record.bytes = recording::bytes(node, report),
            key if approvers::KEYS.contains(&key) => {}
            _ => policy.default_suggest = suggest(node, report),
        }
    }
}

fn line_of(root: &Node, wanted: &str) -> Option<u32> {
    let Value::Map(pairs) = &root.value else { return None };
    let is_key = |node: &Node| matches!(&node.value, Value::Scalar { text, .. } if text == wanted);
    pairs.iter().find(|(key, _)| is_key(key)).map(|(key, _)| key.at.line)
}

/// How long a person has to answer.
pub(super) fn approval_timeout(node: &Node, report: &mut Report<'_>) -> Option<Duration> {
    let found = report.duration(node)?;
    if found.is_none() {
        let help = "a request cannot wait for ever; write a time such as `30m`";
        report.add(node.at, "approval_timeout cannot be 0", help);
    }
    found
}

/// What the agent should do instead.
pub(super) fn suggest(node: &Node, report: &mut Report<'_>) -> Option<Arc<str>> {
    let text = report.sentence(node)?;
    if text.contains('\n') {
        report.add(node.at, "a suggestion is one sentence on one line", "");
    } else if text.chars().count() > MAX_SUGGEST {
        report.add(node.at, format!("the suggestion has more than {MAX_SUGGEST} characters"), "");
    } else {
        return Some(text.into());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::load::tests::{decide, told};
    use crate::{Action, Executor, Timeout};

    #[test]
    fn a_suggestion_goes_with_what_does_not_simply_run() {
        let text = "rules:
  - {command: npm, action: deny, reason: no npm here, suggest: use pnpm}
  - {command: ls, action: allow, suggest: nothing}
";
        let denied = decide(text, "npm");
        assert_eq!(denied.with_suggestion(&denied.reason), "no npm here; instead: use pnpm");
        assert_eq!(denied.with_suggestion(""), "instead: use pnpm");
        assert_eq!(decide(text, "ls").suggest, None);
        assert_eq!(decide(text, "cat").with_suggestion("x"), "x");
    }

    #[test]
    fn a_rule_says_how_long_a_person_has() {
        let text = "approval_timeout: 1h
rules:
  - {command: npm, action: ask, approval_timeout: 5m}
  - {command: pip, action: ask}
";
        assert_eq!(decide(text, "npm").approval_timeout, Duration::from_secs(300));
        assert_eq!(decide(text, "pip").approval_timeout, Duration::from_secs(3600));
    }

    #[test]
    fn what_a_rule_leaves_unsaid_comes_from_defaults() {
        let text = "defaults: {action: ask, executor: local, timeout: 2m, approval_timeout: 1h,
  reason: ask ann, suggest: use the wrapper}
rules:
  - {command: npm, action: deny, executor: mirror, timeout: 1m, reason: no, suggest: use pnpm}
  - {command: pip, action: deny}
";
        let said = decide(text, "npm");
        assert_eq!((said.reason.as_str(), said.suggest.as_deref()), ("no", Some("use pnpm")));
        assert_eq!(
            (said.executor, said.timeout),
            (Executor::Mirror, Timeout::Rule(Duration::from_secs(60)))
        );
        for tool in ["pip", "cat"] {
            let unsaid = decide(text, tool);
            assert_eq!(unsaid.reason, "ask ann");
            assert_eq!(unsaid.suggest.as_deref(), Some("use the wrapper"));
            assert_eq!(unsaid.executor, Executor::Local);
            assert_eq!(unsaid.timeout, Timeout::Default(Duration::from_secs(120)));
            assert_eq!(unsaid.approval_timeout, Duration::from_secs(3600));
        }
        assert_eq!(decide(text, "cat").action, Action::Ask);
    }

    #[test]
    fn a_default_is_said_once() {
        assert_eq!(
            told("default_timeout: 1m\ndefaults: {timeout: 2m, action: deny}\n"),
            ["2:21 the default `timeout` is said twice | `default_timeout` on line 1 says it \
              already; keep one of them"]
        );
        assert_eq!(told("defaults: {approval_timeout: 1m}\napproval_timeout: 1m\n").len(), 1);
        assert_eq!(told("defaults: {rule: 1}").len(), 1);
    }

    #[test]
    fn a_suggestion_is_one_short_line() {
        let rule = |text: &str| format!("rules: [{{command: ls, action: deny, suggest: {text}}}]");
        for text in ["''", "\"a\\nb\"", &"x".repeat(301), "[a]"] {
            assert_eq!(told(&rule(text)).len(), 1, "{text}");
        }
        assert!(
            told("rules: [{command: ls, action: ask, approval_timeout: 0}]")[0]
                .contains("cannot be 0")
        );
    }
}
