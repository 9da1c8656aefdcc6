//! What of the Bot API's objects is read. Unknown fields are left alone; what is absent is taken for the less harmless.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// What every method answers. One of `result` and `description` is there.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<T> {
    pub(super) ok: bool,
    #[serde(default = "none")]
    pub(super) result: Option<T>,
    #[serde(default)]
    pub(super) error_code: Option<u16>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) parameters: Option<Parameters>,
}

fn none<T>() -> Option<T> {
    None
}

/// What to do about an error.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    pub(super) retry_after: Option<u64>,
    #[serde(default)]
    pub(super) migrate_to_chat_id: Option<i64>,
}

/// One thing that happened.
#[derive(Debug, Deserialize)]
pub(super) struct Update {
    #[serde(default)]
    pub(super) message: Option<Message>,
    #[serde(default)]
    pub(super) callback_query: Option<CallbackQuery>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) message_id: i64,
    #[serde(default)]
    pub(super) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(super) is_topic_message: bool,
    #[serde(default)]
    pub(super) from: Option<User>,
    /// In whose name it was sent, where that is a chat: its sender's own id is not told then.
    #[serde(default)]
    pub(super) sender_chat: Option<IgnoredAny>,
    /// Seconds since 1970.
    #[serde(default)]
    pub(super) date: u64,
    pub(super) chat: Chat,
    #[serde(default)]
    pub(super) forward_origin: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) forward_date: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) via_bot: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) edit_date: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) reply_to_message: Option<Box<Message>>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) entities: Vec<HeardEntity>,
}

impl Message {
    /// Whether it was written just so, here, by whom it is from.
    pub(super) fn is_original(&self) -> bool {
        self.forward_origin.is_none()
            && self.forward_date.is_none()
            && self.via_bot.is_none()
            && self.edit_date.is_none()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct HeardEntity {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) offset: usize,
    pub(super) length: usize,
    #[serde(default)]
    pub(super) user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Chat {
    pub(super) id: i64,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) title: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    /// A user of whom that is not said is none.
    #[serde(default = "yes")]
    pub(super) is_bot: bool,
    #[serde(default)]
    pub(super) first_name: String,
    #[serde(default)]
    pub(super) last_name: Option<String>,
    #[serde(default)]
    pub(super) username: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
pub(super) struct CallbackQuery {
    pub(super) id: String,
    pub(super) from: User,
    #[serde(default)]
    pub(super) message: Option<Tapped>,
    #[serde(default)]
    pub(super) data: Option<String>,
}

/// The message of a tapped button. Of an old one, no more than this is told.
#[derive(Debug, Deserialize)]
pub(super) struct Tapped {
    pub(super) message_id: i64,
    #[serde(default)]
    pub(super) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(super) is_topic_message: bool,
    pub(super) chat: Chat,
    #[serde(default)]
    pub(super) from: Option<User>,
    #[serde(default)]
    pub(super) reply_markup: Keyboard,
}

/// The buttons of a message.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Keyboard {
    #[serde(default)]
    pub(super) inline_keyboard: Vec<Vec<HeardButton>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct HeardButton {
    #[serde(default)]
    pub(super) callback_data: Option<String>,
}

/// A message that was sent.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) message_id: i64,
    pub(super) chat: Chat,
}

/// The state of a webhook.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct WebhookInfo {
    #[serde(default)]
    pub(super) url: String,
    #[serde(default)]
    pub(super) pending_update_count: u64,
    #[serde(default)]
    pub(super) last_error_message: Option<String>,
}

/// A stretch of a text and what it is, in UTF-16 units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Entity {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) offset: usize,
    pub(super) length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<Mentioned>,
}

/// Who is mentioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Mentioned {
    pub(super) id: i64,
    pub(super) is_bot: bool,
    pub(super) first_name: String,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Button {
    pub(super) text: Cow<'static, str>,
    pub(super) callback_data: String,
}
