//! Ghost: the tool runs in a container of its own, which is made for it and gone afterwards.
//!
//! The container holds what the policy says and nothing that could be read of it: the plan, its variables and secrets go
//! over the runner's own socket.

mod container;
mod image;
mod inside;
mod reap;
mod secrets;
mod user;
mod workspace;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clawrden_policy::Ghost;
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use clawrden_protocol::runner::{Plan as RunnerPlan, Streams};
use tokio::sync::{Semaphore, mpsc};

use super::door::Door;
use super::runner::Runner;
use super::supervision::{Prepared, Supervision, device_number, ended};
use super::{Begun, Refusal, Start, begin, finish, local, refuse, whereabouts};
use crate::engine::{Container, Engine, EngineError, Image, NewContainer};
use crate::intercom::Reply;
use crate::jails::runner::RunnerFile;
use crate::ledger::{self, Id, Method, Started};
use crate::plan::{Plan, base_name, local as kept_environment, value};
use crate::process::{Namespaces, status};
use crate::running::{Order, Run};
use crate::warden::Warden;
use container::{HOME, Held, Parts};
use inside::{Amiss, Inside, Sought};
use secrets::Values;
use user::Who;
use workspace::{Kept, Shared};

pub(crate) use reap::{clear_doors, reap, warden_id};

/// Ghosts that are being made at once: an engine that makes more at once makes none of them faster.
const MAKING: usize = 8;

/// How long a container that was started may take until its runner connects.
const CONNECTS_WITHIN: Duration = Duration::from_secs(60);

/// What a caller may at most leave open in the files that the command makes, where its own mask is not known.
const UMASK: u32 = 0o077;

/// Where tools are where an image does not say.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the ghosts of one warden share.
pub(crate) struct Ghosts {
    /// What tells them from another warden's.
    pub(crate) id: String,
    /// The folder of their doors.
    pub(crate) folder: PathBuf,
    /// Where the runner's file is made.
    state: PathBuf,
    /// That file, once a ghost has needed it.
    runner: Mutex<Option<RunnerFile>>,
    making: Semaphore,
}

impl Ghosts {
    pub(crate) fn new(id: String, folder: PathBuf, state: PathBuf) -> Self {
        Self { id, folder, state, runner: Mutex::default(), making: Semaphore::new(MAKING) }
    }

    /// The path of the runner's program, for the engine.
    fn runner(&self) -> Result<String, String> {
        let mut file = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => {
                none.insert(RunnerFile::in_folder(&self.state).map_err(|error| error.to_string())?)
            }
        };
        Ok(file.path().display().to_string())
    }
}

/// Why a ghost is not made.
enum Unmade {
    /// There is no engine at all.
    NoEngine(EngineError),
    /// It may not be, as asked for.
    Denied(String),
    /// It cannot be.
    Failed(String),
    /// The caller has gone.
    Gone,
}

impl From<EngineError> for Unmade {
    fn from(error: EngineError) -> Self {
        if error.is_absent() { Self::NoEngine(error) } else { Self::Failed(error.to_string()) }
    }
}

/// What a ghost is made of, before there is anything of it.
struct Ready {
    image: Image,
    who: Who,
    shared: Vec<Shared>,
    secrets: Values,
}

/// Runs it, to the end of its last process, and the container's.
pub(super) async fn run(warden: &Arc<Warden>, mut start: Start) {
    let Some(ghost) = start.approved.ghost().cloned() else {
        let text = "the policy does not say what its ghost is made of".to_owned();
        return refuse(warden, start, Refusal::Denied, text).await;
    };
    let Start { approved, reply, .. } = &mut start;
    let ready = match get_ready(warden, approved.plan(), &ghost, reply).await {
        Ok(ready) => ready,
        Err(Unmade::NoEngine(_)) if ghost.falls_back => return local::run(warden, start).await,
        Err(Unmade::NoEngine(error)) => {
            return refuse(warden, start, Refusal::Denied, error.to_string()).await;
        }
        Err(Unmade::Denied(text)) => return refuse(warden, start, Refusal::Denied, text).await,
        Err(Unmade::Failed(text)) => return refuse(warden, start, Refusal::Failed, text).await,
        Err(Unmade::Gone) => {
            let text = "the caller left before its command started".to_owned();
            return refuse(warden, start, Refusal::Failed, text).await;
        }
    };
    let plan = start.approved.plan();
    let id = Id(plan.id);
    let prepared = match prepare(warden, plan, &ghost, &ready) {
        Ok(prepared) => prepared,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let started = Started {
        id,
        executor: "ghost".to_owned(),
        method: Method::Runner,
        pid: None,
        stripped: ledger::names(prepared.stripped.clone()),
        run_as: None,
        ghost: Some(record(&ghost, &ready)),
    };
    let limit = start.approved.timeout().duration();
    let making = making(warden, id, &ghost, &ready, plan, &prepared);
    let Some(Begun { mut run, mut spent }) = begin(warden, &mut start, started).await else {
        return start.reply.close();
    };
    let clock = Instant::now();
    let making = match making {
        Ok(making) => making,
        Err(text) => {
            let _ = start.reply.fail(EXIT_UNREACHABLE, &text).await;
            return finish(warden, ended(id, clock, None, Some(text)), spent);
        }
    };
    let made = begun(warden, making, ready.secrets, &mut run, &mut start.reply).await;
    let Made { held, runner, inside, _door } = match made {
        Ok(made) => made,
        Err((code, text)) => {
            // Before the client is told, who may ask again at once. Nothing but the runner has run.
            finish(warden, ended(id, clock, None, Some(text.clone())), spent);
            let _ = start.reply.fail(code, &text).await;
            return start.reply.close();
        }
    };
    crate::crash::point("runner_taken");
    let prepared = complete(prepared, inside);
    let supervision = Supervision::new(id, run, runner, clock, limit);
    let mut supervision = supervision.in_container(warden.engine.clone(), held.id().to_owned());
    let finished = match supervision.start(prepared, start.reply).await {
        Ok(()) => supervision.follow(None).await,
        Err(error) => ended(id, clock, None, Some(error.to_string())),
    };
    spent = spent.filter(|_| supervision.refused_to_start);
    finish(warden, finished, spent);
    supervision.end_all().await;
    held.gone().await;
}

/// Finds out whether it may be, and what it is made of; fetches its image. Meanwhile the caller is told, and may leave.
async fn get_ready(
    warden: &Warden,
    plan: &Plan,
    ghost: &Ghost,
    reply: &mut Reply,
) -> Result<Ready, Unmade> {
    let (told, mut telling) = mpsc::unbounded_channel();
    let finding = find(warden, plan, ghost, told);
    tokio::pin!(finding);
    loop {
        tokio::select! {
            biased;
            found = &mut finding => return found,
            _ = reply.interrupted() => return Err(Unmade::Gone),
            Some(line) = telling.recv() => {
                // Before it is decided there are lines for those alone who know that they wait.
                let told = async { reply.pending().await?; reply.notice(&line).await };
                if told.await.is_err() {
                    return Err(Unmade::Gone);
                }
            }
        }
    }
}

async fn find(
    warden: &Warden,
    plan: &Plan,
    ghost: &Ghost,
    told: mpsc::UnboundedSender<String>,
) -> Result<Ready, Unmade> {
    let about = warden.engine.about().await?;
    let at = whereabouts(warden, &plan.caller).await;
    let home = at.known().map_err(|why| Unmade::Denied(why.to_string()))?.map(AsRef::as_ref);
    let who = user::who(ghost.image.user, &plan.caller, home.is_some(), about.maps_users);
    let who = who.map_err(Unmade::Denied)?;
    let shared = share(warden, plan, home)?;
    out_of_reach(warden, plan, ghost, &who, home)?;
    let image = image::find(&warden.engine, &ghost.image, home, |line| {
        // Nobody listens any more when the caller has gone.
        let _ = told.send(line);
    });
    let image = image.await.map_err(Unmade::Failed)?;
    let wanted = ghost.secrets.clone();
    let secrets = tokio::task::spawn_blocking(move || secrets::read(&wanted)).await;
    let secrets = secrets.map_err(|error| Unmade::Failed(error.to_string()))?;
    Ok(Ready { image, who, shared, secrets: secrets.map_err(Unmade::Failed)? })
}

/// The folders that it shares with its caller, the working directory among them.
fn share(warden: &Warden, plan: &Plan, home: Option<&Container>) -> Result<Vec<Shared>, Unmade> {
    let jail = plan.jail.name.as_str();
    let policy = plan.jail.policy();
    let declared = policy.workspace(jail);
    let kept = kept(warden);
    let shared = match home {
        Some(container) => workspace::of_container(container, declared, &kept),
        None => workspace::of_host(declared, &kept),
    };
    let Some(cwd) = &plan.cwd else {
        let text = "the working directory is unknown or deleted, so no ghost can be in it";
        return Err(Unmade::Denied(text.to_owned()));
    };
    if workspace::holds(&shared, &cwd.path) {
        return Ok(shared);
    }
    let shown = String::from_utf8_lossy(&cwd.path);
    let names: Vec<&str> = shared.iter().map(|shared| shared.target.as_str()).collect();
    let why = match (&names[..], home) {
        ([], None) => format!("the policy declares no `workspace` for jail {jail}"),
        ([], Some(_)) => format!("jail {jail} shares none of its container's mounts with a ghost"),
        (names, _) => format!("a ghost of jail {jail} has {}", names.join(", ")),
    };
    Err(Unmade::Denied(format!("the working directory {shown} is not shared with a ghost: {why}")))
}

/// The warden's own places, and the engine's.
fn kept(warden: &Warden) -> Kept {
    let (places, config) = (&warden.places, &warden.config);
    let run = places.run();
    let mut files =
        vec![places.control_socket(), places.default_socket(), warden.ledger.path().to_owned()];
    files.extend(config.control.iter().chain(&config.intercom).chain(&config.policy).cloned());
    files.extend(config.engine.sockets());
    files.push(places.config().to_owned());
    files.push("/run/docker.sock".into());
    files.push("/run/podman/podman.sock".into());
    let folders = vec![run.join("jails"), warden.ghosts.folder.clone(), places.state()];
    Kept { files, folders }
}

/// A secret, or a wider network, goes to no process that the caller could trace, or read under /proc.
fn out_of_reach(
    warden: &Warden,
    plan: &Plan,
    ghost: &Ghost,
    who: &Who,
    home: Option<&Container>,
) -> Result<(), Unmade> {
    let what = match (ghost.secrets.is_empty(), &ghost.image.network) {
        (true, None) => return Ok(()),
        (false, _) => "a secret",
        (true, Some(_)) => "a network",
    };
    let unseen = |error: crate::process::ProcessError| Unmade::Failed(error.to_string());
    let theirs = match plan.caller.pid {
        Some(pid) => Namespaces::of(pid).map_err(unseen)?,
        None => return Err(Unmade::Denied("the caller cannot be seen from here".to_owned())),
    };
    // Who sees the warden's processes sees those of containers too; who does not is in a container of its own.
    let sees_all = theirs.pid == warden.namespaces.pid || home.is_none();
    if sees_all && (plan.caller.uid == Some(who.uid) || plan.caller.uid == Some(0)) {
        return Err(Unmade::Denied(format!(
            "the rule gives its ghost {what}, and the caller can reach into whatever runs as user {} on this host; run \
             the prisoner in a container, or give the image a `user` of its own",
            who.uid
        )));
    }
    Ok(())
}

fn record(ghost: &Ghost, ready: &Ready) -> ledger::Ghost {
    ledger::Ghost {
        image: ghost.image.image.clone(),
        image_id: ready.image.id.clone(),
        network: ghost.image.network.clone(),
        secrets: ghost.secrets.iter().map(|secret| secret.name.clone()).collect(),
        shared: ready.shared.iter().map(|shared| shared.target.clone()).collect(),
        uid: ready.who.uid,
    }
}

/// A plan that lacks what only the ghost itself can tell.
struct Draft {
    plan: RunnerPlan,
    stripped: Vec<String>,
    /// The ghost's PATH, and what is looked for on it.
    path: Vec<u8>,
    name: Vec<u8>,
}

fn prepare(warden: &Warden, plan: &Plan, ghost: &Ghost, ready: &Ready) -> Result<Draft, String> {
    let caller = plan.caller.pid.ok_or("the caller is not known")?;
    let umask = status(caller).map_err(|error| error.to_string())?.umask;
    let version_2 = plan.invocation.version_2();
    let (env, path, stripped) = environment(warden, plan, ready);
    // A tool of the workspace's own lies at the same path there.
    let of_workspace = plan
        .tool
        .as_ref()
        .filter(|_| plan.invocation.name().contains(&b'/'))
        .filter(|tool| workspace::holds(&ready.shared, &tool.path));
    let name = match of_workspace {
        Some(tool) => tool.path.clone(),
        None => base_name(plan.invocation.name()).to_vec(),
    };
    let mut argv: Vec<Vec<u8>> = plan.invocation.argv().map(<[u8]>::to_vec).collect();
    if let (Some(first), None) = (argv.first_mut(), of_workspace) {
        // Tools look for their own parts beside the name that they are called by.
        first.clone_from(&name);
    }
    let plan = RunnerPlan {
        streams: Streams::Frames,
        version_2,
        uid: ready.who.uid,
        gid: ready.who.gid,
        groups: Vec::new(),
        umask: umask.unwrap_or(UMASK),
        nice: 0,
        limits: Vec::new(),
        ignored: 0,
        blocked: 0,
        tty: plan.invocation.tty().map(|tty| (tty.fds, tty.rows, tty.cols)),
        grace_ms: u32::try_from(warden.config.grace.as_millis()).unwrap_or(u32::MAX),
        cwd: plan.cwd.as_ref().map(|cwd| (device_number(cwd.id.0), cwd.id.1)),
        place: Vec::new(),
        script: Vec::new(),
        keep_open: false,
        most_out: ghost.limits.output.unwrap_or(u64::MAX),
        argv,
        env,
    };
    Ok(Draft { plan, stripped, path, name })
}

/// The variables that it starts with: the image's, over them what the policy keeps of the caller's, and the secrets. With
/// its PATH, and the names of those that it does not get.
fn environment(
    warden: &Warden,
    plan: &Plan,
    ready: &Ready,
) -> (Vec<Vec<u8>>, Vec<u8>, Vec<String>) {
    let now = plan.jail.policies();
    let rules = [plan.judges.env(), now.env()].concat();
    let baseline = warden.baseline(plan.prisoner.as_deref());
    let kept = kept_environment(plan.invocation.env(), &rules, baseline);
    let own = ready.image.environment.iter().map(|entry| entry.as_bytes().to_vec());
    let mut env: Vec<Vec<u8>> = Vec::new();
    let home = [b"HOME=", HOME.as_bytes()].concat();
    let of_caller = kept.kept.into_iter().filter(|entry| !entry.starts_with(b"PATH="));
    for entry in own.chain(of_caller).chain([home]).chain(ready.secrets.variables.iter().cloned()) {
        let name = entry.split(|&byte| byte == b'=').next().unwrap_or_default().to_vec();
        env.retain(|other| {
            !other.strip_prefix(&name[..]).is_some_and(|rest| rest.starts_with(b"="))
        });
        env.push(entry);
    }
    let path = value(env.iter().map(Vec::as_slice), b"PATH").unwrap_or(PATH).to_vec();
    if !env.iter().any(|entry| entry.starts_with(b"PATH=")) {
        env.push([b"PATH=", PATH].concat());
    }
    (env, path, kept.stripped)
}

/// A container that is to be made, and what is looked for in it.
struct Making {
    new: NewContainer,
    door: Door,
    sought: Box<dyn FnOnce(u32, Values) -> Sought + Send>,
}

fn making(
    warden: &Warden,
    id: Id,
    ghost: &Ghost,
    ready: &Ready,
    plan: &Plan,
    draft: &Draft,
) -> Result<Making, String> {
    let door = Door::open(&warden.ghosts.folder, &id.to_string())
        .map_err(|error| format!("the ghost's socket cannot be made: {error}"))?;
    let new = container::plan(Parts {
        id,
        warden: &warden.ghosts.id,
        image: ready.image.id.clone(),
        who: &ready.who,
        network: ghost.image.network.as_deref(),
        limits: ghost.limits,
        shared: &ready.shared,
        has_secrets: ready.secrets.has_files(),
        door: door.folder().display().to_string(),
        runner: warden.ghosts.runner()?,
    });
    let (Some(caller), Some(cwd)) = (plan.caller.pid, plan.cwd.clone()) else {
        return Err("the caller is not known".to_owned());
    };
    let (shared, who) = (ready.shared.clone(), ready.who.clone());
    let (name, path) = (draft.name.clone(), draft.path.clone());
    let kinds = warden.kinds();
    let sought = Box::new(move |ghost, secrets| Sought {
        ghost,
        caller,
        shared,
        cwd,
        name,
        path,
        who,
        secrets,
        kinds,
    });
    Ok(Making { new, door, sought })
}

/// A ghost whose runner waits for its plan.
struct Made {
    held: Held,
    runner: Runner,
    inside: Inside,
    _door: Door,
}

/// Makes and starts it, for as long as nobody says otherwise. Gives the code and the text that the caller is told.
async fn begun(
    warden: &Warden,
    making: Making,
    secrets: Values,
    run: &mut Run,
    reply: &mut Reply,
) -> Result<Made, (u8, String)> {
    let made = make(warden, making, secrets);
    tokio::pin!(made);
    loop {
        let why = tokio::select! {
            biased;
            made = &mut made => return made,
            order = run.order() => match order {
                Order::End { why } => why,
                Order::Leave => "the warden went down; nothing ran".to_owned(),
                Order::Freeze => "everything was paused while it began; nothing ran".to_owned(),
                Order::Thaw => continue,
            },
            _ = reply.interrupted() => "the caller left before its command started".to_owned(),
        };
        return Err((EXIT_UNREACHABLE, why));
    }
}

async fn make(warden: &Warden, making: Making, secrets: Values) -> Result<Made, (u8, String)> {
    use clawrden_protocol::limits::EXIT_NO_SUCH_TOOL;
    let failed = |text: String| (EXIT_UNREACHABLE, text);
    let Making { new, door, sought } = making;
    let Ok(turn) = warden.ghosts.making.acquire().await else {
        return Err(failed("the warden went down; nothing ran".to_owned()));
    };
    let engine = warden.engine.clone();
    let network = new.network.clone();
    let container = tokio::spawn(Held::make(engine.clone(), new)).await;
    let held = container
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(not_made(&error, &network)))?;
    crate::crash::point("ghost_made");
    engine.start_container(held.id()).await.map_err(|error| failed(not_made(&error, &network)))?;
    let (socket, pid) = connected(&engine, &door, held.id()).await.map_err(failed)?;
    drop(turn);
    let sought = sought(pid, secrets);
    let name = String::from_utf8_lossy(&sought.name).into_owned();
    let looked = warden.workers.run(move || inside::look(sought)).await;
    let inside = match looked.map_err(|error| failed(error.to_string()))? {
        Ok(inside) => inside,
        Err(Amiss::NoTool) => {
            return Err((
                EXIT_NO_SUCH_TOOL,
                format!("{name}: there is no such tool in the ghost's image"),
            ));
        }
        Err(Amiss::Refused(text)) => return Err(failed(text)),
    };
    Ok(Made { held, runner: Runner::connected(socket, pid), inside, _door: door })
}

fn not_made(error: &EngineError, network: &str) -> String {
    match error {
        EngineError::NotFound { message, .. }
            if !network.is_empty() && message.contains("network") =>
        {
            format!(
                "the ghost's network {network} is not there: {message}; make it with the engine, or name another"
            )
        }
        error => format!("the ghost could not be started: {error}"),
    }
}

/// Waits for the runner, or for the container's end.
async fn connected(
    engine: &Engine,
    door: &Door,
    id: &str,
) -> Result<(tokio::net::UnixStream, u32), String> {
    let is_it = |pid| {
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
        cgroups.is_ok_and(|text| text.contains(id))
    };
    tokio::select! {
        biased;
        runner = door.runner(is_it) => {
            runner.map_err(|error| format!("the ghost's runner cannot be heard: {error}"))
        }
        code = engine.wait_container(id) => Err(match code {
            Ok(code) => format!("the ghost ended before it began, with exit code {code}"),
            Err(error) => format!("the ghost was lost before it began: {error}"),
        }),
        () = tokio::time::sleep(CONNECTS_WITHIN) => {
            Err(format!("the ghost's runner did not connect within {} s", CONNECTS_WITHIN.as_secs()))
        }
    }
}

/// The plan with what the ghost itself has told.
fn complete(draft: Draft, inside: Inside) -> Prepared {
    let Inside { tool, opened, cwd, groups } = inside;
    let Draft { mut plan, stripped, .. } = draft;
    plan.groups = groups;
    if tool.script {
        plan.script.clone_from(&tool.path);
    }
    Prepared { plan, tool: opened, cwd: Some(cwd), stripped }
}
