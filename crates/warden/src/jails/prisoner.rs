//! One prisoner: the tree below a `clawrden run`. The run itself is the person's and not part of it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use clawrden_api::PrisonerStatus;

use super::{Baseline, JailName};
use crate::process::cgroup::Leaf;
use crate::process::{Identity, Namespaces};

/// A prisoner, from its registration until its `clawrden run` ends.
#[derive(Debug)]
pub struct Prisoner {
    /// Its id.
    pub id: String,
    /// The jail that it belongs to.
    pub jail: JailName,
    /// The `clawrden run` that holds it. It is the subreaper of the prisoner's processes.
    pub root: Identity,
    /// The same process by descriptor; readable once it has ended.
    pub pidfd: OwnedFd,
    /// Labels for approvers.
    pub labels: BTreeMap<String, String>,
    /// The command, for people.
    pub command: Vec<String>,
    /// The environment that it was started with.
    pub baseline: Baseline,
    /// The namespaces that the `clawrden run` was in when it registered.
    pub namespaces: Namespaces,
    /// Every ask is denied at once.
    pub unattended: bool,
    /// Its cgroup, where one could be made.
    pub leaf: Option<Leaf>,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Requests that came from it.
    pub requests: AtomicU64,
}

impl Prisoner {
    /// Counts one request.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// For `GET /api/status`.
    #[must_use]
    pub fn status(&self) -> PrisonerStatus {
        PrisonerStatus {
            id: self.id.clone(),
            pid: self.root.pid,
            command: self.command.clone(),
            labels: self.labels.clone(),
            requests: self.requests.load(Ordering::Relaxed),
            since_ms: self.since_ms,
            unattended: self.unattended,
        }
    }
}
