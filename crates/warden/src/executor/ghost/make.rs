//! Making a ghost: its container, until its runner waits for the plan.

use std::time::Duration;

use clawrden_policy::Ghost;
use clawrden_protocol::limits::{EXIT_NO_SUCH_TOOL, EXIT_UNREACHABLE};
use tokio::net::UnixStream;

use super::container::{self, Held, Parts};
use super::draft::Draft;
use super::inside::{self, Amiss, Inside, Sought, View};
use super::ready::Ready;
use super::secrets::Values;
use crate::containers::OutOfReach;
use crate::engine::{Engine, EngineError, NewContainer};
use crate::executor::door::Door;
use crate::executor::ordered;
use crate::executor::runner::Runner;
use crate::intercom::Reply;
use crate::ledger::Id;
use crate::plan::Plan;
use crate::running::Run;
use crate::warden::Warden;

/// How long a container that was started may take until its runner connects.
const CONNECTS_WITHIN: Duration = Duration::from_secs(60);

/// A container that is to be made, and what is looked for in it.
pub(super) struct Making {
    new: NewContainer,
    door: Door,
    /// The caller's process, where it is seen, and otherwise who the ghost is.
    caller: Result<u32, (u32, u32)>,
    sought: Box<dyn FnOnce(View, Values) -> Sought + Send>,
}

pub(super) fn making(
    warden: &Warden,
    id: Id,
    ghost: &Ghost,
    ready: &Ready,
    plan: &Plan,
    draft: &Draft,
) -> Result<Making, String> {
    let (ghosts, vantage) = (&warden.ghosts, &ready.vantage);
    let reached = |error: OutOfReach| format!("the ghost cannot be given its socket: {error}");
    let door = Door::open(ghosts.folder(vantage).map_err(reached)?, &id.to_string())
        .map_err(|error| format!("the ghost's socket cannot be made: {error}"))?;
    let new = container::plan(Parts {
        id,
        warden: &ghosts.id(vantage),
        image: ready.image.id.clone(),
        who: &ready.who,
        network: ghost.image.network.as_deref(),
        limits: ghost.limits,
        shared: &ready.shared,
        has_secrets: ready.secrets.has_files(),
        door: vantage.on_host(door.folder()).map_err(reached)?.display().to_string(),
        runner: ghosts.runner(vantage)?,
        is_unseen: plan.caller.is_unseen(),
    });
    let Some(cwd) = plan.cwd.clone() else {
        return Err("the caller's working directory is not known".to_owned());
    };
    let caller = plan.caller.pid.ok_or((ready.who.uid, ready.who.gid));
    let (shared, who) = (ready.shared.clone(), ready.who.clone());
    let (name, path) = (draft.name.clone(), draft.path.clone());
    let kinds = warden.kinds();
    let sought = Box::new(move |view, secrets| Sought {
        view,
        shared,
        cwd,
        name,
        path,
        who,
        secrets,
        kinds,
    });
    Ok(Making { new, door, caller, sought })
}

/// A ghost whose runner waits for its plan.
pub(super) struct Made {
    pub(super) held: Held,
    pub(super) runner: Runner,
    pub(super) inside: Inside,
    pub(super) _door: Door,
}

/// Makes and starts it, for as long as nobody says otherwise. Gives the code and the text that the caller is told.
pub(super) async fn begun(
    warden: &Warden,
    making: Making,
    secrets: Values,
    run: &mut Run,
    reply: &mut Reply,
) -> Result<Made, (u8, String)> {
    let why = tokio::select! {
        biased;
        made = make(warden, making, secrets) => return made,
        why = ordered(run) => why,
        _ = reply.interrupted() => "the caller left before its command started".to_owned(),
    };
    Err((EXIT_UNREACHABLE, why))
}

async fn make(warden: &Warden, making: Making, secrets: Values) -> Result<Made, (u8, String)> {
    let failed = |text: String| (EXIT_UNREACHABLE, text);
    let Making { new, door, caller, sought } = making;
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
    let (socket, pid, view) = connected(&engine, &door, held.id(), caller).await.map_err(failed)?;
    drop(turn);
    let sought = sought(view, secrets);
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
    let runner = Runner::connected(socket, pid).map_err(|error| failed(error.to_string()))?;
    Ok(Made { held, runner, inside, _door: door })
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
    caller: Result<u32, (u32, u32)>,
) -> Result<(UnixStream, Option<u32>, View), String> {
    let arriving = async {
        match caller {
            Ok(caller) => {
                let (socket, ghost) = arrival(engine, door, id).await?;
                Ok((socket, Some(ghost), View::Seen { ghost, caller }))
            }
            // The folder with the door is in this one container, in which nothing else runs, and is closed to everybody
            // but root outside of it.
            Err(who) => {
                let (socket, root, groups) = door.unseen_runner(who).await?;
                Ok((socket, None, View::Unseen { root, groups }))
            }
        }
    };
    tokio::select! {
        biased;
        runner = arriving => {
            runner.map_err(|error: std::io::Error| format!("the ghost's runner cannot be heard: {error}"))
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

/// The first connection by the container's own process. A container may have no cgroup that names it, where its engine is
/// run by a user; then the engine says which its first process is.
async fn arrival(engine: &Engine, door: &Door, id: &str) -> std::io::Result<(UnixStream, u32)> {
    loop {
        let (socket, pid) = door.next().await?;
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
        if cgroups.is_ok_and(|text| text.contains(id)) {
            return Ok((socket, pid));
        }
        let container = engine.inspect_container(id).await.map_err(std::io::Error::other)?;
        if container.pid == Some(pid) {
            return Ok((socket, pid));
        }
        tracing::warn!(pid, "a stranger connected in the place of a runner");
    }
}
