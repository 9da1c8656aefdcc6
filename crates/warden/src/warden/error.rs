//! Why a warden does not start.

use std::io;

use thiserror::Error;

use super::people::PairedError;
use crate::approvals::StoreError;
use crate::config::ConfigError;
use crate::control::AccessError;
use crate::jails::runner::RunnerError;
use crate::jails::{BadName, PlaceError, RegistryError};
use crate::ledger::LedgerError;
use crate::policies::Unread;
use crate::process::ProcessError;
use crate::sockets::BindError;

/// Why a warden does not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The settings are not read.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// Who was paired with whom is not read.
    #[error(transparent)]
    Paired(#[from] PairedError),
    /// The policy does not load.
    #[error(transparent)]
    Policy(#[from] Unread),
    /// A directory cannot be had.
    #[error(transparent)]
    Places(#[from] PlaceError),
    /// A jail has a name that it cannot have.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A jail cannot be made.
    #[error(transparent)]
    Jail(#[from] RegistryError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What waits for a person cannot be kept.
    #[error(transparent)]
    Approvals(#[from] StoreError),
    /// A socket cannot be had.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The runner cannot be had.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The API cannot be served over TCP.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// /proc is missing.
    #[error("the warden needs /proc: {0}")]
    Proc(#[from] ProcessError),
    /// Anything else of the system's.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl ServeError {
    /// For `map_err`: `what` is what was tried.
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
