//! Whether a request that would be asked about has its approval from a command that was approved with what it starts.

use std::sync::Arc;

use clawrden_policy::{Action, Executor};

use crate::approvals::Bequest;
use crate::decision::Judged;
use crate::running::Heir;
use crate::warden::Warden;

/// What a command above its caller hands down to it. It is for nothing more than a person who was asked about that command
/// could have meant: see [`Judged::is_ordinary`].
///
/// # Errors
/// A sentence, when it takes too long to tell.
pub(super) async fn inherited(
    warden: &Arc<Warden>,
    judged: Box<Judged>,
) -> Result<(Box<Judged>, Option<Arc<Bequest>>), String> {
    if !warden.running.has_bequests() {
        return Ok((judged, None));
    }
    let Some(heir) = heir(&judged) else { return Ok((judged, None)) };
    let running = Arc::clone(&warden.running);
    // Of a deep tree this reads a lot.
    let found = tokio::task::spawn_blocking(move || running.inherited(&heir)).await;
    let bequest = found.ok().flatten().filter(|_| judged.plan().caller.is_alive());
    let Some(bequest) = bequest else { return Ok((judged, None)) };
    let (judged, is_ordinary) =
        judged.is_ordinary(&warden.workers).await.map_err(|error| error.to_string())?;
    Ok((judged, is_ordinary.then_some(bequest)))
}

/// Who it is, where it may inherit anything.
fn heir(judged: &Judged) -> Option<Heir> {
    let (plan, decision) = (judged.plan(), judged.decision());
    let has_secrets = decision.ghost.as_ref().is_some_and(|ghost| !ghost.secrets.is_empty());
    if decision.action != Action::Ask
        || decision.executor == Executor::Ghost
        || decision.run_as.is_some()
        || has_secrets
        || plan.invocation.only_judged()
    {
        return None;
    }
    Some(Heir {
        process: plan.caller.identity()?,
        uid: plan.caller.uid?,
        origin: plan.origin(),
        executor: decision.executor.as_str(),
    })
}
