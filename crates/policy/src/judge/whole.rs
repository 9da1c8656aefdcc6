//! Whole: the answer for a request together with everything that it would run.
//! The strictest holds; of equally strict ones, that of the outermost.

use super::{Case, alone, conclude, join, outside, search};
use crate::decision::{Action, Decision, Executor, Timeout};
use crate::diagnostics::show_bytes;
use crate::explain::Inside;
use crate::facts::Facts;
use crate::matchers::unknown;
use crate::policy::Policy;
use crate::through::{self, Seen, Standing, Via, Visit};

/// Most words and most bytes of a word by which a command is shown.
const SHOWN_WORDS: usize = 12;
const SHOWN_BYTES: usize = 60;
/// Most commands that an explanation shows.
const MAX_TOLD: usize = 100;

/// Judges one request.
pub(crate) fn decide(policy: &Policy, facts: &Facts<'_>) -> Decision {
    if let Some(decision) = outside(policy, facts) {
        return decision;
    }
    let case = Case::new(facts, &policy.tools);
    if !through::concerns(&case.names) {
        return alone(policy, &case, policy.default_action);
    }
    Judge::new(policy, None).judge(facts)
}

/// The same, by way of every rule of each command's name; `told` is given what was looked through.
pub(crate) fn tell(policy: &Policy, facts: &Facts<'_>, told: &mut Vec<Inside>) -> Decision {
    Judge::new(policy, Some(told)).judge(facts)
}

struct Judge<'p, 't> {
    policy: &'p Policy,
    told: Option<&'t mut Vec<Inside>>,
    /// The request's own answer.
    own: Option<Decision>,
    strictest: Option<Decision>,
    /// Something that is allowed only runs as the prisoner.
    mirrored: bool,
}

impl<'p, 't> Judge<'p, 't> {
    fn new(policy: &'p Policy, told: Option<&'t mut Vec<Inside>>) -> Self {
        Self { policy, told, own: None, strictest: None, mirrored: false }
    }

    fn judge(mut self, facts: &Facts<'_>) -> Decision {
        through::walk(facts, &self.policy.env, &mut self);
        let own = self.own.take();
        let Some(mut decision) = self.strictest.take() else {
            // Nothing in it has an answer: then its own is wanted.
            return self.alone(&Case::new(facts, &self.policy.tools), self.policy.default_action);
        };
        let Some(own) = own else { return decision };
        // Where it runs, and as whom, is never what a rule about something inside it says.
        decision.executor = own.executor;
        decision.run_as.clone_from(&own.run_as);
        if own.rule.is_none() && self.mirrored {
            decision.executor = Executor::Mirror;
        }
        decision.timeout = shorter(decision.timeout, own.timeout);
        decision
    }

    fn alone(&self, case: &Case<'_>, default: Action) -> Decision {
        if self.told.is_none() {
            return alone(self.policy, case, default);
        }
        let candidates = self.policy.index.by_name(&case.names);
        let found = search(self.policy, case, candidates, default, |_, _| {});
        conclude(self.policy, case, &found)
    }

    fn offer(&mut self, decision: Decision) {
        if self.strictest.as_ref().is_none_or(|found| decision.action > found.action) {
            self.strictest = Some(decision);
        }
    }

    /// What is not understood.
    fn unparsed(&self, why: &str, via: Via<'_>) -> Decision {
        let place = shown_via(via);
        Decision {
            action: self.policy.on_unparsed,
            rule: None,
            reason: if self.policy.on_unparsed == Action::Allow {
                String::new()
            } else {
                format!("inside {place}: not understood: {why}")
            },
            executor: self.policy.default_executor,
            run_as: None,
            timeout: self.policy.default_timeout.map_or(Timeout::None, Timeout::Default),
            approval_timeout: self.policy.approval_timeout,
            noticed: Vec::new(),
            inside: Some(place),
        }
    }

    fn told(&mut self, entry: impl FnOnce() -> Inside) {
        if let Some(told) = &mut self.told
            && told.len() < MAX_TOLD
        {
            told.push(entry());
        }
    }
}

impl Visit for Judge<'_, '_> {
    fn command(&mut self, seen: &Seen<'_>) {
        let policy = self.policy;
        let default = match seen.standing {
            Standing::Own => policy.default_action,
            Standing::Passes | Standing::WritesHere => Action::Allow,
            Standing::WritesElsewhere => policy.on_unparsed,
        };
        let writes = matches!(seen.standing, Standing::WritesHere | Standing::WritesElsewhere);
        let case = Case::new(&seen.facts, &self.policy.tools);
        let mut decision = self.alone(&case, default);
        if seen.depth > 0 && !writes && policy.allowed_paths.is_some() {
            let out = match seen.facts.cwd {
                Some(_) => outside(policy, &seen.facts),
                None => Some(self.unparsed("the working directory is not known", seen.via)),
            };
            if let Some(out) = out
                && out.action > decision.action
            {
                decision = out;
            }
        }
        let silent = matches!(seen.standing, Standing::Passes | Standing::WritesHere);
        let answers = !silent || decision.rule.is_some() || decision.action > Action::Allow;
        if seen.depth > 0 {
            self.told(|| Inside {
                command: shown(seen.facts.argv),
                through: shown_via(seen.via),
                depth: seen.depth,
                action: answers.then_some(decision.action),
                rule: decision.rule.clone(),
                why: decision.reason.clone(),
            });
            if decision.action > Action::Allow {
                let place = format!("`{}` inside {}", shown(seen.facts.argv), shown_via(seen.via));
                decision.reason = join(&place, &decision.reason).replacen("; ", ": ", 1);
                decision.inside = Some(place);
            } else if answers {
                decision.inside =
                    Some(format!("`{}` inside {}", shown(seen.facts.argv), shown_via(seen.via)));
            }
        } else {
            self.own = Some(decision.clone());
        }
        if answers {
            if decision.action == Action::Allow && decision.executor == Executor::Mirror {
                self.mirrored = true;
            }
            self.offer(decision);
        }
    }

    fn doubt(&mut self, why: &str, via: Via<'_>, depth: usize) {
        let decision = self.unparsed(why, via);
        let action = decision.action;
        self.told(|| Inside {
            command: String::new(),
            through: shown_via(via),
            depth: depth + 1,
            action: Some(action),
            rule: None,
            why: format!("not understood: {why}"),
        });
        self.offer(decision);
    }
}

fn shorter(one: Timeout, other: Timeout) -> Timeout {
    match (one, other) {
        (Timeout::Rule(one), Timeout::Rule(other)) => Timeout::Rule(one.min(other)),
        (_, Timeout::Rule(limit)) => Timeout::Rule(limit),
        _ => one,
    }
}

fn shown_via(via: Via<'_>) -> String {
    let name = show_bytes(via.name, SHOWN_BYTES);
    if via.how.is_empty() { format!("`{name}`") } else { format!("`{name} {}`", via.how) }
}

/// A command for people: bounded, harmless to show, `…` for what is not known.
fn shown(argv: &[&[u8]]) -> String {
    let word = |word: &&[u8]| -> String {
        let parts = word.split(|byte| *byte == unknown::MARK);
        let parts: Vec<String> = parts.map(|part| show_bytes(part, SHOWN_BYTES)).collect();
        if unknown::is_many(word) { "…".into() } else { parts.join("…") }
    };
    let mut words: Vec<String> = argv.iter().take(SHOWN_WORDS).map(word).collect();
    if argv.len() > SHOWN_WORDS {
        words.push("…".into());
    }
    words.join(" ")
}
