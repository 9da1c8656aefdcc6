//! Judge: the walk through the rules that turns facts into a decision.
//! It errs to the safe side only: what it cannot tell makes a decision stricter, never milder.

use std::cell::OnceCell;

use crate::decision::{Action, Decision, Executor, Notice, Timeout};
use crate::diagnostics::show_bytes;
use crate::facts::Facts;
use crate::index::Candidates;
use crate::layers::{self, Voice};
use crate::matchers::args::{Miss, Overmatch};
use crate::matchers::argv::Reading;
use crate::matchers::name::Names;
use crate::matchers::paths;
use crate::matchers::reader;
use crate::policy::{Policy, Rule, RuleTimeout};
use crate::tools;

/// Most bytes of a name from the request that a reason shows.
const SHOWN_BYTES: usize = 80;
/// Most changed variables that a reason names.
const SHOWN_VARIABLES: usize = 5;

/// What became of one rule.
pub(crate) enum Outcome {
    /// It speaks of the command and ends the search.
    Matched,
    /// It may speak of the command: the search goes on, and nothing milder can come of it.
    Overmatched,
    /// It speaks of something else.
    Passed(Pass),
}

impl From<Overmatch> for Outcome {
    fn from(surety: Overmatch) -> Self {
        match surety {
            Overmatch::Surely => Self::Matched,
            Overmatch::Perhaps => Self::Overmatched,
        }
    }
}

/// Why a rule was passed over.
pub(crate) enum Pass {
    /// Its `command` is another one.
    Command,
    /// Its `command` names a tool, and this is a copy that only has the tool's name.
    NotTheTool,
    /// Its `jail` is another one.
    Jail,
    /// None of its `args` matches.
    Args,
    /// None of the `args` of an `allow` fits exactly.
    Inexact,
}

/// A request with everything that is worked out about it once.
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) names: Names<'a>,
    readings: OnceCell<Vec<Reading<'a>>>,
}

/// How the search ended.
pub(crate) struct Found<'p> {
    /// The rule that decides; `None` is `default_action`.
    pub(crate) rule: Option<&'p Rule>,
    /// Rules that may have spoken of the command, in order.
    pub(crate) overmatched: Vec<&'p Rule>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>) -> Self {
        Self { facts, names: Names::of(facts), readings: OnceCell::new() }
    }

    /// The arguments as every tool would read them that the request may mean. The first is the
    /// reading of the tool on the PATH, if it is one.
    pub(crate) fn readings(&self) -> &[Reading<'a>] {
        self.readings.get_or_init(|| {
            let read = |tool| reader::read(tool, self.facts.argv, self.facts.cwd);
            let mut readings: Vec<Reading<'a>> = Vec::new();
            for tool in self.names.bare().map(tools::find) {
                let is_new = readings
                    .iter()
                    .all(|reading| !std::ptr::eq(as_ptr(reading.tool), as_ptr(tool)));
                if is_new {
                    readings.push(read(tool));
                }
            }
            readings
        })
    }

    /// What one rule has to say.
    pub(crate) fn judge(&self, rule: &Rule) -> Outcome {
        if rule.jail.as_ref().is_some_and(|jail| !jail.matches(self.facts.jail.as_bytes())) {
            return Outcome::Passed(Pass::Jail);
        }
        if rule.action == Action::Allow {
            return self.judge_allow(rule);
        }
        let named = rule.commands.iter().map(|pattern| pattern.may_be(&self.names)).max();
        let Some(named) = named.flatten() else { return Outcome::Passed(Pass::Command) };
        let Some(patterns) = &rule.args else { return named.into() };
        let mut best: Option<Overmatch> = None;
        for reading in self.readings() {
            for pattern in patterns {
                best = best.max(pattern.overmatches(reading).ok());
                if best == Some(Overmatch::Surely) {
                    return named.into();
                }
            }
        }
        match best {
            Some(_) => Outcome::Overmatched,
            None => Outcome::Passed(Pass::Args),
        }
    }

    fn judge_allow(&self, rule: &Rule) -> Outcome {
        if !rule.commands.iter().any(|pattern| pattern.is(&self.names)) {
            let by_name = rule.commands.iter().any(|pattern| pattern.may_be(&self.names).is_some());
            return Outcome::Passed(if by_name { Pass::NotTheTool } else { Pass::Command });
        }
        let Some(patterns) = &rule.args else { return Outcome::Matched };
        let reading = self.names.tool.and_then(|_| self.readings().first());
        if patterns.iter().any(|pattern| pattern.fits(self.facts.argv, reading)) {
            Outcome::Matched
        } else {
            Outcome::Passed(Pass::Inexact)
        }
    }

    /// The first difference of each of a rule's patterns, for people.
    pub(crate) fn misses<'p>(&self, rule: &'p Rule) -> Vec<Miss<'p>> {
        let patterns = rule.args.as_deref().unwrap_or_default();
        let Some(reading) = self.readings().first() else { return Vec::new() };
        patterns.iter().filter_map(|pattern| pattern.overmatches(reading).err()).collect()
    }
}

fn as_ptr<T>(value: Option<&T>) -> *const T {
    value.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Finds the rule that decides among the candidates. `passed` is told of every rule on the way.
pub(crate) fn search<'p>(
    policy: &'p Policy,
    case: &Case<'_>,
    candidates: Candidates<'p>,
    default: Action,
    mut passed: impl FnMut(&'p Rule, &Outcome),
) -> Found<'p> {
    let mut overmatched: Vec<&Rule> = Vec::new();
    let mut last: Option<&Rule> = None;
    for rule in candidates.filter_map(|at| policy.rules.get(usize::try_from(at).ok()?)) {
        let outcome = case.judge(rule);
        passed(rule, &outcome);
        match outcome {
            Outcome::Matched => {
                last = Some(rule);
                break;
            }
            Outcome::Overmatched => {
                overmatched.push(rule);
                if rule.action == Action::Deny {
                    break;
                }
            }
            Outcome::Passed(_) => {}
        }
    }
    let ended = last.map_or(default, |rule| rule.action);
    let strictest = overmatched.iter().copied().rev().max_by_key(|rule| rule.action);
    // Of two that are equally strict the earlier one decides.
    let rule = match strictest {
        Some(rule) if rule.action >= ended => Some(rule),
        _ => last,
    };
    Found { rule, overmatched }
}

/// Judges one request by all layers.
pub(crate) fn decide<'p>(policy: &'p Policy, facts: &Facts<'_>) -> Decision {
    let case = Case::new(facts);
    let search = |layer: &'p Policy, default| {
        let candidates = layer.index.by_arguments(&case.names, facts.argv, || case.readings());
        search(layer, &case, candidates, default, |_, _| {})
    };
    across(policy, &case, search)
}

/// Puts together what every layer says, each by what `search` finds in it.
pub(crate) fn across<'p>(
    policy: &'p Policy,
    case: &Case<'_>,
    mut search: impl FnMut(&'p Policy, Action) -> Found<'p>,
) -> Decision {
    let own = outside(policy, case.facts)
        .unwrap_or_else(|| conclude(policy, case, &search(policy, policy.default_action)));
    if policy.above.is_empty() && policy.below.is_empty() && policy.jail_rules.is_empty() {
        return own;
    }
    layers::strictest(policy, case.facts.jail, own, |layer| {
        if let Some(decision) = outside(layer, case.facts) {
            return Some(Voice { decision, executor: None });
        }
        let default = if layer.says.action { layer.default_action } else { Action::Allow };
        let found = search(layer, default);
        if found.rule.is_none() && !layer.says.action {
            return None;
        }
        let executor = found.rule.and_then(|rule| rule.executor);
        Some(Voice { decision: conclude(layer, case, &found), executor })
    })
}

/// The decision for a request that `allowed_paths` keeps out.
pub(crate) fn outside(policy: &Policy, facts: &Facts<'_>) -> Option<Decision> {
    let allowed = policy.allowed_paths.as_ref()?;
    let reason = match facts.cwd {
        None => "the working directory is unknown or deleted, and allowed_paths bounds it".into(),
        // A working directory is resolved before it comes here; one that still climbs is not.
        Some(cwd) if !paths::climbs(cwd) && allowed.iter().any(|glob| glob.matches(cwd)) => {
            return None;
        }
        Some(cwd) => {
            let list: Vec<&str> = allowed.iter().map(crate::matchers::glob::Glob::source).collect();
            let of = if policy.called.is_empty() { "" } else { " of " };
            format!(
                "the working directory {} is outside allowed_paths{of}{} ({})",
                show_bytes(cwd, SHOWN_BYTES * 4),
                policy.called,
                list.join(", ")
            )
        }
    };
    Some(Decision {
        action: Action::Deny,
        rule: None,
        reason,
        suggest: policy.default_suggest.clone(),
        executor: policy.default_executor,
        run_as: None,
        timeout: Timeout::None,
        approval_timeout: policy.approval_timeout,
        noticed: Vec::new(),
    })
}

/// Turns the rule that was found into the decision.
pub(crate) fn conclude(policy: &Policy, case: &Case<'_>, found: &Found<'_>) -> Decision {
    let rule = found.rule;
    let mut action = rule.map_or(policy.default_action, |rule| rule.action);
    let executor = rule.and_then(|rule| rule.executor).unwrap_or(policy.default_executor);
    let mut reason = reason(policy, rule, action);
    let mut noticed: Vec<Notice> =
        found.overmatched.iter().map(|rule| Notice::Overmatched(rule.id.clone())).collect();

    let changed = changed(policy, case);
    if !changed.is_empty() {
        let wanted = rule.and_then(|rule| rule.dangerous_env).unwrap_or(Action::Ask);
        if wanted > action {
            action = wanted;
            reason = join(&variables(&changed), &reason);
        }
        noticed.extend(changed.into_iter().map(|name| Notice::ChangedVariable(name.to_vec())));
    }
    if executor == Executor::Ghost && action != Action::Deny {
        action = Action::Deny;
        let fact = "executor ghost is asked for, and there are no ghosts in this version";
        reason = join(fact, &reason);
    }
    let suggest = rule.and_then(|rule| rule.suggest.as_ref()).or(policy.default_suggest.as_ref());
    Decision {
        action,
        rule: rule.map(|rule| rule.id.clone()),
        reason,
        suggest: suggest.filter(|_| action != Action::Allow).cloned(),
        executor,
        run_as: rule.and_then(|rule| rule.run_as.clone()),
        timeout: timeout(policy, rule),
        approval_timeout: rule
            .and_then(|rule| rule.approval_timeout)
            .unwrap_or(policy.approval_timeout),
        noticed,
    }
}

fn reason(policy: &Policy, rule: Option<&Rule>, action: Action) -> String {
    match rule {
        Some(Rule { reason: Some(reason), .. }) => reason.to_string(),
        Some(_) | None if action == Action::Allow => String::new(),
        _ if policy.default_reason.is_some() => {
            policy.default_reason.as_deref().unwrap_or_default().to_owned()
        }
        Some(rule) => match action {
            Action::Allow => String::new(),
            Action::Ask => format!("{} wants a person to decide", rule.id),
            Action::Deny => format!("{} denies it", rule.id),
        },
        None if !policy.called.is_empty() => {
            format!("no rule of {} matches, and its default_action is {action}", policy.called)
        }
        None => format!("no rule matches, and default_action is {}", policy.default_action),
    }
}

fn join(fact: &str, reason: &str) -> String {
    if reason.is_empty() { fact.to_owned() } else { format!("{fact}; {reason}") }
}

/// The changed variables that can matter to this tool.
fn changed<'a>(policy: &Policy, case: &Case<'a>) -> Vec<&'a [u8]> {
    let tool = case.facts.tool;
    case.facts.changed_env.iter().copied().filter(|name| policy.env.concerns(name, tool)).collect()
}

fn variables(changed: &[&[u8]]) -> String {
    let named: Vec<String> =
        changed.iter().take(SHOWN_VARIABLES).map(|name| show_bytes(name, SHOWN_BYTES)).collect();
    let more = match changed.len().saturating_sub(SHOWN_VARIABLES) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let noun = if changed.len() == 1 { "variable" } else { "variables" };
    format!("changed dangerous {noun} {}{more}", named.join(", "))
}

fn timeout(policy: &Policy, rule: Option<&Rule>) -> Timeout {
    match rule.map_or(RuleTimeout::Unset, |rule| rule.timeout) {
        RuleTimeout::After(limit) => Timeout::Rule(limit),
        RuleTimeout::Never => Timeout::None,
        RuleTimeout::Unset => policy.default_timeout.map_or(Timeout::None, Timeout::Default),
    }
}

#[cfg(test)]
mod tests;
