//! Becoming the user that the plan names, with that user's limits, and with nothing of the runner's.

use alloc::vec::Vec;

use clawrden_protocol::runner::Plan;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::{Failure, cannot};
use crate::sys::{process, signal};

/// Signals whose action cannot be changed.
const UNCHANGEABLE: u64 = signal::set(&[signal::KILL, signal::STOP]);

/// Takes the plan's user, group and groups.
///
/// # Errors
/// A runner that is not root can be nobody but itself.
pub(super) fn become_user(plan: &Plan) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    let (same_uid, same_gid) = is_same(plan);
    let groups: Vec<Gid> = plan.groups.iter().copied().map(Gid::from_raw).collect();
    if !same_groups(&groups) {
        rustix::thread::set_thread_groups(&groups).map_err(|e| failed("groups", e))?;
    }
    if !same_gid {
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|e| failed("group", e))?;
    }
    if !same_uid {
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|e| failed("user", e))?;
    }
    Ok(())
}

/// Whether this process is the plan's user already, and whether it is of its group.
#[inline(never)]
pub(super) fn is_same(plan: &Plan) -> (bool, bool) {
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    (
        rustix::process::getuid() == uid && rustix::process::geteuid() == uid,
        rustix::process::getgid() == gid && rustix::process::getegid() == gid,
    )
}

fn same_groups(wanted: &[Gid]) -> bool {
    let Ok(held) = rustix::process::getgroups() else { return false };
    held.len() == wanted.len() && wanted.iter().all(|group| held.contains(group))
}

fn failed(what: &str, error: Errno) -> Failure {
    cannot(&["take the caller's ", what].concat(), error)
}

/// Sets the plan's limits. One above what the runner may give is set as high as it may: that is the safe side.
pub(super) fn set_limits(plan: &Plan, files: (u64, u64)) {
    let own = (process::LIMIT_FILES, files.0, files.1);
    let named = plan.limits.iter().any(|&(resource, ..)| resource == process::LIMIT_FILES);
    let own = (!named).then_some(own);
    for (resource, soft, hard) in own.into_iter().chain(plan.limits.iter().copied()) {
        let wanted = Some((soft.min(hard), hard));
        if process::limit(resource, wanted).is_err()
            && let Ok((_, most)) = process::limit(resource, None)
        {
            let hard = hard.min(most);
            let _ = process::limit(resource, Some((soft.min(hard), hard)));
        }
    }
}

/// Ignores what the plan says is ignored; every signal has its default action before.
pub(super) fn set_signals(plan: &Plan) {
    (1..=signal::LAST)
        .filter(|&number| plan.ignored & signal::bit(number) & !UNCHANGEABLE != 0)
        .for_each(|number| signal::set_ignored(number, true));
}

/// Gives every signal its default action, while there is time: before there is a plan.
pub(super) fn reset_signals() {
    (1..=signal::LAST)
        .filter(|&number| signal::bit(number) & UNCHANGEABLE == 0)
        .for_each(|number| signal::set_ignored(number, false));
}
