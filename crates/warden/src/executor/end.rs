//! How a process that is not our child ends, as far as the kernel tells.

use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::process::pidfd::{Why, has_ended};
use crate::process::{ExitInfo, ExitStatus};

/// How long to wait for a parent to reap its child before the exit code counts as unknown.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// How long a process is only glanced at before its end is waited for, which costs whoever runs it: the kernel wakes us
/// before it tells the parent. A shorter time saves less, and what ends within it may be told as having run for as long.
const GLANCED_AT: Duration = Duration::from_millis(4);

/// Has whoever only glances at a process look now: the warden is awake for something else.
#[derive(Debug, Default)]
pub(crate) struct Glances(Notify);

impl Glances {
    pub(crate) fn now(&self) {
        self.0.notify_waiters();
    }
}

/// As [`ended`], but the process is only glanced at as long as it is young.
pub(super) async fn ended_in_passing(
    pidfd: &Arc<OwnedFd>,
    info: ExitInfo,
    glances: &Glances,
) -> ExitStatus {
    match glanced(glances, || told(pidfd, info)).await {
        Some(status) => status,
        None => ended(pidfd, info).await,
    }
}

/// Looks whenever it is polled again, and is polled at every glance; `None` once that was long enough. Not at first: who began
/// before it, and may have ended before it, has not looked either.
async fn glanced(glances: &Glances, told: impl Fn() -> Option<ExitStatus>) -> Option<ExitStatus> {
    let mut enough = pin!(tokio::time::sleep(GLANCED_AT));
    let mut glance = pin!(glances.0.notified());
    let mut is_first = true;
    poll_fn(|context| {
        if !std::mem::take(&mut is_first)
            && let Some(status) = told()
        {
            return Poll::Ready(Some(status));
        }
        while glance.as_mut().poll(context).is_ready() {
            glance.set(glances.0.notified());
        }
        enough.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// What the kernel tells of a process that was reaped; until then its parent may still look at it.
fn told(pidfd: &Arc<OwnedFd>, info: ExitInfo) -> Option<ExitStatus> {
    match info.exit_status(pidfd.as_fd()) {
        ExitStatus::Unknown(Why::NotReaped) => None,
        // Where nothing is told, it may run for all that is known.
        ExitStatus::Unknown(why) => has_ended(pidfd.as_fd()).then_some(ExitStatus::Unknown(why)),
        status => Some(status),
    }
}

/// Resolves when the process behind `pidfd` has ended, with how it did. Cancel-safe.
pub(super) async fn ended(pidfd: &Arc<OwnedFd>, info: ExitInfo) -> ExitStatus {
    let watched = match crate::sys::watch::pidfd(Arc::clone(pidfd)) {
        Ok(watched) => watched,
        Err(error) => return ExitStatus::Unknown(Why::Refused(error.to_string())),
    };
    let told = || told(pidfd, info);
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_is_seen_at_the_next_glance() {
        let (glances, has_ended) = (Glances::default(), Cell::new(false));
        let told = || has_ended.get().then_some(ExitStatus::Code(3));
        let begun = Instant::now();
        let others = async {
            glances.now();
            tokio::task::yield_now().await;
            has_ended.set(true);
            tokio::task::yield_now().await;
            glances.now();
        };
        let (status, ()) = tokio::join!(glanced(&glances, told), others);
        assert_eq!(status, Some(ExitStatus::Code(3)));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_began_before_is_seen_to_have_ended_before() {
        let (glances, has_ended) = (Glances::default(), Cell::new(false));
        let seen = RefCell::new(Vec::new());
        let first = async {
            glanced(&glances, || has_ended.get().then_some(ExitStatus::Code(1))).await;
            seen.borrow_mut().push(1);
        };
        let second = async {
            has_ended.set(true);
            glances.now();
            glanced(&glances, || Some(ExitStatus::Code(2))).await;
            seen.borrow_mut().push(2);
        };
        tokio::join!(biased; first, second);
        assert_eq!(*seen.borrow(), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_glances_at_is_watched_soon() {
        let glances = Glances::default();
        let begun = Instant::now();
        assert_eq!(glanced(&glances, || None).await, None);
        assert_eq!(begun.elapsed(), GLANCED_AT);
    }

    #[tokio::test]
    async fn a_process_is_followed_to_its_end_whether_that_is_early_or_late() {
        let info = ExitInfo::probe();
        for script in ["exit 3", "sleep 0.1; exit 3"] {
            let mut child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pidfd = Arc::new(crate::process::pidfd::open(child.id()).unwrap());
            let reaped = tokio::task::spawn_blocking(move || child.wait().unwrap());
            let status = ended_in_passing(&pidfd, info, &Glances::default()).await;
            reaped.await.unwrap();
            match info.is_available() {
                true => assert_eq!(status, ExitStatus::Code(3), "{script}"),
                false => assert_eq!(status, ExitStatus::Unknown(Why::NoKernelSupport), "{script}"),
            }
        }
    }
}
