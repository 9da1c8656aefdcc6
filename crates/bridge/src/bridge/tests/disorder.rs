//! Events that come twice, late, or behind what they belong before.

use super::*;

fn answer(who: &str) -> serde_json::Value {
    json!({"id": format!("r-{who}"), "entry": id(1), "approver": who, "channel": "web"})
}

#[tokio::test]
async fn whatever_comes_behind_an_answer_the_first_is_the_record() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.warden.close(&id(1), "approved", &answer("alice"));
    house.edited("an approval", |stage| matches!(stage, Stage::Approved(_))).await;
    let entry = json!({ "entry": entry(&id(1)) });
    let of_entry = json!({ "id": "r", "entry": id(1) });
    for (name, data) in [
        ("waiting", &entry),
        ("parked", &of_entry),
        ("voted", &json!({ "entry": id(1), "progress": "1 of 2 approvals: bob" })),
        ("denied", &answer("bob")),
        ("approved", &answer("carol")),
        ("expired", &of_entry),
        ("waiting", &entry),
        ("approved", &json!("nonsense")),
    ] {
        house.warden.tell(name, data);
    }
    let ended = |exit: i32| json!({"id": "r-alice", "exit_code": exit, "duration_ms": 1});
    house.warden.tell("finished", &ended(3));
    house.warden.tell("finished", &ended(0));
    house.warden.ask(&id(2));
    house.did("the next", |did| matches!(did, Did::Post(_, card) if card.entry.id == id(2))).await;
    let (_, card) = house.edited("its end", |stage| matches!(stage, Stage::Finished(..))).await;
    let Stage::Finished(by, outcome) = card.stage else { unreachable!() };
    assert_eq!((&by.who[..], outcome.exit), ("alice", Some(3)));
    until("all is said", || (house.standing.state().outbox == 0).then_some(())).await;
    let is_open = |did: &Did| matches!(did, Did::Edit(_, card) if card.stage.is_open());
    assert!(!house.service.did().iter().any(is_open));
    assert_eq!(house.posts(), 2);
}

#[tokio::test]
async fn what_is_told_and_read_at_once_is_posted_once() {
    let house = House::started().await;
    // It is in the queue before it is told of, and told of twice.
    let entry = entry(&id(1));
    house.warden.queue.lock().unwrap().push(entry.clone());
    house.warden.tell("resumed", &json!({}));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    for _ in 0..2 {
        house.warden.tell("waiting", &json!({ "entry": entry }));
    }
    house.warden.ask(&id(2));
    house.did("the next", |did| matches!(did, Did::Post(_, card) if card.entry.id == id(2))).await;
    assert_eq!(house.posts(), 2);
}

/// The queue was read before the answer that was told meanwhile, or the answer was told before the question.
#[tokio::test(start_paused = true)]
async fn what_is_told_of_behind_its_answer_is_found_to_be_over() {
    let house = House::started().await;
    house.warden.tell("denied", &answer("alice"));
    house.warden.tell("waiting", &json!({ "entry": entry(&id(1)) }));
    let of = HistoryEntry {
        id: format!("r-{}", id(1)),
        time_ms: 900,
        jail: "web".into(),
        argv: entry(&id(1)).argv,
        decision: Some("ask".into()),
        outcome: Some("denied".into()),
        approver: Some("alice".into()),
        ..HistoryEntry::default()
    };
    house.warden.history.lock().unwrap().push(of);
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    // The queue is read anew, which it is every five minutes as well.
    house.warden.tell("resumed", &json!({}));
    let (_, card) = house.edited("the answer", |stage| matches!(stage, Stage::Denied(_))).await;
    assert!(matches!(card.stage, Stage::Denied(by) if by.who == "alice"));
}
