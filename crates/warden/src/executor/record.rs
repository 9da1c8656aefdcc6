//! Recording a run, from the executor's side: it is begun before the intent is written, and without it nothing runs.

use std::sync::Arc;

use super::limits;
use crate::decision::Approved;
use crate::plan::base_name;
use crate::recording::{Begun, Secrets, Subject};
use crate::warden::Warden;

/// What of it is recorded, for the ledger.
pub(super) fn word(approved: &Approved) -> Option<String> {
    approved.recording().map(|wanted| wanted.what.to_string())
}

/// Begins the recording that the policy wants, if it does. The text says why it cannot be.
pub(super) async fn begin(
    warden: &Arc<Warden>,
    approved: &Approved,
    secrets: Secrets,
) -> Result<Option<Begun>, String> {
    let Some(wanted) = approved.recording() else { return Ok(None) };
    let plan = approved.plan();
    let subject = Subject {
        id: plan.id,
        jail: plan.jail.name.to_string(),
        title: String::from_utf8_lossy(base_name(plan.invocation.name())).into_owned(),
        tty: plan.invocation.tty().map(|tty| (tty.fds, tty.rows, tty.cols)),
        wanted,
        secrets,
    };
    let recordings = Arc::clone(&warden.recordings);
    let begun = tokio::task::spawn_blocking(move || recordings.begin(&subject)).await;
    let begun = begun.map_err(|error| error.to_string())?;
    begun.map(Some).map_err(|error| {
        format!("its rule wants a recording, and that cannot be begun: {error}; nothing ran")
    })
}

/// Whether its streams travel as frames: only so they can be recorded or counted.
pub(super) fn by_frames(approved: &Approved) -> bool {
    approved.recording().is_some() || limits::most_out(approved).is_some()
}

/// Takes back a recording of what does not run.
pub(super) async fn discard(recording: Option<Begun>) {
    let Some(begun) = recording else { return };
    if let Err(error) = tokio::task::spawn_blocking(move || begun.discard()).await {
        tracing::warn!(%error, "an empty recording stays");
    }
}
