//! How a warden is started: places, policy, and what tests and odd kernels need to choose.

#[cfg(test)]
mod documented;
mod file;
mod ledger;
mod notify;
mod people;
mod values;

use std::path::PathBuf;
use std::time::Duration;

pub use file::{ConfigError, File};
pub use ledger::LedgerSettings;
pub use notify::Notify;
pub use people::{Groups, Persons};

use crate::control::ApiConfig;
use crate::engine::EngineAddress;

/// How long a tool has between SIGTERM and SIGKILL unless somebody says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Who tells how a handed-off tool ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExitCodes {
    /// The kernel where it can, else the shim.
    #[default]
    Auto,
    /// The shim waits for the tool and reports, as before Linux 6.15.
    Shim,
}

/// What a warden is started with. `None` is the usual place; see [`crate::jails::places`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The default jail's intercom socket.
    pub intercom: Option<PathBuf>,
    /// The control socket.
    pub control: Option<PathBuf>,
    /// The policy file of the default jail and of those that it names. Without one, the usual file if there is one,
    /// else the stock policy.
    pub policy: Option<PathBuf>,
    /// The ledger's file, wherever the file of settings puts it.
    pub audit: Option<PathBuf>,
    /// The file of settings. Without one, the usual file if there is one, else what is usual holds.
    pub settings: Option<PathBuf>,
    /// End with the last prisoner.
    pub ephemeral: bool,
    /// Decide and record, and let through what is no disaster.
    pub dry_run: bool,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Who tells how a handed-off tool ended.
    pub exit_codes: ExitCodes,
    /// Where the container engine is, if there is one.
    pub engine: EngineAddress,
    /// Where the control API is served over TCP, if it is.
    pub api: Option<ApiConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            intercom: None,
            control: None,
            policy: None,
            audit: None,
            settings: None,
            ephemeral: false,
            dry_run: false,
            grace: DEFAULT_GRACE,
            exit_codes: ExitCodes::default(),
            engine: EngineAddress::default(),
            api: None,
        }
    }
}
