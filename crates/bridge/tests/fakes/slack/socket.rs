//! Socket Mode, as Slack does it: tickets that are good once, a greeting, envelopes that are sent again until they are
//! acknowledged.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Shared;
use super::state::{Ack, Envelope};

/// How often Slack sends an envelope that is not acknowledged.
const ATTEMPTS: u32 = 4;

pub(super) async fn accept(stream: TcpStream, shared: Arc<Shared>) {
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| {
        let query = request.uri().query().unwrap_or_default();
        let ticket =
            query.split('&').find_map(|pair| pair.strip_prefix("ticket=")).unwrap_or_default();
        if shared.change(|state| state.tickets.remove(ticket)) {
            return Ok(response);
        }
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = StatusCode::NOT_FOUND;
        Err(refused)
    };
    let Ok(mut socket) = accept_hdr_async(stream, check).await else { return };
    let (sender, mut outgoing) = mpsc::unbounded_channel::<String>();
    let (before, greets, count) =
        shared.change(|state| (state.before_hello.clone(), state.greets, state.sockets.len() + 1));
    for text in before {
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
    }
    if greets {
        let hello = json!({
            "type": "hello", "num_connections": count, "connection_info": { "app_id": "A1" },
            "debug_info": { "host": "applink-1", "approximate_connection_time": 18060 },
        });
        if socket.send(Message::text(hello.to_string())).await.is_err() {
            return;
        }
    }
    shared.change(|state| {
        state.sockets.push(sender);
        state.opened += 1;
    });
    let mut ping = interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            text = outgoing.recv() => match text {
                Some(text) => {
                    // What is no text by itself goes as bytes, as nothing should.
                    let message = match text.strip_prefix("\0") {
                        Some(bytes) => Message::binary(bytes.as_bytes().to_vec()),
                        None => Message::text(text),
                    };
                    if socket.send(message).await.is_err() { break }
                }
                // Closed without a word: the connection is simply gone.
                None => return,
            },
            came = socket.next() => match came {
                Some(Ok(Message::Text(text))) => acknowledged(&shared, &text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => shared.change(|state| state.pings += 1),
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
            _ = ping.tick() => {
                if socket.send(Message::Ping(Bytes::from_static(b"Ping from applink-1"))).await.is_err() { break }
            }
        }
    }
    drop(outgoing);
    shared.change(|state| state.sockets.retain(|socket| !socket.is_closed()));
}

fn acknowledged(shared: &Shared, text: &str) {
    let json: Value = serde_json::from_str(text).expect("an acknowledgement is JSON");
    let id =
        json["envelope_id"].as_str().expect("an acknowledgement names its envelope").to_owned();
    shared.change(|state| {
        let envelope = state.envelopes.get_mut(&id).expect("only what was sent is acknowledged");
        envelope.acked = true;
        let after = envelope.sent.elapsed();
        state.acks.push(Ack { id, payload: json["payload"].clone(), after });
    });
}

pub(super) fn deliver(shared: &Arc<Shared>, on: &Handle, kind: &str, payload: &Value) -> String {
    let id = shared.change(|state| {
        let id = format!("00000000-0000-4000-8000-{:012x}", state.number());
        let may_say = kind != "events_api";
        let text = json!({
            "envelope_id": id, "type": kind, "payload": payload, "accepts_response_payload": may_say,
        });
        let (text, sent) = (text.to_string(), Instant::now());
        state.send(&text);
        state.envelopes.insert(id.clone(), Envelope { text, sent, attempts: 1, acked: false });
        id
    });
    let (shared, again) = (Arc::clone(shared), id.clone());
    on.spawn(async move {
        for _ in 1..ATTEMPTS {
            let rest = shared.lock().resend_after;
            sleep(rest).await;
            let is_done = shared.change(|state| {
                let envelope = state.envelopes.get_mut(&again).expect("it was sent");
                if envelope.acked {
                    return true;
                }
                envelope.attempts += 1;
                let text = envelope.text.clone();
                state.send(&text);
                false
            });
            if is_done {
                return;
            }
        }
    });
    id
}
