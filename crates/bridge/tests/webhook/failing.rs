//! A receiver that fails gets it in the end, and once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clawrden_bridge::secret::Secret;
use clawrden_bridge::webhook::{SIGNATURE, TIMESTAMP, verifier};
use serde_json::json;

use super::house::{asked, id, soon};
use super::receiver::{Fault, Form, Receiver};
use super::{SECRET, house, is_event, taken};

/// Longer than any call may take.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_receiver_that_fails_is_cut_or_hangs_gets_it_in_the_end() {
    let receiver = Receiver::start(Form::Json).await;
    let mut house = house(&receiver, Form::Json, json!({}));
    house.open().await;
    receiver.fail(&[Fault::Status(500), Fault::Cut, Fault::Silent]);
    house.warden.ask(&asked(1, &["npm", "install"]));
    soon("it hangs", || (receiver.calls().len() == 3).then_some(())).await;
    // So much time passes.
    tokio::time::pause();
    tokio::time::advance(LONG).await;
    tokio::time::resume();
    taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(1))).await;
    receiver.fail(&[Fault::Status(502), Fault::Cut]);
    house.warden.answer_elsewhere(&id(1), "carol", false);
    let told = taken(&receiver, "what came of it", |call| is_event(call, "changed", &id(1))).await;
    assert!(told.json()["card"]["stage"]["denied"]["who"] == "carol", "{}", told.text());
    let calls = receiver.calls();
    assert_eq!(
        calls.iter().map(|call| call.status).collect::<Vec<_>>(),
        [500, 0, 0, 200, 502, 0, 200]
    );
    let mut verifier = verifier(&Secret::new(SECRET), 0);
    for call in &calls {
        assert_eq!(call.json()["message"], id(1), "whoever gets it twice knows it");
        let headers = (call.headers.get(TIMESTAMP), call.headers.get(SIGNATURE));
        let headers = (headers.0.map(String::as_str), headers.1.map(String::as_str));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let _ = verifier.check(headers, &call.body, now).unwrap();
    }
    soon("all is well", || house.standing.state().error.is_none().then_some(())).await;
    assert_eq!(house.standing.state().failed, 5);
}

#[tokio::test]
async fn a_receiver_that_wants_rest_has_it() {
    let receiver = Receiver::start(Form::Json).await;
    let mut house = house(&receiver, Form::Json, json!({}));
    house.open().await;
    receiver.fail(&[Fault::Limited(1)]);
    house.warden.ask(&asked(1, &["ls"]));
    soon("it is asked for rest", || (receiver.calls().len() == 1).then_some(())).await;
    house.warden.ask(&asked(2, &["ls"]));
    for n in 1..=2 {
        taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(n))).await;
    }
    let calls = receiver.calls();
    assert_eq!(calls.len(), 3);
    let rested = |call: &super::Call| call.at - calls[0].at >= Duration::from_secs(1);
    assert!(calls[1..].iter().all(rested), "{calls:?}");
}

#[tokio::test]
async fn what_a_receiver_never_takes_is_given_up_and_the_next_is_told() {
    let receiver = Receiver::start(Form::Json).await;
    let mut house = house(&receiver, Form::Json, json!({}));
    house.open().await;
    house.warden.ask(&asked(1, &["ls"]));
    taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(1))).await;
    receiver.fail(&[Fault::Status(410)]);
    house.warden.answer_elsewhere(&id(1), "carol", true);
    soon("the refusal", || (house.standing.state().failed == 1).then_some(())).await;
    house.warden.ask(&asked(2, &["ls"]));
    taken(&receiver, "the next", |call| is_event(call, "waiting", &id(2))).await;
    house.warden.answer_elsewhere(&id(2), "carol", true);
    taken(&receiver, "and its answer", |call| is_event(call, "changed", &id(2))).await;
    let of_first = |call: &super::Call| is_event(call, "changed", &id(1));
    assert_eq!(receiver.calls().into_iter().filter(of_first).count(), 1);
}

#[tokio::test]
async fn what_was_not_sent_when_the_bridge_died_is_sent_by_the_next_one() {
    let receiver = Receiver::start(Form::Json).await;
    let mut house = house(&receiver, Form::Json, json!({}));
    house.open().await;
    let tried = |event: &'static str| {
        let receiver = &receiver;
        async move {
            let is_one = |call: super::Call| is_event(&call, event, &id(1));
            soon("a try", || receiver.calls().into_iter().any(is_one).then_some(())).await;
            assert!(!receiver.taken().into_iter().any(is_one));
        }
    };
    receiver.set_down(true);
    house.warden.ask(&asked(1, &["npm", "install"]));
    tried("waiting").await;
    house.crash().await;
    receiver.set_down(false);
    house.open().await;
    taken(&receiver, "what waits", |call| is_event(call, "waiting", &id(1))).await;
    receiver.set_down(true);
    house.warden.answer_elsewhere(&id(1), "carol", true);
    house.warden.finish(&id(1), 0);
    tried("changed").await;
    soon("all of it is remembered", || {
        let kept = std::fs::read_to_string(house.folder.path().join("ops.jsonl")).unwrap();
        kept.contains("\"text\":\"added 1 package").then_some(())
    })
    .await;
    house.crash().await;
    receiver.set_down(false);
    house.open().await;
    let ended = |call: &super::Call| {
        is_event(call, "changed", &id(1)) && call.json()["card"]["stage"]["finished"].is_array()
    };
    taken(&receiver, "how it ended", ended).await;
    taken(&receiver, "what it wrote", |call| is_event(call, "output", &id(1))).await;
    let events: Vec<_> = receiver.taken().iter().map(|call| call.json()["event"].clone()).collect();
    assert_eq!(events, ["waiting", "changed", "output"], "each once");
}
