//! Being called by Slack: signed forms, instead of a socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};

use super::interaction::{self, Done};
use super::signature;
use super::taking::Taking;
use crate::clock::now_ms;
use crate::heard::Failure;
use crate::listener::{self, Call, Reply};
use crate::secret::Secret;
use crate::signature::{Refused, Verifier};

/// Fields of a form that are read.
const MAX_FIELDS: usize = 64;

/// Hears people until the address cannot be had.
pub(super) async fn listen(taking: &Arc<Taking>, address: SocketAddr, secret: &Secret) -> Failure {
    let listener = match listener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            return Failure::Now(format!("nothing can be heard from slack at {address}: {error}"));
        }
    };
    let verifier = Arc::new(Mutex::new(signature::verifier(secret, now())));
    let _hearing = taking.inbox().hearing();
    let taking = Arc::clone(taking);
    match listener::serve(listener, move |call| {
        let reply = answer(&taking, &verifier, &call);
        async move { reply }
    })
    .await {}
}

fn answer(taking: &Taking, verifier: &Mutex<Verifier>, call: &Call) -> Reply {
    if call.method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into();
    }
    let timestamp = header(&call.headers, "x-slack-request-timestamp");
    let signature = header(&call.headers, "x-slack-signature");
    let refuse = |refused: Refused| -> Reply {
        tracing::warn!(%refused, "a call that should be slack's is refused");
        StatusCode::UNAUTHORIZED.into()
    };
    let mut verifier = verifier.lock().unwrap_or_else(PoisonError::into_inner);
    let checked = match verifier.check((timestamp, signature), &call.body, now()) {
        Ok(checked) => checked,
        Err(refused) => return refuse(refused),
    };
    let mut done = match read(&call.body) {
        Some(Read::Challenge(challenge)) => return text(challenge),
        Some(Read::Done(done)) => done,
        None => return StatusCode::BAD_REQUEST.into(),
    };
    if let Done::Heard(heard) = &mut done {
        let said_ms = Some(checked.at.saturating_mul(1_000));
        heard.iter_mut().for_each(|one| one.said_ms = said_ms);
    }
    let said = match &done {
        Done::Amend(said) => Some(said.to_string()),
        _ => None,
    };
    match taking.take(done) {
        Ok(taken) => {
            if let Err(refused) = verifier.use_up(&checked) {
                return refuse(refused);
            }
            taking.go(taken);
        }
        // Slack tells the person that it did not work.
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into(),
    }
    said.map_or_else(
        || StatusCode::OK.into(),
        |said| Reply {
            status: StatusCode::OK,
            content_type: Some("application/json"),
            body: Bytes::from(said),
        },
    )
}

fn text(challenge: String) -> Reply {
    let body = Bytes::from(challenge);
    Reply { status: StatusCode::OK, content_type: Some("text/plain"), body }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    // Two would leave open which of them is meant.
    let (value, None) = (all.next()?, all.next()) else { return None };
    value.to_str().ok()
}

/// What a body says.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Slack wants to see that somebody is here.
    Challenge(String),
    /// Somebody did something.
    Done(Done),
}

/// Reads the body of a call: interactions and commands come as forms, events as JSON. `None`: it is neither.
#[must_use]
pub fn read(body: &[u8]) -> Option<Read> {
    if body.first() == Some(&b'{') {
        let json: Value = serde_json::from_slice(body).ok()?;
        let challenge = json["challenge"].as_str().filter(|_| json["type"] == "url_verification");
        return Some(match challenge {
            Some(challenge) => Read::Challenge(challenge.to_owned()),
            None => Read::Done(Done::Nothing),
        });
    }
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(body).take(MAX_FIELDS) {
        // Twice the same leaves open which is meant.
        if fields.insert(name.into_owned(), value.into_owned().into()).is_some() {
            return None;
        }
    }
    if let Some(payload) = fields.get("payload") {
        let payload: Value = serde_json::from_str(payload.as_str()?).ok()?;
        return Some(Read::Done(interaction::interactive(&payload)));
    }
    if fields.contains_key("ssl_check") {
        return Some(Read::Done(Done::Nothing));
    }
    fields.contains_key("command").then(|| Read::Done(interaction::command(&fields.into())))
}

/// Seconds since 1970.
fn now() -> u64 {
    now_ms() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::Wants;

    #[test]
    fn forms_and_json_are_read_and_nothing_else() {
        let challenge = br#"{"type":"url_verification","challenge":"abc"}"#;
        assert_eq!(read(challenge), Some(Read::Challenge("abc".to_owned())));
        assert_eq!(read(br#"{"type":"event_callback"}"#), Some(Read::Done(Done::Nothing)));
        assert_eq!(read(b"ssl_check=1&token=x"), Some(Read::Done(Done::Nothing)));
        for broken in ["", "{", "x", "payload=", "payload=%7B", "payload=1&payload=2", "text=a"] {
            assert_eq!(read(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_command_is_read_with_its_words() {
        let form = b"command=%2Fclawrden&text=kill+web&user_id=U1&team_id=T1&channel_id=C1&trigger_id=1.2.x&user_name=al";
        let Some(Read::Done(Done::Heard(heard))) = read(form) else { panic!() };
        assert_eq!(heard[0].user, "T1/U1");
        assert_eq!(heard[0].wants, Wants::Command(vec!["kill".to_owned(), "web".to_owned()]));
    }
}
