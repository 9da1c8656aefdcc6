//! Local: a supervised run on the warden's side, as the caller's user, under a runner.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_protocol::frame::Status;
use clawrden_protocol::limits::{EXIT_TIMED_OUT, EXIT_UNREACHABLE};
use clawrden_protocol::runner::{FromRunner, Plan as RunnerPlan, Streams};

use super::pool::Pool;
use super::reopen::{Reopened, reopen};
use super::runner::{Runner, RunnerError};
use super::{Begun, Refusal, Start, begin, finish, refuse, run_as};
use crate::approvals;
use crate::intercom::{Reply, close_apart};
use crate::laps::{Lap, Laps};
use crate::ledger::{Finished, Id, Method, Started};
use crate::plan::{OnHost, Opened, Plan, Root, local as local_environment};
use crate::process::cgroup::{CgroupError, Leaf};
use crate::process::tree::{Report, Scope, freeze_tree, thaw_tree};
use crate::process::{Identity, Namespaces, status};
use crate::running::{Order, Run};
use crate::sys::limits::{limits_of, nice_of};
use crate::warden::Warden;

/// Runs it, to the end of its last process.
pub(super) async fn run(warden: &Arc<Warden>, mut start: Start) {
    let plan = start.approved.plan();
    let id = Id(plan.id);
    let place = match plan.on_host.as_deref() {
        Some(host) => Ok(Place::Host(host)),
        None => may_run_here(warden, plan).map(Place::Caller),
    };
    let place = match place {
        Ok(place) => place,
        Err(text) => return refuse(warden, start, Refusal::Denied, text).await,
    };
    // While the client finds its descriptors, the warden prepares the run.
    if plan.invocation.version_2()
        && let Err(error) = start.reply.want_descriptors().await
    {
        let text = format!("the caller left before its command started: {error}");
        return refuse(warden, start, Refusal::Failed, text).await;
    }
    let prepared = match place {
        Place::Host(host) => run_as::prepare(warden, plan, host).await,
        Place::Caller(seen) => prepare(warden, plan, seen).await,
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let started = Started {
        id,
        executor: "local".to_owned(),
        method: Method::Runner,
        pid: None,
        stripped: crate::ledger::names(prepared.stripped.clone()),
        run_as: plan.on_host.as_deref().and_then(OnHost::record),
    };
    let limit = start.approved.timeout().duration();
    let of = (plan.identity, plan.lap);
    let Some(Begun { run, mut spent }) = begin(warden, &mut start, started).await else {
        return start.reply.close();
    };
    let clock = Instant::now();
    let runner = match warden.pool.take().map_err(RunnerError::Spawn).and_then(Runner::new) {
        Ok(runner) => runner,
        Err(error) => {
            tracing::error!(%error, "a supervised run could not be started");
            finish(warden, ended(id, clock, None, Some(error.to_string())), spent);
            return start.reply.close();
        }
    };
    crate::crash::point("runner_taken");
    let mut supervision = Supervision { id, run, runner, clock, limit, refused_to_start: false };
    let finished = match supervision.start(prepared, start.reply).await {
        Ok(()) => supervision.follow(&warden.laps, of).await,
        Err(error) => ended(id, clock, None, Some(error.to_string())),
    };
    // The runner's own word that the tool was not executed is certain; its silence is not.
    spent = spent.filter(|_| supervision.refused_to_start);
    finish(warden, finished, spent);
    supervision.linger(&warden.pool).await;
}

/// Where it runs, and what is known of that.
enum Place<'a> {
    /// As the user of the warden's host that the policy names.
    Host(&'a OnHost),
    /// As the caller.
    Caller(Seen),
}

/// A caller as it was when it asked. A client that was told to send its descriptors blocks signals.
struct Seen {
    root: Root,
    status: crate::process::Status,
}

/// A plan with its files opened again, found unchanged.
pub(super) struct Prepared {
    pub(super) plan: RunnerPlan,
    pub(super) tool: Opened,
    pub(super) cwd: Option<Opened>,
    pub(super) stripped: Vec<String>,
}

/// Looks at a caller that may have a local run at all. The text says why not, and what to do.
fn may_run_here(warden: &Warden, plan: &Plan) -> Result<Seen, String> {
    let foreign = |what: &str| {
        format!(
            "the caller is in another {what}, so its command does not run on the warden's side as its own; use \
             `executor: mirror`, or say by `run_as` which user of the warden's host runs it"
        )
    };
    let (Some(uid), Some(pid)) = (plan.caller.uid, plan.caller.pid) else {
        return Err(foreign("user or pid namespace"));
    };
    if warden.uid != 0 && uid != warden.uid {
        return Err(format!(
            "this warden runs as user {} and serves only that one, not {uid}; run it as root to serve others",
            warden.uid
        ));
    }
    let theirs = Namespaces::of(pid)
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
    // Under another root a usual path is another file, and the tool would leave that root by running here.
    let root = Root::of(pid)
        .map_err(|error| format!("the caller's files cannot be looked at: {error}"))?;
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
    let status = status(pid).map_err(|error| format!("the caller cannot be looked at: {error}"))?;
    Ok(Seen { root, status })
}

async fn prepare(
    warden: &Warden,
    plan: &Plan,
    Seen { root, status }: Seen,
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
        most_out: u64::MAX,
        argv,
        env: environment.kept,
    };
    Ok(Prepared { plan, tool: opened, cwd, stripped: environment.stripped })
}

pub(super) fn device_number((major, minor): (u32, u32)) -> u64 {
    rustix::fs::makedev(major, minor)
}

struct Supervision {
    id: Id,
    run: Run,
    runner: Runner,
    clock: Instant,
    limit: Option<Duration>,
    /// The runner has said that the tool could not be executed.
    refused_to_start: bool,
}

impl Supervision {
    async fn start(&mut self, prepared: Prepared, reply: Reply) -> Result<(), RunnerError> {
        let Prepared { plan, tool, cwd, .. } = prepared;
        let connection = reply.into_connection()?;
        let mut files = vec![connection.as_fd(), tool.fd.as_fd()];
        if plan.streams == Streams::Frames {
            files.extend(cwd.as_ref().map(|cwd| cwd.fd.as_fd()));
        }
        let started = self.runner.start(plan, &files).await;
        if started.is_err() {
            close_apart(connection);
        }
        crate::crash::point("plan_sent");
        started
    }

    /// Until the tool itself has ended.
    async fn follow(
        &mut self,
        laps: &Arc<Laps>,
        (identity, lap): (approvals::Identity, Lap),
    ) -> Finished {
        let mut _entered = None;
        let (id, clock) = (self.id, self.clock);
        let (mut timed_out, mut has_started) = (false, false);
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let time_is_up = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Started(pid))) => {
                        tracing::debug!(%id, pid, "a supervised tool runs");
                        crate::crash::point("tool_started");
                        has_started = true;
                        _entered = Some(laps.enter(identity, lap, pid));
                        deadline = self.limit.map(|limit| tokio::time::Instant::now() + limit);
                    }
                    Ok(Some(FromRunner::Finished { status, bytes_out, cancelled })) => {
                        return Finished { bytes_out: Some(bytes_out), cancelled, timed_out, ..ended(id, clock, Some(status), None) };
                    }
                    Ok(Some(FromRunner::Failed { text, .. })) => {
                        let text = String::from_utf8_lossy(&text).into_owned();
                        self.refused_to_start = !has_started;
                        return ended(id, clock, None, Some(text));
                    }
                    Ok(Some(FromRunner::Idle) | None) => return ended(id, clock, None, Some("the runner ended without a word".to_owned())),
                    Err(error) => return ended(id, clock, None, Some(error.to_string())),
                },
                () = time_is_up => {
                    timed_out = true;
                    deadline = None;
                    let limit = self.limit.unwrap_or_default();
                    self.stop(EXIT_TIMED_OUT, &format!("the command ran out of its time ({limit:?})"), false).await;
                }
                order = self.run.order() => self.obey(order).await,
            }
        }
    }

    /// Until its last process has ended: daemons that it left stay within reach.
    async fn linger(mut self, pool: &Pool) {
        loop {
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Idle)) if self.runner.is_reusable() => {
                        return match self.runner.into_idle() {
                            Ok(idle) => pool.give_back(idle),
                            Err(error) => tracing::warn!(%error, "a runner cannot be used again"),
                        };
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                },
                order = self.run.order() => self.obey(order).await,
            }
        }
        // A runner that was killed leaves what it held together; its cgroup does not.
        let leaf = self.runner.leaf().clone();
        self.runner.reap().await;
        let swept = tokio::task::spawn_blocking(move || leaf.with_what_is_there(Leaf::kill)).await;
        if let Ok(Some(Err(error))) = swept {
            tracing::warn!(%error, id = %self.id, "what a runner left could not be ended");
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::End { why } => self.stop(EXIT_UNREACHABLE, &why, true).await,
            Order::Freeze => self.each(freeze_tree, Leaf::freeze),
            Order::Thaw => self.each(thaw_tree, Leaf::thaw),
            Order::Leave => self.stop(EXIT_UNREACHABLE, "the warden went down", false).await,
        }
    }

    async fn stop(&mut self, code: u8, text: &str, now: bool) {
        if let Err(error) = self.runner.stop(code, text, now).await {
            tracing::warn!(%error, id = %self.id, "a runner could not be told to stop");
        }
    }

    fn each(
        &self,
        tree: impl FnOnce(Identity, Scope) -> Report,
        cgroup: impl FnOnce(&Leaf) -> Result<(), CgroupError>,
    ) {
        let frozen = self.runner.leaf().with(cgroup);
        let problems = match (frozen, Identity::of(self.runner.pid())) {
            (Some(frozen), _) => frozen.err().map(|error| error.to_string()).into_iter().collect(),
            (None, Ok(runner)) => tree(runner, Scope::Whole).problems,
            (None, Err(error)) => vec![error.to_string()],
        };
        for problem in problems {
            tracing::warn!(id = %self.id, problem, "a command could not be frozen or thawed");
        }
    }
}

fn ended(id: Id, clock: Instant, status: Option<Status>, error: Option<String>) -> Finished {
    let (exit_code, signal) = match status {
        Some(Status::Exited(code)) => (Some(i32::from(code)), None),
        Some(Status::Killed(signal)) => (None, Some(i32::from(signal))),
        None => (None, None),
    };
    let exit_source = match status {
        Some(_) => "runner".to_owned(),
        None => "unknown: the runner did not say".to_owned(),
    };
    Finished {
        id,
        exit_code,
        signal,
        exit_source,
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error,
    }
}
