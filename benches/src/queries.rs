//! What history is asked: filters of every kind, what is common, what is rare and what is nowhere; and every two of them.

use clawrden_api::HistoryQuery;
use serde_json::Value;

use crate::Outcome;

/// Filters of every kind: what is common, what is rare, what is nowhere; and of two that hold for many requests each
/// and for none together.
pub(crate) fn queries(requests: u64) -> Vec<(String, HistoryQuery)> {
    let none = HistoryQuery::default;
    let some = |text: &str| Some(text.to_owned());
    let mut all = vec![
        none(),
        HistoryQuery { cursor: Some(requests), ..none() },
        HistoryQuery { exit_code: Some(0), ..none() },
        HistoryQuery { exit_code: Some(59), ..none() },
        HistoryQuery { exit_code: Some(77), ..none() },
        HistoryQuery { until_ms: Some(1), ..none() },
        HistoryQuery { since_ms: Some(u64::MAX), ..none() },
        HistoryQuery { decision: some("deny"), exit_code: Some(0), ..none() },
        HistoryQuery { decision: some("allow"), outcome: some("approved"), ..none() },
        HistoryQuery { decision: some("allow"), text: some("alice"), ..none() },
        HistoryQuery {
            executor: some("mirror"),
            outcome: some("denied"),
            exit_code: Some(0),
            ..none()
        },
        HistoryQuery {
            command: some("git push"),
            decision: some("deny"),
            exit_code: Some(3),
            ..none()
        },
        HistoryQuery {
            jail: some("jail-3"),
            container: some("agent-9"),
            rule: some(":77"),
            ..none()
        },
        HistoryQuery {
            jail: some("jail-3"),
            caller: some("1004"),
            exit_code: Some(9),
            text: some("deploy"),
            ..none()
        },
        HistoryQuery { command: some("e"), jail: some("nowhere"), ..none() },
        HistoryQuery { command: some("e"), decision: some("deny"), exit_code: Some(0), ..none() },
        HistoryQuery { text: some("a e i"), decision: some("deny"), exit_code: Some(0), ..none() },
    ];
    for command in [
        "git",
        "g*",
        "*t",
        "kubectl",
        "zz*",
        "git push",
        "push --force main",
        "main push main push main",
        "module_123456",
        "nowhere to be found",
        "qx",
        "~",
        "a",
    ] {
        all.push(HistoryQuery { command: some(command), ..none() });
    }
    for text in [
        "push",
        "deploy apply pods",
        "project-7 project-8 alice",
        "module_99",
        "00000000000f423f",
        "looks",
        "looks wrong",
        "policy.yaml:149",
        "zq",
        "~",
        "e",
    ] {
        all.push(HistoryQuery { text: some(text), ..none() });
    }
    for decision in ["allow", "ask", "deny", "approved", "denied", "expired"] {
        all.push(HistoryQuery { decision: some(decision), ..none() });
    }
    for caller in [
        "1003",
        "9",
        "pid:777",
        "0000012b",
        "container:agent-7",
        "container:9e3779b9",
        "container:none",
    ] {
        all.push(HistoryQuery { caller: some(caller), ..none() });
    }
    for rule in [":149", "policy.yaml:1", "elsewhere"] {
        all.push(HistoryQuery { rule: some(rule), ..none() });
    }
    for executor in ["ghost", "local"] {
        all.push(HistoryQuery { executor: some(executor), ..none() });
    }
    let named = |query: HistoryQuery| {
        let text = serde_json::to_string(&query).unwrap_or_default();
        (text, query)
    };
    all.into_iter().map(named).collect()
}

/// Every two filters of different kinds, where `times` are the middle and the end of what was written.
pub(crate) fn pairs((middle, end): (u64, u64)) -> Outcome<Vec<(String, HistoryQuery)>> {
    let singles = singles(middle, end);
    let mut all = Vec::new();
    for (at, (kind, one)) in singles.iter().enumerate() {
        for (_, other) in singles[at + 1..].iter().filter(|(other, _)| other != kind) {
            let query = and(one, other)?;
            all.push((serde_json::to_string(&query)?, query));
        }
    }
    Ok(all)
}

/// Of each kind something that is common, something rare, and something that is nowhere.
fn singles(middle: u64, end: u64) -> Vec<(&'static str, HistoryQuery)> {
    let none = HistoryQuery::default;
    let some = |text: &str| Some(text.to_owned());
    let mut all = Vec::new();
    for value in ["git", "*t", "module_123456", "nowhere to be found", "e"] {
        all.push(("command", HistoryQuery { command: some(value), ..none() }));
    }
    for value in ["push", "00000000000f423f", "looks wrong", "zq"] {
        all.push(("text", HistoryQuery { text: some(value), ..none() }));
    }
    for value in ["allow", "deny", "expired"] {
        all.push(("decision", HistoryQuery { decision: some(value), ..none() }));
    }
    for value in ["1003", "pid:777", "0000012b"] {
        all.push(("caller", HistoryQuery { caller: some(value), ..none() }));
    }
    for value in ["jail-3", "nowhere"] {
        all.push(("jail", HistoryQuery { jail: some(value), ..none() }));
    }
    for value in ["policy.yaml:1", ":149", "elsewhere"] {
        all.push(("rule", HistoryQuery { rule: some(value), ..none() }));
    }
    for value in ["approved", "denied", "caller_left"] {
        all.push(("outcome", HistoryQuery { outcome: some(value), ..none() }));
    }
    for value in ["mirror", "local", "elsewhere"] {
        all.push(("executor", HistoryQuery { executor: some(value), ..none() }));
    }
    for value in [0, 59, 77] {
        all.push(("exit code", HistoryQuery { exit_code: Some(value), ..none() }));
    }
    for value in ["agent-7", "nobody"] {
        all.push(("container", HistoryQuery { container: some(value), ..none() }));
    }
    for value in [middle, end, u64::MAX] {
        all.push(("since", HistoryQuery { since_ms: Some(value), ..none() }));
    }
    for value in [1, middle, u64::MAX] {
        all.push(("until", HistoryQuery { until_ms: Some(value), ..none() }));
    }
    all
}

/// What fits both.
fn and(one: &HistoryQuery, other: &HistoryQuery) -> Outcome<HistoryQuery> {
    let mut both = serde_json::to_value(one)?;
    if let (Value::Object(both), Value::Object(other)) = (&mut both, serde_json::to_value(other)?) {
        both.extend(
            other
                .into_iter()
                .filter(|(_, value)| !value.is_null() && *value != Value::Array(Vec::new())),
        );
    }
    Ok(serde_json::from_value(both)?)
}
