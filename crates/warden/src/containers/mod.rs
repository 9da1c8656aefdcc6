//! Which container a caller is in. Its cgroup names one, the engine says what that is, and the kernel whether the caller
//! is truly in it. Nothing that the caller itself says is looked at, and what cannot be told is never taken for "none".

mod addresses;
mod cgroup;
mod doors;
mod hardened;
mod known;
mod members;
mod namespace;
mod vantage;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::caller::Caller;
use crate::engine::{Container, Engine, EngineError, Event, Listed, Mount, MountKind};
use crate::process::namespaces::Namespace;
use crate::process::{Identity, ProcessError};
use crate::whereabouts::{Unknown, Whereabouts};
pub(crate) use addresses::{Addresses, Whose};
use cgroup::{Place, Seen};
pub(crate) use doors::{Door, Doors};
use known::{Cache, Known};
pub(crate) use members::{ENABLED_LABEL, Member, Members, is_hardened};
pub(crate) use vantage::{OutOfReach, Vantage};

/// How long a caller's container may be asked about before it counts as unknown.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same of Podman, which takes seconds on a busy machine, and of an engine that has to be found first.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

/// The label that says which jail a container belongs to.
pub(crate) const JAIL_LABEL: &str = "clawrden.jail";

/// Whether the cgroups of a process name a container that is not the warden's own, whichever engine's it is.
///
/// # Errors
/// When it has ended, or may not be looked at.
pub(crate) fn is_named(pid: u32) -> Result<bool, ProcessError> {
    let read = |pid| crate::process::proc::read(pid, "cgroup");
    Ok(cgroup::seen(&read(pid)?, &read(std::process::id())?) != Seen::Nothing)
}

/// The containers that the cgroups of a process name, as far as they are not the warden's own.
pub(crate) fn named(pid: u32) -> Vec<String> {
    let Ok(text) = crate::process::proc::read(pid, "cgroup") else { return Vec::new() };
    match cgroup::seen(&text, &fs::read("/proc/self/cgroup").unwrap_or_default()) {
        Seen::Nothing => Vec::new(),
        Seen::Inside { id, .. } => vec![id],
        Seen::Several => text.split(|&byte| byte == b'\n').flat_map(cgroup::ids).collect(),
    }
}

/// The containers of one engine, as far as callers were seen in them.
#[derive(Debug)]
pub(crate) struct Containers {
    engine: Engine,
    /// The warden's own cgroups.
    own: Vec<u8>,
    namespace: Option<Namespace>,
    cache: Mutex<Cache>,
    /// Where the warden itself is; never changes, once it is known.
    vantage: OnceCell<Arc<Vantage>>,
}

impl Containers {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            own: fs::read("/proc/self/cgroup").unwrap_or_default(),
            namespace: namespace::of(std::process::id(), None).ok(),
            cache: Mutex::default(),
            vantage: OnceCell::new(),
        }
    }

    /// Where the warden itself is, for its engine.
    ///
    /// # Errors
    /// While that is not known and the engine does not answer.
    pub(crate) async fn vantage(&self) -> Result<Arc<Vantage>, EngineError> {
        let find = async || Vantage::find(&self.engine, &self.own).await.map(Arc::new);
        self.vantage.get_or_try_init(find).await.cloned()
    }

    /// Whether an engine answered the last time, so that it is worth to say where callers are also where no rule asks;
    /// or may yet answer the first time, which callers in containers wait for.
    pub(crate) fn may_have_engine(&self) -> bool {
        self.engine.may_be_there()
    }

    /// Whether the caller is not where the warden is, so that an engine which did not answer the last time may be back and
    /// have it: a container that it starts may ask sooner than anybody looks for the engine again.
    pub(crate) fn may_be_back_for(&self, caller: &Caller) -> bool {
        let is_elsewhere = |pid| match namespace::of(pid, caller.handle()) {
            Ok(at) => Some(at) != self.namespace && !self.cache().is_unreached(at),
            Err(_) => self.namespace.is_some(),
        };
        self.engine.is_wanted() && caller.pid.is_some_and(is_elsewhere)
    }

    /// Where a caller is. Asks the engine about a container that is not known yet.
    pub(crate) async fn find(&self, caller: &Caller) -> Whereabouts {
        match self.look(caller).await {
            // What was read of its number was its own if it lives still.
            Ok(_) if !caller.is_alive() => {
                let why = Unknown::Unreadable("it has ended".to_owned());
                Whereabouts::Unknown(Arc::new(why))
            }
            Ok(found) => found,
            Err(why) => Whereabouts::Unknown(Arc::new(why)),
        }
    }

    async fn look(&self, caller: &Caller) -> Result<Whereabouts, Unknown> {
        let pid = caller.pid.ok_or(Unknown::Unseen)?;
        let unreadable = |error: &dyn std::error::Error| Unknown::Unreadable(error.to_string());
        let namespace = namespace::of(pid, caller.handle()).map_err(|error| unreadable(&error));
        // By the number of its cgroup it is told at a tenth of what reading the names takes.
        let number = || cgroup::number(caller.handle()?);
        let before = number();
        if let Some(known) = before.and_then(|number| self.cache().in_cgroup(number))
            && namespace.as_ref().is_ok_and(|namespace| known.has(*namespace, pid))
        {
            return Ok(Whereabouts::In(Arc::clone(&known.container)));
        }
        let text = crate::process::proc::read(pid, "cgroup").map_err(|error| unreadable(&error))?;
        let (id, place) = match cgroup::seen(&text, &self.own) {
            Seen::Inside { id, place } => (id, place),
            Seen::Several => return Err(Unknown::Several),
            Seen::Nothing => {
                let namespace = namespace?;
                if Some(namespace) == self.namespace {
                    return Ok(Whereabouts::Nowhere);
                }
                let asked = self.by_namespace(namespace, pid);
                return match tokio::time::timeout(self.patience(), asked).await {
                    Ok(found) => found.map(Whereabouts::In),
                    Err(_) => Err(Unknown::TooMany),
                };
            }
        };
        let namespace = namespace?;
        let holds = |known: &Known| known.place.is_same(&place) && known.has(namespace, pid);
        let known = self.cache().named(&id).filter(|known| holds(known));
        let known = match known {
            Some(known) => known,
            // Not known, or perhaps started anew meanwhile.
            None => match tokio::time::timeout(self.patience(), self.ask(&id)).await {
                Ok(known) => known?,
                Err(_) => return Err(Unknown::TooSlow(id)),
            },
        };
        if !holds(&known) {
            return Err(Unknown::Elsewhere(id));
        }
        // Its number is that of the names if it was in there before and after these were read.
        if let Some(now) = number().filter(|now| before == Some(*now))
            && place.is_of_second_version()
        {
            self.cache().learn_cgroup(now, &known);
        }
        Ok(Whereabouts::In(Arc::clone(&known.container)))
    }

    fn patience(&self) -> Duration {
        let about = self.engine.state().about;
        let is_quick = about.is_some_and(|about| !about.name.starts_with("Podman"));
        // One that has gone is looked for by others as well, and may hang.
        if is_quick || !self.engine.may_be_there() { PATIENCE } else { LONG_PATIENCE }
    }

    async fn ask(&self, id: &str) -> Result<Arc<Known>, Unknown> {
        let asked = self.cache().asked();
        let told = |source| Unknown::NotTold { id: id.to_owned(), source };
        let container = self.engine.inspect_container(id).await.map_err(told)?;
        let elsewhere = || Unknown::Elsewhere(id.to_owned());
        // A prefix or a name would do for the engine; this is neither.
        let first = container.pid.filter(|_| container.id == id).ok_or_else(elsewhere)?;
        let text = crate::process::proc::read(first, "cgroup").map_err(|_| elsewhere())?;
        let namespace = namespace::of(first, None).map_err(|_| elsewhere())?;
        let first = Identity::of(first).map_err(|_| elsewhere())?;
        let place = match cgroup::seen(&text, &self.own) {
            Seen::Inside { id: found, place } if found == id => place,
            _ => return Err(elsewhere()),
        };
        let known = Arc::new(Known { container: Arc::new(container), place, namespace, first });
        self.cache().learn(&known, asked);
        Ok(known)
    }

    /// What tells the warden's own folders among the mounts of containers, but for volumes that are names of folders.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(crate) async fn doors(&self) -> Result<Doors, EngineError> {
        Ok(Doors { vantage: self.vantage().await?, folders: BTreeMap::new() })
    }

    /// Where the warden itself is, as far as that was found out.
    pub(crate) fn known_vantage(&self) -> Option<&Vantage> {
        self.vantage.get().map(AsRef::as_ref)
    }

    /// Lets `doors` tell volumes that are names of folders as well, where there are volumes among `mounts`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(crate) async fn learn_volumes<'m>(
        &self,
        doors: &mut Doors,
        mut mounts: impl Iterator<Item = &'m Mount>,
    ) -> Result<(), EngineError> {
        if !mounts.any(|mount| matches!(mount.kind, MountKind::Volume(_))) {
            return Ok(());
        }
        doors.folders = match self.engine.folders_of_volumes().await {
            Ok(folders) => folders,
            Err(error) if error.is_absent() => return Err(error),
            // Not every engine's socket lets that be asked; what is mounted by its own path is found all the same.
            Err(error) => {
                tracing::debug!(%error, "which volumes are names of folders is not known");
                BTreeMap::new()
            }
        };
        Ok(())
    }

    /// The container without a cgroup of its own that has the caller's pid namespace: an engine that is run by a user may
    /// be unable to give one.
    /// Of other engines nothing is asked: whoever is in no container's cgroup is in none of theirs.
    async fn by_namespace(
        &self,
        namespace: Namespace,
        pid: u32,
    ) -> Result<Arc<Container>, Unknown> {
        let asked = self.cache().asked();
        let maps_users = match self.engine.maps_users().await {
            Ok(maps_users) => maps_users,
            Err(error) => {
                if error.is_absent() {
                    self.cache().learn_unreached(namespace, asked);
                }
                return Err(Unknown::NotListed(error));
            }
        };
        if !maps_users || self.cache().is_of_none(namespace) {
            return Err(Unknown::NoContainer);
        }
        let holds = |known: &Known| known.has(namespace, pid) && known.first.is_alive();
        let known = self.cache().unnamed(holds);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.container));
        }
        let asked = self.cache().asked();
        let mut found: Option<Arc<Known>> = None;
        for Listed { id, .. } in
            self.engine.list_containers(&[], false).await.map_err(Unknown::NotListed)?
        {
            let container = match self.engine.inspect_container(&id).await {
                Ok(container) => container,
                // It has gone meanwhile. Of any other one that is not told, it may be the caller's.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(Unknown::NotListed(error)),
            };
            let Some(known) = unnamed(container).filter(|known| holds(known)) else { continue };
            // Two containers can share a namespace; then it tells nothing.
            if found.replace(Arc::new(known)).is_some() {
                return Err(Unknown::Several);
            }
        }
        let Some(known) = found else {
            self.cache().learn_none(namespace, asked);
            return Err(Unknown::NoContainer);
        };
        self.cache().learn(&known, asked);
        Ok(Arc::clone(&known.container))
    }

    /// Hears what happens at the engine, so that nothing outdated is known.
    pub(crate) fn hear(&self, event: &Event) {
        self.cache().hear(event);
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container whose first process is in no cgroup that names one, and in a pid namespace that is not the warden's.
fn unnamed(container: Container) -> Option<Known> {
    let first = container.pid?;
    let text = crate::process::proc::read(first, "cgroup").ok()?;
    let namespace = namespace::of(first, None).ok()?;
    let first = Identity::of(first).ok()?;
    let is_own = namespace::of(std::process::id(), None).ok()? == namespace;
    let is_named = cgroup::seen(&text, b"") != Seen::Nothing;
    let known = Known { container: Arc::new(container), place: Place::default(), namespace, first };
    (!is_named && !is_own).then_some(known)
}

/// Why a container is not served at a jail's socket: it is another jail's.
pub(crate) fn strangeness(container: &Container, jail: &str) -> Option<String> {
    let of = container.labels.get(JAIL_LABEL).filter(|of| *of != jail)?;
    Some(format!(
        "container {} belongs to jail {of} by its label {JAIL_LABEL}; it is not served at the socket of jail {jail}",
        container.name
    ))
}
