//! Mirror by exec: the container's engine starts the runner in the caller's own container, and the runner the tool, as the
//! caller and with the caller's descriptors. For tools that the caller cannot reach, and where a rule says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_protocol::limits::EXIT_UNREACHABLE;
use clawrden_protocol::runner::{ARGV0, CONNECT, Plan as RunnerPlan, Streams};

use super::door::{Door, SOCKET};
use super::prepared::Prepared;
use super::reopen::{Reopened, reopen};
use super::runner::Runner;
use super::supervision::{Supervision, device_number, ended};
use super::{Begun, Refusal, Start, begin, finish, limits, ordered, record, refuse, whereabouts};
use crate::containers::Doors;
use crate::engine::NewExec;
use crate::ledger::{Id, Method, Started};
use crate::plan::{Plan, Root, SHIMS};
use crate::process::cgroup::Kind;
use crate::process::{Identity, Ids, Status, proc, status};
use crate::recording::Secrets;
use crate::sys::limits::{limits_of, nice_of};
use crate::warden::Warden;
use crate::whereabouts::Whereabouts;

/// How long the engine may take until its runner connects.
const CONNECTS_WITHIN: Duration = Duration::from_secs(30);

/// Connections of strangers until it is given up: a prisoner may know the socket, and connect to it as well.
const STRANGERS: usize = 64;

/// How the folders begin that runners come in by, in the jail's own.
pub(super) const DOOR: &str = "exec-";

/// Capabilities by which root becomes somebody else.
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;

/// Runs it, to the end of its last process.
pub(super) async fn run(warden: &Arc<Warden>, mut start: Start) {
    let plan = start.approved.plan();
    let id = Id(plan.id);
    let at = whereabouts(warden, &plan.caller).await;
    let way = match way_in(warden, plan, &at).await {
        Ok(way) => way,
        Err(text) => return refuse(warden, start, Refusal::Denied, text).await,
    };
    // As it was when it asked: a client that was told to send its descriptors blocks signals.
    let seen = match plan.caller.pid.ok_or_else(unknown).and_then(|pid| status(pid).map_err(unread))
    {
        Ok(seen) => seen,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    if plan.invocation.version_2()
        && !record::by_frames(&start.approved)
        && let Err(error) = start.reply.want_descriptors().await
    {
        let text = format!("the caller left before its command started: {error}");
        return refuse(warden, start, Refusal::Failed, text).await;
    }
    let prepared = prepare(warden, plan, seen).await;
    let prepared = prepared.and_then(|prepared| prepared.fitted(&start.approved));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let recording = match record::begin(warden, &start.approved, Secrets::default()).await {
        Ok(recording) => recording,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let bounded = match limits::bounded(warden, &start.approved, Kind::Run).await {
        Ok(bounded) => bounded,
        Err(text) => {
            record::discard(recording).await;
            return refuse(warden, start, Refusal::Denied, text).await;
        }
    };
    let started = Started {
        id,
        executor: "mirror".to_owned(),
        method: Method::Exec,
        pid: None,
        stripped: Vec::new(),
        run_as: None,
        ghost: None,
        record: record::word(&start.approved),
    };
    let limit = start.approved.timeout().duration();
    let Some(Begun { mut run, mut spent }) = begin(warden, &mut start, started).await else {
        record::discard(recording).await;
        return start.reply.close();
    };
    let clock = Instant::now();
    let entered = tokio::select! {
        biased;
        entered = enter(warden, id, &way) => entered,
        why = ordered(&mut run) => Err(why),
    };
    let (runner, door) = match entered {
        Ok(entered) => entered,
        Err(text) => {
            record::discard(recording).await;
            finish(warden, &run, ended(id, clock, None, Some(text.clone())), spent);
            let _ = start.reply.fail(EXIT_UNREACHABLE, &text).await;
            return start.reply.close();
        }
    };
    crate::crash::point("runner_taken");
    // It has served: whoever else knows it finds nothing.
    drop(door);
    let runner_is = runner.identity();
    let joined = match bounded {
        Some(bounded) => limits::join(bounded, runner_is).await.map(Some),
        None => Ok(None),
    };
    let prepared = way.finish(prepared, runner_is.as_ref());
    let (prepared, bounded) = match joined {
        Ok(bounded) => (prepared, bounded),
        Err(text) => (Err(text), None),
    };
    let mut supervision = Supervision::new(id, run, runner, clock, limit).kept_to(bounded);
    let finished = match prepared {
        Ok(prepared) => supervision.run(prepared, start.reply, recording, None).await,
        Err(text) => {
            record::discard(recording).await;
            let _ = start.reply.fail(EXIT_UNREACHABLE, &text).await;
            start.reply.close();
            ended(id, clock, None, Some(text))
        }
    };
    spent = spent.filter(|_| supervision.refused_to_start);
    finish(warden, supervision.run_of(), finished, spent);
    supervision.linger(&warden.pool).await;
}

/// How a runner gets into the caller's container, and back to the warden.
struct Way {
    container: String,
    /// The jail's folder, on this side and in the container.
    folder: PathBuf,
    folder_inside: String,
    /// The runner's program in the container.
    runner: String,
    /// The user that it is started as.
    user: String,
    /// It is started as the caller, because root in there can become nobody else. Then it has the groups that it has.
    is_as_caller: bool,
}

impl Way {
    /// The plan for the runner that has come this way.
    fn finish(
        &self,
        mut prepared: Prepared,
        runner: Option<&Identity>,
    ) -> Result<Prepared, String> {
        let runner = runner.ok_or("the runner has gone; nothing ran")?;
        let ids = Ids::of(runner.pid).map_err(|error| format!("{error}; nothing ran"))?;
        let plan = &mut prepared.plan;
        if self.is_as_caller {
            plan.groups =
                status(runner.pid).map_err(|error| format!("{error}; nothing ran"))?.groups;
        }
        // As they are called where the runner takes them: a caller can be in a user namespace of its own making.
        (plan.uid, plan.gid) = inside(&ids, plan.uid, plan.gid)?;
        plan.groups = ids.groups_told(&plan.groups);
        Ok(prepared)
    }
}

/// The way into the caller's container. The text says why there is none.
async fn way_in(warden: &Warden, plan: &Plan, at: &Whereabouts) -> Result<Way, String> {
    let container = at.known().map_err(|why| {
        format!(
            "its tool is locked, supervised, recorded or limited in its output, so the engine has to start it, and {why}"
        )
    })?;
    let Some(container) = container else {
        return Err("its tool is locked, supervised, recorded or limited in its output, which takes the engine of the caller's \
                    container, and the caller is in none; use `executor: local`"
            .to_owned());
    };
    let folder = plan.jail.socket.parent().map(Path::to_owned).unwrap_or_default();
    let told = |error: crate::engine::EngineError| error.to_string();
    let mut doors = warden.containers.doors().await.map_err(told)?;
    let find = |doors: &Doors| {
        let mounted =
            |path: &Path| doors.mounted(&container.mounts, &doors.door(path)).map(str::to_owned);
        (mounted(&folder), plan.jail.bin.as_ref().map(|bin| mounted(bin)))
    };
    let mut found = find(&doors);
    if found.0.is_none() || found.1 == Some(None) {
        let mounts = container.mounts.iter();
        warden.containers.learn_volumes(&mut doors, mounts).await.map_err(told)?;
        found = find(&doors);
    }
    let (folder_inside, bin) = found;
    let folder_inside = folder_inside.ok_or_else(|| {
        format!(
            "the folder of jail {} is not mounted into the caller's container, so nothing started in there can reach \
             the warden; mount {} at /run/clawrden",
            plan.jail.name,
            folder.display()
        )
    })?;
    let bin = bin.flatten().unwrap_or_else(|| String::from_utf8_lossy(SHIMS).into_owned());
    let (Some(pid), Some(uid), Some(gid)) = (plan.caller.pid, plan.caller.uid, plan.caller.gid)
    else {
        return Err("who the caller is is not known here".to_owned());
    };
    let is_as_caller = !can_become(pid)?;
    let ids = Ids::of(container.pid.ok_or_else(unknown)?).map_err(unread)?;
    let (uid, gid) = inside(&ids, uid, gid)?;
    Ok(Way {
        container: container.id.clone(),
        folder,
        folder_inside,
        runner: format!("{bin}/{}", String::from_utf8_lossy(ARGV0)),
        user: if is_as_caller { format!("{uid}:{gid}") } else { "0:0".to_owned() },
        is_as_caller,
    })
}

/// What a caller's user and group are called in its container.
fn inside(ids: &Ids, uid: u32, gid: u32) -> Result<(u32, u32), String> {
    ids.user_inside(uid).zip(ids.group_inside(gid)).ok_or_else(unknown)
}

/// Whether root in the caller's container can become the caller.
fn can_become(pid: u32) -> Result<bool, String> {
    let text = proc::read(pid, "status").map_err(|error| error.to_string())?;
    let bounds = bounding_set(&text).ok_or("the caller's capabilities cannot be read")?;
    Ok(bounds & (SETUID | SETGID) == SETUID | SETGID)
}

fn bounding_set(status: &[u8]) -> Option<u64> {
    let line =
        status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"CapBnd:"))?;
    u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
}

fn unknown() -> String {
    "the caller, or its tool, is not known".to_owned()
}

fn unread(error: impl std::fmt::Display) -> String {
    format!("the caller cannot be looked at: {error}")
}

/// The plan with its files opened again, found unchanged.
async fn prepare(warden: &Warden, plan: &Plan, seen: Status) -> Result<Prepared, String> {
    let (Some(pid), Some(uid), Some(gid), Some(tool)) =
        (plan.caller.pid, plan.caller.uid, plan.caller.gid, plan.tool.as_ref())
    else {
        return Err(unknown());
    };
    let version_2 = plan.invocation.version_2();
    if plan.cwd.is_none() && !version_2 {
        return Err("the working directory does not exist".to_owned());
    }
    let root = Root::of(pid).map_err(unread)?;
    let Reopened { tool: opened, cwd } =
        reopen(root.into(), tool, plan.cwd.as_ref(), &warden.workers).await?;
    let limits = limits_of(pid).map_err(unread)?;
    let nice = nice_of(pid).map_err(unread)?;
    // Everything above was read of a pid; it was the caller's if the caller still is.
    if !plan.caller.is_alive() {
        return Err("the caller ended before its command started".to_owned());
    }
    let mut argv: Vec<Vec<u8>> = plan.invocation.argv().map(<[u8]>::to_vec).collect();
    if let Some(name) = argv.first_mut().filter(|_| plan.by_path) {
        name.clone_from(&tool.path);
    }
    let mut env: Vec<Vec<u8>> = plan.invocation.env().map(<[u8]>::to_vec).collect();
    if let [path @ .., 0] = &plan.governed[..] {
        env.retain(|entry| !entry.starts_with(b"PATH="));
        env.push(path.to_vec());
    }
    // What lies behind a lock cannot be opened by its path; where that only led to it, its own can.
    let is_open = !tool.locked || tool.resolved != tool.path;
    let script = match (tool.script, tool.locked) {
        (false, _) => Vec::new(),
        (true, true) => tool.resolved.clone(),
        (true, false) => tool.path.clone(),
    };
    let plan = RunnerPlan {
        streams: if version_2 { Streams::Descriptors } else { Streams::Frames },
        version_2,
        uid,
        gid,
        groups: seen.groups,
        umask: seen.umask.unwrap_or(0o077),
        nice,
        limits,
        ignored: if version_2 { seen.ignored } else { 0 },
        blocked: if version_2 { seen.blocked } else { 0 },
        tty: plan.invocation.tty().map(|tty| (tty.fds, tty.rows, tty.cols)),
        grace_ms: u32::try_from(warden.config.grace.as_millis()).unwrap_or(u32::MAX),
        cwd: cwd.as_ref().map(|cwd| (device_number(cwd.id.device), cwd.id.inode)),
        place: Vec::new(),
        keep_open: tool.script && !is_open,
        // The runner may end with its client, whose container it is in.
        warden_first: true,
        script,
        most_out: u64::MAX,
        argv,
        env,
    };
    Ok(Prepared { plan, tool: opened, cwd, stripped: Vec::new() })
}

/// Has the runner started, and waits for it. The door is kept until it has come.
async fn enter(warden: &Warden, id: Id, way: &Way) -> Result<(Runner, Door), String> {
    let name = format!("{DOOR}{id}");
    let door = Door::open(&way.folder, &name)
        .map_err(|error| format!("the runner's socket cannot be made: {error}"))?;
    let engine = &warden.engine;
    let exec = NewExec {
        command: vec![
            way.runner.clone(),
            String::from_utf8_lossy(CONNECT).into_owned(),
            format!("{}/{name}/{SOCKET}", way.folder_inside),
        ],
        user: way.user.clone(),
        cwd: "/".to_owned(),
        environment: Vec::new(),
    };
    let failed = |error: crate::engine::EngineError| {
        format!("the runner cannot be started in the caller's container: {error}")
    };
    let exec = engine.create_exec(&way.container, &exec).await.map_err(failed)?;
    crate::crash::point("exec_made");
    engine.start_exec(&exec).await.map_err(failed)?;
    crate::crash::point("exec_started");
    let arriving = async {
        for _ in 0..STRANGERS {
            let heard = door.next().await;
            let (socket, pid) =
                heard.map_err(|error| format!("the runner cannot be heard: {error}"))?;
            // By what the engine has started, not by what is said.
            if engine.inspect_exec(&exec).await.map_err(failed)?.pid == Some(pid) {
                return Runner::connected(socket, Some(pid)).map_err(|error| error.to_string());
            }
        }
        Err("others connected in the place of the runner".to_owned())
    };
    match tokio::time::timeout(CONNECTS_WITHIN, arriving).await {
        Ok(arrived) => arrived.map(|runner| (runner, door)),
        Err(_) => Err(format!(
            "the runner did not connect within {} s; is {} in the caller's container of this version?",
            CONNECTS_WITHIN.as_secs(),
            way.runner
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_may_become_is_read_of_its_bounds() {
        let status =
            b"Name:\tsh\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n";
        let bounds = bounding_set(status).unwrap();
        assert_eq!(bounds & (SETUID | SETGID), SETUID | SETGID);
        assert_eq!(bounding_set(b"CapBnd:\t0000000000000000\n"), Some(0));
        assert_eq!(bounding_set(b"Name:\tx\n"), None);
        assert!(can_become(std::process::id()).is_ok());
    }
}
