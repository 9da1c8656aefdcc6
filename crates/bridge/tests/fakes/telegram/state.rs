//! What the fake knows.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::Notify;

use super::Fault;

#[derive(Default)]
pub struct Shared {
    pub state: Mutex<State>,
    pub changed: Notify,
}

#[derive(Default)]
pub struct State {
    pub chats: BTreeMap<i64, Chat>,
    pub messages: Vec<Message>,
    pub last_message: i64,
    pub updates: VecDeque<Value>,
    pub last_update: i64,
    pub taps: BTreeMap<String, Tap>,
    pub last_tap: u64,
    pub faults: Vec<(&'static str, Fault)>,
    pub calls: Vec<(String, Value)>,
    pub violations: Vec<String>,
    pub lost_confirmations: usize,
    pub is_backwards: bool,
    /// Which call of getUpdates is the newest: an older one that waits is ended.
    pub poll: u64,
    /// The kinds of updates that are wanted; empty: every one.
    pub kinds: Vec<String>,
    pub webhook: Option<Webhook>,
    pub deliver_to: Option<SocketAddr>,
    pub deliveries: Vec<u16>,
}

#[derive(Default)]
pub struct Chat {
    pub kind: &'static str,
    pub topics: Vec<i64>,
    pub is_kicked: bool,
    pub migrated_to: Option<i64>,
}

#[derive(Default)]
pub struct Webhook {
    pub url: String,
    pub secret: Option<String>,
    pub error: Option<String>,
}

/// A message of the bot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    pub chat: i64,
    pub id: i64,
    pub thread: Option<i64>,
    pub text: String,
    pub entities: Vec<Value>,
    /// The text of each button and what a tap on it sends.
    pub buttons: Vec<(String, String)>,
    pub reply_to: Option<i64>,
    pub forces_reply: bool,
    /// How often it was changed.
    pub edits: usize,
    /// What Telegram would make a link, a mention or a command of, of its own accord.
    pub live: Vec<String>,
}

pub struct Tap {
    pub answer: Option<TapAnswer>,
}

/// What a tap was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapAnswer {
    pub text: String,
    pub is_alert: bool,
}

impl State {
    /// Numbers an update and lets it be had.
    pub fn add(&mut self, mut update: Value) -> i64 {
        if self.last_update == 0 {
            self.last_update = 1000;
        }
        self.last_update += 1;
        update["update_id"] = self.last_update.into();
        let kind = update.as_object().unwrap().keys().find(|key| *key != "update_id").cloned();
        if self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind)) {
            self.updates.push_back(update);
        }
        self.last_update
    }

    /// The fault that this call is to have.
    pub fn fault(&mut self, method: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|(name, _)| *name == method)?;
        Some(self.faults.remove(at).1)
    }
}
