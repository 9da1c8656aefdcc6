//! Ghost: the tool runs in a container of its own, which is made for it and gone afterwards.
//!
//! The container holds what the policy says and nothing that could be read of it: the plan, its variables and secrets go
//! over the runner's own socket.

mod container;
mod draft;
mod image;
mod inside;
mod make;
mod ready;
mod reap;
mod secrets;
mod user;
mod workspace;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clawrden_policy::Ghost;
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use tokio::sync::Semaphore;

use super::supervision::{Supervision, ended};
use super::{Begun, Refusal, Start, begin, finish, local, record, refuse};
use crate::containers::{OutOfReach, Vantage};
use crate::jails::runner::RunnerFile;
use crate::ledger::{self, Id, Method, Started};
use crate::recording::Secrets;
use crate::warden::Warden;
use draft::{complete, prepare};
use make::{Made, begun, making};
use ready::{Ready, Unmade, get_ready};

pub(crate) use container::is_ghost;
use reap::warden_id;
pub(crate) use reap::{clear_doors, reap};
pub(crate) use secrets::learn;

/// Ghosts that are being made at once: an engine that makes more at once makes none of them faster.
const MAKING: usize = 8;

/// What the ghosts of one warden share.
pub(crate) struct Ghosts {
    /// The ledger, whose place tells them from another warden's.
    ledger: PathBuf,
    /// The folders that their doors may be in: the usual one, and one for a warden in a container that shares only its
    /// state with the engine's host.
    pub(crate) folders: [PathBuf; 2],
    /// Where the runner's file is made.
    state: PathBuf,
    /// That file, once a ghost has needed it.
    runner: Mutex<Option<RunnerFile>>,
    making: Semaphore,
}

impl Ghosts {
    pub(crate) fn new(ledger: PathBuf, run: &Path, state: PathBuf) -> Self {
        let folders = [run, &state].map(|above| above.join("ghosts"));
        let making = Semaphore::new(MAKING);
        Self { ledger, folders, state, runner: Mutex::default(), making }
    }

    /// What tells them from another warden's: two wardens on one host have two ledgers.
    fn id(&self, vantage: &Vantage) -> String {
        match vantage.on_host(&self.ledger) {
            Ok(path) => warden_id(&path),
            // A path in the warden's own container: another one of its image has the same.
            Err(_) => warden_id(
                &Path::new(vantage.own().unwrap_or_default())
                    .join(self.ledger.strip_prefix("/").unwrap_or(&self.ledger)),
            ),
        }
    }

    /// The folder for a door that the engine can give away.
    fn folder(&self, vantage: &Vantage) -> Result<&Path, OutOfReach> {
        let [usual, other] = &self.folders;
        match vantage.reaches(usual) {
            Ok(()) => Ok(usual),
            Err(_) => vantage.reaches(other).map(|()| &**other),
        }
    }

    /// The path of the runner's program, for the engine.
    fn runner(&self, vantage: &Vantage) -> Result<String, String> {
        let mut file = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => {
                none.insert(RunnerFile::in_folder(&self.state).map_err(|error| error.to_string())?)
            }
        };
        let path = vantage.on_host(file.path()).map_err(|error| error.to_string())?;
        Ok(path.display().to_string())
    }
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
    let hidden = Secrets::of(ready.secrets.values());
    let recording = match record::begin(warden, &start.approved, hidden).await {
        Ok(recording) => recording,
        Err(text) => return refuse(warden, start, Refusal::Failed, text).await,
    };
    let started = Started {
        id,
        executor: "ghost".to_owned(),
        method: Method::Runner,
        pid: None,
        stripped: ledger::names(prepared.stripped.clone()),
        run_as: None,
        ghost: Some(told(&ghost, &ready)),
        record: record::word(&start.approved),
    };
    let limit = start.approved.timeout().duration();
    let making = making(warden, id, &ghost, &ready, plan, &prepared);
    let Some(Begun { mut run, mut spent }) = begin(warden, &mut start, started).await else {
        record::discard(recording).await;
        return start.reply.close();
    };
    let clock = Instant::now();
    let making = match making {
        Ok(making) => making,
        Err(text) => {
            record::discard(recording).await;
            let _ = start.reply.fail(EXIT_UNREACHABLE, &text).await;
            return finish(warden, &run, ended(id, clock, None, Some(text)), spent);
        }
    };
    let made = begun(warden, making, ready.secrets, &mut run, &mut start.reply).await;
    let Made { held, runner, inside, _door } = match made {
        Ok(made) => made,
        Err((code, text)) => {
            record::discard(recording).await;
            // Before the client is told, who may ask again at once. Nothing but the runner has run.
            finish(warden, &run, ended(id, clock, None, Some(text.clone())), spent);
            let _ = start.reply.fail(code, &text).await;
            return start.reply.close();
        }
    };
    crate::crash::point("runner_taken");
    let prepared = complete(prepared, inside);
    let supervision = Supervision::new(id, run, runner, clock, limit);
    let mut supervision = supervision.in_container(warden.engine.clone(), held.id().to_owned());
    let finished = supervision.run(prepared, start.reply, recording, None).await;
    spent = spent.filter(|_| supervision.refused_to_start);
    finish(warden, supervision.run_of(), finished, spent);
    supervision.end_all().await;
    held.gone().await;
    supervision.serve().await;
}

fn told(ghost: &Ghost, ready: &Ready) -> ledger::Ghost {
    ledger::Ghost {
        image: ghost.image.image.clone(),
        image_id: ready.image.id.clone(),
        network: ghost.image.network.clone(),
        secrets: ghost.secrets.iter().map(|secret| secret.name.clone()).collect(),
        shared: ready.shared.iter().map(|shared| shared.target.clone()).collect(),
        uid: ready.who.uid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_wardens_in_containers_of_one_image_do_not_have_each_others_ghosts() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("audit.log");
        std::fs::write(&ledger, "").unwrap();
        let ghosts = Ghosts::new(ledger.clone(), dir.path(), dir.path().to_owned());
        let inside = |id: &str| {
            let mut own = workspace::tests::container(&[]);
            id.clone_into(&mut own.id);
            ghosts.id(&Vantage::Inside(Box::new(own)))
        };
        assert_eq!(inside("a"), inside("a"));
        assert_ne!(inside("a"), inside("b"));
        assert_eq!(ghosts.id(&Vantage::Host), warden_id(&std::fs::canonicalize(ledger).unwrap()));
    }
}
