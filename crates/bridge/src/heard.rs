//! What is heard from people in a chat, and why something could not be heard or said there.

use std::time::Duration;

use clawrden_api::Trouble;
use serde::{Deserialize, Serialize};

/// Why something could not be said or heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The service wants to be left in peace for so long.
    #[error("it asks for {} s of rest", .0.as_secs())]
    Later(Duration),
    /// It may go well later: the network, or the service itself.
    #[error("{0}")]
    Now(String),
    /// It will never go well: a bad token, a channel that is not there, a message that is gone.
    #[error("{0}")]
    Never(String),
}

impl Failure {
    /// What kind of trouble it is.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Later(_) => Trouble::Resting,
            Self::Now(_) => Trouble::Unreachable,
            Self::Never(_) => Trouble::Refused,
        }
    }
}

/// What a person did there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The service's id of the user, with the team's before it where there are several: never a name that a user can choose.
    pub user: String,
    /// How the service shows them, for people alone.
    pub shown: String,
    /// Names this very tap or command: what comes twice with the same is the same.
    pub key: String,
    /// When they did it, in milliseconds since 1970; `None` where the service does not say: then it was a moment ago.
    pub said_ms: Option<u64>,
    /// Where they are told what came of it.
    pub to: ReplyTo,
    /// What they want.
    pub wants: Wants,
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// To answer a request.
    Answer {
        /// Its whole id.
        request: String,
        /// Yes or no.
        approve: bool,
        /// Why.
        reason: Option<String>,
        /// For what a yes is good.
        scope: Scope,
    },
    /// A command, such as `status`, `queue`, `kill`, `kill web`, `resume`, `pair 1234-5678`: its words.
    Command(Vec<String>),
}

impl Wants {
    /// Whether it stops something, or lets it go.
    pub(crate) fn is_switch(&self) -> bool {
        let Self::Command(words) = self else { return false };
        let verb = words.first().map(String::as_str).unwrap_or_default();
        ["kill", "resume"].iter().any(|switch| verb.eq_ignore_ascii_case(switch))
    }
}

/// For what a yes is good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One run.
    #[default]
    Once,
    /// This prisoner's life.
    Session,
    /// Some time, in milliseconds.
    Time(u64),
}

/// Where a person is told what came of what they did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The channel or chat.
    pub place: String,
    /// The service's own address for an answer to this very tap, where it gives one.
    pub address: Option<String>,
    /// The user, for services that can tell one alone.
    pub user: String,
}
