//! What takes long, by a clock that does not: a warden that stays away, and a service that ends hearing.

use super::*;
use crate::words;

/// For how long an answer, a `kill` or a `resume` is asked again, as docs/chat.md says.
const PATIENCE: Duration = Duration::from_secs(90);

impl House {
    fn asked(&self, what: &str) -> usize {
        self.warden.asked.lock().unwrap().iter().filter(|asked| **asked == what).count()
    }

    fn set_away(&self, is_away: bool) {
        self.warden.is_away.store(is_away, Ordering::SeqCst);
    }

    /// How long after this each listening began.
    fn began(&self, since: Instant) -> Vec<Duration> {
        self.service.began.lock().unwrap().iter().map(|at| *at - since).collect()
    }
}

/// `until` gives up by the real clock, of which nearly nothing passes here.
#[tokio::test(start_paused = true)]
async fn a_warden_that_stays_away_is_asked_for_90_seconds_and_whoever_wanted_something_is_told() {
    let mut house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.set_away(true);
    let began = Instant::now();
    house.tap("k1", &id(1)).await;
    house.command("k2", "kill").await;
    // They are two: the switch has a seat of its own.
    for count in 1..=2 {
        assert_eq!(house.service.told(count).await, words::AWAY);
        let took = began.elapsed();
        assert!(took >= PATIENCE && took < PATIENCE + Duration::from_secs(2), "{took:?}");
    }
    assert!(house.asked("answer") > 40 && house.asked("kill") > 40);
    let answers = house.warden.answers.lock().unwrap().clone();
    assert!(answers.iter().all(|(_, answer)| answer.key == answers[0].1.key));
    house.command("k3", "resume").await;
    assert_eq!(house.service.told(3).await, words::AWAY);
    assert!(house.asked("resume") > 40);
    assert_eq!(house.standing.state().refused, 3);
    // It is over: neither a warden that comes back nor another bridge does what somebody was told is not done.
    let asked = house.asked("answer");
    house.set_away(false);
    house.kill().await;
    house.start().await;
    house.command("k4", "help").await;
    assert_eq!(house.service.told(4).await, words::HELP);
    assert_eq!(house.asked("answer"), asked);
    assert!(house.warden.stopped.lock().unwrap().is_none());
    house.tap("k5", &id(1)).await;
    assert_eq!(house.service.told(5).await, "Approved.");
}

#[tokio::test(start_paused = true)]
async fn what_only_looks_is_not_asked_again() {
    let house = House::started().await;
    house.set_away(true);
    let began = Instant::now();
    for (n, words) in ["status", "queue", "pair 1234-5678"].into_iter().enumerate() {
        house.command(words, words).await;
        assert_eq!(house.service.told(n + 1).await, words::AWAY, "{words}");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(*house.warden.asked.lock().unwrap(), ["status", "queue", "pair"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_hearing_is_taken_up_again_by_the_bridge() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    let end = |failure: Failure| house.service.ends.lock().unwrap().push_back(failure);
    let times = async |count: usize| {
        until("it to listen again", || {
            (house.service.began.lock().unwrap().len() == count).then_some(())
        })
        .await;
    };
    let since = Instant::now();
    end(Failure::Now("the socket was cut".to_owned()));
    until("it to say so", || house.standing.state().error).await;
    assert!(house.standing.state().error.unwrap().contains("the socket was cut"));
    times(2).await;
    assert!(house.began(since)[1] < Duration::from_secs(1), "{:?}", house.began(since));
    // What was tapped by then is heard.
    house.tap("k", &id(1)).await;
    house.edited("an approval", |stage| matches!(stage, Stage::Approved(_))).await;
    // As long as it asks for, and no shorter.
    let since = Instant::now();
    end(Failure::Later(Duration::from_secs(77)));
    times(3).await;
    let rest = house.began(since)[2];
    assert!((77..79).contains(&rest.as_secs()), "{rest:?}");
    // What will not go well is tried seldom, and is tried.
    let since = Instant::now();
    end(Failure::Never("the token was revoked".to_owned()));
    times(4).await;
    let rest = house.began(since)[3];
    assert!((300..302).contains(&rest.as_secs()), "{rest:?}");
    house.command("k2", "help").await;
    assert_eq!(house.service.told(2).await, words::HELP);
}

#[tokio::test(start_paused = true)]
async fn what_no_event_told_of_is_found_within_five_minutes() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    let began = Instant::now();
    house.warden.queue.lock().unwrap().clear();
    house.warden.queue.lock().unwrap().push(entry(&id(2)));
    house.edited("one who left", |stage| *stage == Stage::CallerLeft).await;
    house.did("the other", |did| matches!(did, Did::Post(_, card) if card.entry.id == id(2))).await;
    assert!(began.elapsed() <= LOOK_EVERY + Duration::from_secs(5), "{:?}", began.elapsed());
}
