//! A whole bridge to Slack, opened from settings: a warden that asks, taps by either way, and everything that goes wrong
//! between.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clawrden_api::GrantScope;
use serde_json::{Value, json};

use crate::again;
use crate::fake::{
    self, ALICE, APP_TOKEN, BOB, BOT_TOKEN, CHANNEL, Fault, Message, SIGNING_SECRET,
};
use crate::house::{House, asked, free, id, soon};
use crate::warden::CODE;

/// How soon Slack wants to be told that something came.
const ACK: Duration = Duration::from_secs(3);

/// Alice, as the warden has her.
const USER: &str = "slack:T0000000001/U0000000001";

/// A bridge that hears by a socket.
fn by_socket(fake: &fake::Slack) -> House {
    let settings = json!({ "kind": "slack", "api": fake.api(), "to": CHANNEL });
    let mut house = House::new(&[(USER, "alice")], settings);
    house.secret("token_file", BOT_TOKEN);
    house.secret("app_token_file", APP_TOKEN);
    house
}

/// A bridge that is called, and where.
fn by_calls(fake: &fake::Slack) -> (House, SocketAddr) {
    let listen = free();
    let settings = json!({ "kind": "slack", "api": fake.api(), "to": CHANNEL, "listen": listen });
    let mut house = House::new(&[(USER, "alice")], settings);
    house.secret("token_file", BOT_TOKEN);
    house.secret("secret_file", SIGNING_SECRET);
    (house, listen)
}

/// The message of a request, once it says this.
fn message(fake: &fake::Slack, n: u32, says: &str) -> Message {
    let is_one = |message: &&Message| {
        let text = message.payload.to_string();
        text.contains(&format!("command-{n}")) && text.contains(says)
    };
    fake.wait(says, |state| state.messages.iter().find(is_one).cloned())
}

/// Has the warden ask, and gives the message.
fn ask(fake: &fake::Slack, house: &House, n: u32) -> Message {
    house.warden.ask(&asked(n, &[&format!("command-{n}")]));
    message(fake, n, "\"approve\"")
}

/// What somebody was told last at the address that came with what they did, once there are so many.
fn told(fake: &fake::Slack, count: usize) -> String {
    let said = |state: &fake::State| {
        (state.responses.len() >= count).then(|| state.responses[count - 1].1.to_string())
    };
    fake.wait("somebody is told", said)
}

/// Calls the app as Slack does, and holds it to the time that Slack gives.
fn call(fake: &fake::Slack, app: SocketAddr, payload: &Value) {
    let began = Instant::now();
    assert_eq!(fake.call(app, payload), (200, String::new()));
    assert!(began.elapsed() < ACK, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_question_to_the_record_by_signed_calls() {
    let fake = fake::Slack::start();
    let (mut house, app) = by_calls(&fake);
    house.open().await;
    let asked = ask(&fake, &house, 1);
    // Whoever does not know the secret of the settings changes nothing.
    let tapped = fake.tapped(&asked, "approve", ALICE);
    let forged = format!("payload={}", tapped.to_string().replace('%', "%25").replace('&', "%26"));
    assert_eq!(fake.call_signed(app, &forged, "another secret of somebody", fake::now()).0, 401);
    assert_eq!(house.warden.answers(), []);
    call(&fake, app, &fake.tapped(&asked, "session", ALICE));
    message(&fake, 1, "Approved by ");
    assert!(told(&fake, 1).contains("Approved."));
    let [(who, answer)] = &house.warden.answers()[..] else { panic!() };
    assert_eq!((&who[..], &answer.request, answer.approve), ("alice", &id(1), true));
    assert_eq!(answer.body.scope, GrantScope::Session);
    house.warden.finish(&id(1), 3);
    let record = message(&fake, 1, "exit code 3");
    assert_eq!(record.ts, asked.ts, "it is the same message");
    let tail = fake.wait("the tail", |state| state.replies(&record.ts).pop());
    assert!(tail.payload.to_string().contains("added 1 package"), "{}", tail.payload);
    call(&fake, app, &fake.typed("kill", ALICE));
    assert!(told(&fake, 2).contains("Everything is stopped"));
    assert_eq!(house.warden.stopped_by().as_deref(), Some("alice"));
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_answered_in_time_though_the_warden_is_away() {
    let fake = fake::Slack::start();
    let (mut house, app) = by_calls(&fake);
    house.open().await;
    let first = ask(&fake, &house, 1);
    house.warden.set_away(true);
    call(&fake, app, &fake.tapped(&first, "approve", ALICE));
    call(&fake, app, &fake.typed("resume", ALICE));
    assert_eq!(house.warden.answers(), []);
    house.warden.set_away(false);
    message(&fake, 1, "Approved by ");
    assert_eq!(house.warden.answers().len(), 1);
    told(&fake, 2);
    drop(house);
    // And so over a socket.
    let mut house = by_socket(&fake);
    house.open().await;
    let second = ask(&fake, &house, 2);
    house.warden.set_away(true);
    let envelopes = [
        fake.tap(&second, "deny", ALICE),
        fake.deliver("slash_commands", &fake.typed("resume", ALICE)),
    ];
    for envelope in envelopes {
        assert!(fake.ack(&envelope).after < ACK, "{:?}", fake.ack(&envelope).after);
    }
    assert_eq!(house.warden.answers(), []);
    house.warden.set_away(false);
    message(&fake, 2, "Denied by ");
    assert_eq!(house.warden.answers().len(), 1);
}

/// When each call of methods that begin so came.
fn times(fake: &fake::Slack, method: &str) -> Vec<Instant> {
    fake.state(|state| {
        let calls = state.calls.iter().filter(|call| call.method.starts_with(method));
        calls.map(|call| call.at).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_the_rest_is_over_that_slack_asks_for() {
    let fake = fake::Slack::start();
    let rest = Duration::from_secs(1);
    fake.fail("apps.connections.open", Fault::Limited(1));
    let mut house = by_socket(&fake);
    house.open().await;
    let opens = times(&fake, "apps.connections.open");
    assert!(opens.len() == 2 && opens[1] - opens[0] >= rest, "{opens:?}");

    fake.fail("chat.postMessage", Fault::Limited(1));
    for n in 1..=3 {
        house.warden.ask(&asked(n, &[&format!("command-{n}")]));
    }
    (1..=3).for_each(|n| drop(message(&fake, n, "\"approve\"")));
    let posts = times(&fake, "chat.");
    assert_eq!(posts.len(), 4);
    assert!(posts[1..].iter().all(|at| *at - posts[0] >= rest), "{posts:?}");

    // A rest is for all of a channel: what else is to be said there waits as well.
    fake.fail("chat.update", Fault::Limited(1));
    house.warden.answer_elsewhere(&id(1), "carol", true);
    fake.wait("an edit", |state| (state.count("chat.update") == 1).then_some(()));
    house.warden.answer_elsewhere(&id(2), "carol", false);
    house.warden.ask(&asked(4, &["command-4"]));
    message(&fake, 1, "Approved by ");
    message(&fake, 2, "Denied by ");
    message(&fake, 4, "\"approve\"");
    let calls = times(&fake, "chat.");
    assert_eq!(calls.len(), 8);
    assert!(calls[5..].iter().all(|at| *at - calls[4] >= rest), "{calls:?}");

    // And so for what one person is told.
    fake.fail("chat.postEphemeral", Fault::Limited(1));
    let mut typed = fake.typed("queue", ALICE);
    typed["response_url"] = Value::Null;
    fake.deliver("slash_commands", &typed);
    fake.wait("she is told", |state| {
        state.messages.iter().find(|it| it.only_for.as_deref() == Some(ALICE)).cloned()
    });
    let tells = times(&fake, "chat.postEphemeral");
    assert!(tells.len() == 2 && tells[1] - tells[0] >= rest, "{tells:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_socket_is_taken_up_again_and_what_was_tapped_meanwhile_is_done() {
    let fake = fake::Slack::start();
    // Four times in all, and the bridge rests before it asks for a socket again.
    fake.change(|state| state.resend_after = Duration::from_millis(1_500));
    let mut house = by_socket(&fake);
    house.open().await;
    let first = ask(&fake, &house, 1);
    // Neither is another to be had at once.
    fake.fail("apps.connections.open", Fault::Cut);
    fake.cut();
    let envelope = fake.tap(&first, "approve", ALICE);
    message(&fake, 1, "Approved by ");
    fake.ack(&envelope);
    assert_eq!(house.warden.answers().len(), 1);
    soon("it is said that people are heard", || house.standing.state().listens.then_some(())).await;
    assert_eq!(fake.state(|state| state.opened), 2);
    assert!(fake.state(|state| state.count("apps.connections.open")) >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_disorder_and_again_is_done_once() {
    let fake = fake::Slack::start();
    let mut house = by_socket(&fake);
    house.open().await;
    let (first, second) = (ask(&fake, &house, 1), ask(&fake, &house, 2));
    fake.hold();
    let envelopes = [
        fake.tap(&first, "approve", ALICE),
        fake.tap(&second, "approve", ALICE),
        fake.tap(&first, "deny", ALICE),
    ];
    fake.send_backwards();
    message(&fake, 2, "Approved by ");
    told(&fake, 3);
    for envelope in &envelopes {
        fake.ack(envelope);
        fake.replay(envelope);
    }
    // Behind all that came again.
    fake.deliver("slash_commands", &fake.typed("help", ALICE));
    assert!(told(&fake, 4).contains("queue: what waits"));
    let answers = house.warden.answers();
    assert_eq!(answers.len(), 2);
    // One of the two is the answer, and the other is told so.
    let (_, first) = answers.iter().find(|(_, answer)| answer.request == id(1)).unwrap();
    let did = if first.approve { "approved" } else { "denied" };
    let said = fake.state(|state| format!("{:?}", state.responses));
    assert_eq!(said.matches(&format!("Already {did} by alice")).count(), 2, "{said}");
    message(&fake, 1, if first.approve { "Approved by " } else { "Denied by " });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_refused_for_good_is_given_up_and_the_next_is_told() {
    let fake = fake::Slack::start();
    let mut house = by_socket(&fake);
    house.open().await;
    let first = ask(&fake, &house, 1);
    fake.fail("chat.update", Fault::Error("message_not_found"));
    house.warden.answer_elsewhere(&id(1), "carol", true);
    soon("the refusal", || (house.standing.state().failed == 1).then_some(())).await;
    let why = house.standing.state().error.unwrap();
    assert!(why.contains("message_not_found"), "{why}");
    house.warden.finish(&id(1), 0);
    ask(&fake, &house, 2);
    house.warden.answer_elsewhere(&id(2), "carol", false);
    message(&fake, 2, "Denied by ");
    assert_eq!(house.standing.state().error, None);
    let of_first =
        |call: &&fake::Call| call.body["ts"] == first.ts || call.body["thread_ts"] == first.ts;
    let calls = fake.state(|state| state.calls.iter().filter(of_first).count());
    assert_eq!(calls, 1, "of what is gone nothing more is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_told_so_until_they_pair() {
    let fake = fake::Slack::start();
    let mut house = by_socket(&fake);
    house.open().await;
    let first = ask(&fake, &house, 1);
    fake.tap(&first, "approve", BOB);
    assert!(told(&fake, 1).contains("slack:T0000000001/U0000000002"));
    fake.deliver("slash_commands", &fake.typed("kill", BOB));
    assert!(told(&fake, 2).contains("slack:T0000000001/U0000000002"));
    assert_eq!((house.warden.answers(), house.warden.stopped_by()), (vec![], None));
    fake.deliver("slash_commands", &fake.typed("pair 0000-0000", BOB));
    assert!(told(&fake, 3).contains("no such code"));
    fake.deliver("slash_commands", &fake.typed(&format!("pair {CODE}"), BOB));
    assert!(told(&fake, 4).contains("You are bob"));
    fake.tap(&first, "deny", BOB);
    message(&fake, 1, "Denied by ");
    assert_eq!(house.warden.answers()[0].0, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_secrets_can_stand_in_the_environment() {
    let variables =
        [("OPS_BOT", BOT_TOKEN), ("OPS_APP", APP_TOKEN), ("OPS_SECRET", SIGNING_SECRET)];
    let this = "whole::tokens_and_secrets_can_stand_in_the_environment";
    if !again::is_there(this, &variables) {
        return;
    }
    let fake = fake::Slack::start();
    let settings =
        json!({ "kind": "slack", "api": fake.api(), "to": CHANNEL, "token_env": "OPS_BOT" });
    let mut house = House::new(&[(USER, "alice")], settings.clone());
    house.settings["app_token_env"] = "OPS_APP".into();
    house.open().await;
    let first = ask(&fake, &house, 1);
    fake.tap(&first, "approve", ALICE);
    message(&fake, 1, "Approved by ");
    drop(house);
    let (mut house, app) = (House::new(&[(USER, "alice")], settings), free());
    house.settings["listen"] = json!(app);
    house.settings["secret_env"] = "OPS_SECRET".into();
    house.open().await;
    let second = ask(&fake, &house, 2);
    call(&fake, app, &fake.tapped(&second, "deny", ALICE));
    message(&fake, 2, "Denied by ");
    house.settings["secret_env"] = "OPS_NOTHING".into();
    let why = house.channel().open().err().unwrap().to_string();
    assert!(why.contains("OPS_NOTHING"), "{why}");
}
