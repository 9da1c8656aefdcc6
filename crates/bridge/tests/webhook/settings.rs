//! What settings say of a webhook holds: where it goes, what it is signed with, and who may answer where.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use clawrden_api::{GrantScope, Trust};
use clawrden_bridge::http::{Http, Outgoing};
use clawrden_bridge::secret::Secret;
use clawrden_bridge::webhook::{SIGNATURE, TIMESTAMP, signer};
use serde_json::{Value, json};

use super::again;
use super::house::{House, asked, free, id, soon};
use super::receiver::{Form, Receiver};
use super::warden::CODE;
use super::{SECRET, house, is_event, taken};

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Calls back, signed at this time; gives the status and what is said.
async fn call(to: SocketAddr, body: &Value, secret: &str, at: u64) -> (u16, String) {
    let (url, body) = (format!("http://{to}/"), body.to_string());
    let (timestamp, signature) = signer(&Secret::new(secret)).sign(at, body.as_bytes());
    let outgoing = Outgoing::post(&url, "application/json", body.into_bytes());
    let outgoing = outgoing.header(TIMESTAMP, &timestamp).header(SIGNATURE, &signature);
    let answer = Http::new(Trust::System).unwrap().send(outgoing).await.unwrap();
    let said = answer.json().unwrap_or_default()["text"].as_str().unwrap_or_default().to_owned();
    (answer.status, said)
}

fn yes(user: &str, n: u32) -> Value {
    json!({ "user": user, "request": id(n), "answer": "approve", "session": true })
}

#[tokio::test]
async fn a_callback_that_is_signed_with_the_secret_of_the_settings_answers_and_no_other() {
    let receiver = Receiver::start(Form::Json).await;
    let listen = free();
    let mut house = house(&receiver, Form::Json, json!({ "listen": listen }));
    house.open().await;
    house.warden.ask(&asked(1, &["npm", "install"]));
    taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(1))).await;
    let at = now();
    assert_eq!(call(listen, &yes("alice", 1), "another secret of somebody", at).await.0, 401);
    assert_eq!(call(listen, &yes("alice", 1), SECRET, at - 600).await.0, 401);
    // Who is nobody is told so, and how to be somebody.
    let (status, said) = call(listen, &yes("mallory", 1), SECRET, at).await;
    assert!(status == 200 && said.contains("webhook:mallory") && said.contains("pair"), "{said}");
    assert_eq!(house.warden.answers(), []);
    let good = yes("alice", 1);
    assert_eq!(call(listen, &good, SECRET, at).await, (200, "Approved.".to_owned()));
    assert_eq!(call(listen, &good, SECRET, at).await.0, 409);
    taken(&receiver, "what came of it", |call| is_event(call, "changed", &id(1))).await;
    let [(who, answer)] = &house.warden.answers()[..] else { panic!() };
    assert_eq!((&who[..], answer.body.scope), ("alice", GrantScope::Session));
    let pair = json!({ "user": "bob", "command": ["pair", CODE] });
    let (_, said) = call(listen, &pair, SECRET, now()).await;
    assert!(said.contains("You are bob"), "{said}");
}

#[tokio::test]
async fn address_and_secret_can_stand_in_the_environment() {
    let address = free();
    let url = format!("http://{address}/from-the-environment");
    let variables =
        [("OPS_URL", &url[..]), ("OPS_SECRET", SECRET), ("OPS_TOKEN", "tk_of_the_environment")];
    let this = "settings::address_and_secret_can_stand_in_the_environment";
    if !again::is_there(this, &variables) {
        return;
    }
    // As the process before this one chose it.
    let url = std::env::var("OPS_URL").unwrap();
    let address = url.split('/').nth(2).unwrap().parse().unwrap();
    let receiver = Receiver::at(address, Form::Json).await;
    let settings = json!({
        "kind": "webhook", "url_env": "OPS_URL", "secret_env": "OPS_SECRET", "token_env": "OPS_TOKEN",
    });
    let mut house = House::new(&[], settings);
    house.open().await;
    house.warden.ask(&asked(1, &["ls"]));
    let told = taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(1))).await;
    assert_eq!(told.target, "/from-the-environment");
    assert_eq!(told.headers["authorization"], "Bearer tk_of_the_environment");
    let at = told.headers[TIMESTAMP].parse().unwrap();
    let (_, signature) = signer(&Secret::new(SECRET)).sign(at, &told.body);
    assert_eq!(told.headers[SIGNATURE], signature);
}

#[tokio::test]
async fn what_came_of_a_callback_is_told_though_the_warden_is_away_for_long() {
    let receiver = Receiver::start(Form::Json).await;
    let listen = free();
    let mut house = house(&receiver, Form::Json, json!({ "listen": listen }));
    house.open().await;
    house.warden.ask(&asked(1, &["ls"]));
    taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(1))).await;
    house.warden.set_away(true);
    let calling = tokio::spawn(async move { call(listen, &yes("alice", 1), SECRET, now()).await });
    soon("it is heard", || (house.standing.state().heard == 1).then_some(())).await;
    // Longer than a caller is kept waiting.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    tokio::time::resume();
    assert_eq!(calling.await.unwrap().0, 202);
    house.warden.set_away(false);
    let told = taken(&receiver, "it is told", |call| call.json()["event"] == "told").await;
    assert_eq!(
        (&told.json()["user"], &told.json()["text"]),
        (&json!("alice"), &json!("Approved."))
    );
    assert_eq!(house.warden.answers().len(), 1);
}
