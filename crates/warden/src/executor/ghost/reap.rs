//! Ghosts that a warden left behind when it ended without a word: the next one on the same ledger removes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::container::{GHOST, WARDEN};
use crate::engine::EngineError;
use crate::executor::exec::DOOR;
use crate::ledger::Id;
use crate::warden::Warden;

/// How long until an engine that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// A warden's id for its ghosts, by where its ledger is for the engine.
pub(super) fn warden_id(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    clawrden_protocol::request::hex(&digest[..16])
}

/// Removes every ghost of this warden that is for no command of now, once the engine answers.
pub(crate) async fn reap(warden: Arc<Warden>) {
    if !warden.engine.is_wanted() {
        return;
    }
    // What lies there is of no use to anybody.
    let entries = |folder: &PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in warden.ghosts.folders.iter().flat_map(entries) {
        let is_of_now = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<Id>().ok())
            .is_some_and(|id| warden.running.holds(id.0));
        if !is_of_now {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    while let Err(error) = once(&warden).await {
        tracing::debug!(%error, "ghosts that were left behind cannot be removed yet");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Removes the doors in the folders of jails that runners of an earlier warden came in by. Before anybody comes in.
pub(crate) fn clear_doors(jails: &Path) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries(jails).flat_map(|jail| entries(&jail.path())) {
        if entry.file_name().as_encoded_bytes().starts_with(DOOR.as_bytes()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn once(warden: &Warden) -> Result<(), EngineError> {
    let vantage = warden.containers.vantage().await?;
    let own = format!("{WARDEN}={}", warden.ghosts.id(&vantage));
    let mut failed = Ok(());
    for left in warden.engine.list_containers(&[&own], true).await? {
        let request = left.labels.get(GHOST).and_then(|id| id.parse::<Id>().ok());
        if request.is_some_and(|id| warden.running.holds(id.0)) {
            continue;
        }
        tracing::info!(id = left.id, "a ghost that was left behind is removed");
        if let Err(error) = warden.engine.remove_container(&left.id).await {
            failed = Err(error);
        }
    }
    failed
}
