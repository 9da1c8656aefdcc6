//! Layers: several policies about one command, one above the other. Each says what it would do, and the strictest holds.
//! A lower one never makes milder what a higher one says.

use std::fmt;

use crate::action::{Action, Executor};
use crate::approvers;
use crate::bounds::Bounds;
use crate::decision::{Decision, Timeout};
use crate::policy::Policy;
use crate::recording::{Recording, Said};

/// Which part of a policy a file is. Ordered from the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// An organisation's bound on every policy of this host. It gives nothing.
    Ceiling,
    /// The policy of the host, or the one that a run was given.
    Host,
    /// More rules of the host, in a file of their own: they stand behind those of its policy.
    Rules,
    /// Stock rules, behind all others of the file that uses them.
    Pack,
    /// The rules of one jail. They bound what the host's allow there.
    Jail,
    /// A repository's own file. It can only narrow.
    Repository,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ceiling => "a ceiling",
            Self::Host => "a policy",
            Self::Rules => "a file of further rules",
            Self::Pack => "a pack",
            Self::Jail => "the rules of a jail",
            Self::Repository => "a repository's own file",
        })
    }
}

/// The text of one policy file, and which part it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which part.
    pub layer: Layer,
    /// Shown in diagnostics and rule names.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl Source {
    /// A source from its parts.
    #[must_use]
    pub fn new(layer: Layer, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { layer, name: name.into(), text: text.into() }
    }
}

/// What one layer says of a command.
pub(crate) struct Voice {
    pub(crate) decision: Decision,
    /// Where its rule itself wants it to run.
    pub(crate) executor: Option<Executor>,
}

impl Policy {
    /// Every layer that a request of this jail meets, from the highest.
    pub(crate) fn layers<'p>(&'p self, jail: &str) -> impl Iterator<Item = &'p Self> {
        let inside = self.jail_rules.get(jail);
        self.above.iter().chain([self]).chain(inside).chain(&self.below)
    }

    /// Whether it stands alone, whatever the jail.
    pub(crate) fn is_single(&self) -> bool {
        self.above.is_empty() && self.below.is_empty() && self.jail_rules.is_empty()
    }

    /// Whether any layer says where commands of this jail may run.
    pub(crate) fn bounds_places(&self, jail: &str) -> bool {
        self.layers(jail).any(|layer| layer.allowed_paths.is_some())
    }

    /// Every layer there is.
    pub(crate) fn all_layers(&self) -> impl Iterator<Item = &Self> {
        self.above.iter().chain([self]).chain(self.jail_rules.values()).chain(&self.below)
    }
}

/// The strictest of what all layers say: `own` is what `policy` itself says, which always says something; `voice` is
/// asked for the others, which may say nothing.
pub(crate) fn strictest<'p>(
    policy: &'p Policy,
    jail: &str,
    own: Decision,
    mut voice: impl FnMut(&'p Policy) -> Option<Voice>,
) -> Decision {
    let mut whole = own;
    let mut own = Some(Voice { decision: whole.clone(), executor: None });
    // Its own are among all that are put together, in the order of the layers.
    whole.bounds = None;
    let mut winner: Option<Voice> = None;
    let mut wanted = std::mem::take(&mut whole.approvers);
    for layer in policy.layers(jail) {
        let is_own = std::ptr::eq(layer, policy);
        let is_above = own.is_some() && !is_own;
        if is_above {
            let usual = layer.record.with(Said::default());
            whole.record = Recording::both(whole.record, usual);
            bound(&mut whole, layer.default_timeout.map_or(Timeout::None, Timeout::Default));
            if layer.says.approval_timeout {
                whole.approval_timeout = whole.approval_timeout.min(layer.approval_timeout);
            }
        }
        let Some(said) = (if is_own { own.take() } else { voice(layer) }) else { continue };
        whole.record = Recording::both(whole.record, said.decision.record);
        if said.decision.bounds.is_some() {
            whole.bounds = Bounds::both(whole.bounds.take(), said.decision.bounds.as_ref());
        }
        bound(&mut whole, said.decision.timeout);
        approvers::add(&mut wanted, said.decision.approvers.iter().cloned());
        whole.approval_timeout = whole.approval_timeout.min(said.decision.approval_timeout);
        if let Some(executor) = said.executor.filter(|_| is_above) {
            // What a higher layer says of the place takes what a rule below gave for another one.
            if executor != whole.executor {
                whole.given = None;
                whole.supervised = false;
            }
            whole.executor = executor;
            whole.run_as = None;
        }
        for notice in &said.decision.noticed {
            if !whole.noticed.contains(notice) {
                whole.noticed.push(notice.clone());
            }
        }
        // Of equally strict ones the highest decides, and a rule before the lack of one.
        let rank = |said: &Voice| (said.decision.action, said.decision.rule.is_some());
        if winner.as_ref().is_none_or(|winner| rank(&said) > rank(winner)) {
            winner = Some(said);
        }
    }
    if let Some(Voice { decision, .. }) = winner {
        whole.action = decision.action;
        whole.rule = decision.rule;
        whole.reason = decision.reason;
        whole.suggest = decision.suggest;
    }
    if whole.action == Action::Ask {
        whole.approvers = wanted;
    }
    whole
}

/// Makes the time that a command may take no longer than `other`.
fn bound(decision: &mut Decision, other: Timeout) {
    let Some(limit) = other.duration() else { return };
    let shortest = decision.timeout.duration().map_or(limit, |own| own.min(limit));
    // A limit that a rule wrote is enforced on everything; it stays so when it grows shorter.
    let by_rule =
        matches!((decision.timeout, other), (Timeout::Rule(_), _) | (_, Timeout::Rule(_)));
    decision.timeout = if by_rule { Timeout::Rule(shortest) } else { Timeout::Default(shortest) };
}

#[cfg(test)]
mod tests;
