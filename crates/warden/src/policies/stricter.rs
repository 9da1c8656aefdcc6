//! The stricter of two decisions about one request, by policies from before and after a change.
//! What they do not agree on never gives more than either of them.

use clawrden_policy::{Action, Bounds, Decision, Executor, Recording, Timeout};

/// The stricter one. Where the earlier policy makes the difference, `why` stands in the reason.
pub(crate) fn stricter(new: Decision, old: Decision, why: &str) -> Decision {
    let same_place = new.executor == old.executor
        && new.run_as == old.run_as
        && new.ghost == old.ghost
        && new.supervised == old.supervised;
    let (timeout, approval_timeout) =
        (shorter(new.timeout, old.timeout), new.approval_timeout.min(old.approval_timeout));
    let record = Recording::both(new.record, old.record);
    let is_old = old.action > new.action
        || (old.action == new.action
            && !same_place
            && new.executor != Executor::Mirror
            && old.executor == Executor::Mirror);
    let is_mirrored = new.executor == old.executor && new.executor == Executor::Mirror;
    let other_supervised = is_mirrored && (new.supervised || old.supervised);
    let (mut decision, other) = if is_old { (old, new) } else { (new, old) };
    if is_old {
        decision.reason = join(&decision.reason, why);
    }
    decision.wants_also(&other);
    decision.bounds = Bounds::both(decision.bounds.take(), other.bounds.as_ref());
    if decision.action == Action::Deny {
        return decision;
    }
    // Mirror has the prisoner's own authority and no more; any other place that one of them does not know is too much.
    if !same_place && decision.executor != Executor::Mirror {
        if other.executor == Executor::Mirror {
            decision.executor = Executor::Mirror;
            decision.run_as = None;
            decision.ghost = None;
        } else {
            decision.action = Action::Deny;
            let fact = "the policies that hold do not agree on where it runs";
            decision.reason = join(fact, why);
        }
    }
    decision.supervised |= other_supervised;
    decision.record = record;
    decision.timeout = timeout;
    decision.approval_timeout = approval_timeout;
    decision
}

fn shorter(a: Timeout, b: Timeout) -> Timeout {
    match (a.duration(), b.duration()) {
        (Some(one), Some(other)) if one == other => {
            if matches!(a, Timeout::Rule(_)) {
                a
            } else {
                b
            }
        }
        (Some(one), Some(other)) if other < one => b,
        (None, Some(_)) => b,
        _ => a,
    }
}

fn join(reason: &str, why: &str) -> String {
    if reason.is_empty() { why.to_owned() } else { format!("{reason}; {why}") }
}
