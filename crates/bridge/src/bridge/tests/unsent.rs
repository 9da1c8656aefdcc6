//! What a service did not take: in the end it does, over the end of a bridge too, or it is given up.

use super::*;

impl House {
    fn set_down(&self, is_down: bool) {
        self.service.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Waits until the service was asked for such a thing in vain.
    async fn failed(&self, what: &str, wanted: impl Fn(&Did) -> bool) {
        let failed = || self.service.failed.lock().unwrap().iter().any(&wanted).then_some(());
        until(what, failed).await;
    }

    /// The bridge dies over what is not said, and the next one finds the service well.
    async fn restart(&mut self) {
        self.kill().await;
        self.set_down(false);
        self.start().await;
    }
}

#[tokio::test]
async fn what_was_not_said_when_the_bridge_died_is_said_by_the_next_one() {
    let mut house = House::started().await;
    house.set_down(true);
    house.warden.ask(&id(1));
    house.failed("a post", |did| matches!(did, Did::Post(..))).await;
    assert_eq!(house.standing.state().outbox, 1);
    house.restart().await;
    house.did("a post", |did| matches!(did, Did::Post(..))).await;

    house.set_down(true);
    house.tap("k", &id(1)).await;
    house.failed("an edit", |did| matches!(did, Did::Edit(..))).await;
    house.restart().await;
    house.edited("the answer", |stage| matches!(stage, Stage::Approved(_))).await;

    let finished = json!({
        "id": format!("r-{}", id(1)), "exit_code": 0, "duration_ms": 1, "recording": {"bytes": 1},
    });
    house.warden.tell("finished", &finished);
    house.did("the output", |did| matches!(did, Did::Reply(..))).await;
    let kinds: Vec<&str> = house
        .service
        .did()
        .iter()
        .filter_map(|did| match did {
            Did::Post(..) => Some("post"),
            Did::Edit(..) => Some("edit"),
            Did::Reply(..) => Some("reply"),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["post", "edit", "edit", "reply"], "each once");
}

#[tokio::test]
async fn output_and_a_flood_that_were_not_said_are_said_by_the_next_bridge() {
    let mut house = House::new();
    house.flood = Flood { posts: 1, seconds: 60 };
    house.start().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.tap("k", &id(1)).await;
    house.edited("the answer", |stage| matches!(stage, Stage::Approved(_))).await;
    house.set_down(true);
    let finished = json!({
        "id": format!("r-{}", id(1)), "exit_code": 0, "duration_ms": 1, "recording": {"bytes": 1},
    });
    house.warden.tell("finished", &finished);
    for n in 2..=5 {
        house.warden.ask(&id(n));
    }
    house.failed("something", |_| true).await;
    until("all of it to be remembered", || {
        let kept = std::fs::read_to_string(house.folder.path().join("ops.jsonl")).unwrap();
        (kept.contains("the end of r-") && kept.contains(&id(5))).then_some(())
    })
    .await;
    house.restart().await;
    house.did("the output", |did| matches!(did, Did::Reply(..))).await;
    let is_whole = |did: &Did| matches!(did, Did::Digest(_, _, digest) if digest.waiting == 4);
    house.did("the flood", is_whole).await;
    assert_eq!(house.posts(), 1);
}

#[tokio::test]
async fn an_edit_that_is_refused_for_good_is_given_up_and_the_next_is_told() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    let never = Failure::Never("the message is gone".to_owned());
    house.service.failures.lock().unwrap().push_back(never);
    house.tap("k1", &id(1)).await;
    house.failed("the edit", |did| matches!(did, Did::Edit(..))).await;
    // Who tapped is told all the same, and so is of the next.
    assert_eq!(house.service.told(1).await, "Approved.");
    let ended = json!({"id": format!("r-{}", id(1)), "exit_code": 0, "duration_ms": 1});
    house.warden.tell("finished", &ended);
    house.warden.ask(&id(2));
    house.did("the next", |did| matches!(did, Did::Post(_, card) if card.entry.id == id(2))).await;
    house.tap("k2", &id(2)).await;
    let (_, card) = house.edited("its answer", |stage| matches!(stage, Stage::Approved(_))).await;
    assert_eq!(card.entry.id, id(2));
    until("all is said", || (house.standing.state().outbox == 0).then_some(())).await;
    assert_eq!(house.service.failed.lock().unwrap().len(), 1, "it was tried once");
    assert_eq!((house.standing.state().failed, house.standing.state().error), (1, None));
}
