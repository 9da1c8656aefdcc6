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
    // The kernel tells of a process that was reaped; until then its parent may still look at it.
    let told = || match info.exit_status(pidfd.as_fd()) {
        ExitStatus::Unknown(Why::NotReaped) => None,
        // Where nothing is told, it may run for all that is known.
        ExitStatus::Unknown(why) => has_ended(pidfd.as_fd()).then_some(ExitStatus::Unknown(why)),
        status => Some(status),
    };
    if let Some(status) = wait(&watched, told, || has_ended(pidfd.as_fd())).await {
        return status;
    }
    let reaped = wait(&watched, told, || false);
    let in_time = tokio::time::timeout(REAP_PATIENCE, reaped).await;
    in_time.ok().flatten().or_else(told).unwrap_or(ExitStatus::Unknown(Why::NotReaped))
}

/// Waits until it is told how the process ended; `None` when that is the last that is heard of it, or it is `enough`.
/// Nothing is asked before something has happened: who runs is mostly asked about once.
async fn wait(
    watched: &AsyncFd<Arc<OwnedFd>>,
    told: impl Fn() -> Option<ExitStatus>,
    enough: impl Fn() -> bool,
) -> Option<ExitStatus> {
    loop {
        let Ok(mut ready) = watched.readable().await else { return None };
        if let Some(status) = told() {
            return Some(status);
        }
        // A descriptor that polls ready for another reason polls again on the next change.
        ready.clear_ready();
        if enough() {
            return None;
        }
    }
}
