//! A local run as a user of the warden's host: nothing that the caller could bend gets through but its arguments, its
//! streams and the variables that the policy keeps.

use std::io;

use clawrden_protocol::runner::{Plan as RunnerPlan, Streams};

use super::prepared::Prepared;
use super::reopen::{Reopened, reopen};
use super::supervision::device_number;
use crate::jails::Baseline;
use crate::plan::{OnHost, Plan, Root, local as local_environment};
use crate::process::status;
use crate::sys::limits::{limits_of, nice_of};
use crate::sys::users::User;
use crate::warden::Warden;

/// What a caller may at most leave open in the files that the command makes.
const UMASK: u32 = 0o022;

/// Variables that say who somebody is; they are the user's own.
const OWN: &[&[u8]] = &[b"HOME", b"USER", b"LOGNAME"];

/// Opens the tool, found unchanged, and puts together what the runner needs.
pub(super) async fn prepare(
    warden: &Warden,
    plan: &Plan,
    host: &OnHost,
) -> Result<Prepared, String> {
    let Some(user) = &host.user else { return Err("it is not settled who runs it".to_owned()) };
    let own = |error: io::Error| format!("the warden's own limits cannot be read: {error}");
    let root = Root::own().map_err(own)?;
    let Reopened { tool, .. } = reopen(root.into(), &host.tool, None, &warden.workers).await?;
    let umask = plan.caller.pid.and_then(|pid| status(pid).ok()).and_then(|status| status.umask);
    let pid = std::process::id();
    let (limits, nice) = (limits_of(pid).map_err(own)?, nice_of(pid).map_err(own)?);
    // What was read of a pid was the caller's if the caller still is.
    if !plan.caller.is_alive() {
        return Err("the caller ended before its command started".to_owned());
    }
    let (kept, stripped) = environment(plan, user);
    let mut argv: Vec<Vec<u8>> = plan.invocation.argv().map(<[u8]>::to_vec).collect();
    if let Some(name) = argv.first_mut() {
        // Tools look for their own parts beside the name that they are called by.
        *name = crate::plan::base_name(&host.tool.path).to_vec();
    }
    // A warden that is not root has but its own groups to give.
    let (gid, groups) = if warden.uid == 0 {
        (user.gid, user.groups.clone())
    } else {
        own_groups().map_err(own)?
    };
    let version_2 = plan.invocation.version_2();
    let plan = RunnerPlan {
        streams: if version_2 { Streams::Descriptors } else { Streams::Frames },
        version_2,
        uid: user.uid,
        gid,
        groups,
        umask: umask.map_or(0o077, |umask| umask | UMASK),
        nice,
        limits: warden.pool.unlike_own(limits),
        ignored: 0,
        blocked: 0,
        tty: plan.invocation.tty().map(|tty| (tty.fds, tty.rows, tty.cols)),
        grace_ms: u32::try_from(warden.config.grace.as_millis()).unwrap_or(u32::MAX),
        cwd: Some((device_number(host.cwd.id.0), host.cwd.id.1)),
        place: host.cwd.path.clone(),
        script: if host.tool.script { host.tool.path.clone() } else { Vec::new() },
        keep_open: false,
        warden_first: false,
        most_out: u64::MAX,
        argv,
        env: kept,
    };
    Ok(Prepared { plan, tool, cwd: None, stripped })
}

/// The variables that it starts with, and the names of those that it does not get.
fn environment(plan: &Plan, user: &User) -> (Vec<Vec<u8>>, Vec<String>) {
    let now = plan.jail.policies();
    let rules = [plan.judges.env(), now.env()].concat();
    // The PATH of a baseline that says nothing is the usual one.
    let environment = local_environment(plan.invocation.env(), &rules, &Baseline::default());
    let name = |entry: &[u8]| entry.split(|&b| b == b'=').next().map(<[u8]>::to_vec);
    let mut kept = environment.kept;
    kept.retain(|entry| name(entry).is_none_or(|name| !OWN.contains(&&name[..])));
    for (name, value) in [("HOME", &user.home), ("USER", &user.name), ("LOGNAME", &user.name)] {
        kept.push(format!("{name}={value}").into_bytes());
    }
    (kept, environment.stripped)
}

fn own_groups() -> io::Result<(u32, Vec<u32>)> {
    let groups = rustix::process::getgroups()?;
    let gid = rustix::process::getegid().as_raw();
    Ok((gid, groups.into_iter().map(rustix::process::Gid::as_raw).collect()))
}
