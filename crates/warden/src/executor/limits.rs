//! Keeping a command to the `limits` of its rules: the last word before a start.

use std::time::{Duration, Instant};

use clawrden_policy::{Bounds, Executor};

use super::Start;
use crate::decision::Approved;
use crate::ledger::{Id, Record};
use crate::process::Identity;
use crate::process::cgroup::{Bounded, Kind, Limits, Parent};
use crate::quotas::{Full, Seats};
use crate::request::denied;
use crate::running::Run;
use crate::warden::Warden;

/// How long a seat is waited for: the client of a supervised command hears of its end before the warden does, and may ask for
/// the next one at once.
const JUST_ENDED: Duration = Duration::from_millis(50);

/// Lets `run` take its seats. Where there are none left, the client knows and it is recorded.
pub(super) async fn take(warden: &Warden, start: &mut Start, run: &mut Run) -> bool {
    match seats(warden, start).await {
        Ok(seats) => {
            seats.into_iter().for_each(|seats| run.takes(seats));
            true
        }
        Err(()) => false,
    }
}

/// The seats of a command that counts towards quotas, and none of another. `Err` where there are none left: then the client
/// knows and it is recorded.
pub(super) async fn seats(warden: &Warden, start: &mut Start) -> Result<Option<Seats>, ()> {
    let Some(bounds) = start.approved.bounds().filter(|bounds| !bounds.quotas.is_empty()) else {
        return Ok(None);
    };
    let plan = start.approved.plan();
    let take = || warden.quotas.take(&plan.jail.name, bounds, Instant::now());
    let Full { rule, text, .. } = match patiently(warden, take).await {
        Ok(seats) => return Ok(Some(seats)),
        Err(full) => full,
    };
    let mut record = denied(Id(plan.id), Some(rule.to_string()), text.clone());
    // A dry run lets through what takes nothing but the prisoner's own authority.
    if warden.config.dry_run && start.approved.executor() == Executor::Mirror {
        if let Record::Decided(decided) = &mut record {
            decided.let_through = true;
            Executor::Mirror.as_str().clone_into(&mut decided.executor);
        }
        start.records.push(record);
        return Ok(None);
    }
    start.give_up(warden, record);
    // A caller that has left needs no answer.
    let _ = start.reply.deny(&rule.to_string(), &text).await;
    Err(())
}

/// What `attempt` gives, which is made again while one more that ends could change it, and no longer than [`JUST_ENDED`].
async fn patiently<T>(warden: &Warden, attempt: impl Fn() -> Result<T, Full>) -> Result<T, Full> {
    let asked = Instant::now();
    loop {
        let left = JUST_ENDED.saturating_sub(asked.elapsed());
        match attempt() {
            Err(full) if full.until_one_ends && !left.is_zero() => {
                warden.running.changed(left).await;
            }
            given => return given,
        }
    }
}

/// Why a client that only asks, and then runs it by itself, is not told that it may.
pub(super) fn only_asked(start: &Start) -> Option<String> {
    let Bounds { limits, quotas } = &**start.approved.bounds()?;
    let limit = if !limits.is_empty() {
        "its rule limits what it uses"
    } else if quotas.iter().any(|quota| quota.concurrent.is_some()) {
        "its rule limits how many run at once"
    } else {
        return None;
    };
    Some(format!("{limit}, and who only asks runs it by itself; run it by its shim"))
}

/// Bytes that it may write.
pub(super) fn most_out(approved: &Approved) -> Option<u64> {
    approved.bounds()?.limits.output
}

/// The cgroups that keep a command to what it may use, where its rules limit that; nothing is in them yet. The text says why
/// there are none, and what to do: then it does not run.
pub(super) async fn bounded(
    warden: &Warden,
    approved: &Approved,
    kind: Kind,
) -> Result<Option<Bounded>, String> {
    let Some(bounds) = approved.bounds() else { return Ok(None) };
    let clawrden_policy::Limits { memory, milli_cpus, pids, .. } = bounds.limits;
    let limits = Limits { memory, milli_cpus, pids };
    if limits == Limits::default() {
        return Ok(None);
    }
    let plan = approved.plan();
    // What has no seat by now costs no cgroups. Who takes them is seen at the start itself.
    let look = || warden.quotas.look(&plan.jail.name, bounds, Instant::now());
    let has_seats = patiently(warden, look).await;
    if let (Err(Full { rule, text, .. }), false) = (has_seats, warden.config.dry_run) {
        return Err(format!("{text} ({rule})"));
    }
    let (parent, remedy) = match approved.executor() {
        Executor::Mirror => {
            let pid = plan.caller.pid.ok_or("its rules limit it, and its caller is not known")?;
            (Parent::Of(pid), "give the rule `executor: ghost` or `executor: local`")
        }
        Executor::Local | Executor::Ghost => {
            let remedy = "run the warden as root in a cgroup of its own (a systemd service with Delegate=yes), or give \
                          the rule `executor: ghost`";
            (Parent::Own, remedy)
        }
    };
    let (controllers, name) = (warden.methods.controllers.clone(), Id(plan.id).to_string());
    let make = move || controllers.bound(parent, kind, &name, limits);
    let made = tokio::task::spawn_blocking(make).await.map_err(|error| error.to_string())?;
    match made {
        // A dry run lets through what takes nothing but the prisoner's own authority.
        Err(unkept) if warden.config.dry_run && approved.executor() == Executor::Mirror => {
            tracing::warn!(%unkept, request = %Id(plan.id), "a dry run: it runs without this limit");
            Ok(None)
        }
        made => {
            made.map(Some).map_err(|unkept| format!("{unkept}; {remedy}, or leave that limit out"))
        }
    }
}

/// Puts the process into its cgroups, beside the event loop: the kernel takes its time for that. The text says why it is not
/// in all of them.
pub(super) async fn join(bounded: Bounded, process: Option<Identity>) -> Result<Bounded, String> {
    let process =
        process.ok_or("its process is not known, so it cannot be limited; nothing ran")?;
    let joining = move || bounded.add(process).map(|()| bounded);
    let joined = tokio::task::spawn_blocking(joining).await.map_err(|error| error.to_string())?;
    joined.map_err(|error| format!("it cannot be limited: {error}; nothing ran"))
}

/// What is recorded of a command that the kernel has ended something of.
pub(super) fn exceeded(bounded: Option<&Bounded>) -> Option<String> {
    let limit = bounded?.ended_for_memory()?;
    Some(format!("it wanted more than the {limit} bytes of memory that it may use"))
}
