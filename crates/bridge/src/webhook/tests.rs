//! A webhook against a receiver on this machine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clawrden_api::Trust;
use hyper::StatusCode;
use serde_json::Value;
use tokio::sync::mpsc;

use super::*;
use crate::heard::{Heard, Scope, Wants};
use crate::inbox::Inbox;
use crate::listener::{self, Call, Reply};
use crate::secret::Secret;
use crate::standing::Standing;
use crate::taps::Taps;
use crate::testing::{kept, until};

const SECRET: &str = "0123456789abcdef";

/// What came in: method, path, headers' values of interest, body.
type Got = Arc<Mutex<Vec<(String, String, Option<String>, Option<String>, Vec<u8>)>>>;

async fn receiver(status: u16) -> (String, Got) {
    let listener = listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let got = Got::default();
    let kept = Arc::clone(&got);
    tokio::spawn(listener::serve(listener, move |call: Call| {
        let header =
            |name: &str| call.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (at, by) = (header(TIMESTAMP), header(SIGNATURE));
        let method = call.method.to_string();
        kept.lock().unwrap().push((method, call.path.clone(), at, by, call.body.to_vec()));
        let status = StatusCode::from_u16(status).unwrap();
        let body = r#"{"id": "123456789"}"#.into();
        async move { Reply { status, content_type: Some("application/json"), body } }
    }));
    (url, got)
}

fn webhook(url: &str, template: Template, listen: Option<SocketAddr>) -> Webhook {
    // Plain connections to this machine need no authorities.
    let http = Http::new(Trust::Fingerprint(&"00".repeat(32))).unwrap();
    let secret = (template == Template::Json).then(|| Secret::new(SECRET));
    let settings = Settings { url: Secret::new(url), template, secret, token: None, listen };
    Webhook::new(http, settings).unwrap()
}

#[tokio::test]
async fn what_is_sent_is_signed_and_names_the_request() {
    let (url, got) = receiver(200).await;
    let hook = webhook(&url, Template::Json, None);
    let mut card = kept("abcdef").card;
    let posted = hook.post(PLACE, &card).await.unwrap();
    assert_eq!(posted, hook.post(PLACE, &card).await.unwrap(), "twice is the same message");
    card.stage = crate::card::Stage::Expired;
    hook.edit(&posted, &card).await.unwrap();
    hook.reply(&posted, "the end").await.unwrap();
    let got = got.lock().unwrap();
    let mut verifier = verifier(&Secret::new(SECRET), 0);
    let mut events = Vec::new();
    for (_, _, at, by, body) in got.iter() {
        let _ = verifier.check((at.as_deref(), by.as_deref()), body, now()).unwrap();
        let event: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(event["message"], "abcdef");
        events.push(event["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(events, ["waiting", "waiting", "changed", "output"]);
}

#[tokio::test]
async fn discord_s_messages_are_edited_and_others_followed_by_what_came() {
    let (url, got) = receiver(200).await;
    let hook = webhook(&url, Template::Discord, None);
    let mut card = kept("abcdef").card;
    let posted = hook.post(PLACE, &card).await.unwrap();
    assert_eq!(posted.message, "123456789");
    hook.edit(&posted, &card).await.unwrap();
    let said: Vec<(String, String)> =
        got.lock().unwrap().iter().map(|it| (it.0.clone(), it.1.clone())).collect();
    let of = |method: &str, path: &str| (method.to_owned(), path.to_owned());
    assert_eq!(said, [of("POST", "/hook"), of("PATCH", "/hook/messages/123456789")]);
    for template in [Template::Mattermost, Template::Ntfy] {
        let (url, got) = receiver(200).await;
        let hook = webhook(&url, template, None);
        card.stage = crate::card::Stage::Waiting;
        let posted = hook.post(PLACE, &card).await.unwrap();
        hook.edit(&posted, &card).await.unwrap();
        card.stage = crate::card::Stage::Expired;
        hook.edit(&posted, &card).await.unwrap();
        assert_eq!(got.lock().unwrap().len(), 2, "what only progressed is not said");
    }
}

#[tokio::test]
async fn a_status_says_whether_it_is_tried_again() {
    let of = async |status| {
        let (url, _) = receiver(status).await;
        webhook(&url, Template::Json, None).post(PLACE, &kept("a").card).await
    };
    assert!(of(204).await.is_ok());
    assert_eq!(of(429).await, Err(Failure::Later(REST)));
    assert!(matches!(of(502).await, Err(Failure::Now(_))));
    let Err(Failure::Never(why)) = of(404).await else { panic!() };
    assert!(why.contains("404") && !why.contains("/hook"), "an address may be a secret: {why}");
}

/// A webhook that listens, and what it heard.
async fn listening() -> (SocketAddr, Arc<Webhook>, mpsc::Receiver<Heard>) {
    listening_with(8, Taps::default()).await
}

async fn listening_with(
    room: usize,
    taps: Taps,
) -> (SocketAddr, Arc<Webhook>, mpsc::Receiver<Heard>) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hook = Arc::new(webhook("http://127.0.0.1:1/", Template::Json, Some(free)));
    let standing = Standing::default();
    let (inbox, hears) = Inbox::new(room, standing.clone());
    let inbox = inbox.keeping(Arc::new(Mutex::new(taps)));
    let listens = Arc::clone(&hook);
    tokio::spawn(async move { listens.listen(inbox).await });
    until("it to listen", || standing.state().listens.then_some(())).await;
    (free, hook, hears)
}

async fn call(at: SocketAddr, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let http = Http::new(Trust::Fingerprint(&"00".repeat(32))).unwrap();
    let url = format!("http://{at}/");
    let mut outgoing = Outgoing::post(&url, "application/json", body.as_bytes().to_vec());
    for (name, value) in headers {
        outgoing = outgoing.header(name, value);
    }
    let answer = http.send(outgoing).await.unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[tokio::test]
async fn a_signed_callback_answers_and_is_told_what_came_of_it() {
    let (at, hook, mut hears) = listening().await;
    let request = "0".repeat(32);
    let body = format!(r#"{{"user":"alice","request":"{request}","answer":"deny","reason":"no"}}"#);
    let (timestamp, signature) = signer(&Secret::new(SECRET)).sign(now(), body.as_bytes());
    let telling = tokio::spawn(async move {
        let heard = hears.recv().await.unwrap();
        hook.tell(&heard.to, "Denied.").await.unwrap();
        (heard, hears)
    });
    let headers = [(TIMESTAMP, &timestamp[..]), (SIGNATURE, &signature[..])];
    let (status, said) = call(at, &headers, &body).await;
    assert_eq!((status, said.contains("Denied.")), (200, true), "{said}");
    let (heard, mut hears) = telling.await.unwrap();
    let reason = Some("no".to_owned());
    let wants = Wants::Answer { request, approve: false, reason, scope: Scope::Once };
    assert_eq!((&heard.user[..], heard.wants), ("alice", wants));
    // The same once more, and everything that is not signed so.
    assert_eq!(call(at, &headers, &body).await.0, 409);
    let other = body.replace("deny", "approve");
    assert_eq!(call(at, &headers, &other).await.0, 401);
    assert_eq!(call(at, &[], &body).await.0, 401);
    let (timestamp, signature) = signer(&Secret::new(SECRET)).sign(now() - 301, body.as_bytes());
    let stale = [(TIMESTAMP, &timestamp[..]), (SIGNATURE, &signature[..])];
    assert_eq!(call(at, &stale, &body).await.0, 401);
    let (timestamp, signature) =
        signer(&Secret::new("another secret!!")).sign(now(), body.as_bytes());
    let forged = [(TIMESTAMP, &timestamp[..]), (SIGNATURE, &signature[..])];
    assert_eq!(call(at, &forged, &body).await.0, 401);
    let nothing = tokio::time::timeout(Duration::from_millis(100), hears.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn what_there_is_no_room_for_may_come_again() {
    let (at, hook, mut hears) = listening_with(1, Taps::default()).await;
    let said = |word: &str| format!(r#"{{"user":"alice","command":["{word}"]}}"#);
    let (first, second) = (said("status"), said("queue"));
    let signed = |body: &str| signer(&Secret::new(SECRET)).sign(now(), body.as_bytes());
    let (one, two) = (signed(&first), signed(&second));
    let headers = |by: &(String, String)| [(TIMESTAMP, by.0.clone()), (SIGNATURE, by.1.clone())];
    let post = async |by: &(String, String), body: &str| {
        let headers = headers(by);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, it)| (*name, &it[..])).collect();
        call(at, &headers, body).await.0
    };
    let kept_waiting = async {
        until("the first to wait", || (hears.len() == 1).then_some(())).await;
        assert_eq!(post(&two, &second).await, 503);
        let heard = hears.recv().await.unwrap();
        hook.tell(&heard.to, "Well.").await.unwrap();
    };
    let (status, ()) = tokio::join!(post(&one, &first), kept_waiting);
    assert_eq!(status, 200);
    // Now there is room, and its signature is not used up.
    let telling = async {
        let heard = hears.recv().await.unwrap();
        hook.tell(&heard.to, "Nothing waits.").await.unwrap();
    };
    let (status, ()) = tokio::join!(post(&two, &second), telling);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_callback_is_taken_once_over_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"user":"alice","command":["kill"]}"#;
    let (at, hook, mut hears) = listening_with(8, Taps::open(folder.path(), "ops")).await;
    let signed_at = now();
    let (timestamp, signature) = signer(&Secret::new(SECRET)).sign(signed_at, body.as_bytes());
    let headers = [(TIMESTAMP, &timestamp[..]), (SIGNATURE, &signature[..])];
    let telling = async {
        let heard = hears.recv().await.unwrap();
        assert!(heard.said_ms.unwrap() <= now_ms());
        hook.tell(&heard.to, "Everything is stopped.").await.unwrap();
    };
    let patience = Duration::from_secs(20);
    let both = async { tokio::join!(call(at, &headers, body), telling) };
    let ((status, said), ()) = tokio::time::timeout(patience, both).await.unwrap();
    assert_eq!(status, 200, "{said}");
    let (at, _hook, mut hears) = listening_with(8, Taps::open(folder.path(), "ops")).await;
    let status = call(at, &headers, body).await.0;
    // On a machine that took so long over it, it is from before the second start by more than is taken.
    assert!(status == 409 || status == 401 && now() > signed_at + 5, "{status}");
    assert!(hears.try_recv().is_err());
}

#[tokio::test]
async fn a_webhook_that_anybody_could_answer_is_refused() {
    let http = || Http::new(Trust::Fingerprint(&"00".repeat(32))).unwrap();
    let listen = Some(([127, 0, 0, 1], 1).into());
    let settings = |url: &str, template, secret: Option<&str>, listen| Settings {
        url: Secret::new(url),
        template,
        secret: secret.map(Secret::new),
        token: None,
        listen,
    };
    let of = |settings| Webhook::new(http(), settings).err();
    let here = "http://127.0.0.1:1";
    assert_eq!(of(settings(here, Template::Json, None, listen)), Some(SettingsError::NoSecret));
    let short = of(settings(here, Template::Json, Some("short"), listen));
    assert_eq!(short, Some(SettingsError::ShortSecret));
    let discord = of(settings(here, Template::Discord, Some(SECRET), listen));
    assert_eq!(discord, Some(SettingsError::CannotAnswer));
    let clear = of(settings("http://hooks.example/x", Template::Json, None, None));
    assert!(matches!(clear, Some(SettingsError::BadUrl(_))));
    assert!(of(settings("https://hooks.example/x", Template::Json, None, None)).is_none());
}
