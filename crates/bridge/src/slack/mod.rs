//! Slack: Socket Mode or signed events, and messages of blocks.
//!
//! What comes from a prisoner is never markup here, and no token is in anything that is said, written or logged.

mod blocks;
mod digest;
pub mod envelope;
pub mod events;
mod facts;
pub mod interaction;
mod limits;
mod message;
mod modal;
mod refusal;
mod settings;
pub mod signature;
mod socket;
mod speaking;
mod steps;
mod taking;
#[cfg(test)]
mod testing;
mod web;

use std::sync::Arc;

use crate::card::{Card, Digest};
use crate::heard::{Failure, ReplyTo};
use crate::http::Http;
use crate::inbox::Inbox;
use crate::service::{Posted, Service, Step};
use taking::Taking;
use web::Web;

pub use settings::{API, Hearing, Settings, SettingsError};

/// One app in one workspace.
#[derive(Debug)]
pub struct Slack {
    web: Web,
    hearing: Hearing,
    heard: socket::LastHeard,
}

impl Slack {
    /// Makes one. Nothing is said to Slack here.
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    pub fn new(http: Http, settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            web: Web::new(&settings, http),
            hearing: settings.hearing,
            heard: socket::LastHeard::default(),
        })
    }
}

impl Service for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    async fn post(&self, place: &str, card: &Card) -> Result<Posted, Failure> {
        speaking::post(&self.web, place, None, message::payload(card)).await
    }

    async fn edit(&self, posted: &Posted, card: &Card) -> Result<(), Failure> {
        Ok(speaking::edit(&self.web, posted, message::payload(card)).await?)
    }

    async fn reply(&self, posted: &Posted, text: &str) -> Result<(), Failure> {
        let said = speaking::output(text);
        speaking::post(&self.web, &posted.place, Some(&posted.message), said).await.map(drop)
    }

    async fn digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        let payload = digest::payload(digest);
        if let Some(before) = before {
            match speaking::edit(&self.web, before, payload.clone()).await {
                // Somebody deleted it.
                Err(refusal) if refusal.is("message_not_found") => {}
                other => return other.map(|()| before.clone()).map_err(Failure::from),
            }
        }
        speaking::post(&self.web, place, None, payload).await
    }

    async fn tell(&self, to: &ReplyTo, text: &str) -> Result<(), Failure> {
        speaking::tell(&self.web, to, text).await
    }

    async fn listen(&self, inbox: Inbox) -> Failure {
        let (taking, mut taken) = Taking::new(self.web.clone(), inbox.clone());
        let taking = Arc::new(taking);
        let hearing = async {
            match &self.hearing {
                Hearing::Socket { app_token } => {
                    socket::listen(&taking, app_token, &self.heard).await
                }
                Hearing::Events { listen, signing_secret } => {
                    events::listen(&taking, *listen, signing_secret).await
                }
            }
        };
        let failure = tokio::select! {
            failure = hearing => failure,
            () = taking::pass_on(&mut taken, &inbox) => Failure::Now("nobody wants to hear it any more".to_owned()),
        };
        // What was acknowledged does not go with the socket.
        taken.close();
        taking::pass_on(&mut taken, &inbox).await;
        failure
    }

    async fn check(&self, place: &str) -> Result<(), Failure> {
        steps::check(&self.web, place).await
    }

    async fn test(&self, place: &str) -> Vec<Step> {
        steps::test(&self.web, &self.hearing, place).await
    }
}
