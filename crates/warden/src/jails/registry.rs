//! Every jail and prisoner of one warden, and the question which prisoner a process belongs to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use clawrden_api::JailStatus;
use clawrden_policy::Policy;

use super::{JailName, Prisoner};
use crate::process::{self, Identity, ProcessError};

/// Jails of one warden. A further one is refused.
pub const MAX_JAILS: usize = 256;

/// Prisoners of one warden. A further one is refused.
pub const MAX_PRISONERS: usize = 4096;

/// Why a jail or a prisoner was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is one of that name.
    #[error("there is a jail called {0} already")]
    NameTaken(JailName),
    /// There is none of that name.
    #[error("there is no jail called {0}")]
    NoSuchJail(JailName),
    /// There is one of that id.
    #[error("there is a prisoner {0} already")]
    IdTaken(String),
    /// The process holds a prisoner already.
    #[error("process {0} holds a prisoner already")]
    RootTaken(u32),
    /// At the limit.
    #[error("there are {0} {1} already; end one first")]
    TooMany(usize, &'static str),
}

/// The policy of a jail, as it is in force.
#[derive(Debug)]
pub struct InForce {
    /// What judges.
    pub policy: Arc<Policy>,
    /// Where it came from.
    pub name: String,
    /// SHA-256 of its text, in hex.
    pub fingerprint: String,
    /// Why a newer text did not load, if one did not.
    pub error: Option<String>,
}

/// A jail.
#[derive(Debug)]
pub struct Jail {
    /// Its name.
    pub name: JailName,
    /// Its intercom socket.
    pub socket: PathBuf,
    /// The folder of its shims, where there is one.
    pub bin: Option<PathBuf>,
    /// The tools that have a shim there.
    pub tools: Vec<String>,
    in_force: RwLock<Arc<InForce>>,
    requests: AtomicU64,
}

impl Jail {
    /// A jail without prisoners.
    #[must_use]
    pub fn new(
        name: JailName,
        socket: PathBuf,
        bin: Option<PathBuf>,
        tools: Vec<String>,
        in_force: InForce,
    ) -> Self {
        let in_force = RwLock::new(Arc::new(in_force));
        Self { name, socket, bin, tools, in_force, requests: AtomicU64::new(0) }
    }

    /// The policy at this moment. A request is judged by the one it got, also when another comes into force meanwhile.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.in_force().policy)
    }

    /// Puts another policy in force.
    pub fn put_in_force(&self, in_force: InForce) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(in_force);
    }

    /// Counts one request.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Inner {
    jails: BTreeMap<JailName, Arc<Jail>>,
    prisoners: BTreeMap<String, Arc<Prisoner>>,
}

/// The registry.
#[derive(Debug)]
pub struct Jails {
    inner: RwLock<Inner>,
}

impl Default for Jails {
    fn default() -> Self {
        let inner = Inner { jails: BTreeMap::new(), prisoners: BTreeMap::new() };
        Self { inner: RwLock::new(inner) }
    }
}

impl Jails {
    /// Takes a jail in.
    ///
    /// # Errors
    /// When the name is taken, or there are [`MAX_JAILS`].
    pub fn add(&self, jail: Jail) -> Result<Arc<Jail>, RegistryError> {
        let mut inner = self.write();
        if inner.jails.contains_key(&jail.name) {
            return Err(RegistryError::NameTaken(jail.name));
        }
        if inner.jails.len() >= MAX_JAILS {
            return Err(RegistryError::TooMany(MAX_JAILS, "jails"));
        }
        let jail = Arc::new(jail);
        inner.jails.insert(jail.name.clone(), Arc::clone(&jail));
        Ok(jail)
    }

    /// A jail by its name.
    #[must_use]
    pub fn get(&self, name: &JailName) -> Option<Arc<Jail>> {
        self.read().jails.get(name).cloned()
    }

    /// All jails, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Jail>> {
        self.read().jails.values().cloned().collect()
    }

    /// The first jail whose policy has this text and whose tools are these.
    #[must_use]
    pub fn with_policy(&self, fingerprint: &str, tools: &[String]) -> Option<Arc<Jail>> {
        let inner = self.read();
        let mut jails = inner.jails.values();
        jails
            .find(|jail| jail.in_force().fingerprint == fingerprint && jail.tools == tools)
            .cloned()
    }

    /// The name itself if it is free, else with the first number that is.
    #[must_use]
    pub fn free_name(&self, wanted: &JailName) -> JailName {
        let inner = self.read();
        let mut names = std::iter::once(wanted.clone()).chain((2..).map(|n| wanted.numbered(n)));
        names.find(|name| !inner.jails.contains_key(name)).unwrap_or_else(|| wanted.clone())
    }

    /// Gives a jail up; `None` when there is none, or prisoners are in it.
    pub fn remove_empty(&self, name: &JailName) -> Option<Arc<Jail>> {
        let mut inner = self.write();
        if inner.prisoners.values().any(|prisoner| prisoner.jail == *name) {
            return None;
        }
        inner.jails.remove(name)
    }

    /// Takes a prisoner in.
    ///
    /// # Errors
    /// When its jail is gone, its id or its root is taken, or there are [`MAX_PRISONERS`].
    pub fn add_prisoner(&self, prisoner: Prisoner) -> Result<Arc<Prisoner>, RegistryError> {
        let mut inner = self.write();
        if !inner.jails.contains_key(&prisoner.jail) {
            return Err(RegistryError::NoSuchJail(prisoner.jail));
        }
        if inner.prisoners.contains_key(&prisoner.id) {
            return Err(RegistryError::IdTaken(prisoner.id));
        }
        if inner.prisoners.values().any(|other| other.root == prisoner.root) {
            return Err(RegistryError::RootTaken(prisoner.root.pid));
        }
        if inner.prisoners.len() >= MAX_PRISONERS {
            return Err(RegistryError::TooMany(MAX_PRISONERS, "prisoners"));
        }
        let prisoner = Arc::new(prisoner);
        inner.prisoners.insert(prisoner.id.clone(), Arc::clone(&prisoner));
        Ok(prisoner)
    }

    /// Forgets a prisoner.
    pub fn remove_prisoner(&self, id: &str) -> Option<Arc<Prisoner>> {
        self.write().prisoners.remove(id)
    }

    /// All prisoners.
    #[must_use]
    pub fn prisoners(&self) -> Vec<Arc<Prisoner>> {
        self.read().prisoners.values().cloned().collect()
    }

    /// The prisoner that a process belongs to: the innermost one in whose cgroup it sits, else the nearest one that it
    /// descends from. For every decision about what a process may do. Hold the process by a pidfd, and see after the
    /// answer that it has not ended: the answer is about whoever has the number.
    ///
    /// # Errors
    /// When the process is gone or its ancestry cannot be told. Treat that as "may be a prisoner".
    pub fn prisoner_of(&self, pid: u32) -> Result<Option<Arc<Prisoner>>, ProcessError> {
        let prisoners = self.prisoners();
        if prisoners.is_empty() {
            return Ok(None);
        }
        let itself = Identity::of(pid)?;
        let others = || prisoners.iter().filter(|prisoner| prisoner.root != itself);
        if let Some(group) = process::cgroup_of(pid)? {
            let leaves = others()
                .filter_map(|prisoner| Some((prisoner.leaf.as_ref()?, prisoner)))
                .filter(|(leaf, _)| leaf.contains(&group));
            if let Some((_, found)) = leaves.max_by_key(|(leaf, _)| leaf.group().len()) {
                return Ok(Some(Arc::clone(found)));
            }
        }
        let ancestors = process::ancestors(pid)?;
        let nearest = ancestors.iter().find_map(|above| others().find(|one| one.root == *above));
        // Whoever ended meanwhile was given to another parent, so the answer is about nobody.
        if nearest.is_none() && !itself.is_alive() {
            return Err(ProcessError::Gone { pid });
        }
        Ok(nearest.cloned())
    }

    /// The prisoner that a request is put down to, for people to read: in a jail with exactly one, that one. Nothing
    /// may be decided by it.
    #[must_use]
    pub fn attribute(&self, jail: &JailName, pid: Option<u32>) -> Option<Arc<Prisoner>> {
        {
            let inner = self.read();
            let mut inside = inner.prisoners.values().filter(|prisoner| prisoner.jail == *jail);
            match (inside.next(), inside.next()) {
                (None, _) => return None,
                (Some(only), None) => return Some(Arc::clone(only)),
                (Some(_), Some(_)) => {}
            }
        }
        self.prisoner_of(pid?).ok().flatten()
    }

    /// For `GET /api/status`.
    #[must_use]
    pub fn status(&self) -> Vec<JailStatus> {
        let inner = self.read();
        let one = |jail: &Arc<Jail>| {
            let in_force = jail.in_force();
            let inside = inner.prisoners.values().filter(|prisoner| prisoner.jail == jail.name);
            JailStatus {
                name: jail.name.to_string(),
                socket: jail.socket.display().to_string(),
                bin: jail.bin.as_ref().map(|bin| bin.display().to_string()),
                policy: in_force.name.clone(),
                policy_fingerprint: in_force.fingerprint.clone(),
                policy_error: in_force.error.clone(),
                requests: jail.requests.load(Ordering::Relaxed),
                prisoners: inside.map(|prisoner| prisoner.status()).collect(),
            }
        };
        inner.jails.values().map(one).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
