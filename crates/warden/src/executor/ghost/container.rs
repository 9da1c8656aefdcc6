//! The container of a ghost: what it is made of, and that it goes again.

use std::collections::BTreeMap;
use std::time::Duration;

use clawrden_policy::{GHOST_MEMORY, GHOST_PIDS, Limits as Wanted};
use clawrden_protocol::runner::{CONNECT, CONNECT_OPEN};

use super::secrets::FOLDER;
use super::user::Who;
use super::workspace::Shared;
use crate::engine::{Bind, Engine, EngineError, Limits, NewContainer, Tmpfs};
use crate::executor::door::SOCKET;
use crate::ledger::Id;

/// The label with the id of the request that a ghost is for.
pub(super) const GHOST: &str = "clawrden.ghost";
/// The label with the id of the warden whose ghost it is.
pub(super) const WARDEN: &str = "clawrden.warden";

/// Whether labels are those of a ghost, whichever warden's.
pub(crate) fn is_ghost(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(GHOST)
}

/// The folder in a ghost that leads to the warden.
const DOOR: &str = "/clawrden/ghost";
/// The runner in a ghost.
const RUNNER: &str = "/clawrden/clawrden-runner";
/// The home of whoever runs in a ghost: nobody's own.
pub(super) const HOME: &str = "/home/ghost";

/// Bytes that fit into `/tmp`, and as many into the home. They count as memory, too.
const SCRATCH: u64 = 1 << 30;

/// How often removing a container is tried again, and for how long at most.
const AGAIN: Duration = Duration::from_secs(2);
const TRIES: u32 = 300;

/// Everything that a ghost's container is made of.
pub(super) struct Parts<'a> {
    pub(super) id: Id,
    /// The warden's own id.
    pub(super) warden: &'a str,
    /// The image's id.
    pub(super) image: String,
    pub(super) who: &'a Who,
    pub(super) network: Option<&'a str>,
    pub(super) limits: Wanted,
    pub(super) shared: &'a [Shared],
    pub(super) has_secrets: bool,
    /// The folder with its door, and the runner, on the engine's host.
    pub(super) door: String,
    pub(super) runner: String,
    /// The warden does not see its processes.
    pub(super) is_unseen: bool,
}

/// The container that comes of it: nothing in it says what runs, with which variables or secrets.
pub(super) fn plan(parts: Parts<'_>) -> NewContainer {
    let Parts { id, warden, image, who, network, limits, shared, has_secrets, .. } = parts;
    let Parts { door, runner, is_unseen, .. } = parts;
    let connect = if is_unseen { CONNECT_OPEN } else { CONNECT };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let bind = |source: String, target: &str, is_read_only| Bind {
        source,
        target: target.to_owned(),
        is_read_only,
    };
    let shared = shared
        .iter()
        .map(|shared| bind(shared.source.clone(), &shared.target, shared.is_read_only));
    let ours = [bind(door, DOOR, true), bind(runner, RUNNER, true)];
    let scratch = |target: &str, mode, owner| Tmpfs {
        target: target.to_owned(),
        bytes: SCRATCH.min(limits.memory.unwrap_or(GHOST_MEMORY)),
        mode,
        owner,
        is_executable: true,
    };
    let binds: Vec<Bind> = shared.chain(ours).collect();
    let own = Some((who.uid, who.gid));
    let mut tmpfs = vec![scratch(HOME, 0o700, own), scratch("/tmp", 0o1777, None)];
    tmpfs.retain(|tmpfs| binds.iter().all(|bind| bind.target != tmpfs.target));
    if has_secrets {
        tmpfs.push(Tmpfs {
            target: FOLDER.to_owned(),
            bytes: 16 << 20,
            mode: 0o500,
            owner: own,
            is_executable: false,
        });
    }
    NewContainer {
        name: format!("clawrden-ghost-{id}"),
        image,
        command: vec![RUNNER.to_owned(), text(connect), format!("{DOOR}/{SOCKET}")],
        user: format!("{}:{}", who.uid, who.gid),
        groups: who.groups.clone(),
        cwd: "/".to_owned(),
        labels: BTreeMap::from([
            (GHOST.to_owned(), id.to_string()),
            (WARDEN.to_owned(), warden.to_owned()),
        ]),
        binds,
        tmpfs,
        network: network.unwrap_or_default().to_owned(),
        limits: Limits {
            memory: limits.memory.unwrap_or(GHOST_MEMORY),
            milli_cpus: limits.milli_cpus.unwrap_or_default(),
            pids: limits.pids.unwrap_or(GHOST_PIDS),
            ..Limits::default()
        },
        ..NewContainer::default()
    }
}

/// A container that goes with this. [`Held::gone`] waits for it.
pub(super) struct Held {
    engine: Engine,
    id: String,
    is_gone: bool,
}

impl Held {
    /// Makes the container. Run it as a task of its own: one that is given up half-way is removed all the same.
    pub(super) async fn make(engine: Engine, new: NewContainer) -> Result<Self, EngineError> {
        let id = engine.create_container(&new).await?;
        Ok(Self { engine, id, is_gone: false })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Removes it, whatever runs in it.
    pub(super) async fn gone(mut self) {
        self.is_gone = self.engine.remove_container(&self.id).await.is_ok();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        tokio::spawn(async move {
            for _ in 0..TRIES {
                match engine.remove_container(&id).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::debug!(%error, id, "a ghost's container is not gone yet");
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
            tracing::warn!(
                id,
                "a ghost's container could not be removed; the next start of the warden tries again"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(who: &'a Who, shared: &'a [Shared], limits: Wanted) -> Parts<'a> {
        Parts {
            id: Id([7; 16]),
            warden: "w",
            image: "sha256:00".to_owned(),
            who,
            network: None,
            limits,
            shared,
            has_secrets: false,
            door: "/run/clawrden/ghosts/x".to_owned(),
            runner: "/var/lib/clawrden/clawrden-runner".to_owned(),
            is_unseen: false,
        }
    }

    fn who() -> Who {
        Who { uid: 1000, gid: 100, groups: vec![27], on_host: None }
    }

    #[test]
    fn a_ghost_has_its_caller_its_bounds_and_nothing_to_read() {
        let new = plan(parts(&who(), &[], Wanted::default()));
        assert_eq!((new.user.as_str(), &new.groups[..]), ("1000:100", &[27][..]));
        assert_eq!((new.limits.memory, new.limits.pids), (GHOST_MEMORY, GHOST_PIDS));
        assert!(new.environment.is_empty() && new.network.is_empty() && !new.is_writable);
        assert!(!new.may_gain_privileges && new.capabilities.is_empty());
        assert!(new.binds.iter().all(|bind| bind.is_read_only));
        assert_eq!(new.labels[GHOST], Id([7; 16]).to_string());
        let targets: Vec<&str> = new.tmpfs.iter().map(|tmpfs| tmpfs.target.as_str()).collect();
        assert_eq!(targets, [HOME, "/tmp"]);
    }

    #[test]
    fn scratch_is_no_larger_than_the_memory_and_a_shared_tmp_is_the_callers() {
        let shared =
            [Shared { source: "/srv/tmp".into(), target: "/tmp".into(), is_read_only: false }];
        let limits = Wanted { memory: Some(64 << 20), pids: Some(9), ..Wanted::default() };
        let who = who();
        let new =
            plan(Parts { has_secrets: true, network: Some("n"), ..parts(&who, &shared, limits) });
        let targets: Vec<&str> = new.tmpfs.iter().map(|tmpfs| tmpfs.target.as_str()).collect();
        assert_eq!(targets, [HOME, FOLDER]);
        assert_eq!((new.tmpfs[0].bytes, new.limits.pids), (64 << 20, 9));
        assert_eq!((new.tmpfs[1].mode, new.tmpfs[1].owner), (0o500, Some((1000, 100))));
        assert_eq!(new.network, "n");
        assert!(!new.binds[0].is_read_only);
    }
}
