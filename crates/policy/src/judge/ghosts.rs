//! What the ghost of a decision is made of, and gets.

use std::sync::Arc;

use super::{SHOWN_BYTES, join};
use crate::action::{Action, Executor};
use crate::bounds::{Limits, least};
use crate::decision::Decision;
use crate::diagnostics::show_bytes;
use crate::facts::Facts;
use crate::ghosts::{GHOST_MEMORY, GHOST_PIDS, Ghost, GhostImage, GhostRule};
use crate::policy::Policy;

/// Completes the decision for a command that runs in a ghost: without an image there is none.
pub(super) fn settle(policy: &Policy, facts: &Facts<'_>, decision: &mut Decision) {
    let given = decision.given.take();
    if decision.executor != Executor::Ghost || decision.action == Action::Deny {
        return;
    }
    let tool = facts.tool.unwrap_or(facts.name);
    let tool = tool.rsplit(|&byte| byte == b'/').next().unwrap_or(tool);
    let named = std::str::from_utf8(tool).ok().and_then(|tool| policy.ghost_images.find(tool));
    let image = match (given.as_ref().and_then(|given| given.image.as_ref()), named) {
        // What the other image gets was not said of this one.
        (Some(own), Some(named)) if *own != named.image => Some(GhostImage::plain(own)),
        (Some(own), None) => Some(GhostImage::plain(own)),
        (_, named) => named.cloned(),
    };
    let Some(mut image) = image else {
        decision.action = Action::Deny;
        let fact = format!(
            "executor ghost is asked for, and ghost_images names no image for `{}`",
            show_bytes(tool, SHOWN_BYTES)
        );
        decision.reason = join(&fact, &decision.reason);
        return;
    };
    let GhostRule { network, mut limits, secrets, falls_back, .. } =
        given.as_deref().cloned().unwrap_or_default();
    if let Some(network) = network {
        image.network = network;
    }
    limits.memory = limits.memory.or(image.memory);
    if let Some(bounds) = &decision.bounds {
        limits = bounded(limits, bounds.limits);
    }
    decision.ghost = Some(Arc::new(Ghost { image, limits, secrets, falls_back }));
}

/// What the deciding rule gives, kept to what every rule says of the command: one that is not the host's gives no more than
/// there would be without it.
fn bounded(given: Limits, said: Limits) -> Limits {
    let within = |said: Option<u64>, given: Option<u64>, usual: u64| {
        said.map_or(given, |said| Some(said.min(given.unwrap_or(usual))))
    };
    Limits {
        memory: within(said.memory, given.memory, GHOST_MEMORY),
        milli_cpus: least(given.milli_cpus, said.milli_cpus),
        pids: within(said.pids, given.pids, GHOST_PIDS),
        output: least(given.output, said.output),
    }
}
