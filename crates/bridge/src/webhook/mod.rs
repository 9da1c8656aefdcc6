//! Webhooks: signed JSON to any address, and answers by signed callback; or a form that a chat service's own incoming
//! webhooks take, which are told and cannot answer.

mod callback;
mod settings;
mod signature;
mod template;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::card::{Card, Digest};
use crate::clock::now_ms;
use crate::heard::{Failure, ReplyTo};
use crate::http::{self, Answer, Http, Outgoing};
use crate::inbox::Inbox;
use crate::service::{Posted, Service, Step};
use crate::signature::Signer;
pub use settings::{Settings, SettingsError, Template};
pub use signature::{SIGNATURE, TIMESTAMP, signer, verifier};
use template::Content;

/// The one place of a webhook.
pub const PLACE: &str = "default";

/// How long a service is left alone that wants rest and does not say how long.
const REST: Duration = Duration::from_secs(5);

/// An address that is told, and may answer.
pub struct Webhook {
    http: Http,
    settings: Settings,
    signer: Option<Signer>,
    /// Callers that wait to be told what came of their callback.
    waiting: Waiting,
}

/// By the key of what they said.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<String>>>>;

impl Webhook {
    /// A webhook as it is set up. Nothing is sent yet.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(http: Http, settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let signer = settings.secret.as_ref().map(signer);
        Ok(Self { http, settings, signer, waiting: Arc::default() })
    }

    fn url(&self) -> &str {
        self.settings.url.expose()
    }

    /// Sends something, signed where there is a secret, and gives what came back.
    async fn send(&self, method: Method, url: &str, content: Content) -> Result<Answer, Failure> {
        let Content { content_type, headers, body } = content;
        let signed = self.signer.as_ref().map(|signer| signer.sign(now(), &body));
        let mut outgoing = match method {
            Method::Post => Outgoing::post(url, content_type, body),
            Method::Patch => Outgoing::patch(url, content_type, body),
        };
        for (name, value) in headers {
            outgoing = outgoing.header(name, &value);
        }
        if let Some((timestamp, signature)) = signed {
            outgoing = outgoing.header(TIMESTAMP, &timestamp).header(SIGNATURE, &signature);
        }
        if let Some(token) = &self.settings.token {
            outgoing = outgoing.bearer(token);
        }
        let answer = self.http.send(outgoing).await?;
        taken(answer, self.url())
    }

    /// Sends an event of the form `json`.
    async fn tell_event(&self, event: &Value) -> Result<(), Failure> {
        let body = event.to_string().into_bytes();
        let content = Content { content_type: template::JSON, headers: vec![], body };
        self.send(Method::Post, self.url(), content).await.map(drop)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<String>>> {
        lock(&self.waiting)
    }
}

enum Method {
    Post,
    Patch,
}

/// What an answer's status means. Nothing of its body is said: it is somebody else's.
fn taken(answer: Answer, url: &str) -> Result<Answer, Failure> {
    let place = http::shown(url);
    match answer.status {
        200..=299 => Ok(answer),
        429 => Err(Failure::Later(answer.retry_after.unwrap_or(REST))),
        503 if answer.retry_after.is_some() => {
            Err(Failure::Later(answer.retry_after.unwrap_or(REST)))
        }
        408 | 425 | 500..=599 => {
            Err(Failure::Now(format!("{place} answers with status {}", answer.status)))
        }
        status => Err(Failure::Never(format!(
            "{place} refuses it with status {status}; check the address, and the secret or token for it"
        ))),
    }
}

impl Service for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn post(&self, place: &str, card: &Card) -> Result<Posted, Failure> {
        let posted = |message: &str| Posted { place: place.into(), message: message.into() };
        match self.settings.template {
            Template::Json => {
                // What is sent twice has the same name twice.
                let message = &card.entry.id;
                self.tell_event(&template::event("waiting", message, card)).await?;
                Ok(posted(message))
            }
            Template::Discord => {
                let url = format!("{}?wait=true", self.url());
                let answer = self.send(Method::Post, &url, template::discord(card)).await?;
                Ok(posted(&message_id(&answer)))
            }
            _ => {
                let content = template::chat(self.settings.template, card);
                self.send(Method::Post, self.url(), content).await?;
                Ok(posted(&card.entry.id))
            }
        }
    }

    async fn edit(&self, posted: &Posted, card: &Card) -> Result<(), Failure> {
        match self.settings.template {
            Template::Json => {
                self.tell_event(&template::event("changed", &posted.message, card)).await
            }
            Template::Discord if !posted.message.is_empty() => {
                let url = format!("{}/messages/{}", self.url(), posted.message);
                self.send(Method::Patch, &url, template::discord(card)).await.map(drop)
            }
            // What cannot be edited is followed by what came of it, and by nothing less.
            template if !card.stage.is_open() => {
                let content = template::chat(template, card);
                self.send(Method::Post, self.url(), content).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn reply(&self, posted: &Posted, text: &str) -> Result<(), Failure> {
        match self.settings.template {
            Template::Json => {
                let event = json!({
                    "version": 1, "event": "output", "message": posted.message, "text": text,
                });
                self.tell_event(&event).await
            }
            template => {
                let content = template::output(template, text);
                self.send(Method::Post, self.url(), content).await.map(drop)
            }
        }
    }

    async fn digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        let message = before.map_or_else(|| format!("digest-{}", now_ms()), |b| b.message.clone());
        let posted = |message: String| Posted { place: place.to_owned(), message };
        let template = self.settings.template;
        match (template, before) {
            (Template::Json, _) => {
                let event = json!({
                    "version": 1, "event": "digest", "message": message, "digest": digest,
                });
                self.tell_event(&event).await?;
            }
            (Template::Discord, None) => {
                let url = format!("{}?wait=true", self.url());
                let answer =
                    self.send(Method::Post, &url, template::many(template, digest)).await?;
                return Ok(posted(message_id(&answer)));
            }
            (Template::Discord, Some(_)) if !message.is_empty() => {
                let url = format!("{}/messages/{message}", self.url());
                self.send(Method::Patch, &url, template::many(template, digest)).await?;
            }
            (_, None) => {
                self.send(Method::Post, self.url(), template::many(template, digest)).await?;
            }
            // The page says how it is; a message for each change would be a flood by itself.
            (_, Some(_)) => {}
        }
        Ok(posted(message))
    }

    async fn tell(&self, to: &ReplyTo, text: &str) -> Result<(), Failure> {
        let waits = to.address.as_ref().and_then(|key| self.waiting().remove(key));
        if waits.is_none_or(|waits| waits.send(text.to_owned()).is_err())
            && self.settings.template == Template::Json
        {
            let event = json!({
                "version": 1, "event": "told", "user": to.user, "key": to.address, "text": text,
            });
            return self.tell_event(&event).await;
        }
        Ok(())
    }

    async fn listen(&self, inbox: Inbox) -> Failure {
        match (&self.settings.listen, &self.settings.secret) {
            (Some(address), Some(secret)) => {
                callback::listen(*address, secret, &self.waiting, inbox).await
            }
            // Nobody can answer.
            _ => {
                let _hearing = inbox.hearing();
                std::future::pending().await
            }
        }
    }

    async fn check(&self, _: &str) -> Result<(), Failure> {
        // Whether it would take something nobody knows; whether it is there, somebody does.
        Ok(self.http.dial(self.url()).await.map(drop)?)
    }

    async fn test(&self, _: &str) -> Vec<Step> {
        let place = http::shown(self.url());
        let mut steps = vec![Step { what: format!("{place} is an address"), failed: None }];
        if let Some(address) = &self.settings.listen {
            // The bridge may be listening there at this moment: then it works.
            let failed = match std::net::TcpListener::bind(address) {
                Ok(_) => None,
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => None,
                Err(error) => Some(format!("{error}; choose another `listen`")),
            };
            let is_over = failed.is_some();
            let what = format!("callbacks can be listened for at {address}");
            steps.push(Step { what, failed });
            if is_over {
                return steps;
            }
        }
        let sent = match self.settings.template {
            Template::Json => {
                let event = json!({
                    "version": 1, "event": "test", "text": template::TEST,
                });
                self.tell_event(&event).await
            }
            template => {
                let content = template::text(template, template::TEST);
                self.send(Method::Post, self.url(), content).await.map(drop)
            }
        };
        let failed = sent.err().map(|failure| match failure {
            Failure::Now(why) => format!("{why}; is it up, and can it be reached from here?"),
            other => other.to_string(),
        });
        steps.push(Step { what: format!("{place} takes a message"), failed });
        steps
    }
}

/// What Discord calls a message; empty where it does not say.
fn message_id(answer: &Answer) -> String {
    let id = answer.json().and_then(|answer| Some(answer.get("id")?.as_str()?.to_owned()));
    id.filter(|id| id.len() <= 32 && id.bytes().all(|b| b.is_ascii_digit())).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> u64 {
    now_ms() / 1_000
}

#[cfg(test)]
mod tests;
