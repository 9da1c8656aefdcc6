//! Telegram: long polling or a webhook, and messages with buttons.
//!
//! What comes from a prisoner is never markup here, and the token is in nothing that is said, written or logged.

mod asked;
mod chat;
mod client;
mod digest;
mod ears;
mod hearing;
mod message;
mod polling;
mod question;
mod settings;
mod speaking;
mod steps;
mod text;
mod update;
mod webhook;
mod wire;

pub use question::Answering;
pub use settings::{Hearing, Settings, SettingsError, Webhook};
pub use update::{Bot, MAX_AGE, MAX_REASON, MAX_WORDS, Meaning, understand};

use crate::card::{Card, Digest};
use crate::heard::{Failure, ReplyTo};
use crate::http::Http;
use crate::inbox::Inbox;
use crate::service::{Posted, Service, Step};
use asked::Asked;
use chat::{Moved, Place};
use client::Client;

/// A bot of Telegram.
pub struct Telegram {
    client: Client,
    moved: Moved,
    asked: Asked,
    settings: Settings,
}

impl Telegram {
    /// A bot as it is set up. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    pub fn new(http: Http, settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let client = Client::new(http, &settings.api, settings.token.clone());
        Ok(Self { client, moved: Moved::default(), asked: Asked::default(), settings })
    }
}

impl Service for Telegram {
    fn name(&self) -> &'static str {
        "telegram"
    }

    async fn post(&self, place: &str, card: &Card) -> Result<Posted, Failure> {
        self.post_card(place, card).await
    }

    async fn edit(&self, posted: &Posted, card: &Card) -> Result<(), Failure> {
        self.edit_card(posted, card).await
    }

    async fn reply(&self, posted: &Posted, text: &str) -> Result<(), Failure> {
        self.reply_below(posted, text).await
    }

    async fn digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        self.post_digest(place, before, digest).await
    }

    async fn tell(&self, to: &ReplyTo, text: &str) -> Result<(), Failure> {
        self.tell_person(to, text).await
    }

    async fn listen(&self, inbox: Inbox) -> Failure {
        self.hear(&inbox).await
    }

    async fn check(&self, place: &str) -> Result<(), Failure> {
        self.can_be_reached(&Place::read(place)?).await.map(drop)
    }

    async fn test(&self, place: &str) -> Vec<Step> {
        self.steps(place).await
    }
}
