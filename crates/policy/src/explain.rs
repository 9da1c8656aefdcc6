//! Explain: the same judgement as `decide`, told rule by rule.
//! It never decides anything itself; what it shows is what the judge did.

use std::fmt;

use crate::decision::{Action, Decision, RuleId};
use crate::facts::Facts;
use crate::judge::{self, Case, Outcome, Pass};
use crate::matchers::args::Miss;
use crate::policy::{Policy, Rule};

/// Most rules that are told of one by one.
const MAX_STEPS: usize = 1_000;

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision itself, the same as `decide` gives.
    pub decision: Decision,
    /// The rules that were looked at, from the highest layer down and each in order, with what became of each.
    pub steps: Vec<Step>,
    /// Rules that name another command altogether, or were beyond the bound on steps.
    pub others: usize,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: RuleId,
    /// What it would have done.
    pub action: Action,
    /// How it fared.
    pub verdict: Verdict,
    /// Why, as a lower-case sentence.
    pub why: String,
}

/// How a rule fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It matched and ended the search.
    Matched,
    /// It matched only by over-approximation; the search went on.
    Overmatched,
    /// It was passed over.
    Passed,
}

pub(crate) fn explain(policy: &Policy, facts: &Facts<'_>) -> Explanation {
    let case = Case::new(facts);
    let mut told: Vec<(*const Policy, Step)> = Vec::new();
    let decision = judge::across(policy, &case, |layer, default| {
        let candidates = layer.index.by_name(&case.names);
        judge::search(layer, &case, candidates, default, |rule, outcome| {
            if told.len() < MAX_STEPS && !matches!(outcome, Outcome::Passed(Pass::Command)) {
                told.push((layer, step(&case, rule, outcome)));
            }
        })
    });
    // The policy itself is asked before the layers over it, and told of in its place.
    let mut steps = Vec::with_capacity(told.len());
    for layer in policy.layers(facts.jail) {
        let of_layer = told.extract_if(.., |(told, _)| std::ptr::eq(*told, layer));
        steps.extend(of_layer.map(|(_, step)| step));
    }
    let rules: usize = policy.layers(facts.jail).map(|layer| layer.rules.len()).sum();
    Explanation { decision, others: rules - steps.len(), steps }
}

fn step(case: &Case<'_>, rule: &Rule, outcome: &Outcome) -> Step {
    let (verdict, why) = match outcome {
        Outcome::Matched => (Verdict::Matched, "it matches".to_owned()),
        Outcome::Overmatched => {
            let why = "it may match: how the command reads its arguments is not certain, the \
                       operands stand elsewhere, or the working directory is unknown, so the \
                       search goes on and the strictest wins";
            (Verdict::Overmatched, why.to_owned())
        }
        Outcome::Passed(pass) => (Verdict::Passed, why_passed(case, rule, pass)),
    };
    Step { rule: rule.id.clone(), action: rule.action, verdict, why }
}

fn why_passed(case: &Case<'_>, rule: &Rule, pass: &Pass) -> String {
    match pass {
        Pass::Command => "it names another command".into(),
        Pass::NotTheTool => {
            "it names a tool, and this is not what that name resolves to on the jail's PATH".into()
        }
        Pass::Jail => "it is for another jail".into(),
        Pass::Args => {
            let misses: Vec<String> = case.misses(rule).iter().map(Miss::to_string).collect();
            misses.join("; ")
        }
        Pass::Inexact => {
            let patterns = rule.args.as_deref().unwrap_or_default();
            let sources: Vec<String> =
                patterns.iter().map(|pattern| format!("`{}`", pattern.source())).collect();
            format!("an allow fits exactly or not at all, and this is not {}", sources.join(" or "))
        }
    }
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "no flag `{flag}` is used"),
            Self::Operand(operand) => write!(f, "no operand fits `{operand}`"),
            Self::Subcommand(name) => write!(f, "the subcommand is not `{name}`"),
        }
    }
}
