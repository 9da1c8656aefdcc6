//! A Slack on loopback that behaves as the public documentation says: the Web API, Socket Mode, response addresses, and
//! signed calls of an app. It takes nothing that the documented limits do not allow.
//!
//! It has threads of its own, and its functions block: tests of any kind can use it. In an asynchronous test the runtime
//! must have several threads.

// Each test binary uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

mod calling;
mod html;
mod limits;
mod markup;
mod methods;
mod payloads;
mod server;
mod socket;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;

#[allow(unused_imports)]
pub use calling::now;
#[allow(unused_imports)]
pub use html::page;
#[allow(unused_imports)]
pub use limits::{check_message, check_view};
#[allow(unused_imports)]
pub use markup::tokens;
#[allow(unused_imports)]
pub use state::{Ack, Call, Channel, Fault, Message, State, View};

/// What the bot shows.
pub const BOT_TOKEN: &str = "xoxb-1-2-thebotstoken";
/// What the app shows.
pub const APP_TOKEN: &str = "xapp-1-A1-2-theappstoken";
/// What calls are signed with.
pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// A channel that the bot is in.
pub const CHANNEL: &str = "C0000000001";
/// The workspace.
pub const TEAM: &str = "T0000000001";
/// A person.
pub const ALICE: &str = "U0000000001";
/// Another.
pub const BOB: &str = "U0000000002";

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// One Slack. It ends when it is dropped.
pub struct Slack {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the state, and wakes who waits for that.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let came = change(&mut self.lock());
        self.changed.notify_all();
        came
    }
}

impl Slack {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State::new());
        let shared = Arc::new(Shared { address, state, changed: Condvar::new() });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(server::serve(listener, Arc::clone(&shared)));
        Self { shared, runtime: Some(runtime) }
    }

    /// Where its Web API is.
    pub fn api(&self) -> String {
        format!("http://{}/api", self.shared.address)
    }

    /// Looks at what it knows.
    pub fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Changes how it behaves.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.change(change)
    }

    /// The next call of a method fails; several are for the calls that follow each other.
    pub fn fail(&self, method: &str, fault: Fault) {
        self.change(|state| state.faults.push_back((method.to_owned(), fault)));
    }

    /// Waits until something is so.
    pub fn wait<T>(&self, what: &str, find: impl FnMut(&State) -> Option<T>) -> T {
        self.within(PATIENCE, find).unwrap_or_else(|| panic!("in vain: {what}"))
    }

    /// Waits a while for something; `None` if it did not come.
    pub fn within<T>(
        &self,
        patience: Duration,
        mut find: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + patience;
        blocking(|| {
            let mut state = self.shared.lock();
            loop {
                if let Some(found) = find(&state) {
                    return Some(found);
                }
                let left = until.checked_duration_since(Instant::now())?;
                state = self.shared.changed.wait_timeout(state, left).unwrap().0;
            }
        })
    }

    /// Waits until an app listens on so many sockets.
    pub fn wait_for_sockets(&self, count: usize) {
        self.wait("sockets", |state| (state.sockets.len() == count).then_some(()));
    }

    /// The newest message of the channel, once there is one.
    pub fn message(&self) -> Message {
        self.wait("a message", |state| state.messages.last().cloned())
    }

    /// The newest message, once it says something.
    pub fn message_with(&self, text: &str) -> Message {
        self.wait(text, |state| {
            state
                .messages
                .iter()
                .rev()
                .find(|message| message.payload.to_string().contains(text))
                .cloned()
        })
    }

    /// Somebody taps a button of a message. It is delivered over the socket; gives the envelope's id.
    pub fn tap(&self, message: &Message, action: &str, user: &str) -> String {
        let payload = self.tapped(message, action, user);
        self.deliver("interactive", &payload)
    }

    /// What is sent of a tap.
    pub fn tapped(&self, message: &Message, action: &str, user: &str) -> Value {
        let address = self.shared.address;
        self.change(|state| payloads::tapped(state, address, message, None, action, user))
    }

    /// What is sent of a tap in one of several blocks of buttons.
    pub fn tapped_in(&self, message: &Message, block: &str, action: &str, user: &str) -> Value {
        let address = self.shared.address;
        self.change(|state| payloads::tapped(state, address, message, Some(block), action, user))
    }

    /// What is sent of a dialog that somebody filled in.
    pub fn submitted(&self, view: &View, choice: &str, reason: &str, user: &str) -> Value {
        self.change(|state| payloads::submitted(state, view, choice, reason, user))
    }

    /// What is sent of a command that somebody typed.
    pub fn typed(&self, text: &str, user: &str) -> Value {
        let address = self.shared.address;
        self.change(|state| payloads::typed(state, address, text, user))
    }

    /// The newest dialog, once there is one.
    pub fn view(&self) -> View {
        self.wait("a dialog", |state| state.views.last().cloned())
    }

    /// Delivers over the socket, again and again until it is acknowledged, as Slack does.
    pub fn deliver(&self, kind: &str, payload: &Value) -> String {
        socket::deliver(&self.shared, self.runtime().handle(), kind, payload)
    }

    /// Sends an envelope once more, whatever was said of it.
    pub fn replay(&self, envelope: &str) {
        let text = self.state(|state| state.envelopes[envelope].text.clone());
        self.send(&text);
    }

    /// Sends any text over a socket.
    pub fn send(&self, text: &str) {
        self.change(|state| state.send(text));
    }

    /// Sends nothing over sockets for now.
    pub fn hold(&self) {
        self.change(|state| state.held = Some(Vec::new()));
    }

    /// Sends what was held back, the last first.
    pub fn send_backwards(&self) {
        self.change(|state| {
            let held = state.held.take().unwrap_or_default();
            held.iter().rev().for_each(|text| state.send(text));
        });
    }

    /// Closes every socket without a word.
    pub fn cut(&self) {
        self.change(|state| state.sockets.clear());
    }

    /// The acknowledgement of an envelope, once it came.
    pub fn ack(&self, envelope: &str) -> Ack {
        self.wait("an acknowledgement", |state| {
            state.acks.iter().find(|ack| ack.id == envelope).cloned()
        })
    }

    /// Calls an app, as Slack does; gives the status and the body.
    pub fn call(&self, app: SocketAddr, payload: &Value) -> (u16, String) {
        let body = calling::form(payload);
        self.call_signed(app, &body, SIGNING_SECRET, calling::now())
    }

    /// The same with any signature.
    pub fn call_signed(&self, app: SocketAddr, body: &str, secret: &str, at: u64) -> (u16, String) {
        let signature = calling::signature(secret, at, body);
        self.call_raw(app, body, &at.to_string(), &signature)
    }

    /// The same with any head.
    pub fn call_raw(
        &self,
        app: SocketAddr,
        body: &str,
        at: &str,
        signature: &str,
    ) -> (u16, String) {
        blocking(|| calling::call(app, body, at, signature))
    }

    /// Everything that was refused because it is over a limit: none of it should be.
    pub fn faults_found(&self) -> Vec<String> {
        self.state(|state| state.problems.clone())
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// In an asynchronous test the other tasks go on meanwhile.
fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::task::block_in_place(wait),
        Err(_) => wait(),
    }
}
