//! What a chat service can do, and what is heard from people there.

use std::future::Future;
use std::time::Duration;

/// A step of a test.
pub use clawrden_api::ChannelStep as Step;
use clawrden_api::Trouble;
use serde::{Deserialize, Serialize};

use crate::card::{Card, Digest};
use crate::inbox::Inbox;

/// A chat service, spoken to by its own protocol.
///
/// Nothing is tried again here: a [`Failure`] says whether that is worth while, and the bridge keeps what is to be said.
pub trait Service: Send + Sync + 'static {
    /// The name: `slack`, `telegram`. It is the beginning of its users' names for the warden.
    fn name(&self) -> &'static str;

    /// Posts a message that can be answered. `place` is the service's own: a channel's or a chat's id.
    fn post(
        &self,
        place: &str,
        card: &Card,
    ) -> impl Future<Output = Result<Posted, Failure>> + Send;

    /// Makes a message say what is so by now.
    fn edit(
        &self,
        posted: &Posted,
        card: &Card,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Says something below a message: the tail of what a command wrote. `text` is plain.
    fn reply(
        &self,
        posted: &Posted,
        text: &str,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Posts one message for many requests, or edits the one that is there.
    fn digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> impl Future<Output = Result<Posted, Failure>> + Send;

    /// Tells one person something: what became of their tap or command. `text` is plain.
    fn tell(&self, to: &ReplyTo, text: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Hears people until it cannot any more. It connects again by itself, as the service asks for. What is acknowledged to
    /// the service is kept in the inbox before, and while people are really heard, that is said there.
    fn listen(&self, inbox: Inbox) -> impl Future<Output = Failure> + Send;

    /// Whether a message to a place would be taken, as far as can be told without one.
    fn check(&self, place: &str) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = place;
        std::future::ready(Ok(()))
    }

    /// Tries its way, step by step, for `clawrden notify test`: what was tried, and what came of it. It ends with the first
    /// step that fails.
    fn test(&self, place: &str) -> impl Future<Output = Vec<Step>> + Send;
}

/// By what a service finds a message of ours again. It is kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Posted {
    /// The channel or chat.
    pub place: String,
    /// The message in it.
    pub message: String,
}

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
