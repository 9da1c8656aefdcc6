//! The container engine: Docker's API, 1.41 upward, as Docker and Podman speak it, over a Unix socket.
//!
//! Everything here is a call on [`Engine`], each bounded in time and each with its error; no type of the client library
//! leaves this module. It must never take its address from an environment, and never let a name that somebody else
//! chose become a part of a URL unchecked.
//!
//! | call | does |
//! |---|---|
//! | [`Engine::new`] | knows an address; nothing is connected |
//! | [`Engine::about`] | connects if need be; which engine, version, API: what it tells at once |
//! | [`Engine::details`] | cgroup driver, whether users are mapped: what may take it long to tell |
//! | [`Engine::state`] | what is known without asking, for people |
//! | [`Engine::inspect_container`] | one container: name, image, labels, mounts, state, first pid |
//! | [`Engine::list_containers`] | those with given labels, running or all |
//! | [`Engine::events`] | what happens to containers, for ever, over restarts of the engine |
//! | [`Engine::create_container`] | from a [`NewContainer`]; gives its id |
//! | [`Engine::start_container`] | starts it |
//! | [`Engine::wait_container`] | waits without limit for the end of one that was started; gives its exit code |
//! | [`Engine::kill_container`] | sends a signal to its first process |
//! | [`Engine::pause_container`], [`Engine::unpause_container`] | freezes and thaws all of it |
//! | [`Engine::remove_container`] | removes it with its anonymous volumes, ended by force; one that is gone is no error |
//! | [`Engine::create_exec`], [`Engine::start_exec`] | a process more in a running container, detached from us |
//! | [`Engine::inspect_exec`] | whether it runs, its pid as the engine's host counts, its exit code |
//! | [`Engine::inspect_image`] | one image: id, user, environment, entrypoint, command |
//! | [`Engine::folders_of_volumes`] | the volumes that are names of folders, with the folders |
//! | [`Engine::drivers_of_networks`] | what its networks are made of |
//! | [`Engine::pull_image`] | fetches one, telling how far it is |
//!
//! An engine that is not there is [`EngineError::Absent`] from every call; the next call looks for it again, so that
//! nothing needs to be done when it comes back.

mod address;
mod connection;
mod containers;
mod create;
mod error;
mod events;
mod exec;
mod greeting;
mod images;
mod names;
mod networks;
mod volumes;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

pub use address::{BadAddress, EngineAddress};
pub use connection::{CALL_TIMEOUT, CHANGE_TIMEOUT, OLDEST_API};
pub use containers::{Container, Listed, Mount, MountKind, Running};
pub use create::{Bind, Limits, NewContainer, Tmpfs, UserLimit};
pub use error::{EngineError, Kind};
pub use events::{Action, Event, Events, RETRY_AFTER};
pub use exec::{Exec, NewExec};
pub use images::{Image, PULL_SILENCE, PullProgress};
pub use networks::{Attachment, Net};

/// One container engine. Cheap to clone; clones share what is known of it.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: EngineAddress,
    known: Mutex<Known>,
    /// Held by whoever connects: the others wait for what it finds.
    connecting: tokio::sync::Mutex<()>,
    /// How often it was looked for: who waited for a look that found nothing does not look again.
    looks: AtomicU64,
}

/// What is known of the engine.
#[derive(Debug, Default)]
enum Known {
    /// Nobody has asked yet.
    #[default]
    Nothing,
    /// It answered, the last time.
    Connected(connection::Connection),
    /// It did not.
    Lost(EngineError),
}

/// What an engine tells of itself at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its socket.
    pub address: String,
    /// `Docker Engine` or `Podman Engine`, or what else it calls itself.
    pub name: String,
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// The API version that is spoken, such as `1.41`.
    pub api: String,
    /// Whose its socket is: of an engine that a user runs, that user.
    pub owner: u32,
}

/// What an engine tells when it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Details {
    /// An id of its own; Docker keeps it over restarts, Podman does not.
    pub id: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Root in a container is not root of the host: the engine maps users, or is run by one itself.
    pub maps_users: bool,
    /// Whose its socket is: of an engine that a user runs, that user.
    pub owner: u32,
}

/// What is known of the engine without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it is looked for; empty when it is not to be used.
    pub address: String,
    /// What it told of itself, while it answers.
    pub about: Option<About>,
    /// Why it does not answer.
    pub problem: Option<EngineError>,
}

impl Engine {
    /// The engine at an address. Nothing is connected, and it need not be there.
    #[must_use]
    pub fn new(address: EngineAddress) -> Self {
        Self {
            shared: Arc::new(Shared {
                address,
                known: Mutex::default(),
                connecting: tokio::sync::Mutex::default(),
                looks: AtomicU64::new(0),
            }),
        }
    }

    /// Whether one is to be used at all.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.shared.address != EngineAddress::None
    }

    /// Whether it answered the last time, or was not looked for yet.
    #[must_use]
    pub fn may_be_there(&self) -> bool {
        match &*self.known() {
            Known::Connected(_) => true,
            Known::Nothing => self.is_wanted(),
            Known::Lost(_) => false,
        }
    }

    /// What is known of it without asking: never waits.
    #[must_use]
    pub fn state(&self) -> State {
        let mut state =
            State { address: self.shared.address.to_string(), about: None, problem: None };
        match &*self.known() {
            Known::Nothing => {}
            Known::Connected(connection) => state.about = Some(connection.about.clone()),
            Known::Lost(error) => state.problem = Some(error.clone()),
        }
        state
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
