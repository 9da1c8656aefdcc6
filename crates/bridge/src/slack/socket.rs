//! Socket Mode: a socket that we open, over which Slack tells what people did.
//!
//! Everything is acknowledged within a moment. When Slack is about to close a socket, another one is open before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::envelope::{Delivery, Ending, Envelope};
use super::interaction::Done;
use super::taking::Taking;
use super::web::Web;
use crate::clock::now_ms;
use crate::heard::Failure;
use crate::http::Duplex;
use crate::inbox;
use crate::secret::Secret;

/// Bytes of a message. A longer one ends the socket.
const MAX_MESSAGE: usize = 1024 * 1024;

/// How long the handshake, and after it the greeting, may take.
const GREETING: Duration = Duration::from_secs(5);

/// How often we ask whether somebody is still there.
const PING: Duration = Duration::from_secs(15);

/// How long nothing may come before the socket is taken for dead.
const SILENCE: Duration = Duration::from_secs(45);

/// How long a message may take to be sent.
const SENDING: Duration = Duration::from_secs(10);

/// How long a socket that is being replaced may go on.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// A socket that lived so long was a good one: the next is opened at once.
const GOOD: Duration = Duration::from_secs(5);

/// How long to wait before the next one otherwise, while an old one still hears.
const PAUSE: Duration = Duration::from_secs(1);

/// Sockets that are being replaced at once. Slack allows ten in all.
const MAX_OLD: usize = 3;

/// Messages of one socket that are none. Then it is given up.
const MAX_MALFORMED: u32 = 20;

/// How long after a socket was opened something may come that was said before that: what was not acknowledged on another one.
const SENT_AGAIN: Duration = Duration::from_secs(10);

/// How long before we began something may have been said that comes then, in milliseconds.
const BEFORE_US_MS: u64 = 60_000;

/// When anything came over a socket last, in milliseconds since 1970. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct LastHeard(Arc<AtomicU64>);

impl Default for LastHeard {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(now_ms().saturating_sub(BEFORE_US_MS))))
    }
}

type Stream = WebSocketStream<Box<dyn Duplex>>;

/// How a socket came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It goes on for a moment, and another is wanted.
    Replaced,
    /// It is closed.
    Closed,
    /// There will be no other.
    SwitchedOff,
}

/// Hears people until no socket can be had.
pub(super) async fn listen(taking: &Arc<Taking>, app_token: &Secret, heard: &LastHeard) -> Failure {
    let mut old = JoinSet::new();
    loop {
        while old.try_join_next().is_some() {}
        let opened = match open(taking.web(), app_token).await {
            Ok(opened) => opened,
            // Another one still hears; it is asked again in a while.
            Err(Failure::Now(why)) if !old.is_empty() => {
                tracing::debug!(%why, "no other socket of slack can be had yet");
                sleep(PAUSE).await;
                continue;
            }
            Err(Failure::Later(rest)) if !old.is_empty() => {
                sleep(rest).await;
                continue;
            }
            Err(failure) => return failure,
        };
        let since = Instant::now();
        let taking = Arc::clone(taking);
        let mut socket = Socket {
            stream: opened,
            taking,
            opened: since,
            quiet_from: heard.0.load(Ordering::SeqCst),
            heard: heard.clone(),
            is_greeted: false,
            hearing: None,
            malformed: 0,
        };
        let ended = socket.run().await;
        tracing::debug!(?ended, lived = ?since.elapsed(), "a socket of slack ended");
        if ended != Ended::Replaced {
            socket.hearing = None;
        }
        match ended {
            Ended::SwitchedOff => {
                return Failure::Never(
                    "Socket Mode was switched off; switch it on, on the app's page Socket Mode"
                        .to_owned(),
                );
            }
            Ended::Replaced => {
                if old.len() >= MAX_OLD {
                    old.shutdown().await;
                }
                old.spawn(timeout(LAST_WORDS, async move { socket.run_out().await }));
                if since.elapsed() < GOOD {
                    sleep(PAUSE).await;
                }
            }
            Ended::Closed if socket.is_greeted && since.elapsed() >= GOOD => {}
            Ended::Closed if !old.is_empty() => sleep(PAUSE).await,
            Ended::Closed if !socket.is_greeted => {
                return Failure::Now("slack did not greet on the socket".to_owned());
            }
            Ended::Closed => return Failure::Now("slack closed the socket at once".to_owned()),
        }
    }
}

/// Opens a socket. That it greets is seen later.
pub(super) async fn open(web: &Web, app_token: &Secret) -> Result<Stream, Failure> {
    let answer = web.call_as(app_token, "apps.connections.open", &json!({})).await?;
    let Some(url) = answer["url"].as_str() else {
        return Err(Failure::Now("slack does not say where the socket is".to_owned()));
    };
    let stream = web.http().dial(url).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let shaken = timeout(GREETING, client_async_with_config(url, stream, Some(config))).await;
    match shaken {
        Ok(Ok((stream, _))) => Ok(stream),
        Ok(Err(error)) => {
            Err(Failure::Now(format!("slack does not open the socket: {}", cause(&error))))
        }
        Err(_) => Err(Failure::Now("slack does not open the socket in time".to_owned())),
    }
}

/// Waits until a socket greets.
pub(super) async fn greeted(stream: &mut Stream) -> Result<(), Failure> {
    let greeting = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Text(text) = message
                && Envelope::parse(text.as_bytes()) == Ok(Envelope::Hello)
            {
                return Ok(());
            }
        }
        Err(Failure::Now("slack closed the socket without a greeting".to_owned()))
    };
    let late = |_| Err(Failure::Now("slack did not greet on the socket in time".to_owned()));
    timeout(GREETING, greeting).await.unwrap_or_else(late)
}

/// The cause without the address, of which a part is a ticket.
fn cause(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            format!("it answers with status {}", response.status())
        }
        tungstenite::Error::Io(error) => error.to_string(),
        tungstenite::Error::Protocol(error) => error.to_string(),
        _ => "the handshake failed".to_owned(),
    }
}

struct Socket {
    stream: Stream,
    taking: Arc<Taking>,
    opened: Instant,
    /// When anything was heard before it was opened.
    quiet_from: u64,
    heard: LastHeard,
    is_greeted: bool,
    hearing: Option<inbox::Hearing>,
    malformed: u32,
}

impl Socket {
    /// Hears until it ends or is to be replaced.
    async fn run(&mut self) -> Ended {
        let began = Instant::now();
        let mut last = began;
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Who pings and does not greet is no socket.
            let end = if self.is_greeted { last + SILENCE } else { began + GREETING };
            tokio::select! {
                message = self.stream.next() => {
                    last = Instant::now();
                    self.heard.0.store(now_ms(), Ordering::SeqCst);
                    let Some(Ok(message)) = message else { return Ended::Closed };
                    let envelope = match message {
                        Message::Text(text) => Envelope::parse(text.as_bytes()),
                        Message::Binary(bytes) => Envelope::parse(&bytes),
                        Message::Close(_) => return Ended::Closed,
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                    };
                    match envelope {
                        Ok(Envelope::Hello) => {
                            self.is_greeted = true;
                            self.hearing.get_or_insert_with(|| self.taking.inbox().hearing());
                        }
                        Ok(Envelope::Disconnect(Ending::Refresh)) => return Ended::Replaced,
                        Ok(Envelope::Disconnect(Ending::SwitchedOff)) => return Ended::SwitchedOff,
                        Ok(Envelope::Delivery(delivery)) => self.take(&delivery).await,
                        Ok(Envelope::Other) => {}
                        Err(error) => {
                            tracing::warn!(%error, "a message of slack is left out");
                            self.malformed += 1;
                            if self.malformed > MAX_MALFORMED {
                                return Ended::Closed;
                            }
                        }
                    }
                }
                _ = ping.tick() => {
                    if !self.send(Message::Ping(Bytes::new())).await {
                        return Ended::Closed;
                    }
                }
                () = tokio::time::sleep_until(end) => return Ended::Closed,
            }
        }
    }

    /// Hears until it is closed.
    async fn run_out(&mut self) {
        while self.run().await == Ended::Replaced {}
    }

    /// Makes room, acknowledges, and does it: nothing in between takes time.
    async fn take(&mut self, delivery: &Delivery) {
        let mut done = delivery.done();
        if let Done::Heard(heard) = &mut done
            && self.opened.elapsed() < SENT_AGAIN
        {
            for switch in heard.iter_mut().filter(|one| one.wants.is_switch()) {
                // Slack does not say when it was typed: at the earliest when it could not be heard any more.
                switch.said_ms.get_or_insert(self.quiet_from);
            }
        }
        let acknowledgement = delivery.acknowledgement(&done);
        let taking = Arc::clone(&self.taking);
        match taking.take(done) {
            Ok(taken) => {
                // Should it not arrive, the person did it all the same; it may come again, which is known by its key.
                self.send(Message::text(acknowledgement)).await;
                taking.go(taken);
            }
            Err(_) => tracing::warn!("too much comes from slack at once: a tap was not taken"),
        }
    }

    async fn send(&mut self, message: Message) -> bool {
        matches!(timeout(SENDING, self.stream.send(message)).await, Ok(Ok(())))
    }
}
