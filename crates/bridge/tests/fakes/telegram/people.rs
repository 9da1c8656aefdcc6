//! What people do in chats, and how that reaches the bot.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::state::{Message, Shared, State, Tap};
use super::{BOT, NAME, Telegram, server};

/// A person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub id: i64,
    pub name: &'static str,
}

pub const ALICE: User = User { id: 42, name: "Alice" };
pub const BOB: User = User { id: 43, name: "Bob" };
/// Calls herself as Alice does.
pub const MALLORY: User = User { id: 66, name: "Alice" };

impl User {
    pub fn json(&self) -> Value {
        json!({ "id": self.id, "is_bot": false, "first_name": self.name, "language_code": "en" })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

impl Telegram {
    /// Taps the button with this text, and gives the tap's id.
    pub fn tap(&self, user: User, message: &Message, button: &str) -> String {
        let shown = self.message(message.chat, message.id).expect("the message is not there");
        let data = shown.buttons.iter().find(|(text, _)| text == button);
        let (_, data) = data.unwrap_or_else(|| panic!("no button {button:?} in {shown:?}"));
        self.tap_data(user, message, data)
    }

    /// Sends any data as a tap, as a client of one's own can.
    pub fn tap_data(&self, user: User, message: &Message, data: &str) -> String {
        let mut state = self.state();
        state.last_tap += 1;
        let id = format!("43{:017}", state.last_tap);
        state.taps.insert(id.clone(), Tap { answer: None });
        let chat = self.chat_json(message.chat, state.chats[&message.chat].kind);
        let mut tapped = json!({
            "message_id": message.id, "date": now(), "chat": chat, "text": message.text,
            "from": { "id": BOT, "is_bot": true, "first_name": "Clawrden", "username": NAME },
        });
        let now = state.messages.iter().find(|it| it.chat == message.chat && it.id == message.id);
        if let Some(now) = now {
            let rows = now
                .buttons
                .iter()
                .map(|(text, data)| json!([{ "text": text, "callback_data": data }]));
            tapped["reply_markup"] = json!({ "inline_keyboard": rows.collect::<Vec<_>>() });
        }
        if let Some(thread) = message.thread {
            tapped["message_thread_id"] = thread.into();
            tapped["is_topic_message"] = true.into();
        }
        state.add(json!({ "callback_query": {
            "id": id, "from": user.json(), "message": tapped, "chat_instance": "-1", "data": data,
        } }));
        drop(state);
        self.shared.changed.notify_waiters();
        id
    }

    /// Writes a message, and gives its id.
    pub fn say(&self, user: User, chat: i64, text: &str) -> i64 {
        self.write(user, chat, text, &json!({}))
    }

    /// Writes a message in answer to one of the bot's.
    pub fn answer(&self, user: User, to: &Message, text: &str) -> i64 {
        let chat = self.chat_json(to.chat, "supergroup");
        let more = json!({ "reply_to_message": {
            "message_id": to.id, "date": now(), "chat": chat, "text": to.text, "entities": to.entities,
            "from": { "id": BOT, "is_bot": true, "first_name": "Clawrden", "username": NAME },
        } });
        self.write(user, to.chat, text, &more)
    }

    /// Writes a message with fields of one's own.
    pub fn write(&self, user: User, chat: i64, text: &str, more: &Value) -> i64 {
        let mut state = self.state();
        state.last_message += 1;
        let id = state.last_message;
        let kind = state.chats[&chat].kind;
        let mut message = json!({
            "message_id": id, "from": user.json(), "chat": self.chat_json(chat, kind), "date": now(),
            "text": text,
        });
        for (name, value) in more.as_object().unwrap() {
            message[name] = value.clone();
        }
        state.add(json!({ "message": message }));
        drop(state);
        self.shared.changed.notify_waiters();
        id
    }

    /// Any update, as it is.
    pub fn update(&self, update: Value) {
        self.state().add(update);
        self.shared.changed.notify_waiters();
    }

    fn chat_json(&self, id: i64, kind: &str) -> Value {
        json!({ "id": id, "type": kind, "title": "ops" })
    }
}

/// Calls the webhook for every update, again and again until it says that all is well.
pub async fn call_webhooks(shared: Arc<Shared>) {
    loop {
        let next = {
            let state = shared.state.lock().unwrap();
            let hook = state.webhook.as_ref().zip(state.deliver_to);
            hook.and_then(|(hook, to)| {
                let path = hook.url.splitn(4, '/').nth(3).unwrap_or_default();
                let update = state.updates.front()?.clone();
                Some((to, format!("/{path}"), hook.secret.clone(), update))
            })
        };
        let Some((to, path, secret, update)) = next else {
            // A change between the look and the wait is seen by the next look.
            let _ =
                tokio::time::timeout(Duration::from_millis(20), shared.changed.notified()).await;
            continue;
        };
        let answered = server::post(to, &path, secret.as_deref(), &update.to_string()).await;
        let status = answered.unwrap_or(0);
        if !delivered(&mut shared.state.lock().unwrap(), &update, status) {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// Whether an update was taken, and needs no other call.
fn delivered(state: &mut State, update: &Value, status: u16) -> bool {
    state.deliveries.push(status);
    let is_taken = (200..300).contains(&status);
    if is_taken && state.updates.front() == Some(update) {
        state.updates.pop_front();
    }
    if let Some(hook) = state.webhook.as_mut().filter(|_| !is_taken) {
        hook.error = Some(format!("Wrong response from the webhook: {status}"));
    }
    is_taken
}
