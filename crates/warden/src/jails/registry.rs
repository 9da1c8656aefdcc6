//! Every jail and prisoner of one warden, and the question which prisoner a process belongs to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use clawrden_api::JailStatus;
use clawrden_policy::Policy;

use super::{JailName, Prisoner};
use crate::metrics::JailCounts;
use crate::policies::{Brought, InForce, Policies};
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

/// Whose policy a jail has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The warden's own: it is replaced when its files change.
    Own,
    /// A `clawrden run` brought something: that stays, and what of the warden's own stands over it is replaced.
    Brought(Arc<Brought>),
}

impl Origin {
    /// Whether the warden's own files speak there.
    fn has_own(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Brought(brought) => brought.policy.is_none(),
        }
    }
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
    /// The tools that it was made with.
    first_tools: Vec<String>,
    tools: RwLock<Arc<[String]>>,
    /// Whose policy it has.
    pub origin: Origin,
    policies: RwLock<Arc<Policies>>,
    requests: AtomicU64,
    counts: Arc<JailCounts>,
}

impl Jail {
    /// A jail without prisoners.
    #[must_use]
    pub fn new(
        name: JailName,
        socket: PathBuf,
        bin: Option<PathBuf>,
        tools: Vec<String>,
        origin: Origin,
        in_force: InForce,
    ) -> Self {
        let policies = RwLock::new(Arc::new(Policies::new(in_force)));
        Self {
            name,
            socket,
            bin,
            first_tools: tools.clone(),
            tools: RwLock::new(tools.into()),
            origin,
            policies,
            requests: AtomicU64::new(0),
            counts: Arc::default(),
        }
    }

    /// The tools that have a shim there.
    #[must_use]
    pub fn tools(&self) -> Arc<[String]> {
        self.tools.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tools that it was made with.
    #[must_use]
    pub fn first_tools(&self) -> &[String] {
        &self.first_tools
    }

    /// Remembers that these have a shim there.
    pub fn set_tools(&self, tools: Vec<String>) {
        *self.tools.write().unwrap_or_else(PoisonError::into_inner) = tools.into();
    }

    /// Requests that came in.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What judges at this moment. A request is judged by what it got, also when something else comes into force
    /// meanwhile.
    #[must_use]
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The policy in force at this moment.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.policies().in_force)
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.in_force().policy)
    }

    /// Puts another policy in force; see [`Policies::replaced`].
    pub fn put_in_force(&self, in_force: InForce, living: impl IntoIterator<Item = String>) {
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        *policies = Arc::new(policies.replaced(in_force, living));
    }

    /// Lets go of what was held for a prisoner that has ended.
    fn release(&self, prisoner: &str) {
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(released) = policies.released(prisoner) {
            *policies = Arc::new(released);
        }
    }

    /// What else is counted there.
    pub(crate) fn counts(&self) -> &Arc<JailCounts> {
        &self.counts
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

    /// The first jail whose policy has this text, with none before it held back, and whose tools are these.
    #[must_use]
    pub fn with_policy(&self, fingerprint: &str, tools: &[String]) -> Option<Arc<Jail>> {
        let inner = self.read();
        let mut jails = inner.jails.values();
        jails
            .find(|jail| {
                let policies = jail.policies();
                policies.in_force.fingerprint == fingerprint
                    && policies.held_back() == 0
                    && *jail.tools() == *tools
            })
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
        let mut inner = self.write();
        let prisoner = inner.prisoners.remove(id)?;
        if let Some(jail) = inner.jails.get(&prisoner.jail) {
            jail.release(id);
        }
        Some(prisoner)
    }

    /// The ids of the prisoners in a jail.
    #[must_use]
    pub fn inside(&self, name: &JailName) -> Vec<String> {
        let inner = self.read();
        let inside = inner.prisoners.values().filter(|prisoner| prisoner.jail == *name);
        inside.map(|prisoner| prisoner.id.clone()).collect()
    }

    /// Whether jails beside this one have prisoners.
    #[must_use]
    pub fn has_others(&self, door: &JailName) -> bool {
        self.read().prisoners.values().any(|prisoner| prisoner.jail != *door)
    }

    /// The jail that a process belongs to as a prisoner, where that is another one than `door`. A process that cannot
    /// be seen from here is nobody's: what a `clawrden run` starts can be.
    ///
    /// # Errors
    /// As [`Jails::prisoner_of`].
    pub fn home_elsewhere(
        &self,
        door: &JailName,
        pid: Option<u32>,
    ) -> Result<Option<Arc<Jail>>, ProcessError> {
        let Some(pid) = pid.filter(|_| self.has_others(door)) else { return Ok(None) };
        let prisoner = self.prisoner_of(pid)?.filter(|prisoner| prisoner.jail != *door);
        Ok(prisoner.and_then(|prisoner| self.get(&prisoner.jail)))
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

    /// For `GET /api/status`. `policy_error` is why the warden's own policy is not the newest.
    #[must_use]
    pub fn status(&self, policy_error: Option<&str>) -> Vec<JailStatus> {
        let inner = self.read();
        let one = |jail: &Arc<Jail>| {
            let policies = jail.policies();
            let in_force = &policies.in_force;
            let inside = inner.prisoners.values().filter(|prisoner| prisoner.jail == jail.name);
            JailStatus {
                name: jail.name.to_string(),
                socket: jail.socket.display().to_string(),
                bin: jail.bin.as_ref().map(|bin| bin.display().to_string()),
                policy: in_force.name.clone(),
                policy_fingerprint: in_force.fingerprint.clone(),
                policy_since_ms: in_force.since_ms,
                policies_held_back: policies.held_back(),
                policy_error: policy_error.filter(|_| jail.origin.has_own()).map(str::to_owned),
                requests: jail.requests(),
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
