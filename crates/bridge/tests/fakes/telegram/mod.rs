//! A fake of Telegram's Bot API: a server on loopback that behaves as the public documentation says, refuses what goes
//! beyond the documented limits, and fails in all the ways that the real one does.
//!
//! It needs tokio and serde_json alone, has a thread of its own, and none of its functions waits: tests of any kind can
//! use it by `#[path]`.

// Not every test uses everything.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod limits;
mod methods;
mod people;
mod server;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

pub use people::{ALICE, BOB, MALLORY, User};
use state::{Chat, Shared, State};
pub use state::{Message, TapAnswer};

/// The bot's token.
pub const TOKEN: &str = "7000001:TEST-token_AAEverybodyKnowsIt";

/// The bot's user.
pub const BOT: i64 = 7_000_001;

/// The bot's name.
pub const NAME: &str = "clawrden_test_bot";

/// A supergroup that the bot is in.
pub const GROUP: i64 = -1_001_000_000_001;

/// A way to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429, with the seconds of rest.
    TooMany(u64),
    /// An error in the API's own words.
    Says(u16, &'static str),
    /// A page of HTML with a status, as proxies send it; the address stands in it.
    Page(u16),
    /// 200 with something that is no JSON.
    Garbage,
    /// The connection breaks before anything is done.
    Drop,
    /// All is done, and the connection breaks before that is said.
    Lost,
    /// All is done, so much later.
    Slow(Duration),
}

/// The fake. It ends when it is dropped.
pub struct Telegram {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Telegram {
    /// Starts it, with one group.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (started, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = server::serve(listener, Arc::clone(&served)) => {}
                    () = people::call_webhooks(served) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = address.recv().unwrap();
        let fake = Self { shared, address, stop: Some(stop), thread: Some(thread) };
        fake.add_chat(GROUP, "supergroup");
        fake
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Where the Bot API is.
    pub fn api(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts the bot into a chat: `private`, `group`, `supergroup`, `channel`.
    pub fn add_chat(&self, id: i64, kind: &'static str) {
        self.state().chats.insert(id, Chat { kind, ..Chat::default() });
    }

    /// Makes a topic in a chat.
    pub fn add_topic(&self, chat: i64, thread: i64) {
        self.state().chats.get_mut(&chat).unwrap().topics.push(thread);
    }

    /// Removes the bot from a chat.
    pub fn kick(&self, chat: i64) {
        self.state().chats.get_mut(&chat).unwrap().is_kicked = true;
    }

    /// Makes a supergroup of a group: it goes by another id from then on.
    pub fn migrate(&self, from: i64, to: i64) {
        self.add_chat(to, "supergroup");
        self.state().chats.get_mut(&from).unwrap().migrated_to = Some(to);
    }

    /// What the bot sent, in order, as it is by now.
    pub fn messages(&self) -> Vec<Message> {
        self.state().messages.clone()
    }

    /// The newest message that the bot sent to a chat.
    pub fn last(&self, chat: i64) -> Option<Message> {
        self.state().messages.iter().rev().find(|message| message.chat == chat).cloned()
    }

    /// A message of the bot as it is by now.
    pub fn message(&self, chat: i64, id: i64) -> Option<Message> {
        self.state().messages.iter().find(|it| it.chat == chat && it.id == id).cloned()
    }

    /// Deletes a message, as an administrator of the chat can.
    pub fn delete(&self, chat: i64, id: i64) {
        self.state().messages.retain(|it| it.chat != chat || it.id != id);
    }

    /// What a tap was answered, if it was.
    pub fn answer_of(&self, tap: &str) -> Option<TapAnswer> {
        self.state().taps.get(tap)?.answer.clone()
    }

    /// Makes every tap so old that it cannot be answered.
    pub fn let_taps_get_old(&self) {
        self.state().taps.clear();
    }

    /// Makes the next call of a method fail; of several, one after the other.
    pub fn fail(&self, method: &'static str, fault: Fault) {
        self.state().faults.push((method, fault));
    }

    /// Every call, by its method and what was said with it.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let state = self.state();
        state
            .calls
            .iter()
            .filter(|(name, _)| name == method)
            .map(|(_, body)| body.clone())
            .collect()
    }

    /// What the bot did against the documentation. A test that ends well has none.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Updates that were not confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.state().updates.len()
    }

    /// Forgets the next confirmations, so that updates come again.
    pub fn lose_confirmations(&self, count: usize) {
        self.state().lost_confirmations = count;
    }

    /// Gives updates in the wrong order from now on.
    pub fn give_backwards(&self) {
        self.state().is_backwards = true;
    }

    /// Has a webhook set by somebody else.
    pub fn set_webhook(&self, url: &str) {
        self.state().webhook = Some(state::Webhook { url: url.to_owned(), ..Default::default() });
    }

    /// The webhook that is set, and the secret of it.
    pub fn webhook(&self) -> Option<(String, Option<String>)> {
        self.state().webhook.as_ref().map(|hook| (hook.url.clone(), hook.secret.clone()))
    }

    /// Where calls of any webhook go: the place of what ends TLS.
    pub fn deliver_to(&self, address: SocketAddr) {
        self.state().deliver_to = Some(address);
        self.shared.changed.notify_waiters();
    }

    /// Statuses of the webhook's answers so far.
    pub fn deliveries(&self) -> Vec<u16> {
        self.state().deliveries.clone()
    }
}

impl Drop for Telegram {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has failed the test already.
            let _ = thread.join();
        }
    }
}
