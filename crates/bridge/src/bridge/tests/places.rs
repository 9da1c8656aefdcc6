//! Which places are told: several, those of a route, or none.

use super::*;

impl House {
    /// The places in which something was said of a request by now, in order.
    fn places(&self, n: u32, is_edit: bool) -> Vec<String> {
        let of = |did: Did| match did {
            Did::Post(place, card) if !is_edit && card.entry.id == id(n) => Some(place),
            Did::Edit(posted, card) if is_edit && card.entry.id == id(n) => Some(posted.place),
            _ => None,
        };
        let mut places: Vec<String> = self.service.did().into_iter().filter_map(of).collect();
        places.sort();
        places
    }

    async fn has(&self, n: u32, is_edit: bool, places: &[&str]) {
        until("these places", || (self.places(n, is_edit) == places).then_some(())).await;
    }

    fn close_by(&self, n: u32, who: &str) {
        let data =
            json!({"id": format!("r{n}"), "entry": id(n), "approver": who, "channel": "web"});
        self.warden.close(&id(n), "approved", &data);
    }
}

#[tokio::test]
async fn each_of_several_places_is_told_and_its_message_becomes_the_record() {
    let mut house = House::new();
    house.routes.default = vec!["C1".to_owned(), "C2".to_owned()];
    house.start().await;
    house.warden.ask(&id(1));
    house.has(1, false, &["C1", "C2"]).await;
    house.tap("k", &id(1)).await;
    house.has(1, true, &["C1", "C2"]).await;
    house.warden.tell(
        "finished",
        &json!({"id": format!("r-{}", id(1)), "exit_code": 0, "duration_ms": 1, "recording": {}}),
    );
    let replies = || {
        let did = house.service.did().into_iter();
        let mut places: Vec<String> = did
            .filter_map(
                |did| if let Did::Reply(posted, _) = did { Some(posted.place) } else { None },
            )
            .collect();
        places.sort();
        (places == ["C1", "C2"]).then_some(())
    };
    until("the output below each", replies).await;
    assert_eq!(house.posts(), 2);
}

#[tokio::test]
async fn a_place_that_fails_keeps_no_other_from_being_told() {
    let mut house = House::new();
    house.routes.default = vec!["C1".to_owned(), "C2".to_owned()];
    house.start().await;
    // Whichever is told first; it is left alone for long.
    let rest = Failure::Later(Duration::from_secs(500));
    house.service.failures.lock().unwrap().push_back(rest);
    house.warden.ask(&id(1));
    until("one of them", || (house.posts() == 1).then_some(())).await;
    house.tap("k", &id(1)).await;
    until("its record", || (house.places(1, true).len() == 1).then_some(())).await;
    assert_eq!(house.places(1, false), house.places(1, true));
}

#[tokio::test]
async fn what_a_route_takes_is_told_there_and_nowhere_else() {
    let mut house = House::new();
    let routes = json!([
        {"jail": "web", "rule": "policy.yaml:*", "to": ["C1", "C2"]},
        {"jail": "quiet", "to": []},
        {"rule": "rules.d/db.yaml:7", "to": "C3"},
    ]);
    house.routes.routes = serde_json::from_value(routes).unwrap();
    house.routes.default = vec!["C0".to_owned()];
    house.start().await;
    for (n, jail, rule) in [
        (1, "web", Some("policy.yaml:3")),
        (2, "quiet", Some("policy.yaml:3")),
        (3, "quiet", Some("rules.d/db.yaml:7")),
        (4, "batch", Some("rules.d/db.yaml:7")),
        (5, "web", None),
    ] {
        let (jail, rule) = (jail.to_owned(), rule.map(str::to_owned));
        house.warden.ask_for(&QueueEntry { jail, rule, ..entry(&id(n)) });
    }
    let told: [(u32, &[&str]); 3] = [(1, &["C1", "C2"]), (4, &["C3"]), (5, &["C0"])];
    for (n, places) in told {
        house.has(n, false, places).await;
    }
    (1..=5).for_each(|n| house.close_by(n, "alice"));
    for (n, places) in told {
        house.has(n, true, places).await;
    }
    until("all is said", || (house.standing.state().outbox == 0).then_some(())).await;
    // The first route that fits says where, also that it is nowhere.
    assert_eq!((house.places(2, false).len(), house.places(3, false).len()), (0, 0));
    assert_eq!(house.posts(), 4);
}

#[tokio::test]
async fn where_no_output_is_wanted_no_recording_is_read() {
    let mut house = House::new();
    house.tail = false;
    house.start().await;
    for n in 1..=2 {
        house.warden.ask(&id(n));
        house.has(n, false, &["C1"]).await;
        house.close_by(n, "alice");
        let ended = json!({
            "id": format!("r{n}"), "exit_code": 0, "duration_ms": 1, "recording": {"bytes": 1},
        });
        house.warden.tell("finished", &ended);
        let is_end = |did: &Did| matches!(did, Did::Edit(_, card) if card.entry.id == id(n) && matches!(card.stage, Stage::Finished(..)));
        house.did("its end", is_end).await;
    }
    assert!(!house.warden.asked.lock().unwrap().contains(&"tail"));
    assert!(!house.service.did().iter().any(|did| matches!(did, Did::Reply(..))));
}
