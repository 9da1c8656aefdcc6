//! What the fake knows, and how it behaves.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;

/// Everything.
pub struct State {
    /// Nobody answers, whatever is asked, and no socket can be had.
    pub is_away: bool,
    /// Tokens that were good once.
    pub revoked: HashSet<&'static str>,
    /// What goes wrong next, by method.
    pub faults: VecDeque<(String, Fault)>,
    /// Every call of the Web API, in order.
    pub calls: Vec<Call>,
    /// Every message, in order.
    pub messages: Vec<Message>,
    /// Every dialog, in order.
    pub views: Vec<View>,
    /// What was said at addresses that came with taps: the address's path, and what.
    pub responses: Vec<(String, Value)>,
    /// What was refused because it is over a limit.
    pub problems: Vec<String>,
    /// What was acknowledged, in order; also twice.
    pub acks: Vec<Ack>,
    /// Every envelope, by its id.
    pub envelopes: HashMap<String, Envelope>,
    /// Sockets that are open and greeted. To drop one closes it.
    pub sockets: Vec<mpsc::UnboundedSender<String>>,
    /// Pings and pongs that came over sockets.
    pub pings: usize,
    /// Sockets that were ever opened.
    pub opened: usize,
    /// Channels.
    pub channels: HashMap<String, Channel>,
    /// What the bot may do.
    pub scopes: HashSet<&'static str>,
    /// After how long an envelope is sent again.
    pub resend_after: Duration,
    /// How long a dialog may take to be opened.
    pub trigger_life: Duration,
    /// How long every call of the Web API takes at least.
    pub delay: Duration,
    /// What a new socket is sent before its greeting, and whether it is greeted at all.
    pub before_hello: Vec<String>,
    pub greets: bool,
    /// What is held back of what would be sent over sockets, while it is.
    pub held: Option<Vec<String>>,
    pub(super) tickets: HashSet<String>,
    pub(super) triggers: HashMap<String, Trigger>,
    pub(super) numbers: u64,
    pub(super) next_socket: usize,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// 429, with so many seconds in Retry-After.
    Limited(u64),
    /// 200, and no.
    Error(&'static str),
    /// A status, and no JSON.
    Status(u16),
    /// It takes so long, and then goes well.
    Slow(Duration),
    /// 200, and something that is no answer.
    Garbage,
    /// The connection is closed, and nothing is done.
    Cut,
    /// It is done, and the connection is closed.
    Lost,
}

/// A call of the Web API.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub body: Value,
    pub at: Instant,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    pub channel: String,
    pub ts: String,
    /// The message below which it stands.
    pub thread: Option<String>,
    /// The only person who sees it.
    pub only_for: Option<String>,
    /// What it says by now, as it was sent.
    pub payload: Value,
    /// How often it was edited.
    pub edits: usize,
}

/// A dialog.
#[derive(Debug, Clone)]
pub struct View {
    pub id: String,
    pub view: Value,
}

/// An acknowledgement.
#[derive(Debug, Clone)]
pub struct Ack {
    pub id: String,
    pub payload: Value,
    /// How long after the envelope was first sent.
    pub after: Duration,
}

/// What was delivered.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub text: String,
    pub sent: Instant,
    pub attempts: u32,
    pub acked: bool,
}

/// A channel.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    pub is_member: bool,
    pub is_archived: bool,
}

/// What allows one dialog.
pub(super) struct Trigger {
    pub(super) made: Instant,
    pub(super) used: bool,
}

impl State {
    pub(super) fn new() -> Self {
        let here = Channel { is_member: true, is_archived: false };
        Self {
            is_away: false,
            revoked: HashSet::new(),
            faults: VecDeque::new(),
            calls: Vec::new(),
            messages: Vec::new(),
            views: Vec::new(),
            responses: Vec::new(),
            problems: Vec::new(),
            acks: Vec::new(),
            envelopes: HashMap::new(),
            sockets: Vec::new(),
            pings: 0,
            opened: 0,
            channels: HashMap::from([(super::CHANNEL.to_owned(), here)]),
            scopes: HashSet::from(["chat:write", "channels:read", "commands", "connections:write"]),
            resend_after: Duration::from_secs(3),
            trigger_life: Duration::from_secs(3),
            delay: Duration::ZERO,
            before_hello: Vec::new(),
            greets: true,
            held: None,
            tickets: HashSet::new(),
            triggers: HashMap::new(),
            numbers: 0,
            next_socket: 0,
        }
    }

    /// A number that no other thing has.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn trigger(&mut self) -> String {
        let trigger = format!("{}.{}.{:032x}", self.number(), 1_395_872_398, self.numbers);
        self.triggers.insert(trigger.clone(), Trigger { made: Instant::now(), used: false });
        trigger
    }

    /// Sends something over one of the sockets, each in its turn.
    pub(super) fn send(&mut self, text: &str) {
        if let Some(held) = &mut self.held {
            held.push(text.to_owned());
            return;
        }
        self.sockets.retain(|socket| !socket.is_closed());
        if self.sockets.is_empty() {
            return;
        }
        self.next_socket = (self.next_socket + 1) % self.sockets.len();
        let _ = self.sockets[self.next_socket].send(text.to_owned());
    }

    /// Messages below another.
    pub fn replies(&self, ts: &str) -> Vec<Message> {
        self.messages
            .iter()
            .filter(|message| message.thread.as_deref() == Some(ts))
            .cloned()
            .collect()
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        self.calls.iter().filter(|call| call.method == method).count()
    }
}
