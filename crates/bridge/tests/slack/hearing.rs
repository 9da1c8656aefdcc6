//! Socket Mode: greetings, acknowledgements, sockets that are replaced, and what comes twice, late or broken.

use std::time::Duration;

use clawrden_bridge::card::Digest;
use clawrden_bridge::heard::{Failure, Heard, Scope, Wants};
use clawrden_bridge::service::Service as _;
use serde_json::json;

use crate::fake::{self, Fault};
use crate::{ID, Listening, card, slack};

fn answer(approve: bool, scope: Scope) -> Wants {
    Wants::Answer { request: ID.to_owned(), approve, reason: None, scope }
}

/// A request was posted, and taps are listened for.
async fn asked(fake: &fake::Slack, room: usize) -> Listening {
    let slack = slack(fake);
    slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    let listening = Listening::to(slack, room);
    fake.wait_for_sockets(1);
    listening
}

#[tokio::test(flavor = "multi_thread")]
async fn taps_are_acknowledged_and_heard_with_who_it_was() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    let message = fake.message();
    for (action, wants) in [
        ("approve", answer(true, Scope::Once)),
        ("session", answer(true, Scope::Session)),
        ("deny", answer(false, Scope::Once)),
    ] {
        let envelope = fake.tap(&message, action, fake::ALICE);
        let heard = listening.next().await;
        assert_eq!(heard.wants, wants);
        assert_eq!(heard.user, format!("{}/{}", fake::TEAM, fake::ALICE));
        assert_eq!((&heard.to.place[..], &heard.to.user[..]), (fake::CHANNEL, fake::ALICE));
        assert!(fake.ack(&envelope).after < Duration::from_secs(3));
        assert!(fake.ack(&envelope).payload.is_null());
    }
    let envelope = fake.deliver("slash_commands", &fake.typed("kill  web", fake::BOB));
    let heard = listening.next().await;
    assert_eq!(heard.wants, Wants::Command(vec!["kill".to_owned(), "web".to_owned()]));
    fake.ack(&envelope);
    fake.deliver("slash_commands", &fake.typed("", fake::BOB));
    assert_eq!(listening.next().await.wants, Wants::Command(vec!["help".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_has_the_same_key_and_what_comes_once_another() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    let message = fake.message();
    let envelope = fake.tap(&message, "approve", fake::ALICE);
    let first = listening.next().await;
    fake.replay(&envelope);
    // When it came is all that differs.
    let again = Heard { said_ms: first.said_ms, ..listening.next().await };
    assert_eq!(first, again);
    // The same tap in another envelope, as after a reconnect.
    let payload = fake.tapped(&message, "deny", fake::ALICE);
    fake.deliver("interactive", &payload);
    fake.deliver("interactive", &payload);
    let (one, two) = (listening.next().await, listening.next().await);
    assert_eq!(one.key, two.key);
    assert_ne!(one.key, first.key);
    fake.tap(&message, "deny", fake::ALICE);
    assert_ne!(listening.next().await.key, one.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_asks_for_a_reason_and_a_scope() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    slack.post(fake::CHANNEL, &card(&["rm", "-rf", "x"])).await.unwrap();
    let mut listening = Listening::to(slack, 8);
    fake.wait_for_sockets(1);
    fake.tap(&fake.message(), "more", fake::ALICE);
    let view = fake.view();
    assert!(view.view.to_string().contains("rm -rf x"), "{}", view.view);
    // Nothing chosen: the dialog stays open and says so, over the acknowledgement.
    let envelope = fake.deliver("interactive", &fake.submitted(&view, "", "why", fake::ALICE));
    let ack = fake.ack(&envelope);
    assert_eq!(ack.payload["response_action"], "errors");
    assert!(ack.payload["errors"]["choice"].is_string(), "{}", ack.payload);
    listening.nothing().await;
    let envelope =
        fake.deliver("interactive", &fake.submitted(&view, "hours", "because", fake::ALICE));
    let heard = listening.next().await;
    let reason = Some("because".to_owned());
    let scope = Scope::Time(8 * 3_600_000);
    assert_eq!(heard.wants, Wants::Answer { request: ID.to_owned(), approve: true, reason, scope });
    assert_eq!(heard.to.place, fake::CHANNEL);
    assert!(fake.ack(&envelope).payload.is_null());
    fake.deliver("interactive", &fake.submitted(&view, "deny", "no", fake::BOB));
    let heard = listening.next().await;
    assert!(matches!(heard.wants, Wants::Answer { approve: false, .. }));
    assert_eq!(heard.user, format!("{}/{}", fake::TEAM, fake::BOB));
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_that_comes_twice_opens_one_dialog_and_one_that_cannot_is_told() {
    let fake = fake::Slack::start();
    let _listening = asked(&fake, 8).await;
    let message = fake.message();
    let envelope = fake.tap(&message, "more", fake::ALICE);
    fake.view();
    fake.replay(&envelope);
    fake.wait("the second attempt", |state| (state.count("views.open") == 2).then_some(()));
    fake.change(|state| state.trigger_life = Duration::ZERO);
    fake.tap(&message, "more", fake::ALICE);
    let told = fake.wait("somebody is told", |state| state.responses.last().cloned());
    assert!(told.1.to_string().contains("tap again"), "{}", told.1);
    assert_eq!(fake.state(|state| (state.views.len(), state.responses.len())), (1, 1));
    // A dialog that does not take the command is opened without it.
    fake.change(|state| state.trigger_life = Duration::from_secs(3));
    fake.fail("views.open", Fault::Error("invalid_arguments"));
    fake.tap(&message, "more", fake::ALICE);
    fake.wait("another dialog", |state| (state.views.len() == 2).then_some(()));
    assert!(!fake.view().view.to_string().contains("rich_text"), "{}", fake.view().view);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_will_be_closed_is_replaced_before_and_loses_nothing() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    for (count, reason) in [(2, "warning"), (3, "refresh_requested")] {
        let text = json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "applink-1" } });
        fake.send(&text.to_string());
        fake.wait("another socket", |state| (state.opened == count).then_some(()));
        // Both are open: what comes over the old one is heard and acknowledged as well.
        for _ in 0..4 {
            let envelope = fake.tap(&fake.message(), "approve", fake::ALICE);
            listening.next().await;
            fake.ack(&envelope);
        }
        fake.change(|state| drop(state.sockets.remove(0)));
    }
    let envelope = fake.tap(&fake.message(), "approve", fake::ALICE);
    listening.next().await;
    fake.ack(&envelope);
    assert!(!listening.task.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_new_socket_can_be_had_the_old_one_is_heard() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    fake.fail("apps.connections.open", Fault::Error("internal_error"));
    fake.fail("apps.connections.open", Fault::Limited(1));
    fake.send(r#"{"type":"disconnect","reason":"refresh_requested"}"#);
    fake.tap(&fake.message(), "approve", fake::ALICE);
    listening.next().await;
    fake.wait("another socket", |state| (state.opened == 2).then_some(()));
    assert_eq!(fake.state(|state| state.count("apps.connections.open")), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_nothing_can_be_heard_is_said() {
    let fake = fake::Slack::start();
    for (fault, is_never) in [
        (Fault::Error("invalid_auth"), true),
        (Fault::Error("internal_error"), false),
        (Fault::Cut, false),
    ] {
        fake.fail("apps.connections.open", fault.clone());
        let mut listening = Listening::to(slack(&fake), 8);
        let failure = (&mut listening.task).await.unwrap();
        assert_eq!(matches!(failure, Failure::Never(_)), is_never, "{fault:?} {failure:?}");
    }
    fake.fail("apps.connections.open", Fault::Limited(9));
    let mut listening = Listening::to(slack(&fake), 8);
    assert_eq!((&mut listening.task).await.unwrap(), Failure::Later(Duration::from_secs(9)));
    let mut listening = Listening::to(slack(&fake), 8);
    fake.wait_for_sockets(1);
    fake.send(r#"{"type":"disconnect","reason":"link_disabled"}"#);
    let failure = (&mut listening.task).await.unwrap();
    assert!(matches!(&failure, Failure::Never(why) if why.contains("Socket Mode")), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_left_out_and_the_rest_is_heard() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    fake.change(|state| {
        state.before_hello = vec!["not JSON".to_owned(), r#"{"type":"events"}"#.to_owned()];
    });
    let mut listening = Listening::to(slack, 8);
    fake.wait_for_sockets(1);
    let good = fake.tapped(&fake.message(), "approve", fake::ALICE);
    for text in
        ["", "{", "[1]", "\0\u{1}", r#"{"type":"interactive"}"#, r#"{"type":"x","envelope_id":7}"#]
    {
        fake.send(text);
    }
    let mut broken = Vec::new();
    for (pointer, value) in [
        ("/actions/0/value", json!("../../etc/passwd")),
        ("/actions/0/value", json!("7f3a")),
        ("/actions/0/value", json!(null)),
        ("/actions/0/action_id", json!("approve ")),
        ("/actions/0/action_id", json!("APPROVE")),
        ("/actions", json!([])),
        ("/type", json!("shortcut")),
        ("/user/id", json!("U1/../U2")),
        ("/user/id", json!(null)),
        ("/user/team_id", json!({})),
        ("/trigger_id", json!(null)),
    ] {
        let mut payload = good.clone();
        *payload.pointer_mut(pointer).unwrap() = value;
        if pointer == "/user/team_id" {
            payload["team"] = json!(null);
        }
        broken.push(fake.deliver("interactive", &payload));
    }
    broken.push(fake.deliver("interactive", &json!([[[]]])));
    broken.push(fake.deliver("events_api", &json!({ "event": { "type": "message" } })));
    for envelope in &broken {
        fake.ack(envelope);
    }
    listening.nothing().await;
    fake.deliver("interactive", &good);
    listening.next().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_nothing_but_nonsense_is_given_up() {
    let fake = fake::Slack::start();
    let mut listening = Listening::to(slack(&fake), 8);
    fake.wait_for_sockets(1);
    for _ in 0..30 {
        fake.send("nonsense");
    }
    let failure = (&mut listening.task).await.unwrap();
    assert!(matches!(failure, Failure::Now(_)), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_for_is_not_acknowledged_and_comes_again() {
    let fake = fake::Slack::start();
    fake.change(|state| state.resend_after = Duration::from_millis(500));
    // One is in the hands of who passes on, one is in the channel, and 256 are queued.
    let mut listening = asked(&fake, 1).await;
    let message = fake.message();
    let envelopes: Vec<String> =
        (0..260).map(|_| fake.tap(&message, "approve", fake::ALICE)).collect();
    let without =
        |state: &fake::State| envelopes.iter().filter(|id| !state.envelopes[*id].acked).count();
    fake.wait("acknowledgements", |state| (without(state) <= 3).then_some(()));
    assert!(fake.state(without) > 0);
    let mut keys = std::collections::HashSet::new();
    while keys.len() < envelopes.len() {
        keys.insert(listening.next().await.key);
    }
    fake.wait("every acknowledgement", |state| (without(state) == 0).then_some(()));
    assert!(fake.state(|state| state.envelopes.values().any(|envelope| envelope.attempts > 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_socket_is_opened_again_by_who_is_told_and_taps_meanwhile_come_again() {
    let fake = fake::Slack::start();
    fake.change(|state| state.resend_after = Duration::from_millis(300));
    slack(&fake).post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    let mut listening = Listening::to(slack(&fake), 8);
    fake.wait_for_sockets(1);
    fake.cut();
    let failure = (&mut listening.task).await.unwrap();
    assert!(matches!(failure, Failure::Now(_)), "{failure:?}");
    let envelope = fake.tap(&fake.message(), "approve", fake::ALICE);
    let mut listening = Listening::to(slack(&fake), 8);
    listening.next().await;
    assert!(fake.ack(&envelope).after >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_the_greeting_is_heard() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    let payload = fake.tapped(&fake.message(), "approve", fake::ALICE);
    let envelope = fake.deliver("interactive", &payload);
    let text = fake.state(|state| state.envelopes[&envelope].text.clone());
    fake.change(|state| state.before_hello = vec![text]);
    let mut listening = Listening::to(slack, 8);
    listening.next().await;
    fake.ack(&envelope);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_is_heard_within_a_moment() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    let message = fake.message();
    let envelope = fake.tap(&message, "approve", fake::ALICE);
    listening.next().await;
    // Three seconds are what Slack gives; the machine may be busy.
    assert!(fake.ack(&envelope).after < Duration::from_secs(1), "{:?}", fake.ack(&envelope).after);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_digest_are_approved_one_by_one_and_denied_together() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let mut some = vec![card(&["ls", "first"]).entry, card(&["ls", "second"]).entry];
    some[1].id = "0".repeat(32);
    let digest = Digest { some, waiting: 9, answered: 0, page: None };
    slack.digest(fake::CHANNEL, None, &digest).await.unwrap();
    let mut listening = Listening::to(slack, 8);
    fake.wait_for_sockets(1);
    let message = fake.message();
    let text = message.payload.to_string();
    assert!(!text.contains("\"approve\"") && !text.contains("\"session\""), "{text}");
    let payload = fake.tapped_in(&message, "answer-1", "more", fake::ALICE);
    fake.deliver("interactive", &payload);
    let dialog = fake.view();
    let view = dialog.view.to_string();
    assert!(view.contains("ls second") && !view.contains("ls first"), "{view}");
    fake.deliver("interactive", &fake.submitted(&dialog, "once", "", fake::ALICE));
    let Wants::Answer { request, approve: true, .. } = listening.next().await.wants else {
        panic!()
    };
    assert_eq!(request, "0".repeat(32));
    let payload = fake.tapped_in(&message, "answer-0", "deny", fake::ALICE);
    fake.deliver("interactive", &payload);
    assert_eq!(listening.next().await.wants, answer(false, Scope::Once));
    let payload = fake.tapped_in(&message, "all", "deny-all", fake::ALICE);
    let envelope = fake.deliver("interactive", &payload);
    let (first, second) = (listening.next().await, listening.next().await);
    assert_eq!(first.wants, answer(false, Scope::Once));
    let Wants::Answer { request, approve: false, .. } = &second.wants else { panic!() };
    assert_eq!(*request, "0".repeat(32));
    assert_ne!(first.key, second.key);
    fake.ack(&envelope);
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_a_greeting_is_given_up() {
    let fake = fake::Slack::start();
    fake.change(|state| state.greets = false);
    let mut listening = Listening::to(slack(&fake), 8);
    fake.wait("a socket", |state| (state.opened == 1).then_some(()));
    assert!(!listening.standing.state().listens, "nobody is heard by it");
    let failure = (&mut listening.task).await.unwrap();
    assert!(matches!(&failure, Failure::Now(why) if why.contains("greet")), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_that_people_are_heard_when_they_are() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    fake.tap(&fake.message(), "approve", fake::ALICE);
    listening.next().await;
    assert!(listening.standing.state().listens);
    fake.cut();
    (&mut listening.task).await.unwrap();
    assert!(!listening.standing.state().listens);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_closed_at_once_are_not_opened_without_end() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    // The old one goes on, and each that should replace it is cut.
    let old = fake.change(|state| state.sockets[0].clone());
    fake.send(r#"{"type":"disconnect","reason":"refresh_requested"}"#);
    for count in 2..4 {
        fake.wait("another socket", |state| (state.opened == count).then_some(()));
        fake.change(|state| state.sockets.retain(|socket| socket.same_channel(&old)));
    }
    assert!(
        fake.within(Duration::from_millis(500), |state| (state.opened > 4).then_some(())).is_none()
    );
    fake.tap(&fake.message(), "approve", fake::ALICE);
    listening.next().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_said_before_a_socket_was_opened_is_not_taken_for_new() {
    let fake = fake::Slack::start();
    let mut listening = asked(&fake, 8).await;
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::try_from(now.unwrap().as_millis()).unwrap()
    };
    let begun = now();
    // Slack sends again what was not acknowledged, and does not say when it was typed.
    fake.deliver("slash_commands", &fake.typed("resume", fake::BOB));
    assert!(listening.next().await.said_ms.unwrap() < begun);
    fake.tap(&fake.message(), "approve", fake::ALICE);
    assert!(listening.next().await.said_ms.unwrap() >= begun, "an answer is for one request");
}
