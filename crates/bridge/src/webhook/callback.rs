//! Answers by callback: who knows the secret says which of its users wants what.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::signature::{SIGNATURE, TIMESTAMP, verifier};
use super::{PLACE, Waiting, lock, now};
use crate::heard::{Failure, Heard, ReplyTo, Scope, Wants};
use crate::inbox::Inbox;
use crate::listener::{self, Call, Reply};
use crate::secret::Secret;
use crate::signature::{Refused, Verifier};

/// How long a caller is kept waiting for what comes of its callback.
const PATIENCE: Duration = Duration::from_secs(10);

/// Callers that wait at once.
const MAX_WAITING: usize = 256;

/// Bytes of a user's name.
const MAX_USER: usize = 128;

/// The body of a callback.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Callback {
    /// Who it is for, by a name that the sender vouches for.
    user: String,
    /// The whole id of the request.
    request: Option<String>,
    /// Yes or no.
    answer: Option<Given>,
    /// Why.
    reason: Option<String>,
    /// A yes is good for this prisoner's life.
    #[serde(default)]
    session: bool,
    /// A yes is good for so long, in milliseconds.
    for_ms: Option<u64>,
    /// A command's words, such as `["kill", "web"]`, instead of an answer.
    command: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Given {
    Approve,
    Deny,
}

/// Listens until it cannot.
pub(super) async fn listen(
    address: SocketAddr,
    secret: &Secret,
    waiting: &Waiting,
    inbox: Inbox,
) -> Failure {
    let listener = match listener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return Failure::Now(format!("nobody can call at {address}: {error}")),
    };
    let _hearing = inbox.hearing();
    let verifier = Arc::new(Mutex::new(verifier(secret, now())));
    let waiting = Arc::clone(waiting);
    let answer = move |call: Call| {
        let (verifier, waiting, inbox) =
            (Arc::clone(&verifier), Arc::clone(&waiting), inbox.clone());
        async move { answer(&call, &verifier, &waiting, &inbox).await }
    };
    match listener::serve(listener, answer).await {}
}

async fn answer(
    call: &Call,
    verifier: &Mutex<Verifier>,
    waiting: &Waiting,
    inbox: &Inbox,
) -> Reply {
    if call.method != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "callbacks are posted");
    }
    let headers = (header(&call.headers, TIMESTAMP), header(&call.headers, SIGNATURE));
    let checked = match lock(verifier).check(headers, &call.body, now()) {
        Ok(checked) => checked,
        Err(refused) => return refusal(refused),
    };
    let (user, wants) = match understood(&call.body) {
        Ok(understood) => understood,
        Err(why) => return said(StatusCode::BAD_REQUEST, &why),
    };
    let key = checked.name();
    let to = ReplyTo { place: PLACE.into(), address: Some(key.clone()), user: user.clone() };
    let said_ms = Some(checked.at.saturating_mul(1_000));
    let mut heard = Heard { shown: user.clone(), user, key: key.clone(), said_ms, to, wants };
    let (tells, told) = oneshot::channel();
    {
        // Where there is no room, the same may come again.
        let mut waiting = lock(waiting);
        let room = inbox.room_now().ok().filter(|_| waiting.len() < MAX_WAITING);
        let Some(room) = room else {
            return said(StatusCode::SERVICE_UNAVAILABLE, "too much came at once");
        };
        if let Err(refused) = lock(verifier).use_up(&checked) {
            return refusal(refused);
        }
        // It may have been taken before a restart.
        if !inbox.keep(&mut heard) {
            return refusal(Refused::Replayed);
        }
        waiting.insert(key.clone(), tells);
        room.send(heard);
    }
    let told = timeout(PATIENCE, told).await;
    lock(waiting).remove(&key);
    match told {
        Ok(Ok(text)) => said(StatusCode::OK, &text),
        // It is told by an event when it is known.
        Err(_) => said(StatusCode::ACCEPTED, "what comes of it is told later"),
        Ok(Err(_)) => said(StatusCode::SERVICE_UNAVAILABLE, "the bridge goes down"),
    }
}

fn refusal(refused: Refused) -> Reply {
    tracing::warn!(why = %refused, "a callback is not taken");
    let status = match refused {
        Refused::Unsigned | Refused::Forged | Refused::Stale => StatusCode::UNAUTHORIZED,
        Refused::Replayed => StatusCode::CONFLICT,
        Refused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
    };
    said(status, &refused.to_string())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn understood(body: &[u8]) -> Result<(String, Wants), String> {
    let callback: Callback = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let Callback { user, request, answer, reason, session, for_ms, command } = callback;
    if !(1..=MAX_USER).contains(&user.len()) {
        return Err(format!("`user` has 1 to {MAX_USER} characters"));
    }
    let scope = match (session, for_ms) {
        (false, None) => Scope::Once,
        (true, None) => Scope::Session,
        (false, Some(ms)) => Scope::Time(ms),
        (true, Some(_)) => return Err("give `session` or `for_ms`, not both".to_owned()),
    };
    match (request, answer, command) {
        (Some(request), Some(answer), None) => {
            let approve = answer == Given::Approve;
            Ok((user, Wants::Answer { request, approve, reason, scope }))
        }
        (None, None, Some(words)) if reason.is_none() && scope == Scope::Once => {
            Ok((user, Wants::Command(words)))
        }
        _ => Err("give `request` and `answer`, or `command`".to_owned()),
    }
}

fn said(status: StatusCode, text: &str) -> Reply {
    let body = json!({ "text": text }).to_string().into();
    Reply { status, content_type: Some("application/json"), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docs_chat_md_shows_is_understood() {
        let text = include_str!("../../../../docs/chat.md");
        let (_, block) = text.split_once("```json\n").unwrap();
        let (block, rest) = block.split_once("\n```").unwrap();
        let (user, wants) = understood(block.as_bytes()).unwrap();
        assert_eq!(user, "alice");
        assert!(matches!(wants, Wants::Answer { approve: true, reason: Some(_), .. }));
        let command = rest.split('`').find(|code| code.contains("\"command\"")).unwrap();
        let words = vec!["kill".to_owned(), "web".to_owned()];
        assert_eq!(understood(command.as_bytes()).unwrap().1, Wants::Command(words));
    }

    #[test]
    fn a_callback_is_an_answer_or_a_command_and_nothing_between() {
        let of = |text: &str| understood(text.as_bytes());
        let (user, wants) =
            of(r#"{"user": "alice", "request": "7f", "answer": "approve", "session": true}"#)
                .unwrap();
        assert_eq!(user, "alice");
        let request = "7f".to_owned();
        let scope = Scope::Session;
        assert_eq!(wants, Wants::Answer { request, approve: true, reason: None, scope });
        let (_, wants) = of(r#"{"user": "alice", "command": ["kill", "web"]}"#).unwrap();
        assert_eq!(wants, Wants::Command(vec!["kill".into(), "web".into()]));
        for bad in [
            "",
            "[]",
            r#"{"user": "", "command": ["kill"]}"#,
            r#"{"command": ["kill"]}"#,
            r#"{"user": "a", "request": "7f"}"#,
            r#"{"user": "a", "request": "7f", "answer": "maybe"}"#,
            r#"{"user": "a", "request": "7f", "answer": "approve", "approve": true}"#,
            r#"{"user": "a", "request": "7f", "answer": "approve", "command": ["kill"]}"#,
            r#"{"user": "a", "request": "7f", "answer": "approve", "session": true, "for_ms": 1}"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
