//! What is said: messages, edits, replies, and answers to taps.

use std::time::Duration;

use serde_json::{Value, json};

use super::chat::Place;
use super::client::Refusal;
use super::message::{self, Rendered};
use super::question::{Answering, question};
use super::text::{MAX_TEXT, MAX_TOLD, Text, beginning, tail, units};
use super::update::{CALLBACK, MESSAGE};
use super::wire::Sent;
use super::{Telegram, digest};
use crate::card::{Card, Digest};
use crate::clock::now_ms;
use crate::heard::{Failure, ReplyTo};
use crate::service::Posted;

/// How long a call may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// UTF-16 units of what is shown over the chat for a moment; a longer text is shown until it is closed.
const MAX_TOAST: usize = 80;

impl Telegram {
    pub(super) async fn post_card(&self, place: &str, card: &Card) -> Result<Posted, Failure> {
        let Rendered { text, buttons } = message::render(card, now_ms());
        let extra = json!({ "reply_markup": { "inline_keyboard": buttons } });
        Ok(self.send(&Place::read(place)?, &text, extra).await?)
    }

    pub(super) async fn edit_card(&self, posted: &Posted, card: &Card) -> Result<(), Failure> {
        let Rendered { text, buttons } = message::render(card, now_ms());
        let keyboard = json!({ "inline_keyboard": buttons });
        Ok(self.change(posted, &text, &keyboard).await?)
    }

    pub(super) async fn reply_below(&self, posted: &Posted, text: &str) -> Result<(), Failure> {
        let mut below = Text::default();
        // Telegram takes away what is blank around a message.
        below.pre(&tail(text.trim(), MAX_TEXT));
        let extra = reply_to(message_id(&posted.message)?);
        Ok(self.send(&Place::read(&posted.place)?, &below, extra).await.map(drop)?)
    }

    pub(super) async fn post_digest(
        &self,
        place: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        let Rendered { text, buttons } = digest::render(digest);
        let keyboard = json!({ "inline_keyboard": buttons });
        if let Some(before) = before {
            match self.change(before, &text, &keyboard).await {
                Ok(()) => return Ok(before.clone()),
                Err(gone) if is_gone(&gone) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let extra = json!({ "reply_markup": keyboard });
        Ok(self.send(&Place::read(place)?, &text, extra).await?)
    }

    pub(super) async fn tell_person(&self, to: &ReplyTo, text: &str) -> Result<(), Failure> {
        let address = to.address.as_deref().unwrap_or_default();
        if let Some(tap) = address.strip_prefix(CALLBACK) {
            return Ok(self.answer_tap(tap, text).await?);
        }
        let mut told = Text::default();
        told.pre(&beginning(text.trim(), MAX_TEXT));
        let extra = match address.strip_prefix(MESSAGE) {
            Some(message) => reply_to(message_id(message)?),
            None => json!({}),
        };
        Ok(self.send(&Place::read(&to.place)?, &told, extra).await.map(drop)?)
    }

    /// Answers a tap. One that is too old has nobody waiting for an answer any more.
    pub(super) async fn answer_tap(&self, tap: &str, text: &str) -> Result<(), Refusal> {
        let text = beginning(text, MAX_TOLD);
        let body = json!({
            "callback_query_id": tap,
            "show_alert": units(&text) > MAX_TOAST,
            "text": text,
        });
        match self.client.call::<Value>("answerCallbackQuery", &body, TIMEOUT).await {
            Err(no) if no.says("query is too old") || no.says("query id is invalid") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Asks a person for a reason, below the message whose button they tapped.
    pub(super) async fn ask_for_reason(
        &self,
        to: &ReplyTo,
        shown: &str,
        message: i64,
        answering: Answering,
        request: &str,
    ) -> Result<(), Failure> {
        let user = to.user.parse().map_err(|_| Failure::Never("a user has no id".to_owned()))?;
        let text = question(user, shown, answering, request);
        let mut extra = reply_to(message);
        extra["reply_markup"] = json!({
            "force_reply": true,
            "selective": true,
            "input_field_placeholder": answering.placeholder(),
        });
        Ok(self.send(&Place::read(&to.place)?, &text, extra).await.map(drop)?)
    }

    /// Sends a message to where the chat is by now.
    pub(super) async fn send(
        &self,
        place: &Place,
        text: &Text,
        extra: Value,
    ) -> Result<Posted, Refusal> {
        let now = self.moved.now(place);
        let sent = self.send_to(&now, text, &extra).await;
        let Err(Refusal::No { migrated: Some(to), .. }) = sent else { return sent };
        self.moved.remember(place, to);
        self.send_to(&now.moved(to), text, &extra).await
    }

    async fn send_to(&self, place: &Place, text: &Text, extra: &Value) -> Result<Posted, Refusal> {
        let mut body = extra.clone();
        body["chat_id"] = place.chat();
        if let Some(thread) = place.thread() {
            body["message_thread_id"] = json!(thread);
        }
        says(&mut body, text);
        let sent: Sent = self.client.call("sendMessage", &body, TIMEOUT).await?;
        let place = super::update::place(sent.chat.id, place.thread());
        Ok(Posted { place, message: sent.message_id.to_string() })
    }

    /// Changes a message. Where it says that already, all is well.
    pub(super) async fn change(
        &self,
        posted: &Posted,
        text: &Text,
        keyboard: &Value,
    ) -> Result<(), Refusal> {
        let (place, message) = match (Place::read(&posted.place), message_id(&posted.message)) {
            (Ok(place), Ok(message)) => (place, message),
            (Err(failure), _) | (_, Err(failure)) => return Err(Refusal::Away(failure)),
        };
        // A group that became a supergroup kept its messages: the other id knows none of them, or others by their numbers.
        let mut body = json!({
            "chat_id": place.chat(),
            "message_id": message,
            "reply_markup": keyboard,
        });
        says(&mut body, text);
        match self.client.call::<Value>("editMessageText", &body, TIMEOUT).await {
            Err(no) if no.says("message is not modified") => Ok(()),
            other => other.map(drop),
        }
    }
}

fn says(body: &mut Value, text: &Text) {
    body["text"] = json!(text.text);
    body["entities"] = json!(text.entities);
    body["link_preview_options"] = json!({ "is_disabled": true });
}

fn reply_to(message: i64) -> Value {
    json!({ "reply_parameters": { "message_id": message, "allow_sending_without_reply": true } })
}

fn message_id(message: &str) -> Result<i64, Failure> {
    let bad = |_| Failure::Never(format!("{message:?} is no number of a message"));
    message.parse().map_err(bad)
}

/// Whether a message can be changed no more, because it is not there or not changeable.
fn is_gone(refusal: &Refusal) -> bool {
    refusal.says("message to edit not found")
        || refusal.says("message can't be edited")
        || matches!(refusal, Refusal::No { migrated: Some(_), .. })
}
