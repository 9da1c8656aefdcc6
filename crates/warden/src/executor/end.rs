//! How a process that is not our child ends, as far as the kernel tells.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use crate::process::pidfd::{Why, has_ended};
use crate::process::{ExitInfo, ExitStatus};

/// How long to wait for a parent to reap its child before the exit code counts as unknown.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// Resolves when the process behind `pidfd` has ended, with how it did. Cancel-safe.
pub(crate) async fn ended(pidfd: &Arc<OwnedFd>, info: ExitInfo) -> ExitStatus {
    let watched = match crate::sys::watch::pidfd(Arc::clone(pidfd)) {
        Ok(watched) => watched,
        Err(error) => return ExitStatus::Unknown(Why::Refused(error.to_string())),
    };
    wait(&watched, || has_ended(pidfd.as_fd())).await;
    // The kernel tells of a process that was reaped; until then its parent may still look at it.
    let told = || match info.exit_status(pidfd.as_fd()) {
        ExitStatus::Unknown(Why::NotReaped) => None,
        status => Some(status),
    };
    let reaped = wait(&watched, || told().is_some());
    let _ = tokio::time::timeout(REAP_PATIENCE, reaped).await;
    told().unwrap_or(ExitStatus::Unknown(Why::NotReaped))
}

async fn wait(watched: &AsyncFd<Arc<OwnedFd>>, done: impl Fn() -> bool) {
    while !done() {
        match watched.readable().await {
            // A descriptor that polls ready for another reason polls again on the next change.
            Ok(mut guard) if !done() => guard.clear_ready(),
            Ok(_) | Err(_) => return,
        }
    }
}
