//! Local: a supervised run on the warden's side, as the caller's user, under a runner.

use std::sync::Arc;
use std::time::Instant;

use clawrden_protocol::runner::{Plan as RunnerPlan, Streams};

use super::prepared::Prepared;
use super::reopen::{Reopened, reopen};
use super::runner::{Runner, RunnerError};
use super::supervision::{Supervision, device_number, ended};
use super::{Begun, Refusal, Start, begin, finish, limits, pool, record, refuse, run_as};
use crate::ledger::{Id, Method, Started};
use crate::plan::{OnHost, Plan, Root, local as local_environment};
use crate::process::cgroup::Kind;
use crate::process::{Namespaces, Status, status};
use crate::recording::Secrets;
use crate::sys::limits::{limits_of, nice_of};
use crate::warden::Warden;

/// Runs it, to the end of its last process.
pub(super) async fn run(warden: &Arc<Warden>, mut start: Start) {
    let root = start.approved.take_root();
    let plan = start.approved.plan();
    let id = Id(plan.id);
    let place = match plan.on_host.as_deref() {
        Some(host) => Ok(Place::Host(host)),
        None => look_at_caller(warden, plan).map(Place::Caller),
    };
    let place = match place {
        Ok(place) => place,
        Err(text) => return refuse(warden, start, Refusal::Denied, text).await,
    };
    // While the client finds its descriptors, the warden prepares the run.
    if plan.invocation.version_2()
        && !record::by_frames(&start.approved)
        && let Err(error) = start.reply.want_descriptors().await
    {
        let text = format!("the caller left before its command started: {error}");
        return refuse(warden, start, Refusal::Failed, text).await;
    }
    let prepared = match place {
        Place::Host(host) => run_as::prepare(warden, plan, host).await,
        Place::Caller(status) => match may_run_here(warden, plan, root) {
            Ok(root) => prepare(warden, plan, root, status).await,
            Err(text) => return refuse(warden, start, Refusal::Denied, text).await,
        },
    };
    let prepared = prepared.and_then(|prepared| prepared.fitted(&start.approved));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let recording = match record::begin(warden, &start.approved, Secrets::default()).await {
        Ok(recording) => recording,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let limited = match limits::bounded(warden, &start.approved, Kind::Run).await {
        Ok(None) => Ok(None),
        Ok(Some(bounded)) => warden.pool.take_bounded(bounded).await.map(Some),
        Err(text) => Err(text),
    };
    let limited = match limited {
        Ok(limited) => limited,
        Err(text) => {
            record::discard(recording).await;
            return refuse(warden, start, Refusal::Denied, text).await;
        }
    };
    let started = Started {
        id,
        executor: "local".to_owned(),
        method: Method::Runner,
        pid: None,
        stripped: crate::ledger::names(prepared.stripped.clone()),
        run_as: plan.on_host.as_deref().and_then(OnHost::record),
        ghost: None,
        record: record::word(&start.approved),
    };
    let limit = start.approved.timeout().duration();
    let of = (plan.identity, plan.lap);
    let Some(Begun { run, mut spent }) = begin(warden, &mut start, started).await else {
        record::discard(recording).await;
        if let Some((idle, _)) = limited {
            pool::end(idle);
        }
        return start.reply.close();
    };
    let clock = Instant::now();
    let (idle, bounded) = match limited {
        Some((idle, bounded)) => (Ok(idle), Some(bounded)),
        None => (warden.pool.take().map_err(RunnerError::Spawn), None),
    };
    let runner = match idle.and_then(Runner::new) {
        Ok(runner) => runner,
        Err(error) => {
            tracing::error!(%error, "a supervised run could not be started");
            record::discard(recording).await;
            finish(warden, &run, ended(id, clock, None, Some(error.to_string())), spent);
            return start.reply.close();
        }
    };
    crate::crash::point("runner_taken");
    let mut supervision = Supervision::new(id, run, runner, clock, limit).kept_to(bounded);
    let laps = Some((&warden.laps, of));
    let finished = supervision.run(prepared, start.reply, recording, laps).await;
    // The runner's own word that the tool was not executed is certain; its silence is not.
    spent = spent.filter(|_| supervision.refused_to_start);
    finish(warden, supervision.run_of(), finished, spent);
    supervision.linger(&warden.pool).await;
}

/// Where it runs, and what is known of that.
enum Place<'a> {
    /// As the user of the warden's host that the policy names.
    Host(&'a OnHost),
    /// As the caller, as it was when it asked: a client that was told to send its descriptors blocks signals.
    Caller(Status),
}

/// Looks at a caller whom this warden serves. The text says why not, and what to do.
fn look_at_caller(warden: &Warden, plan: &Plan) -> Result<Status, String> {
    let (Some(uid), Some(pid)) = (plan.caller.uid, plan.caller.pid) else {
        return Err(foreign("user or pid namespace"));
    };
    if warden.uid != 0 && uid != warden.uid {
        return Err(format!(
            "this warden runs as user {} and serves only that one, not {uid}; run it as root to serve others",
            warden.uid
        ));
    }
    status(pid).map_err(|error| format!("the caller cannot be looked at: {error}"))
}

/// The root of a caller that may have a local run at all; `root` is it, where it is still held. The text says why not, and
/// what to do.
fn may_run_here(
    warden: &Warden,
    plan: &Plan,
    root: Option<Arc<Root>>,
) -> Result<Arc<Root>, String> {
    let pid = plan.caller.pid.ok_or_else(|| foreign("pid namespace"))?;
    // Under another root a usual path is another file, and the tool would leave that root by running here.
    let root = match root {
        Some(root) => root,
        None => Arc::new(
            Root::of(pid)
                .map_err(|error| format!("the caller's files cannot be looked at: {error}"))?,
        ),
    };
    let mount = root.is_own().then_some(warden.namespaces.mount);
    let theirs = Namespaces::under(pid, plan.caller.handle(), mount)
        .map_err(|error| format!("the caller's namespaces cannot be seen: {error}"))?;
    let own = warden.namespaces;
    // A mount namespace that a `clawrden run` made for its prisoner differs in login profiles alone.
    let made_by_run = plan.prisoner.as_ref().is_some_and(|p| p.namespaces.mount == theirs.mount);
    if theirs.user != own.user {
        return Err(foreign("user namespace"));
    }
    if theirs.pid != own.pid {
        return Err(foreign("pid namespace"));
    }
    if theirs.mount != own.mount && !made_by_run {
        return Err(foreign("mount namespace"));
    }
    if !root.is_top() {
        return Err(foreign("root directory"));
    }
    let trusted = warden.baseline(plan.prisoner.as_deref());
    let usual = plan.tool.as_ref().is_some_and(|tool| {
        let dir = tool.path.iter().rposition(|&b| b == b'/').map_or(&[][..], |at| &tool.path[..at]);
        trusted.path().split(|&b| b == b':').any(|entry| entry == dir)
    });
    if !usual {
        return Err("the tool does not lie on the PATH that the prisoner was started with, so it does not run on \
                    the warden's side"
            .to_owned());
    }
    Ok(root)
}

fn foreign(what: &str) -> String {
    format!(
        "the caller is in another {what}, so its command does not run on the warden's side as its own; use \
         `executor: mirror`, or say by `run_as` which user of the warden's host runs it"
    )
}

async fn prepare(
    warden: &Warden,
    plan: &Plan,
    root: Arc<Root>,
    status: Status,
) -> Result<Prepared, String> {
    let (Some(pid), Some(uid), Some(gid), Some(tool)) =
        (plan.caller.pid, plan.caller.uid, plan.caller.gid, plan.tool.as_ref())
    else {
        return Err("the caller, or its tool, is not known".to_owned());
    };
    let version_2 = plan.invocation.version_2();
    if plan.cwd.is_none() && !version_2 {
        return Err("the working directory does not exist".to_owned());
    }
    let Reopened { tool: opened, cwd } =
        reopen(root, tool, plan.cwd.as_ref(), &warden.workers).await?;
    let limits =
        limits_of(pid).map_err(|error| format!("the caller's limits cannot be read: {error}"))?;
    let nice =
        nice_of(pid).map_err(|error| format!("the caller's priority cannot be read: {error}"))?;
    // Everything above was read of a pid; it was the caller's if the caller still is.
    if !plan.caller.is_alive() {
        return Err("the caller ended before its command started".to_owned());
    }
    let now = plan.jail.policies();
    let rules = [plan.judges.env(), now.env()].concat();
    let baseline = warden.baseline(plan.prisoner.as_deref());
    let environment = local_environment(plan.invocation.env(), &rules, baseline);
    let mut argv: Vec<Vec<u8>> = plan.invocation.argv().map(<[u8]>::to_vec).collect();
    if let Some(name) = argv.first_mut().filter(|_| plan.by_path) {
        name.clone_from(&tool.path);
    }
    let plan = RunnerPlan {
        streams: if version_2 { Streams::Descriptors } else { Streams::Frames },
        version_2,
        uid,
        gid,
        groups: status.groups,
        umask: status.umask.unwrap_or(0o077),
        nice,
        limits: warden.pool.unlike_own(limits),
        ignored: if version_2 { status.ignored } else { 0 },
        blocked: if version_2 { status.blocked } else { 0 },
        tty: plan.invocation.tty().map(|tty| (tty.fds, tty.rows, tty.cols)),
        grace_ms: u32::try_from(warden.config.grace.as_millis()).unwrap_or(u32::MAX),
        cwd: cwd.as_ref().map(|cwd| (device_number(cwd.id.device), cwd.id.inode)),
        place: Vec::new(),
        script: if tool.script { tool.path.clone() } else { Vec::new() },
        keep_open: false,
        warden_first: false,
        most_out: u64::MAX,
        argv,
        env: environment.kept,
    };
    Ok(Prepared { plan, tool: opened, cwd, stripped: environment.stripped })
}
