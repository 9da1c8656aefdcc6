//! Ending, freezing and thawing the containers of prisoners.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::join_all;

use super::Warden;
use crate::containers::{Door, Doors, JAIL_LABEL};
use crate::engine::{EngineError, Listed, Mount, MountKind, Running};
use crate::holds::Scope;
use crate::jails::JailName;
use crate::plan::Origin;
use crate::whereabouts::short;

/// Containers that are ended or frozen at the same time; the engine does no more at once anyhow.
const AT_ONCE: usize = 16;

impl Warden {
    /// Ends or freezes the containers that `scope` means. Gives how many, and what could not be done.
    pub(super) async fn stop_containers(&self, scope: &Scope, pause: bool) -> (usize, Vec<String>) {
        let (targets, mut problems) = self.targets(scope).await;
        let act = async |(id, name): &(String, String)| {
            let done = if pause {
                self.engine.pause_container(id).await.map(|()| true)
            } else {
                // What is frozen cannot be ended by every engine.
                match self.engine.kill_container(id, "SIGKILL").await {
                    Err(EngineError::Conflict { .. }) => self.end_frozen(id).await,
                    done => done.map(|()| true),
                }
            };
            match done {
                Ok(did) => Ok(did.then(|| id.clone())),
                // It has gone, or is not running, or somebody froze it before.
                Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) => Ok(None),
                Err(error) => match self.is_left(id, pause).await {
                    true => Err(format!("container {name} ({}): {error}", short(id))),
                    false => Ok(None),
                },
            }
        };
        let mut done = Vec::new();
        for some in targets.chunks(AT_ONCE) {
            for result in join_all(some.iter().map(&act)).await {
                match result {
                    Ok(id) => done.extend(id),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        self.members.became(&done, if pause { Running::Paused } else { Running::No });
        if let Err(error) = self.holds.set_frozen(&done, pause) {
            problems.push(error.to_string());
        }
        (done.len(), problems)
    }

    /// Whether a container that could not be stopped runs on. One that ends at that moment does not.
    async fn is_left(&self, id: &str, pause: bool) -> bool {
        match self.engine.inspect_container(id).await {
            Ok(found) => {
                found.running == Running::Yes || (found.running == Running::Paused && !pause)
            }
            Err(error) => !error.is_not_found(),
        }
    }

    /// Ends a container that is frozen; whether it was.
    async fn end_frozen(&self, id: &str) -> Result<bool, EngineError> {
        if self.engine.inspect_container(id).await?.running == Running::Paused {
            self.engine.unpause_container(id).await?;
            self.engine.kill_container(id, "SIGKILL").await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Thaws the containers that were frozen and that no stop reaches any more.
    pub(super) async fn thaw_containers(&self) -> (usize, Vec<String>) {
        let mut problems = Vec::new();
        let frozen = self.holds.frozen();
        if frozen.is_empty() {
            return (0, problems);
        }
        let listed = match self.engine.list_containers(&[], false).await {
            Ok(listed) => listed,
            Err(error) => return (0, vec![format!("containers stay frozen: {error}")]),
        };
        let ways = match self.ways(mounts(&listed)).await {
            Ok(ways) => ways,
            Err(error) => return (0, vec![format!("containers stay frozen: {error}")]),
        };
        let mut done = Vec::new();
        let mut thawed = Vec::new();
        for id in frozen {
            let found = listed.iter().find(|one| one.id == id);
            let jails = found.map(|found| self.jails_of(found, &ways)).unwrap_or_default();
            let origin = Origin {
                jails: jails.into_iter().collect(),
                container: Some(id.clone()),
                is_told: true,
            };
            if self.is_paused(&origin) {
                continue;
            }
            match self.engine.unpause_container(&id).await {
                Ok(()) => thawed.push(id.clone()),
                Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) => {}
                Err(_) if found.is_none_or(|found| found.running != Running::Paused) => {}
                Err(error) => {
                    problems.push(format!("container {} stays frozen: {error}", short(&id)));
                    continue;
                }
            }
            done.push(id);
        }
        self.members.became(&thawed, Running::Yes);
        if let Err(error) = self.holds.set_frozen(&done, false) {
            problems.push(error.to_string());
        }
        (thawed.len(), problems)
    }

    /// Ids and names of the containers that `scope` means: those that are known, and those that the engine has and that
    /// can reach a jail's socket.
    async fn targets(&self, scope: &Scope) -> (Vec<(String, String)>, Vec<String>) {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        let mut problems = Vec::new();
        if let Scope::Container(container) = scope {
            found.insert(container.id.clone(), container.name.clone());
            return (found.into_iter().collect(), problems);
        }
        let is_meant = |jail: &JailName, id: &str| {
            let origin =
                Origin { jails: vec![jail.clone()], container: Some(id.to_owned()), is_told: true };
            scope.reaches(&origin)
        };
        let members = self.members.all().into_iter();
        let members = members.filter(|member| is_meant(&member.jail, &member.id));
        match self.there().await {
            Ok((listed, ways)) => {
                // What the engine tells of one counts more than what was heard.
                let is_told = |id: &str| listed.iter().any(|one| one.id == id);
                let is_own = |id: &str| ways.doors.vantage().is_own(id);
                let unheard = members.filter(|one| !is_told(&one.id) && !is_own(&one.id));
                found.extend(unheard.map(|one| (one.id, one.name)));
                for one in listed {
                    let jails = self.jails_of(&one, &ways);
                    if jails.iter().any(|jail| is_meant(jail, &one.id)) {
                        found.insert(one.id, one.name);
                    }
                }
            }
            // Without an engine there are no containers to end.
            Err(EngineError::Unwanted) => {}
            Err(error) => {
                let own = self.containers.known_vantage();
                let others = members.filter(|one| !own.is_some_and(|own| own.is_own(&one.id)));
                found.extend(others.map(|one| (one.id, one.name)));
                if found.is_empty() {
                    tracing::warn!(%error, "whether containers are to be stopped is not known");
                } else {
                    problems.push(format!("not all containers are known: {error}"));
                }
            }
        }
        (found.into_iter().collect(), problems)
    }

    /// The containers that run, and what tells whose they are.
    async fn there(&self) -> Result<(Vec<Listed>, Ways), EngineError> {
        let listed = self.engine.list_containers(&[], false).await?;
        let ways = self.ways(mounts(&listed)).await?;
        Ok((listed, ways))
    }

    /// What leads to this warden from containers that have these mounts.
    pub(super) async fn ways<'m>(
        &self,
        mounts: impl Iterator<Item = &'m Mount>,
    ) -> Result<Ways, EngineError> {
        let mut doors = self.containers.doors().await?;
        self.containers.learn_volumes(&mut doors, mounts).await?;
        let mut paths = Vec::new();
        for jail in self.jails.all() {
            // The default jail's socket lies among everything else.
            let folder = jail.socket.parent().filter(|_| !jail.name.is_default());
            let both = folder.into_iter().chain([&*jail.socket]);
            paths.extend(both.map(|path| (Some(jail.name.clone()), path.to_owned())));
        }
        let run = self.places.run();
        paths.push((None, run.clone()));
        let found = tokio::task::spawn_blocking(move || {
            let ours = paths.into_iter().map(|(jail, path)| (jail, doors.door(&path))).collect();
            let jails = doors.door(&run.join("jails"));
            Ways { doors, ours, jails }
        });
        found.await.map_err(|error| EngineError::Unreadable {
            call: "tell its mounts",
            why: error.to_string(),
        })
    }

    /// What is mounted into each container that has this jail's door: a caller that is not seen is in one of them. The text
    /// says why none of it counts.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(crate) async fn may_be_homes(
        &self,
        jail: &JailName,
    ) -> Result<Result<Vec<Vec<Mount>>, String>, EngineError> {
        // One that has ended asks for nothing any more: its connection went with it.
        let (listed, ways) = self.there().await?;
        // Whoever can move folders on the way of those has them come from elsewhere.
        let folders = self.engine.folders_of_volumes().await?;
        let mut homes = Vec::new();
        for one in listed {
            if !ways.may_lead(&one.mounts, jail) || ways.doors.vantage().is_own(&one.id) {
                continue;
            }
            if let Some(of) = one.labels.get(JAIL_LABEL).filter(|of| **of != *jail.as_str()) {
                return Ok(Err(format!(
                    "the caller is not seen and may be in container {}, which belongs to jail {of} by its label \
                     {JAIL_LABEL}; run the warden in the host's pid namespace (`pid: host`)",
                    one.name
                )));
            }
            let narrowed = match self.engine.inspect_container(&one.id).await {
                Ok(container) => container.narrowed,
                // With it went whatever it asked for.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let bent = |mount: &Mount| matches!(&mount.kind, MountKind::Volume(name) if folders.contains_key(name));
            // A ghost would get the whole volume, and what memory hides there.
            let is_part = |mount: &Mount| {
                narrowed.iter().any(|at| Path::new(at).starts_with(&mount.destination))
            };
            let kind = |mount: Mount| match bent(&mount) || is_part(&mount) {
                true => Mount { kind: MountKind::Other, ..mount },
                false => mount,
            };
            homes.push(one.mounts.into_iter().map(kind).collect());
        }
        Ok(Ok(homes))
    }

    /// The jails that a container is in: that of its label unless it has only another warden's door, those whose folder
    /// is mounted into it, and those where it asked for something. The warden's own container has all the folders and
    /// is in no jail.
    pub(super) fn jails_of(&self, container: &Listed, ways: &Ways) -> BTreeSet<JailName> {
        if ways.doors.vantage().is_own(&container.id) {
            return BTreeSet::new();
        }
        let is_anothers = ways.is_anothers(&container.mounts);
        let members = self.members.all().into_iter().filter(|member| member.id == container.id);
        let members = members.filter(|member| !(member.is_labelled && is_anothers));
        let mut jails: BTreeSet<JailName> = members.map(|member| member.jail).collect();
        if !is_anothers {
            jails.extend(self.members.by_label(&container.labels));
        }
        jails.extend(ways.jails(&container.mounts));
        jails
    }
}

/// All that is mounted into these.
pub(super) fn mounts(listed: &[Listed]) -> impl Iterator<Item = &Mount> {
    listed.iter().flat_map(|one| &one.mounts)
}

/// What leads from containers to a warden.
pub(super) struct Ways {
    doors: Doors,
    /// Each with the jail that it leads to; to several without.
    ours: Vec<(Option<JailName>, Door)>,
    /// The folder of them all, where the doors of jails will be that are not made yet.
    jails: Door,
}

impl Ways {
    /// Whether a container with these mounts has another warden's door, and none of this one's.
    pub(super) fn is_anothers(&self, mounts: &[Mount]) -> bool {
        self.doors.is_anothers(mounts, self.ours.iter().map(|(_, door)| door))
            && !self.doors.has_part(mounts, &self.jails)
    }

    /// Whether a container with these mounts can reach this jail's door, by whichever folder.
    fn may_lead(&self, mounts: &[Mount], jail: &JailName) -> bool {
        let mut its = self.ours.iter().filter(|(of, _)| of.as_ref() == Some(jail));
        its.any(|(_, door)| self.doors.leads_to(mounts, door))
    }

    fn jails(&self, mounts: &[Mount]) -> impl Iterator<Item = JailName> {
        let mounted =
            self.ours.iter().filter(|(_, door)| self.doors.mounted(mounts, door).is_some());
        mounted.filter_map(|(jail, _)| jail.clone())
    }
}
