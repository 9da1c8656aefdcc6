//! Jails, and which containers are in them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::switch::Stopped;

/// `GET /api/jails`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailList {
    /// By name.
    pub jails: Vec<JailInfo>,
    /// What is wrong with containers that ask to be in a jail, one sentence each.
    pub problems: Vec<String>,
}

/// `GET /api/jails/{name}`, and the answer to `POST /api/jails`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailInfo {
    /// Its name.
    pub name: String,
    /// Why there is one: `default`, `policy`, `created`, `label` or `run`.
    pub origin: String,
    /// The folder with its socket, to be mounted into its containers at `/run/clawrden`.
    pub folder: String,
    /// The folder of its shims, to be mounted into its containers at `/clawrden/bin`; the default jail has none.
    pub bin: Option<String>,
    /// The tools that have a shim there.
    pub tools: Vec<String>,
    /// The policy says so.
    pub hardened: bool,
    /// Where its policy came from.
    pub policy: String,
    /// Requests that came in, since the warden started.
    pub requests: u64,
    /// Prisoners that a `clawrden run` holds.
    pub prisoners: usize,
    /// Containers that say by their labels that they are in it, or that asked for something there.
    pub containers: Vec<JailContainer>,
    /// Set while it is stopped, alone or with everything.
    pub stopped: Option<Stopped>,
}

/// A container in a jail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailContainer {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
    /// `running`, `paused` or `stopped`.
    pub state: String,
    /// Its label `clawrden.mode` says so.
    pub hardened: bool,
    /// Its labels say that it belongs here; if not, it only asked.
    pub labelled: bool,
    /// Set while it is stopped alone.
    pub stopped: Option<Stopped>,
}

/// The body of `POST /api/jails`. The jail stays until it is deleted, over restarts of the warden.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JailRequest {
    /// Its name.
    #[schema(pattern = "^[a-z0-9][a-z0-9_.-]{0,62}$")]
    pub name: String,
    /// The tools that get a shim; empty: those that the policy speaks of.
    #[serde(default)]
    pub commands: Vec<String>,
}
