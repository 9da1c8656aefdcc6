//! Across: what all layers together say of one command, whatever it runs besides.
//! A layer that has nothing to say of it does not make it milder, and none makes it milder than another.

use super::{Case, Found, conclude, outside};
use crate::action::Action;
use crate::decision::Decision;
use crate::layers::{self, Voice};
use crate::policy::Policy;
use crate::through::Standing;

/// How rules are looked for: the candidates among those of the policy, and its answer without one.
pub(super) type Search<'s, 'p> = &'s dyn Fn(&'p Policy, &Case<'_>, Action) -> Found<'p>;

/// One command, and how it stands in the request.
pub(super) struct Asked<'c, 'a> {
    pub(super) case: &'c Case<'a>,
    pub(super) standing: Standing,
    /// It is run by another one.
    pub(super) inner: bool,
}

/// What every layer says of one command, put together.
pub(super) fn decide<'p>(
    policy: &'p Policy,
    asked: &Asked<'_, '_>,
    search: Search<'_, 'p>,
) -> Decision {
    let Asked { case, standing, .. } = *asked;
    let own = kept_out(policy, asked).unwrap_or_else(|| {
        let found = search(policy, case, unspoken(policy, standing));
        conclude(policy, case, &found)
    });
    if policy.is_single() {
        return own;
    }
    layers::strictest(policy, case.facts.jail, own, |layer| {
        // Each knows of tools what its own file says, so that no other can talk it around.
        let case = &Case::new(case.facts, &layer.tools);
        if let Some(decision) = kept_out(layer, asked) {
            return Some(Voice { decision, executor: None });
        }
        let default = said_of_unspoken(layer, standing);
        let found = search(layer, case, default.unwrap_or(Action::Allow));
        if found.rule.is_none() && default.is_none() {
            return None;
        }
        let executor = found.rule.and_then(|rule| rule.executor);
        Some(Voice { decision: conclude(layer, case, &found), executor })
    })
}

/// The strictest that any layer makes of what is not understood, and the layer.
pub(super) fn on_unparsed<'p>(policy: &'p Policy, jail: &str) -> (Action, &'p Policy) {
    let mut strictest = (policy.on_unparsed, policy);
    for layer in policy.layers(jail) {
        if layer.on_unparsed > strictest.0 {
            strictest = (layer.on_unparsed, layer);
        }
    }
    strictest
}

/// The denial of a command outside of `allowed_paths`. A file that is written has its own place, and where a
/// shell will have gone is not known: that is a matter of `on_unparsed`.
fn kept_out(policy: &Policy, asked: &Asked<'_, '_>) -> Option<Decision> {
    let Asked { case, standing, inner } = *asked;
    let writes = matches!(standing, Standing::WritesHere | Standing::WritesElsewhere);
    if writes || (inner && case.facts.cwd.is_none()) { None } else { outside(policy, case.facts) }
}

/// The answer of a policy for a command that no rule speaks of.
fn unspoken(policy: &Policy, standing: Standing) -> Action {
    match standing {
        Standing::Own => policy.default_action,
        Standing::Passes | Standing::WritesHere => Action::Allow,
        Standing::WritesElsewhere => policy.on_unparsed,
    }
}

/// The same for a layer beside it: only what its file spells out.
fn said_of_unspoken(layer: &Policy, standing: Standing) -> Option<Action> {
    let says = match standing {
        Standing::Own => layer.says.action,
        Standing::Passes | Standing::WritesHere => false,
        Standing::WritesElsewhere => layer.says.on_unparsed,
    };
    says.then(|| unspoken(layer, standing))
}
