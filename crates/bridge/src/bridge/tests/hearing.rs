//! What people say while something else takes long.

use super::*;
use crate::heard::Heard;
use crate::taps::Taps;

impl House {
    /// As it is told in the status.
    fn listens(&self) -> bool {
        self.standing.state().listens
    }

    /// How often the warden was asked to take an answer of this user.
    fn asked_for(&self, user: &str) -> usize {
        let answers = self.warden.answers.lock().unwrap();
        answers.iter().filter(|(of, _)| of.id == format!("slack:{user}")).count()
    }
}

#[tokio::test]
async fn whoever_cannot_be_told_keeps_nobody_from_answering() {
    let house = House::started().await;
    for n in 0..40 {
        let user = format!("U{}", n % 10 + 10);
        house.service.deaf.lock().unwrap().insert(user.clone());
        house.tap_of(&user, &n.to_string(), &id(n)).await;
    }
    house.warden.ask(&id(99));
    house.tap("k", &id(99)).await;
    house.edited("an approval", |stage| matches!(stage, Stage::Approved(_))).await;
    assert_eq!(house.service.told(1).await, "Approved.");
}

#[tokio::test]
async fn one_who_says_much_takes_no_seat_from_another_and_hearing_goes_on() {
    let house = House::started().await;
    // The warden takes its time over these.
    for user in 10..20 {
        house.warden.stuck.lock().unwrap().insert(format!("slack:U{user}"));
    }
    for n in 0..30 {
        house.tap_of("U10", &format!("a{n}"), &id(n)).await;
    }
    house.tap("k", &id(99)).await;
    until("the other's answer", || (house.asked_for("U1") == 1).then_some(())).await;
    assert!(house.asked_for("U10") <= 4, "{}", house.asked_for("U10"));
    // Every seat is taken: nothing more is done, and all is heard.
    for n in 0..40 {
        house.tap_of(&format!("U{}", n % 9 + 11), &format!("b{n}"), &id(n)).await;
    }
    let before = house.service.beats.load(Ordering::SeqCst);
    let beats = || house.service.beats.load(Ordering::SeqCst);
    until("it to listen", || (beats() > before + 10).then_some(())).await;
    // And there is always a seat for what stops everything.
    house.command("kill", "kill").await;
    assert!(house.service.told(2).await.contains("Everything is stopped"));
}

#[tokio::test]
async fn an_older_word_undoes_no_newer_stop() {
    let house = House::started().await;
    let words = |word: &str| Wants::Command(vec![word.to_owned()]);
    house.command("1", "kill").await;
    house.service.told(1).await;
    let before = Some(now_ms() - 60_000);
    house.service.say_at(before, "U1", "2", words("resume")).await;
    let told = house.service.told(2).await;
    assert!(told.contains("after this was said"), "{told}");
    assert!(house.warden.stopped.lock().unwrap().is_some());
    house.command("3", "resume").await;
    assert_eq!(house.service.told(3).await, "Everything goes on.");
    let said = house.warden.resumes.lock().unwrap().clone();
    assert!(said.iter().all(|request| request.said_ms.is_some()));
    // Nobody says when from a time that is to come.
    house.service.say_at(Some(u64::MAX), "U1", "4", words("resume")).await;
    house.service.told(4).await;
    let said_ms = house.warden.resumes.lock().unwrap().last().unwrap().said_ms;
    assert!(said_ms.unwrap() <= now_ms());
}

#[tokio::test]
async fn a_tap_that_was_acknowledged_is_done_though_the_bridge_dies_before_it_is() {
    let mut house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.warden.stuck.lock().unwrap().insert("slack:U1".to_owned());
    house.tap("k1", &id(1)).await;
    until("the warden to be asked", || (house.asked_for("U1") == 1).then_some(())).await;
    house.warden.ask(&id(2));
    house.tap("k2", &id(2)).await;
    until("both", || (house.asked_for("U1") == 2).then_some(())).await;
    house.kill().await;
    house.warden.stuck.lock().unwrap().clear();
    house.start().await;
    house.service.told(2).await;
    for n in 1..=2 {
        let is_one = |did: &Did| matches!(did, Did::Edit(_, card) if card.entry.id == id(n) && !card.stage.is_open());
        house.did("the answer", is_one).await;
    }
    let answers = house.warden.answers.lock().unwrap().clone();
    let keys: std::collections::BTreeSet<_> = answers.iter().map(|(_, it)| &it.key).collect();
    assert_eq!((answers.len(), keys.len()), (4, 2), "by the same key it is the same answer");
    // Whoever was not told that it was heard says it again.
    house.kill().await;
    house.start().await;
    house.tap("k1", &id(1)).await;
    house.command("k3", "help").await;
    house.service.told(3).await;
    assert_eq!(house.warden.answers.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn what_was_left_for_long_is_not_done_and_whoever_said_it_is_told_so() {
    let mut house = House::new();
    let said_ms = Some(now_ms() - 11 * 60 * 1_000);
    let old = Heard { said_ms, ..crate::testing::tap("U1", "old") };
    assert!(Taps::open(house.folder.path(), "ops").keep(&old));
    house.start().await;
    assert!(house.service.told(1).await.contains("not known to be done"));
    assert_eq!(house.asked_for("U1"), 0);
}

#[tokio::test]
async fn that_people_are_heard_is_said_when_they_are() {
    let mut house = House::new();
    house.service.is_mute.store(true, Ordering::SeqCst);
    house.start().await;
    let beats = || house.service.beats.load(Ordering::SeqCst);
    until("it to try", || (beats() > 3).then_some(())).await;
    assert!(!house.listens());
    house.service.is_mute.store(false, Ordering::SeqCst);
    until("it to hear", || house.listens().then_some(())).await;
    house.service.is_mute.store(true, Ordering::SeqCst);
    until("it to say so", || (!house.listens()).then_some(())).await;
}

#[tokio::test]
async fn that_listening_died_is_noticed() {
    let mut house = House::started().await;
    house.service.is_broken.store(true, Ordering::SeqCst);
    let running = house.running.take().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await.unwrap();
    assert!(ended.unwrap_err().is_panic());
    assert!(!house.listens());
    // And all of it can be set up again.
    house.service.is_broken.store(false, Ordering::SeqCst);
    house.start().await;
}
