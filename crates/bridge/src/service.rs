//! What a chat service can do.

use std::future::Future;

/// A step of a test.
pub use clawrden_api::ChannelStep as Step;
use serde::{Deserialize, Serialize};

use crate::card::{Card, Digest};
use crate::heard::{Failure, ReplyTo};
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
