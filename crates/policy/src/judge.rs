//! Judge: the walk through the rules that turns facts into a decision.
//! It errs to the safe side only: what it cannot tell makes a decision stricter, never milder.

mod across;
mod ghosts;
mod whole;

use std::cell::OnceCell;
use std::sync::Arc;

use crate::action::Action;
use crate::approvers::{self, Approvers, Said as Approval};
use crate::bounds::Bounds;
use crate::decision::{Decision, Notice, Timeout};
use crate::diagnostics::show_bytes;
use crate::facts::Facts;
use crate::index::Candidates;
use crate::matchers::Overmatch;
use crate::matchers::args::Miss;
use crate::matchers::argv::Reading;
use crate::matchers::name::{Names, READ, WRITE};
use crate::matchers::paths;
use crate::matchers::reader;
use crate::matchers::structured::Here;
use crate::policy::Policy;
use crate::rule::{Rule, RuleTimeout};
use crate::tools::OwnTools;

pub use self::whole::Inside;
pub(crate) use self::whole::tell;

/// Most bytes of a name from the request that a reason shows.
const SHOWN_BYTES: usize = 80;
/// Most changed variables that a reason names.
const SHOWN_VARIABLES: usize = 5;

impl Policy {
    /// Judges one request.
    pub fn decide(&self, facts: &Facts<'_>) -> Decision {
        let mut decision = whole::decide(self, facts);
        bound_by_ceilings(self, &mut decision);
        ghosts::settle(self, facts, &mut decision);
        decision
    }

    /// Whether the ceilings over this policy let a request through, whatever the policy itself says of it.
    #[must_use]
    pub fn ceilings_let(&self, facts: &Facts<'_>) -> bool {
        whole::ceilings(self, facts) == Action::Allow
    }
}

/// What became of one rule.
pub(crate) enum Outcome {
    /// It speaks of the command and ends the search.
    Matched,
    /// It may speak of the command: the search goes on, and nothing milder can come of it.
    Overmatched,
    /// It may speak of the command, by a word that only a shell will know: as much as `on_unparsed`
    /// can come of it.
    ByUnknown,
    /// It speaks of something else.
    Passed(Pass),
}

impl From<Overmatch> for Outcome {
    fn from(surety: Overmatch) -> Self {
        match surety {
            Overmatch::Surely => Self::Matched,
            Overmatch::Perhaps => Self::Overmatched,
            Overmatch::ByUnknown => Self::ByUnknown,
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
    /// A condition does not hold; what it is about.
    Condition(&'static str),
    /// A condition of an `allow` cannot be told.
    Unknown,
    /// None of its `args` matches.
    Args,
    /// None of the `args` of an `allow` fits exactly.
    Inexact,
}

/// A request with everything that is worked out about it once.
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) names: Names<'a>,
    tools: &'a OwnTools,
    readings: OnceCell<Vec<Reading<'a>>>,
}

/// How the search ended.
pub(crate) struct Found<'p> {
    /// The rule that decides; `None` is `default_action`.
    pub(crate) rule: Option<&'p Rule>,
    /// What happens by it, or without one.
    pub(crate) action: Action,
    /// Rules that may have spoken of the command, in order.
    pub(crate) overmatched: Vec<&'p Rule>,
    /// Rules that ask and say who answers, and that do match or may: each is heard.
    pub(crate) asking: Vec<&'p Rule>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>, tools: &'a OwnTools) -> Self {
        Self { facts, names: Names::of(facts), tools, readings: OnceCell::new() }
    }

    /// The arguments as every tool would read them that the request may mean. The first is the
    /// reading of the tool on the PATH, if it is one.
    pub(crate) fn readings(&self) -> &[Reading<'a>] {
        self.readings.get_or_init(|| {
            let read = |tool| reader::read(tool, self.facts.argv, self.facts.cwd);
            let mut readings: Vec<Reading<'a>> = Vec::new();
            for tool in self.names.bare().map(|name| self.tools.find(name)) {
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

    /// Whether it is a redirection, and no program.
    fn is_redirection(&self) -> bool {
        matches!(self.facts.tool, Some(WRITE | READ)) && self.facts.path.is_none()
    }

    /// What one rule has to say.
    pub(crate) fn judge(&self, rule: &Rule) -> Outcome {
        if rule.jail.as_ref().is_some_and(|jail| !jail.matches(self.facts.jail.as_bytes())) {
            return Outcome::Passed(Pass::Jail);
        }
        // A wildcard for commands speaks of no redirection.
        if self.is_redirection()
            && !rule.commands.iter().any(|pattern| pattern.spells(self.facts.name))
        {
            return Outcome::Passed(Pass::Command);
        }
        match rule.conditions.as_ref().map(|conditions| conditions.hold(self.facts)) {
            None | Some(Ok(Overmatch::Surely)) => self.judge_command(rule),
            Some(Err(about)) => Outcome::Passed(Pass::Condition(about)),
            Some(Ok(_)) if rule.action == Action::Allow => Outcome::Passed(Pass::Unknown),
            Some(Ok(_)) => match self.judge_command(rule) {
                Outcome::Matched => Outcome::Overmatched,
                outcome => outcome,
            },
        }
    }

    fn judge_command(&self, rule: &Rule) -> Outcome {
        if rule.action == Action::Allow {
            return self.judge_allow(rule);
        }
        let named = rule.commands.iter().map(|pattern| pattern.may_be(&self.names)).max();
        let Some(named) = named.flatten() else { return Outcome::Passed(Pass::Command) };
        let Some(patterns) = &rule.args else { return named.into() };
        let mut best: Option<Overmatch> = None;
        for reading in self.readings() {
            for pattern in patterns {
                best = best.max(pattern.overmatches(reading, self.facts.links).ok());
                if best == Some(Overmatch::Surely) {
                    return named.into();
                }
            }
        }
        match best {
            Some(Overmatch::ByUnknown) => Outcome::ByUnknown,
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
        let Facts { argv, cwd, links, .. } = *self.facts;
        let here = Here { cwd, links };
        if patterns.iter().any(|pattern| pattern.fits(argv, reading, here)) {
            Outcome::Matched
        } else {
            Outcome::Passed(Pass::Inexact)
        }
    }

    /// The first difference of each of a rule's patterns, for people.
    pub(crate) fn misses<'p>(&self, rule: &'p Rule) -> Vec<Miss<'p>> {
        let patterns = rule.args.as_deref().unwrap_or_default();
        let Some(reading) = self.readings().first() else { return Vec::new() };
        patterns
            .iter()
            .filter_map(|pattern| pattern.overmatches(reading, self.facts.links).err())
            .collect()
    }

    /// Why none of the patterns of an `allow` fits, one phrase each, for people.
    pub(crate) fn misfits(&self, rule: &Rule) -> Vec<String> {
        let patterns = rule.args.as_deref().unwrap_or_default();
        let reading = self.names.tool.and_then(|_| self.readings().first());
        let Facts { argv, cwd, links, .. } = *self.facts;
        let here = Here { cwd, links };
        let mut phrases: Vec<String> =
            patterns.iter().map(|pattern| pattern.misfit(argv, reading, here)).collect();
        // Alternatives in braces are patterns of their own, under one text.
        phrases.dedup();
        phrases
    }
}

fn as_ptr<T>(value: Option<&T>) -> *const T {
    value.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Finds the rule that decides among the candidates. `passed` is told of every rule on the way.
pub(crate) fn search<'p>(
    policy: &'p Policy,
    case: &Case<'_>,
    mut candidates: Candidates<'p>,
    default: Action,
    mut passed: impl FnMut(&'p Rule, &Outcome),
) -> Found<'p> {
    let mut overmatched: Vec<&Rule> = Vec::new();
    let mut strictest: Option<(Action, &Rule)> = None;
    let mut last: Option<&Rule> = None;
    let mut asking: Vec<&Rule> = Vec::new();
    while let Some(at) = candidates.next() {
        let Some(rule) = usize::try_from(at).ok().and_then(|at| policy.rules.get(at)) else {
            continue;
        };
        let outcome = case.judge(rule);
        passed(rule, &outcome);
        if rule.approvers.is_some() && !matches!(outcome, Outcome::Passed(_)) {
            asking.push(rule);
        }
        let action = match outcome {
            Outcome::Matched => {
                last = Some(rule);
                break;
            }
            Outcome::Overmatched => rule.action,
            Outcome::ByUnknown => rule.action.min(policy.on_unparsed),
            Outcome::Passed(_) => continue,
        };
        let stricter = strictest.is_none_or(|(strict, _)| action > strict);
        if stricter {
            strictest = Some((action, rule));
        }
        if stricter || matches!(outcome, Outcome::Overmatched) {
            overmatched.push(rule);
        }
        if action == Action::Deny {
            break;
        }
        if action >= policy.on_unparsed {
            candidates.leave_unknown();
        }
    }
    let ended = last.map_or(default, |rule| rule.action);
    // Of two that are equally strict the earlier one decides.
    match strictest {
        Some((action, rule)) if action >= ended && action > Action::Allow => {
            Found { rule: Some(rule), action, overmatched, asking }
        }
        _ => Found { rule: last, action: ended, overmatched, asking },
    }
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
        ghost: None,
        given: None,
        bounds: policy.bounds.clone(),
        supervised: false,
        record: None,
        timeout: Timeout::None,
        approval_timeout: policy.approval_timeout,
        approvers: Vec::new(),
        noticed: Vec::new(),
        inside: None,
    })
}

/// Turns the rule that was found into the decision.
pub(crate) fn conclude(policy: &Policy, case: &Case<'_>, found: &Found<'_>) -> Decision {
    let rule = found.rule;
    let mut action = found.action;
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
    let suggest = rule.and_then(|rule| rule.suggest.as_ref()).or(policy.default_suggest.as_ref());
    Decision {
        action,
        rule: rule.map(|rule| rule.id.clone()),
        reason,
        suggest: suggest.filter(|_| action != Action::Allow).cloned(),
        executor,
        run_as: rule.and_then(|rule| rule.run_as.clone()),
        ghost: None,
        given: rule.and_then(|rule| rule.ghost.clone()),
        bounds: rule.map_or(&policy.bounds, |rule| &rule.bounds).clone(),
        supervised: rule.is_some_and(|rule| rule.supervised),
        record: policy.record.with(rule.map(|rule| rule.record).unwrap_or_default()),
        timeout: timeout(policy, rule),
        approval_timeout: rule
            .and_then(|rule| rule.approval_timeout)
            .unwrap_or(policy.approval_timeout),
        approvers: if action == Action::Ask { wanted(policy, found) } else { Vec::new() },
        noticed,
        inside: None,
    }
}

/// Whose yes is wanted: of the rule that decides, and of every other that asks for somebody's.
fn wanted(policy: &Policy, found: &Found<'_>) -> Vec<Arc<Approvers>> {
    let usual = &policy.approvers;
    let unsaid = Approval::default();
    let own = found.rule.and_then(|rule| rule.approvers.as_deref()).unwrap_or(&unsaid);
    let mut wanted: Vec<Arc<Approvers>> = own.over(usual).into_iter().collect();
    let others = found.asking.iter().filter_map(|rule| rule.approvers.as_deref());
    approvers::add(&mut wanted, others.filter_map(|said| said.over(usual)));
    wanted
}

/// What a ceiling says in its `defaults` of who answers, and of limits, holds for everything below it.
pub(crate) fn bound_by_ceilings(policy: &Policy, decision: &mut Decision) {
    for usual in policy.above.iter().filter_map(|layer| layer.bounds.as_ref()) {
        decision.bounds = Bounds::both(decision.bounds.take(), Some(usual));
    }
    if decision.action == Action::Ask {
        let usual =
            policy.above.iter().filter_map(|layer| Approval::default().over(&layer.approvers));
        approvers::add(&mut decision.approvers, usual);
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
        None if action == Action::Allow => String::new(),
        None => {
            let of = if policy.called.is_empty() { "" } else { " of " };
            let fact =
                if action == policy.default_action { "default_action" } else { "on_unparsed" };
            format!("no rule{of}{} matches, and {fact} is {action}", policy.called)
        }
    }
}

pub(crate) fn join(fact: &str, reason: &str) -> String {
    if reason.is_empty() { fact.to_owned() } else { format!("{fact}; {reason}") }
}

/// The changed variables that can matter to this tool.
fn changed<'a>(policy: &Policy, case: &Case<'a>) -> Vec<&'a [u8]> {
    let tool = case.facts.tool;
    // A file that is written or read loads nothing.
    if case.is_redirection() {
        return Vec::new();
    }
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
