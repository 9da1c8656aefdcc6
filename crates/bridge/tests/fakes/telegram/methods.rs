//! The methods of the Bot API, with its words for what it refuses.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::limits;
use super::state::{Message, Shared, State, TapAnswer, Webhook};
use super::{BOT, NAME};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct No {
    pub code: u16,
    pub description: String,
    pub parameters: Value,
}

impl No {
    pub fn new(code: u16, description: &str) -> Self {
        Self { code, description: description.to_owned(), parameters: Value::Null }
    }
}

fn bad(what: &str) -> No {
    No::new(400, &format!("Bad Request: {what}"))
}

pub fn call(method: &str, body: &Value, state: &mut State) -> Result<Value, No> {
    match method {
        "getMe" => Ok(json!({
            "id": BOT, "is_bot": true, "first_name": "Clawrden", "username": NAME,
            "can_join_groups": true, "can_read_all_group_messages": false,
        })),
        "getChat" => {
            let id = chat(body, state)?;
            Ok(json!({ "id": id, "type": state.chats[&id].kind, "title": "ops" }))
        }
        "setMyCommands" => set_commands(body),
        "sendMessage" => send(body, state),
        "editMessageText" => edit(body, state),
        "answerCallbackQuery" => answer_tap(body, state),
        "setWebhook" => set_webhook(body, state),
        "deleteWebhook" => {
            limits::known(body, &["drop_pending_updates"], state);
            state.webhook = None;
            Ok(true.into())
        }
        "getWebhookInfo" => {
            let hook = state.webhook.as_ref();
            let mut info = json!({
                "url": hook.map(|hook| hook.url.clone()).unwrap_or_default(),
                "has_custom_certificate": false,
                "pending_update_count": state.updates.len(),
            });
            if let Some(error) = hook.and_then(|hook| hook.error.clone()) {
                info["last_error_message"] = error.into();
                info["last_error_date"] = 1.into();
            }
            Ok(info)
        }
        _ => Err(No::new(404, "Not Found: method not found")),
    }
}

/// The chat that is meant, where the bot may write.
fn chat(body: &Value, state: &State) -> Result<i64, No> {
    let id = body["chat_id"].as_i64().ok_or_else(|| bad("chat not found"))?;
    let chat = state.chats.get(&id).ok_or_else(|| bad("chat not found"))?;
    if let Some(to) = chat.migrated_to {
        let mut no = bad("group chat was upgraded to a supergroup chat");
        no.parameters = json!({ "migrate_to_chat_id": to });
        return Err(no);
    }
    if chat.is_kicked {
        return Err(No::new(403, "Forbidden: bot was kicked from the supergroup chat"));
    }
    Ok(id)
}

fn send(body: &Value, state: &mut State) -> Result<Value, No> {
    limits::known(
        body,
        &[
            "chat_id",
            "message_thread_id",
            "text",
            "entities",
            "link_preview_options",
            "reply_parameters",
            "reply_markup",
        ],
        state,
    );
    let chat = chat(body, state)?;
    let mut message = Message { chat, ..limits::message(body, state)? };
    if let Some(thread) = body.get("message_thread_id") {
        message.thread = thread.as_i64();
        if !message.thread.is_some_and(|thread| state.chats[&chat].topics.contains(&thread)) {
            return Err(bad("message thread not found"));
        }
    }
    if let Some(reply) = body.get("reply_parameters") {
        message.reply_to = reply["message_id"].as_i64();
        let is_there = state.messages.iter().any(|it| Some(it.id) == message.reply_to);
        let is_of_a_person = message.reply_to.is_some_and(|id| id <= state.last_message);
        if !is_there && !is_of_a_person && reply["allow_sending_without_reply"] != true {
            return Err(bad("message to be replied not found"));
        }
    }
    state.last_message += 1;
    message.id = state.last_message;
    let sent = json!({
        "message_id": message.id, "date": 1_793_714_592, "text": message.text,
        "chat": { "id": chat, "type": state.chats[&chat].kind },
        "from": { "id": BOT, "is_bot": true, "first_name": "Clawrden", "username": NAME },
    });
    state.messages.push(message);
    Ok(sent)
}

fn edit(body: &Value, state: &mut State) -> Result<Value, No> {
    limits::known(
        body,
        &["chat_id", "message_id", "text", "entities", "link_preview_options", "reply_markup"],
        state,
    );
    let chat = chat(body, state)?;
    let changed = limits::message(body, state)?;
    if changed.forces_reply {
        return Err(bad("inline keyboard expected"));
    }
    let id = body["message_id"].as_i64();
    let message = state.messages.iter_mut().find(|it| it.chat == chat && Some(it.id) == id);
    let message = message.ok_or_else(|| bad("message to edit not found"))?;
    let same = |old: &Message, new: &Message| {
        old.text == new.text && old.entities == new.entities && old.buttons == new.buttons
    };
    if same(message, &changed) {
        return Err(bad(
            "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
        ));
    }
    message.text = changed.text;
    message.entities = changed.entities;
    message.buttons = changed.buttons;
    message.live = changed.live;
    message.edits += 1;
    Ok(json!({ "message_id": message.id, "date": 1, "chat": { "id": chat, "type": "supergroup" } }))
}

fn answer_tap(body: &Value, state: &mut State) -> Result<Value, No> {
    limits::known(body, &["callback_query_id", "text", "show_alert"], state);
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    if text.encode_utf16().count() > 200 {
        return Err(bad("MESSAGE_TOO_LONG"));
    }
    let tap = body["callback_query_id"].as_str().and_then(|id| state.taps.get_mut(id));
    let tap = tap.ok_or_else(|| {
        bad("query is too old and response timeout expired or query ID is invalid")
    })?;
    tap.answer = Some(TapAnswer { text, is_alert: body["show_alert"] == true });
    Ok(true.into())
}

fn set_commands(body: &Value) -> Result<Value, No> {
    let commands = body["commands"].as_array().ok_or_else(|| bad("commands expected"))?;
    for command in commands {
        let name = command["command"].as_str().unwrap_or_default();
        let is_name = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let length = command["description"].as_str().unwrap_or_default().chars().count();
        if !is_name || !(1..=256).contains(&length) {
            return Err(bad("BOT_COMMAND_INVALID"));
        }
    }
    if commands.len() > 100 { Err(bad("BOT_COMMANDS_TOO_MUCH")) } else { Ok(true.into()) }
}

fn set_webhook(body: &Value, state: &mut State) -> Result<Value, No> {
    limits::known(body, &["url", "secret_token", "allowed_updates"], state);
    let url = body["url"].as_str().unwrap_or_default();
    if !url.starts_with("https://") {
        return Err(bad("bad webhook: An HTTPS URL must be provided for webhook"));
    }
    let secret = body["secret_token"].as_str().map(str::to_owned);
    let is_secret = |secret: &str| {
        (1..=256).contains(&secret.len())
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if secret.as_deref().is_some_and(|secret| !is_secret(secret)) {
        return Err(bad("secret token contains unallowed characters"));
    }
    state.kinds = kinds(body);
    state.webhook = Some(Webhook { url: url.to_owned(), secret, error: None });
    // Whoever polls is ended.
    state.poll += 1;
    Ok(true.into())
}

fn kinds(body: &Value) -> Vec<String> {
    let kinds = body["allowed_updates"].as_array().cloned().unwrap_or_default();
    kinds.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()
}

/// Waits for updates as long as is asked for. A newer call, and a webhook, end it.
pub async fn get_updates(body: &Value, shared: &Arc<Shared>) -> Result<Value, No> {
    let mine = {
        let mut state = shared.state.lock().unwrap();
        limits::known(body, &["offset", "limit", "timeout", "allowed_updates"], &mut state);
        if state.webhook.is_some() {
            return Err(No::new(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
            ));
        }
        state.kinds = kinds(body);
        state.poll += 1;
        if state.lost_confirmations > 0 && body.get("offset").is_some() {
            state.lost_confirmations -= 1;
        } else if let Some(offset) = body["offset"].as_i64() {
            state.updates.retain(|update| update["update_id"].as_i64().unwrap() >= offset);
        }
        state.poll
    };
    shared.changed.notify_waiters();
    let limit = usize::try_from(body["limit"].as_u64().unwrap_or(100)).unwrap().clamp(1, 100);
    let hold = Duration::from_secs(body["timeout"].as_u64().unwrap_or(0));
    let until = Instant::now() + hold;
    loop {
        let changed = shared.changed.notified();
        {
            let state = shared.state.lock().unwrap();
            if state.poll != mine {
                return Err(No::new(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                ));
            }
            let mut some: Vec<Value> = state.updates.iter().take(limit).cloned().collect();
            if state.is_backwards {
                some.reverse();
            }
            if !some.is_empty() || Instant::now() >= until {
                return Ok(some.into());
            }
        }
        // Time that passes is no error.
        let _ = timeout_at(until.min(Instant::now() + Duration::from_millis(20)), changed).await;
    }
}
