//! For what an approval is good, and for whom: one run, the prisoner's life, or until a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::CallerKey;

/// How long an approval for more than one run holds at most.
pub const MAX_SCOPE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// For what an approval is good. It is always for requests of one identity alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// One run.
    #[default]
    Once,
    /// Every run of the prisoner that was shown, as long as it lives, or of its container.
    Session,
    /// Every run within this time.
    Time(Duration),
}

impl Scope {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Session => "session",
            Self::Time(_) => "time",
        }
    }

    /// Whether it is for more than one run.
    #[must_use]
    pub fn repeats(self) -> bool {
        self != Self::Once
    }

    /// How long it holds at most.
    pub(super) fn most(self) -> Duration {
        match self {
            Self::Time(time) => time.min(MAX_SCOPE),
            Self::Once | Self::Session => MAX_SCOPE,
        }
    }

    /// Whether an approval that was given while `shown` asked is one for what `caller` asks.
    pub(super) fn covers(self, shown: Option<&Life>, caller: Option<&Life>) -> bool {
        match self {
            Self::Once => false,
            Self::Session => shown.is_some() && shown == caller,
            Self::Time(_) => true,
        }
    }
}

/// Whose life a session is, as the kernel has proven it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Life {
    /// The prisoner of the `clawrden run` that is this process.
    Prisoner(CallerKey),
    /// The container of this id.
    Container(String),
}

impl Life {
    /// Whether its process is known to be gone. What becomes of a container is told by the engine.
    pub(super) fn is_over(&self, is_there: &dyn Fn(CallerKey) -> bool) -> bool {
        match self {
            Self::Prisoner(process) => !is_there(*process),
            Self::Container(_) => false,
        }
    }
}
