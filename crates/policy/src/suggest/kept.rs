//! Kept: what the rule that asked says of how its commands run. A rule that answers in its place says it too, so that it
//! gives no more time, room or network, and records no less.

use std::time::Duration;

use super::past::Now;
use super::yaml::Value;
use crate::action::{Action, Executor, RuleId};
use crate::bounds::{Bounds, Limits, size};
use crate::ghosts::GhostRule;
use crate::policy::Policy;
use crate::rule::{Rule, RuleTimeout};

/// The keys that all rules have in common which ask now.
///
/// # Errors
/// What cannot be kept, or that they do not say the same, as a lower-case fact.
pub(super) fn of_all<'p>(
    policy: &Policy,
    answers: impl Iterator<Item = &'p Now>,
) -> Result<Vec<(&'static str, Value)>, String> {
    let mut asking: Vec<Option<&RuleId>> = Vec::new();
    let mut kept: Option<Vec<(&'static str, Value)>> = None;
    for id in answers.filter(|now| now.action == Action::Ask).map(|now| now.rule.as_ref()) {
        if asking.contains(&id) {
            continue;
        }
        asking.push(id);
        let rule = id.and_then(|id| policy.rules.iter().find(|rule| rule.id == *id));
        let own = rule.map_or_else(|| Ok(Vec::new()), |rule| keys(policy, rule))?;
        if kept.as_ref().is_some_and(|kept| *kept != own) {
            return Err("the rules that asked for it do not agree on how it runs".to_owned());
        }
        kept = Some(own);
    }
    Ok(kept.unwrap_or_default())
}

/// The keys, with their values.
///
/// # Errors
/// What cannot be kept, as a lower-case fact.
pub(super) fn keys(policy: &Policy, rule: &Rule) -> Result<Vec<(&'static str, Value)>, String> {
    let mut keys = Vec::new();
    keys.extend(rule.executor.map(|place| ("executor", Value::Text(place.to_string()))));
    if rule.supervised {
        keys.push(("supervised", Value::Flow("true".to_owned())));
    }
    if let Some(ghost) = rule.ghost.as_deref() {
        of_ghosts(ghost, &mut keys)?;
    }
    keys.extend(timeout(rule.timeout).map(|time| ("timeout", Value::Flow(time))));
    keys.extend(own_bounds(policy, rule).map(|bounds| ("limits", Value::Flow(limits(&bounds)))));
    let what = rule.record.record;
    let what = what.map(|what| what.map_or("none", |what| what.as_str()).to_owned());
    keys.extend(what.map(|what| ("record", Value::Text(what))));
    keys.extend(rule.record.bytes.map(|bytes| ("record_bytes", Value::Flow(size(bytes)))));
    Ok(keys)
}

fn of_ghosts(rule: &GhostRule, keys: &mut Vec<(&'static str, Value)>) -> Result<(), String> {
    let GhostRule { image, network, limits: _, secrets, falls_back } = rule;
    if !secrets.is_empty() {
        return Err("it is given secrets, which only a rule of the policy's own file has".into());
    }
    keys.extend(image.clone().map(|image| ("image", Value::Text(image))));
    let network = network.clone().map(|name| name.unwrap_or_else(|| "none".to_owned()));
    keys.extend(network.map(|network| ("network", Value::Text(network))));
    if *falls_back {
        keys.push(("fallback", Value::Text(Executor::Local.to_string())));
    }
    Ok(())
}

/// What the rule keeps its commands to; `None` where `defaults` give it, as they give it to the other as well.
fn own_bounds(policy: &Policy, rule: &Rule) -> Option<Bounds> {
    let bounds = rule.bounds.as_deref()?;
    let usual = policy.bounds.as_ref().map(|usual| Bounds::or(None, usual, &rule.id));
    if rule.executor.unwrap_or(policy.default_executor) != Executor::Ghost {
        return (Some(bounds) != usual.as_deref()).then(|| bounds.clone());
    }
    // What a rule says itself its ghosts are given; what `defaults` say only bounds them.
    let limits = rule.ghost.as_ref().map(|ghost| ghost.limits).unwrap_or_default();
    let is_own =
        !limits.is_empty() || Some(&bounds.quotas) != usual.as_ref().map(|usual| &usual.quotas);
    is_own.then(|| Bounds { limits, quotas: bounds.quotas.clone() })
}

fn limits(bounds: &Bounds) -> String {
    let Limits { memory, milli_cpus, pids, output } = bounds.limits;
    let counted = bounds.quotas.first();
    let parts = [
        ("memory", memory.map(size)),
        ("cpus", milli_cpus.map(cpus)),
        ("pids", pids.map(|pids| pids.to_string())),
        ("output", output.map(size)),
        ("rate", counted.and_then(|quota| quota.rate).map(|rate| rate.to_string())),
        ("concurrent", counted.and_then(|quota| quota.concurrent).map(|most| most.to_string())),
    ];
    let said = parts.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?)));
    format!("{{{}}}", said.collect::<Vec<_>>().join(", "))
}

fn cpus(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn timeout(timeout: RuleTimeout) -> Option<String> {
    match timeout {
        RuleTimeout::Unset => None,
        RuleTimeout::Never => Some("0".to_owned()),
        RuleTimeout::After(limit) => Some(duration(limit)),
    }
}

fn duration(limit: Duration) -> String {
    match limit.as_millis() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suggest::check::lone;
    use crate::suggest::yaml::written;

    /// What a rule with these keys keeps, as a rule of its own that loads.
    fn kept(defaults: &str, keys: &str) -> Result<String, String> {
        let text = format!(
            "defaults: {{{defaults}}}\nghost_images: {{npm: 'node:22'}}\nsecrets: {{token: {{from_file: /etc/token}}}}
rules: [{{command: npm, action: ask, {keys}}}]"
        );
        let policy = Policy::from_yaml("p.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
        let kept = super::keys(&policy, &policy.rules[0])?;
        let command = [("command", "npm"), ("action", "allow")];
        let command = command.map(|(key, word)| (key, Value::Text(word.to_owned())));
        let all: Vec<_> = command.into_iter().chain(kept).collect();
        let text = written(&all);
        let alone = lone(&policy, &text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let (one, other) = (&policy.rules[0], &alone.rules[0]);
        assert_eq!(one.executor, other.executor);
        assert_eq!((one.supervised, &one.ghost), (other.supervised, &other.ghost));
        assert_eq!(
            (one.record.record, one.record.bytes),
            (other.record.record, other.record.bytes)
        );
        // Each of them, whether on one line or on several.
        let text = text.replace("\n  ", ", ").replace("- {", "- ");
        let text = text.replace("- command: npm, action: allow", "");
        Ok(text.trim_end_matches('}').trim_start_matches(", ").to_owned())
    }

    #[test]
    fn a_rule_says_again_how_what_it_answers_runs() {
        for keys in [
            "executor: mirror, supervised: true, timeout: 90s",
            "executor: ghost, image: \"node:24\", network: none",
            "executor: ghost, fallback: local",
            "record: session, record_bytes: 4097k",
            "timeout: 0",
        ] {
            assert_eq!(kept("", keys).unwrap(), keys);
        }
        for limits in [
            "memory: 6g, cpus: 1.5, pids: 200, output: 100k, rate: 10/1m, concurrent: 2",
            "cpus: 0.25, rate: 3/1h30m",
        ] {
            let keys = format!("executor: local, limits: {{{limits}}}");
            assert_eq!(kept("", &keys).unwrap(), keys.trim_end_matches('}'));
        }
        assert_eq!(kept("", "name: a").unwrap(), "");
    }

    #[test]
    fn what_defaults_give_is_left_to_them() {
        let usual = "limits: {pids: 99, rate: 9/1m}";
        assert_eq!(kept(usual, "name: a").unwrap(), "");
        let own = "limits: {pids: 5}";
        assert_eq!(kept(usual, own).unwrap(), "limits: {pids: 5, rate: 9/1m");
    }

    #[test]
    fn a_ghost_is_given_again_what_its_rule_gave_it_and_nothing_of_defaults() {
        let usual = "executor: ghost, limits: {memory: 4g, pids: 99, rate: 9/1m}";
        for (own, said) in [
            ("limits: {pids: 50}", "limits: {pids: 50, rate: 9/1m"),
            (
                "limits: {memory: 4g, pids: 99, rate: 9/1m}",
                "limits: {memory: 4g, pids: 99, rate: 9/1m",
            ),
            ("image: \"node:24\"", "image: \"node:24\""),
            ("name: a", ""),
        ] {
            assert_eq!(kept(usual, own).unwrap(), said, "{own}");
        }
        let usual = "limits: {memory: 4g}";
        assert_eq!(kept(usual, "executor: ghost, name: a").unwrap(), "executor: ghost");
    }

    #[test]
    fn secrets_are_given_by_hand() {
        let error = kept("", "executor: ghost, secrets: token").unwrap_err();
        assert!(error.contains("secrets"), "{error}");
    }
}
