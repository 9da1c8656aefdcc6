//! Whether a ghost may be, and what it is made of: everything that is known before there is anything of it.

use std::path::Path;
use std::sync::Arc;

use clawrden_policy::Ghost;
use tokio::sync::mpsc;

use super::secrets::Values;
use super::user::Who;
use super::workspace::{Kept, Shared};
use super::{image, secrets, user, workspace};
use crate::containers::Vantage;
use crate::engine::{Container, Details, EngineError, Image, Mount};
use crate::executor::whereabouts;
use crate::intercom::Reply;
use crate::plan::{Judges, Plan, PlanError};
use crate::process::Namespaces;
use crate::warden::Warden;
use crate::whereabouts::Whereabouts;

/// Why a ghost is not made.
pub(super) enum Unmade {
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
pub(super) struct Ready {
    pub(super) image: Image,
    pub(super) who: Who,
    pub(super) shared: Vec<Shared>,
    pub(super) secrets: Values,
    /// Where the warden is, for the engine that makes it.
    pub(super) vantage: Arc<Vantage>,
}

/// Finds out whether it may be, and what it is made of; fetches its image. Meanwhile the caller is told, and may leave.
pub(super) async fn get_ready(
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
    let engine = warden.engine.details().await?;
    if plan.caller.is_unseen() {
        may_be_unseen(plan, ghost, &engine)?;
    }
    let at = match plan.caller.is_unseen() {
        true => Whereabouts::Nowhere,
        false => whereabouts(warden, &plan.caller).await,
    };
    let home = at.known().map_err(|why| Unmade::Denied(why.to_string()))?.map(AsRef::as_ref);
    let vantage = warden.containers.vantage().await?;
    let who = user::who(ghost.image.user, &plan.caller, home.is_some(), engine.maps_users);
    let who = who.map_err(Unmade::Denied)?;
    let kept = kept(warden, &vantage).await?;
    let homes = match plan.caller.is_unseen() {
        true => warden.may_be_homes(&plan.jail.name).await?.map_err(Unmade::Denied)?,
        false => Vec::new(),
    };
    let shared = share(plan, home, &homes, &kept)?;
    out_of_reach(warden, plan, ghost, (&who, &engine), home)?;
    let image = image::find(&warden.engine, &ghost.image, home, |line| {
        // Nobody listens any more when the caller has gone.
        let _ = told.send(line);
    });
    let image = image.await.map_err(Unmade::Failed)?;
    let wanted = ghost.secrets.clone();
    let secrets = tokio::task::spawn_blocking(move || secrets::read(&wanted)).await;
    let secrets = secrets.map_err(|error| Unmade::Failed(error.to_string()))?;
    Ok(Ready { image, who, shared, secrets: secrets.map_err(Unmade::Failed)?, vantage })
}

/// Whether a caller that is not seen may have this ghost: one that takes nothing from its own container, and gets nothing
/// that the caller may not reach into.
fn may_be_unseen(plan: &Plan, ghost: &Ghost, engine: &Details) -> Result<(), Unmade> {
    let takes = ghost.image.is_same() || ghost.image.network.is_some() || !ghost.secrets.is_empty();
    // Whom an engine that maps users makes of it cannot be told either.
    if takes || engine.maps_users || plan.unseen_name().is_none() {
        return Err(Unmade::Denied(PlanError::CallerUnseen.to_string()));
    }
    Ok(())
}

/// The folders that it shares with its caller, the working directory among them.
fn share(
    plan: &Plan,
    home: Option<&Container>,
    homes: &[Vec<Mount>],
    kept: &Kept,
) -> Result<Vec<Shared>, Unmade> {
    let jail = plan.jail.name.as_str();
    // By all that judged it, and by what is in force by now: a change of the policy gives no more to what was decided
    // before it, and takes away at once.
    let now = plan.judges.renewed();
    let all = plan.judges.workspaces().chain(now.iter().flat_map(Judges::workspaces));
    let each = all.map(|declared| match home {
        Some(container) => workspace::of_container(container, declared, kept),
        None if plan.caller.is_unseen() => workspace::of_any(homes, declared, kept),
        None => workspace::of_host(declared, kept),
    });
    let shared = workspace::of_all(each);
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
        ([], None) if plan.caller.is_unseen() => format!(
            "while the caller's process is not seen, it can have the volumes alone that every container of jail {jail} \
             has where the policy declares its `workspace`, and there are none; run the warden in the host's pid \
             namespace (`pid: host`)"
        ),
        ([], None) => format!("the policy declares no `workspace` for jail {jail}"),
        ([], Some(_)) => format!("jail {jail} shares none of its container's mounts with a ghost"),
        (names, _) => format!("a ghost of jail {jail} has {}", names.join(", ")),
    };
    Err(Unmade::Denied(format!("the working directory {shown} is not shared with a ghost: {why}")))
}

/// The warden's own places, and the engine's.
async fn kept(warden: &Warden, vantage: &Arc<Vantage>) -> Result<Kept, Unmade> {
    let (places, config) = (&warden.places, &warden.config);
    let run = places.run();
    let mut files =
        vec![places.control_socket(), places.default_socket(), warden.ledger.path().to_owned()];
    files.extend(config.control.iter().chain(&config.intercom).chain(&config.policy).cloned());
    files.extend(config.engine.sockets());
    files.push(places.config().to_owned());
    files.push("/run/docker.sock".into());
    files.push("/run/podman/podman.sock".into());
    let places_of_jails = run.join("jails");
    let mut folders =
        vec![places_of_jails.clone(), places.state(), warden.recordings.folder().to_owned()];
    folders.extend(warden.ghosts.folders.iter().cloned());
    let doors = warden.jails.all();
    let doors = doors.iter().filter(|jail| !jail.name.is_default());
    let doors = doors.filter_map(|jail| jail.socket.parent().map(Path::to_owned));
    folders.extend(doors.filter(|folder| !folder.starts_with(&places_of_jails)));
    // What the engine calls them, where that is something else.
    let vantage = Arc::clone(vantage);
    let found = tokio::task::spawn_blocking(move || {
        let (more_files, more_folders) =
            (vantage.all_on_host(&files), vantage.all_on_host(&folders));
        files.extend(more_files);
        folders.extend(more_folders);
        Kept { files, folders }
    });
    found.await.map_err(|error| Unmade::Failed(error.to_string()))
}

/// A secret, or a wider network, goes to no process that the caller could trace, or read under /proc.
fn out_of_reach(
    warden: &Warden,
    plan: &Plan,
    ghost: &Ghost,
    (who, engine): (&Who, &Details),
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
    if sees_all && owns(plan.caller.uid, engine) {
        return Err(Unmade::Denied(format!(
            "the rule gives its ghost {what}, and the container engine is the caller's own, who can reach into all of \
             its containers; run the prisoner in a container"
        )));
    }
    if sees_all && (plan.caller.uid == Some(who.host_uid()) || plan.caller.uid == Some(0)) {
        return Err(Unmade::Denied(format!(
            "the rule gives its ghost {what}, and the caller can reach into whatever runs as user {} on this host; run \
             the prisoner in a container, or give the image a `user` of its own",
            who.host_uid()
        )));
    }
    Ok(())
}

/// Whether the engine is this user's, who has every capability in the user namespace of its containers, whoever runs
/// in them.
fn owns(uid: Option<u32>, engine: &Details) -> bool {
    engine.maps_users && uid == Some(engine.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_engine_is_its_owners_whoever_runs_in_its_containers() {
        let of = |maps_users, owner| Details {
            id: String::new(),
            cgroup_driver: String::new(),
            cgroup_version: String::new(),
            maps_users,
            owner,
        };
        assert!(owns(Some(1000), &of(true, 1000)));
        assert!(!owns(Some(1001), &of(true, 1000)));
        assert!(!owns(Some(1000), &of(true, 0)), "an engine of root's that maps users");
        assert!(
            !owns(Some(1000), &of(false, 1000)),
            "root's containers are not the socket's owner's"
        );
        assert!(!owns(None, &of(true, 1000)));
    }
}
