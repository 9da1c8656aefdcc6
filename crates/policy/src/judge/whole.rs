//! Whole: the answer for a request together with everything that it would run.
//! The strictest holds; of equally strict ones, that of the outermost.

use std::sync::Arc;

use super::across::{self, Asked, Search};
use super::ghosts;
use super::{Case, Found, bound_by_ceilings, join, search};
use crate::action::{Action, Executor, RuleId};
use crate::approvers::{self, Approvers, Said as Approval};
use crate::bounds::Bounds;
use crate::decision::{Decision, Timeout};
use crate::diagnostics::show_bytes;
use crate::facts::Facts;
use crate::matchers::unknown;
use crate::policy::Policy;
use crate::through::{self, Seen, Standing, Via, Visit};

/// Most words and most bytes of a word by which a command is shown.
const SHOWN_WORDS: usize = 12;
const SHOWN_BYTES: usize = 60;
/// Most commands that an explanation shows.
const MAX_TOLD: usize = 100;

/// A command inside the one that was asked for, or something in it that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The command, shown harmless; empty for what was not understood.
    pub command: String,
    /// What runs it, as `sh -c`.
    pub through: String,
    /// How deep: 1 is run by the request itself.
    pub depth: usize,
    /// Its answer; `None` where it has none of its own, because it only passes on.
    pub action: Option<Action>,
    /// The rule that gave it.
    pub rule: Option<RuleId>,
    /// Why, as a lower-case sentence; empty for a plain `allow`.
    pub why: String,
}

/// Judges one request.
pub(super) fn decide(policy: &Policy, facts: &Facts<'_>) -> Decision {
    let search: Search<'_, '_> = &|layer, case, default| {
        let argv = case.facts.argv;
        let candidates = layer.index.by_arguments(&case.names, argv, || case.readings());
        search(layer, case, candidates, default, |_, _| {})
    };
    let case = Case::new(facts, &policy.tools);
    if !through::concerns(&case.names) {
        return across::decide(policy, &plain(&case), search);
    }
    Judge::new(policy, facts.jail, search, None).judge(facts)
}

/// What the ceilings over a policy say of a request, whatever it says itself. What is not understood counts as the
/// strictest layer has it.
pub(crate) fn ceilings(policy: &Policy, facts: &Facts<'_>) -> Action {
    if policy.above.is_empty() {
        return Action::Allow;
    }
    let search: Search<'_, '_> = &|layer, case, default| {
        if !policy.above.iter().any(|ceiling| std::ptr::eq(ceiling, layer)) {
            return Found {
                rule: None,
                action: Action::Allow,
                overmatched: Vec::new(),
                asking: Vec::new(),
            };
        }
        search(layer, case, layer.index.by_name(&case.names), default, |_, _| {})
    };
    Judge::new(policy, facts.jail, search, None).judge(facts).action
}

/// The same, by way of every rule of each command's name; `told` is given what was looked through.
pub(crate) fn tell(policy: &Policy, facts: &Facts<'_>, told: &mut Vec<Inside>) -> Decision {
    let search: Search<'_, '_> = &|layer, case, default| {
        let candidates = layer.index.by_name(&case.names);
        search(layer, case, candidates, default, |_, _| {})
    };
    let mut decision = Judge::new(policy, facts.jail, search, Some(told)).judge(facts);
    bound_by_ceilings(policy, &mut decision);
    ghosts::settle(policy, facts, &mut decision);
    decision
}

struct Judge<'p, 't> {
    policy: &'p Policy,
    /// What becomes of what is not understood, and by which layer.
    on_unparsed: (Action, &'p Policy),
    search: Search<'t, 'p>,
    told: Option<&'t mut Vec<Inside>>,
    /// The request's own answer.
    own: Option<Decision>,
    strictest: Option<Decision>,
    /// What everything in it that is asked wants of who answers.
    approvers: Vec<Arc<Approvers>>,
    /// It only passes on what it runs, and nothing was seen that this comes to.
    idle: bool,
    /// Something that is allowed only runs as the prisoner.
    mirrored: bool,
    /// What everything in it is kept to.
    bounds: Option<Arc<Bounds>>,
}

impl<'p, 't> Judge<'p, 't> {
    fn new(
        policy: &'p Policy,
        jail: &str,
        search: Search<'t, 'p>,
        told: Option<&'t mut Vec<Inside>>,
    ) -> Self {
        let on_unparsed = across::on_unparsed(policy, jail);
        Self {
            policy,
            on_unparsed,
            search,
            told,
            own: None,
            strictest: None,
            approvers: Vec::new(),
            idle: false,
            mirrored: false,
            bounds: None,
        }
    }

    fn judge(mut self, facts: &Facts<'_>) -> Decision {
        through::walk(facts, &self.policy.env, &mut self);
        let own = self.own.take();
        let Some(mut decision) = self.strictest.take() else {
            if let (true, Some(own)) = (self.idle, own) {
                return own;
            }
            // Nothing in it has an answer: then its own is wanted.
            let case = Case::new(facts, &self.policy.tools);
            return across::decide(self.policy, &plain(&case), self.search);
        };
        decision.approvers = match decision.action {
            Action::Ask => std::mem::take(&mut self.approvers),
            _ => Vec::new(),
        };
        let Some(own) = own else { return decision };
        // Where it runs, and as whom, is never what a rule about something inside it says.
        decision.executor = own.executor;
        decision.run_as.clone_from(&own.run_as);
        decision.given.clone_from(&own.given);
        decision.supervised = own.supervised;
        decision.record = own.record;
        if own.rule.is_none() && self.mirrored {
            decision.executor = Executor::Mirror;
        }
        decision.timeout = shorter(decision.timeout, own.timeout);
        // What runs in the prisoner meets the shims again, and is counted and bounded then. Elsewhere nothing asks for it.
        decision.bounds = match decision.executor {
            Executor::Mirror => own.bounds,
            Executor::Local | Executor::Ghost => self.bounds.take().or(own.bounds),
        };
        decision
    }

    fn offer(&mut self, decision: Decision) {
        approvers::add(&mut self.approvers, decision.approvers.iter().cloned());
        self.bounds = Bounds::both(self.bounds.take(), decision.bounds.as_ref());
        if self.strictest.as_ref().is_none_or(|found| decision.action > found.action) {
            self.strictest = Some(decision);
        }
    }

    /// What is not understood.
    fn unparsed(&self, why: &str, via: Via<'_>) -> Decision {
        let place = shown_via(via);
        let (action, layer) = self.on_unparsed;
        let suggest = layer.default_suggest.as_ref().filter(|_| action != Action::Allow);
        let mut approvers = Vec::new();
        if action == Action::Ask {
            let usual = [layer, self.policy].map(|one| Approval::default().over(&one.approvers));
            approvers::add(&mut approvers, usual.into_iter().flatten());
        }
        Decision {
            action,
            rule: None,
            reason: if action == Action::Allow {
                String::new()
            } else {
                format!("inside {place}: not understood: {why}")
            },
            suggest: suggest.cloned(),
            executor: self.policy.default_executor,
            run_as: None,
            ghost: None,
            given: None,
            bounds: self.policy.bounds.clone(),
            supervised: false,
            record: None,
            timeout: self.policy.default_timeout.map_or(Timeout::None, Timeout::Default),
            approval_timeout: layer.approval_timeout.min(self.policy.approval_timeout),
            approvers,
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
        let writes = matches!(seen.standing, Standing::WritesHere | Standing::WritesElsewhere);
        let case = Case::new(&seen.facts, &self.policy.tools);
        let inner = seen.depth > 0;
        let asked = Asked { case: &case, standing: seen.standing, inner };
        let mut decision = across::decide(self.policy, &asked, self.search);
        if inner
            && seen.facts.cwd.is_none()
            && !writes
            && self.policy.bounds_places(seen.facts.jail)
        {
            let unknown = self.unparsed("the working directory is not known", seen.via);
            if unknown.action > decision.action {
                let bounds = decision.bounds.take().or(unknown.bounds);
                decision = Decision { bounds, ..unknown };
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
            self.idle &= seen.passes_on;
        } else {
            self.own = Some(decision.clone());
            self.idle = seen.passes_on;
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

/// A command that stands for itself.
fn plain<'c, 'a>(case: &'c Case<'a>) -> Asked<'c, 'a> {
    Asked { case, standing: Standing::Own, inner: false }
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
