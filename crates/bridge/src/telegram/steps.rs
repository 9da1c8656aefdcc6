//! Trying the whole way, step by step.

use serde_json::{Value, json};

use super::Telegram;
use super::chat::Place;
use super::client::Refusal;
use super::settings::Hearing;
use super::speaking::TIMEOUT;
use super::text::{Text, short};
use super::wire::{Chat, WebhookInfo};
use crate::heard::Failure;
use crate::service::Step;

/// UTF-16 units of a name in a step.
const MAX_NAME: usize = 100;

impl Telegram {
    /// Tries each step until one fails.
    pub(super) async fn steps(&self, place: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        // The error is the last step's, and stands in it.
        let _ = self.try_all(place, &mut steps).await;
        steps
    }

    async fn try_all(&self, place: &str, steps: &mut Vec<Step>) -> Result<(), ()> {
        let bot = step(steps, "the token is valid", self.me().await.map_err(Failure::from))?;
        name(steps, &format!("@{}", bot.username));
        let (what, hearing) = match &self.settings.hearing {
            Hearing::Polling => ("no webhook keeps updates away", self.no_webhook().await),
            Hearing::Webhook(hook) => {
                ("telegram calls the webhook", self.webhook_is(&hook.url).await)
            }
        };
        step(steps, what, hearing)?;
        let what = "the chat can be reached";
        let place = step(steps, what, Place::read(place))?;
        steps.pop();
        let place = self.moved.now(&place);
        let chat = step(steps, what, self.can_be_reached(&place).await)?;
        name(steps, chat.title.as_deref().unwrap_or("a chat with one person"));
        let mut text = Text::default();
        text.say("🔔 ").bold("A test:").say(" this message says so, and will be changed.");
        let sent = self.send(&place, &text, json!({})).await.map_err(Failure::from);
        let posted = step(steps, "a message can be sent", sent)?;
        let mut text = Text::default();
        text.say("✅ ").bold("A test:").say(" messages can be sent here, and changed.");
        let changed = self.change(&posted, &text, &json!({ "inline_keyboard": [] })).await;
        step(steps, "a message can be changed", changed.map_err(Failure::from))
    }

    pub(super) async fn can_be_reached(&self, place: &Place) -> Result<Chat, Failure> {
        let chat = json!({ "chat_id": self.moved.now(place).chat() });
        Ok(self.client.call("getChat", &chat, TIMEOUT).await?)
    }

    async fn webhook_info(&self) -> Result<WebhookInfo, Refusal> {
        self.client.call("getWebhookInfo", &json!({}), TIMEOUT).await
    }

    async fn no_webhook(&self) -> Result<(), Failure> {
        let info = self.webhook_info().await?;
        if info.url.is_empty() {
            return Ok(());
        }
        Err(Failure::Never(format!(
            "telegram calls {}, so nothing can be polled; a bridge that polls removes it when it starts, or set this one up as a webhook",
            crate::http::shown(&info.url)
        )))
    }

    async fn webhook_is(&self, url: &str) -> Result<(), Failure> {
        let info = self.webhook_info().await?;
        if info.url != url {
            let called = match &info.url[..] {
                "" => "nothing".to_owned(),
                other => crate::http::shown(other),
            };
            return Err(Failure::Never(format!(
                "telegram calls {called}; start the bridge, which sets its webhook, and see that no other program uses this bot"
            )));
        }
        match info.last_error_message {
            Some(error) if info.pending_update_count > 0 => Err(Failure::Never(format!(
                "telegram cannot deliver, and keeps {}: {}; see that its calls reach the bridge",
                info.pending_update_count,
                short(&error, MAX_NAME)
            ))),
            _ => Ok(()),
        }
    }

    /// Has Telegram call us, unless it does already.
    pub(super) async fn set_webhook(&self, url: &str, secret: &str) -> Result<(), Refusal> {
        let body = json!({
            "url": url,
            "secret_token": secret,
            "allowed_updates": super::ears::KINDS,
        });
        self.client.call::<Value>("setWebhook", &body, TIMEOUT).await.map(drop)
    }

    /// Whether Telegram calls us still.
    pub(super) async fn is_called(&self, url: &str) -> Result<bool, Refusal> {
        let info = self.webhook_info().await?;
        if let Some(error) = &info.last_error_message {
            tracing::debug!(
                error,
                pending = info.pending_update_count,
                "telegram's last call failed"
            );
        }
        Ok(info.url == url)
    }
}

fn step<T>(steps: &mut Vec<Step>, what: &str, tried: Result<T, Failure>) -> Result<T, ()> {
    let failed = tried.as_ref().err().map(ToString::to_string);
    steps.push(Step { what: what.to_owned(), failed });
    tried.map_err(drop)
}

/// Says in the last step what was found.
fn name(steps: &mut [Step], found: &str) {
    if let Some(last) = steps.last_mut() {
        last.what.push_str(": ");
        last.what.push_str(&short(found, MAX_NAME));
    }
}
