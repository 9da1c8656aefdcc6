//! Explain: the same judgement as `decide`, told rule by rule.
//! It never decides anything itself; what it shows is what the judge did.

use std::fmt;

use crate::action::{Action, RuleId};
use crate::decision::Decision;
use crate::facts::Facts;
use crate::judge::{self, Case, Inside, Outcome, Pass};
use crate::matchers::args::Miss;
use crate::policy::Policy;
use crate::rule::Rule;

/// Most rules that are told of one by one.
const MAX_STEPS: usize = 1_000;

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision itself, the same as `decide` gives.
    pub decision: Decision,
    /// The rules that were looked at, from the highest layer down and each in order, with what became of each.
    pub steps: Vec<Step>,
    /// Rules that name another command altogether, were beyond the bound on steps, or were left out.
    pub others: usize,
    /// What the command would run besides itself, the outermost first, a hundred at most.
    pub inside: Vec<Inside>,
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
    /// It is for another jail.
    pub is_elsewhere: bool,
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

impl Policy {
    /// Judges one request and tells which rules were passed over, and why.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        explain(self, facts)
    }
}

impl Explanation {
    /// Leaves out the rules that are for other jails. They are counted among the others, as rules for other commands are:
    /// the sum tells nothing of them.
    pub fn leave_out_elsewhere(&mut self) {
        let all = self.steps.len();
        self.steps.retain(|step| !step.is_elsewhere);
        self.others += all - self.steps.len();
    }
}

fn explain(policy: &Policy, facts: &Facts<'_>) -> Explanation {
    let mut steps = Vec::new();
    let mut rules = 0;
    for layer in policy.layers(facts.jail) {
        rules += layer.rules.len();
        if judge::outside(layer, facts).is_some() {
            continue;
        }
        let case = Case::new(facts, &layer.tools);
        let candidates = layer.index.by_name(&case.names);
        judge::search(layer, &case, candidates, layer.default_action, |rule, outcome| {
            if steps.len() < MAX_STEPS && !matches!(outcome, Outcome::Passed(Pass::Command)) {
                steps.push(step(&case, rule, outcome));
            }
        });
    }
    let mut inside = Vec::new();
    let decision = judge::tell(policy, facts, &mut inside);
    Explanation { decision, others: rules - steps.len(), steps, inside }
}

fn step(case: &Case<'_>, rule: &Rule, outcome: &Outcome) -> Step {
    let (verdict, why) = match outcome {
        Outcome::Matched => (Verdict::Matched, "it matches".to_owned()),
        Outcome::Overmatched => {
            let why = "it may match: how the command reads its arguments is not certain, the \
                       operands stand elsewhere, or the working directory or another fact is unknown, so \
                       the search goes on and the strictest wins";
            (Verdict::Overmatched, why.to_owned())
        }
        Outcome::ByUnknown => {
            let why = "it may match by a word that only a shell will know: on_unparsed bounds it";
            (Verdict::Overmatched, why.to_owned())
        }
        Outcome::Passed(pass) => (Verdict::Passed, why_passed(case, rule, pass)),
    };
    let is_elsewhere = matches!(outcome, Outcome::Passed(Pass::Jail));
    Step { rule: rule.id.clone(), action: rule.action, verdict, why, is_elsewhere }
}

fn why_passed(case: &Case<'_>, rule: &Rule, pass: &Pass) -> String {
    match pass {
        Pass::Command => "it names another command".into(),
        Pass::NotTheTool => {
            "it names a tool, and this is not what that name resolves to on the jail's PATH".into()
        }
        Pass::Jail => "it is for another jail".into(),
        Pass::Condition(about) => format!("it is for another {about}"),
        Pass::Unknown => {
            "an allow holds for certain, and one of its conditions cannot be told".into()
        }
        Pass::Args => {
            let misses: Vec<String> = case.misses(rule).iter().map(Miss::to_string).collect();
            misses.join("; ")
        }
        Pass::Inexact => {
            let misfits = case.misfits(rule).join(", and ");
            format!("an allow fits exactly or not at all, and {misfits}")
        }
    }
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "no flag `{flag}` is used"),
            Self::Operand(operand) => write!(f, "no operand fits `{operand}`"),
            Self::Subcommand(name) => write!(f, "the subcommand is not `{name}`"),
            Self::Key(unmet) => unmet.fmt(f),
        }
    }
}
