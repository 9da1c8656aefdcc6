//! What people say while something else takes long.

use super::*;

impl House {
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
