//! Examples: commands in a policy file, and what the file must make of them. One that comes out otherwise refuses it.
//! They are judged as requests are, by the file alone, and change nothing in it.

mod read;

pub(super) use self::read::are_too_many;
#[cfg(test)]
pub(super) use self::read::{EXAMPLE_KEYS, TEST_KEYS};
use self::read::{Example, Wanted};
use super::node::Node;
use super::report::Report;
use crate::decision::Decision;
use crate::diagnostics::show_bytes;
use crate::explain::Verdict;
use crate::facts::Facts;
use crate::judge::{self, Case, Outcome};
use crate::policy::Policy;
use crate::rule::{Rule, rule_name};

/// Most rules that are looked at for all examples of a file together.
const MAX_LOOKED_AT: usize = 1_000_000;
/// Bytes of a command that an error shows.
const SHOWN_BYTES: usize = 80;
/// Where a command of an example runs that does not say.
const USUAL_CWD: &str = "/home/user/project";

/// Checks every example in `root`, from which `policy` was made: a file, or the jail of this name. How many there are.
pub(super) fn check(
    policy: &Policy,
    root: &Node,
    jail: Option<&str>,
    report: &mut Report<'_>,
) -> usize {
    if are_too_many(root, report) {
        return 0;
    }
    let examples = read::read(root, report);
    if report.is_clean() {
        judge_all(policy, &examples, jail, report);
    }
    examples.len()
}

fn judge_all(
    policy: &Policy,
    examples: &[Example<'_>],
    jail: Option<&str>,
    report: &mut Report<'_>,
) {
    let usual_cwd = usual_cwd(policy);
    let mut looked_at = 0;
    for example in examples {
        if report.is_full() {
            return;
        }
        let argv: Vec<&[u8]> = example.argv.iter().map(String::as_bytes).collect();
        let Some(&name) = argv.first() else { continue };
        let path = if name.contains(&b'/') {
            name.to_vec()
        } else {
            [b"/usr/bin/".as_slice(), name].concat()
        };
        let facts = Facts {
            jail: jail.unwrap_or(example.jail),
            name,
            path: Some(&path),
            tool: tool(name),
            argv: &argv,
            cwd: Some(example.cwd.unwrap_or(&usual_cwd).as_bytes()),
            uid: example.uid,
            gid: example.gid,
            ..Facts::default()
        };
        let case = Case::new(&facts, &policy.tools);
        looked_at += policy.index.by_arguments(&case.names, &argv, || case.readings()).count();
        if looked_at > MAX_LOOKED_AT {
            let help = "have fewer examples, or rules that more commands can be told apart by";
            report.add(example.at, "the examples of this file take too long", help);
            return;
        }
        judge(policy, example, &case, report);
    }
}

fn judge(policy: &Policy, example: &Example<'_>, case: &Case<'_>, report: &mut Report<'_>) {
    let command = || show_bytes(example.argv.join(" ").as_bytes(), SHOWN_BYTES);
    let decision = policy.decide(case.facts);
    let decides = |rule: &Rule| decision.rule.as_ref() == Some(&rule.id);
    match &example.wanted {
        Wanted::Taken(at) => {
            let Some(rule) = policy.rules.get(*at) else { return };
            if !decides(rule) {
                let fact = format!("this rule does not decide about `{}`", command());
                let why = match why_passed(policy, case.facts, rule) {
                    Some(why) => format!("{why}; {}", outcome(&decision)),
                    None => outcome(&decision),
                };
                report.add(example.at, fact, &why);
            }
        }
        Wanted::Passed(at) => {
            let Some(rule) = policy.rules.get(*at) else { return };
            let spoken = match case.judge(rule) {
                Outcome::Matched => "it matches",
                Outcome::Overmatched => "it may match, and then the strictest wins",
                Outcome::ByUnknown => "it may match by a word that only a shell will know",
                Outcome::Passed(_) if decides(rule) => "something that it runs matches",
                Outcome::Passed(_) => return,
            };
            let fact = format!("this rule speaks of `{}`", command());
            report.add(example.at, fact, &format!("{spoken}; {}", outcome(&decision)));
        }
        Wanted::Decided { action: (at, action), rule } => {
            let came_out = decision.action;
            if came_out != *action {
                let fact =
                    format!("expected {action}, and `{}` comes out as {came_out}", command());
                report.add(*at, fact, &outcome(&decision));
            } else if let Some((at, name)) = rule
                && decision.rule.as_ref().map(rule_name) != Some(name)
            {
                let is_there = policy.rules.iter().any(|rule| rule_name(&rule.id) == *name);
                let fact = if is_there {
                    format!("the rule `{name}` does not decide about `{}`", command())
                } else {
                    format!("there is no rule with `name: {name}`")
                };
                report.add(*at, fact, &outcome(&decision));
            }
        }
    }
}

/// What came out, in one phrase.
fn outcome(decision: &Decision) -> String {
    let action = decision.action;
    match &decision.rule {
        Some(rule) => format!("{rule} decides: {action}"),
        None if decision.reason.is_empty() => format!("no rule matches: {action}"),
        None => format!("{action}: {}", decision.reason),
    }
}

/// Why a rule was passed over; `None` where it was not, or was not reached.
fn why_passed(policy: &Policy, facts: &Facts<'_>, rule: &Rule) -> Option<String> {
    let step = policy.explain(facts).steps.into_iter().find(|step| step.rule == rule.id);
    match step {
        Some(step) => (step.verdict == Verdict::Passed).then_some(step.why),
        None => match Case::new(facts, &policy.tools).judge(rule) {
            Outcome::Passed(judge::Pass::Command) => Some("it names another command".to_owned()),
            _ => None,
        },
    }
}

/// A bare name is the tool of that name, and so is a place where the system keeps its tools.
fn tool(name: &[u8]) -> Option<&[u8]> {
    const SYSTEM: [&[u8]; 5] = [b"/bin", b"/usr/bin", b"/sbin", b"/usr/sbin", b"/usr/local/bin"];
    match name.iter().rposition(|byte| *byte == b'/') {
        None => Some(name),
        Some(slash) => SYSTEM.contains(&&name[..slash]).then(|| &name[slash + 1..]),
    }
}

/// A working directory that `allowed_paths` lets in, where there is one that can be told.
fn usual_cwd(policy: &Policy) -> String {
    let Some(first) = policy.allowed_paths.as_ref().and_then(|globs| globs.first()) else {
        return USUAL_CWD.to_owned();
    };
    let plain = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = first
        .source()
        .split('/')
        .skip(1)
        .take_while(plain)
        .filter(|part| !part.is_empty())
        .collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
