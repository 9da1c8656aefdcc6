//! A service of any kind.

use crate::card::{Card, Digest};
use crate::desktop::Desktop;
use crate::heard::{Failure, ReplyTo};
use crate::inbox::Inbox;
use crate::service::{Posted, Service, Step};
use crate::slack::Slack;
use crate::telegram::Telegram;
use crate::webhook::Webhook;

/// A service of any kind.
pub enum Any {
    /// Slack.
    Slack(Box<Slack>),
    /// Telegram.
    Telegram(Box<Telegram>),
    /// Any address.
    Webhook(Box<Webhook>),
    /// The desktop.
    Desktop(Desktop),
}

/// Says it to whichever it is.
macro_rules! each {
    ($any:expr, $service:ident => $call:expr) => {
        match $any {
            Any::Slack($service) => $call,
            Any::Telegram($service) => $call,
            Any::Webhook($service) => $call,
            Any::Desktop($service) => $call,
        }
    };
}

impl Service for Any {
    fn name(&self) -> &'static str {
        each!(self, service => service.name())
    }

    async fn post(&self, place: &str, card: &Card) -> Result<Posted, Failure> {
        each!(self, service => service.post(place, card).await)
    }

    async fn edit(&self, posted: &Posted, card: &Card) -> Result<(), Failure> {
        each!(self, service => service.edit(posted, card).await)
    }

    async fn reply(&self, posted: &Posted, text: &str) -> Result<(), Failure> {
        each!(self, service => service.reply(posted, text).await)
    }

    async fn digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        each!(self, service => service.digest(place, before, digest).await)
    }

    async fn tell(&self, to: &ReplyTo, text: &str) -> Result<(), Failure> {
        each!(self, service => service.tell(to, text).await)
    }

    async fn listen(&self, inbox: Inbox) -> Failure {
        each!(self, service => service.listen(inbox).await)
    }

    async fn check(&self, place: &str) -> Result<(), Failure> {
        each!(self, service => service.check(place).await)
    }

    async fn test(&self, place: &str) -> Vec<Step> {
        each!(self, service => service.test(place).await)
    }
}
