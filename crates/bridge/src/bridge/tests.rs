//! A bridge between a service and a warden in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clawrden_api::{ErrorBody, ErrorCode, GrantScope, HistoryEntry};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

mod disorder;
mod hearing;
mod patience;
mod places;
mod unsent;

use super::*;
use crate::card::{Card, Stage};
use crate::heard::{Scope, Wants};
use crate::testing::{Did, FakeService, FakeWarden, entry, until};

struct House {
    service: Arc<FakeService>,
    warden: Arc<FakeWarden>,
    standing: Standing,
    folder: TempDir,
    running: Option<JoinHandle<()>>,
    flood: Flood,
    routes: Routes,
    tail: bool,
}

/// An id as the warden makes them.
fn id(n: u32) -> String {
    format!("{n:032x}")
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (service, warden) = (Arc::default(), Arc::default());
        let standing = Standing::default();
        let (running, flood, tail) = (None, Flood::default(), true);
        let routes = Routes { routes: vec![], default: vec!["C1".to_owned()] };
        Self { service, warden, standing, folder, running, flood, routes, tail }
    }

    async fn started() -> Self {
        let mut house = Self::new();
        house.start().await;
        house
    }

    async fn start(&mut self) {
        let options = Options {
            name: "ops".to_owned(),
            state: self.folder.path().to_owned(),
            routes: self.routes.clone(),
            flood: self.flood,
            page: None,
            tail: self.tail,
        };
        self.standing = Standing::default();
        let (service, warden) = (Arc::clone(&self.service), Arc::clone(&self.warden));
        let bridge = Bridge::open(service, warden, self.standing.clone(), options).unwrap();
        self.running = Some(tokio::spawn(bridge.run()));
        let standing = self.standing.clone();
        until("it to follow", || standing.state().follows.then_some(())).await;
    }

    /// As a crash does.
    async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        let _ = running.await;
    }

    async fn did(&self, what: &str, wanted: impl Fn(&Did) -> bool) -> Did {
        until(what, || self.service.did().into_iter().find(|did| wanted(did))).await
    }

    async fn edited(&self, what: &str, wanted: impl Fn(&Stage) -> bool) -> (Posted, Card) {
        let is_one = |did: &Did| matches!(did, Did::Edit(_, card) if wanted(&card.stage));
        let Did::Edit(posted, card) = self.did(what, is_one).await else { unreachable!() };
        (posted, card)
    }

    fn posts(&self) -> usize {
        self.service.did().iter().filter(|did| matches!(did, Did::Post(..))).count()
    }

    async fn tap(&self, key: &str, request: &str) {
        self.tap_of("U1", key, request).await;
    }

    async fn tap_of(&self, user: &str, key: &str, request: &str) {
        let (request, scope) = (request.to_owned(), Scope::Once);
        let wants = Wants::Answer { request, approve: true, reason: None, scope };
        self.service.say(user, key, wants).await;
    }

    async fn command(&self, key: &str, words: &str) {
        let words = words.split_whitespace().map(str::to_owned).collect();
        self.service.say("U1", key, Wants::Command(words)).await;
    }
}

#[tokio::test]
async fn a_tap_answers_and_the_message_becomes_the_record() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(place, _) if place == "C1")).await;
    house.tap("k1", &id(1)).await;
    house.edited("an approval", |stage| matches!(stage, Stage::Approved(_))).await;
    assert_eq!(house.service.told(1).await, "Approved.");
    let (user, answer) = house.warden.answers.lock().unwrap()[0].clone();
    assert_eq!((&user.id[..], answer.key.len()), ("slack:U1", 64));
    let finished = json!({
        "id": format!("r-{}", id(1)), "exit_code": 0, "duration_ms": 1234, "exit_source": "kernel",
        "recording": {"sha256": "", "bytes": 1},
    });
    house.warden.tell("finished", &finished);
    let (posted, card) =
        house.edited("its end", |stage| matches!(stage, Stage::Finished(..))).await;
    let Stage::Finished(by, outcome) = card.stage else { unreachable!() };
    assert_eq!((&by.who[..], outcome.exit, outcome.duration_ms), ("slack:U1", Some(0), Some(1234)));
    let reply = house.did("the tail", |did| matches!(did, Did::Reply(..))).await;
    assert_eq!(reply, Did::Reply(posted, format!("the end of r-{}", id(1))));
}

#[tokio::test]
async fn an_approval_that_was_kept_tells_how_the_request_ended_that_used_it() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    let answer = json!({"id": "r1", "entry": id(1), "approver": "alice", "channel": "web"});
    house.warden.close(&id(1), "approved", &answer);
    let used = json!({"id": "r2", "entry": id(1), "approver": "alice", "channel": "web"});
    house.warden.tell("grant_used", &used);
    let ended = json!({"id": "r2", "exit_code": 7, "duration_ms": 1, "exit_source": "kernel"});
    house.warden.tell("finished", &ended);
    let (_, card) = house.edited("its end", |stage| matches!(stage, Stage::Finished(..))).await;
    assert!(matches!(card.stage, Stage::Finished(_, end) if end.exit == Some(7)));
}

#[tokio::test]
async fn a_tap_that_comes_again_is_the_same_and_a_late_one_hears_who_was_faster() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.tap("k1", &id(1)).await;
    house.service.told(1).await;
    house.tap("k1", &id(1)).await;
    let conflict = ErrorBody { code: ErrorCode::Conflict, message: "answered before".into() };
    house.warden.refusals.lock().unwrap().push_back(Refusal::No(conflict));
    house.tap("k2", &id(1)).await;
    let told = house.service.told(2).await;
    assert_eq!(told, "Already approved by slack:U1 (slack) just now.");
    assert_eq!(house.warden.answers.lock().unwrap().len(), 2, "the same tap went nowhere");
}

#[tokio::test]
async fn what_is_no_whole_id_never_reaches_the_warden() {
    let house = House::started().await;
    for (n, request) in ["7f3a", "", "../kill", &"x".repeat(32)].into_iter().enumerate() {
        house.tap(&n.to_string(), request).await;
        assert!(house.service.told(n + 1).await.contains("no request"));
    }
    assert!(house.warden.answers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_told_with_what_to_do_and_counted() {
    let house = House::started().await;
    let refusals = [
        (crate::testing::unknown(), "pair CODE"),
        (no(ErrorCode::NotApprover, "security answers this"), "security answers this"),
        (no(ErrorCode::ReasonRequired, "say why"), "needs a reason"),
        (no(ErrorCode::Forbidden, "only jail a"), "only jail a"),
        (
            no(ErrorCode::ConfirmOnPage, "confirm it at https://warden.example/#a"),
            "Not done: confirm it at https://warden.example/#a",
        ),
    ];
    for (n, (refusal, says)) in refusals.into_iter().enumerate() {
        house.warden.refusals.lock().unwrap().push_back(refusal);
        house.tap(&n.to_string(), &id(1)).await;
        let told = house.service.told(n + 1).await;
        assert!(told.contains(says), "{told}");
    }
    assert_eq!(house.standing.state().refused, 5);
}

fn no(code: ErrorCode, message: &str) -> Refusal {
    Refusal::No(ErrorBody { code, message: message.to_owned() })
}

#[tokio::test]
async fn a_warden_that_restarts_takes_no_tap_from_anybody() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    let away = || Refusal::Away("it goes down".to_owned());
    house.warden.refusals.lock().unwrap().extend([away(), away()]);
    house.tap("k1", &id(1)).await;
    assert_eq!(house.service.told(1).await, "Approved.");
    let answers = house.warden.answers.lock().unwrap();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|(_, answer)| answer.key == answers[0].1.key), "one key for all");
}

#[tokio::test]
async fn a_no_is_for_this_once_and_a_scope_goes_with_a_yes() {
    let house = House::started().await;
    let wants = |approve, scope| Wants::Answer {
        request: id(1),
        approve,
        reason: Some("  use a branch ".to_owned()),
        scope,
    };
    house.service.say("U1", "a", wants(false, Scope::Session)).await;
    house.service.told(1).await;
    house.service.say("U1", "b", wants(true, Scope::Time(60_000))).await;
    house.service.told(2).await;
    house.service.say("U1", "c", wants(true, Scope::Session)).await;
    house.service.told(3).await;
    house.service.say("U1", "d", wants(true, Scope::Once)).await;
    house.service.told(4).await;
    let answers = house.warden.answers.lock().unwrap();
    let of = |n: usize| answers[n].1.body.clone();
    assert_eq!((of(0).scope, of(0).reason.as_deref()), (GrantScope::Once, Some("use a branch")));
    assert_eq!((of(1).scope, of(1).for_ms), (GrantScope::Time, Some(60_000)));
    assert_eq!((of(2).scope, of(2).for_ms), (GrantScope::Session, None));
    assert_eq!((of(3).scope, of(3).for_ms), (GrantScope::Once, None));
}

#[tokio::test]
async fn ids_survive_a_restart_of_the_bridge_and_what_was_missed_is_told() {
    let mut house = House::started().await;
    house.warden.ask(&id(1));
    house.warden.ask(&id(2));
    until("two posts", || (house.posts() == 2).then_some(())).await;
    // What was sent is remembered before it is asked for.
    until("memory", || {
        let text = std::fs::read_to_string(house.folder.path().join("ops.jsonl")).unwrap();
        (text.matches("\"posted\":{").count() >= 2).then_some(())
    })
    .await;
    house.kill().await;
    let data = json!({"id": "r", "entry": id(1), "approver": "alice", "channel": "web"});
    house.warden.close(&id(1), "approved", &data);
    house.start().await;
    let (posted, card) = house
        .edited("an answer while it was away", |stage| matches!(stage, Stage::Approved(_)))
        .await;
    assert_eq!((&card.entry.id, &posted.place[..]), (&id(1), "C1"));
    house.tap("k", &id(2)).await;
    house
        .edited("the other", |stage| matches!(stage, Stage::Approved(by) if by.through == "slack"))
        .await;
    assert_eq!(house.posts(), 2, "nothing was posted twice");
}

#[tokio::test]
async fn what_nobody_told_is_looked_up_in_the_history() {
    let mut house = House::started().await;
    for n in 1..=3 {
        house.warden.ask(&id(n));
    }
    until("three posts", || (house.posts() == 3).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    house.kill().await;
    house.warden.queue.lock().unwrap().clear();
    let of = |n: u32, outcome: &str| HistoryEntry {
        id: format!("r-{}", id(n)),
        decision: Some("ask".into()),
        outcome: Some(outcome.into()),
        approver: Some("alice".into()),
        exit_code: (n == 1).then_some(3),
        started: n == 1,
        ..HistoryEntry::default()
    };
    *house.warden.history.lock().unwrap() = vec![of(1, "approved"), of(2, "denied")];
    house.warden.forget();
    house.start().await;
    let (_, card) = house.edited("its end", |stage| matches!(stage, Stage::Finished(..))).await;
    assert!(
        matches!(card.stage, Stage::Finished(by, end) if by.who == "alice" && end.exit == Some(3))
    );
    house.edited("a no", |stage| matches!(stage, Stage::Denied(by) if by.who == "alice")).await;
    house.edited("one who left", |stage| *stage == Stage::CallerLeft).await;
}

#[tokio::test]
async fn a_service_that_fails_or_wants_rest_gets_the_newest_in_the_end() {
    let house = House::started().await;
    let failures =
        [Failure::Now("connection reset".to_owned()), Failure::Later(Duration::from_millis(300))];
    house.service.failures.lock().unwrap().extend(failures);
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.service.failures.lock().unwrap().push_back(Failure::Later(Duration::from_millis(300)));
    for text in ["1 of 3", "2 of 3"] {
        house.warden.tell("voted", &json!({"entry": id(1), "progress": text}));
    }
    let data = json!({"id": "r", "entry": id(1), "approver": "alice", "channel": "web"});
    house.warden.close(&id(1), "approved", &data);
    house.edited("the newest", |stage| matches!(stage, Stage::Approved(_))).await;
    let edits = house.service.did().iter().filter(|did| matches!(did, Did::Edit(..))).count();
    assert_eq!(edits, 1, "what is between is not said");
    assert!(house.standing.state().error.is_none() && house.standing.state().failed >= 2);
}

#[tokio::test]
async fn what_a_service_never_takes_is_given_up_and_the_rest_goes_on() {
    let house = House::started().await;
    house.service.failures.lock().unwrap().push_back(Failure::Never("no such channel".to_owned()));
    house.warden.ask(&id(1));
    let standing = house.standing.clone();
    until("the failure", || (standing.state().failed == 1).then_some(())).await;
    house.warden.ask(&id(2));
    let second = house.did("the second", |did| matches!(did, Did::Post(..))).await;
    assert!(matches!(second, Did::Post(_, card) if card.entry.id == id(2)));
    assert_eq!(house.posts(), 1);
}

#[tokio::test]
async fn a_flood_is_one_message_that_says_what_is_left() {
    let mut house = House::new();
    house.flood = Flood { posts: 3, seconds: 60 };
    house.start().await;
    for n in 0..50 {
        house.warden.ask(&id(n));
    }
    let is_whole = |did: &Did| matches!(did, Did::Digest(_, _, digest) if digest.waiting == 47);
    house.did("a digest of the rest", is_whole).await;
    assert_eq!(house.posts(), 3);
    for n in 0..50 {
        let data = json!({"id": "r", "entry": id(n), "approver": "alice", "channel": "web"});
        house.warden.close(&id(n), "denied", &data);
    }
    let is_over = |did: &Did| matches!(did, Did::Digest(_, Some(_), digest) if digest.waiting == 0);
    let last = house.did("all of it answered", is_over).await;
    let Did::Digest(_, _, digest) = last else { unreachable!() };
    assert_eq!((digest.answered, digest.some.len()), (47, 0));
    let did = house.service.did();
    let digests: Vec<_> = did.iter().filter(|did| matches!(did, Did::Digest(..))).collect();
    let posted = digests.iter().filter(|did| matches!(did, Did::Digest(_, None, _))).count();
    assert!(posted == 1 && digests.len() <= 4, "{}", digests.len());
}

#[tokio::test]
async fn what_is_answered_before_anybody_was_told_needs_no_message() {
    let house = House::started().await;
    house.service.failures.lock().unwrap().push_back(Failure::Later(Duration::from_millis(400)));
    house.warden.ask(&id(1));
    let data = json!({"id": "r", "entry": id(1), "approver": "alice", "channel": "web"});
    let standing = house.standing.clone();
    until("the failure", || (standing.state().failed == 1).then_some(())).await;
    house.warden.close(&id(1), "denied", &data);
    until("an empty outbox", || (standing.state().outbox == 0).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(house.posts(), 0);
}

#[tokio::test]
async fn commands_answer_who_may_and_tell_others_how_to_be_known() {
    let house = House::started().await;
    house.warden.ask(&id(7));
    house.command("1", "queue").await;
    assert!(house.service.told(1).await.contains("git push"));
    let words = vec!["queue".to_owned()];
    house.service.say("U9", "2", Wants::Command(words)).await;
    let told = house.service.told(2).await;
    assert!(told.contains("slack:U9") && !told.contains("git push"), "{told}");
    for (key, words, says) in [
        ("3", "kill web", "Jail web is stopped: 3 processes"),
        ("4", "KILL", "Everything is stopped"),
        ("5", "pair 1234-5678", "You are alice"),
        ("6", "", "queue: what waits"),
        ("7", "reboot", "none of the commands"),
        ("8", "kill a b", "one word too many"),
    ] {
        house.command(key, words).await;
        let told = house.service.told(key.parse().unwrap()).await;
        assert!(told.contains(says), "{words}: {told}");
    }
}

#[tokio::test]
async fn two_bridges_agree() {
    let first = House::started().await;
    let mut second = House::new();
    second.warden = Arc::clone(&first.warden);
    second.start().await;
    first.warden.ask(&id(1));
    for house in [&first, &second] {
        house.did("a post", |did| matches!(did, Did::Post(..))).await;
    }
    second.tap("k", &id(1)).await;
    for house in [&first, &second] {
        house.edited("the answer", |stage| matches!(stage, Stage::Approved(_))).await;
    }
}

#[tokio::test]
async fn a_warden_that_goes_is_looked_for_and_its_queue_read_anew() {
    let house = House::started().await;
    house.warden.restart();
    let unheard = entry(&id(5));
    house.warden.queue.lock().unwrap().push(unheard);
    house.did("what was only in the queue", |did| matches!(did, Did::Post(..))).await;
    assert!(house.warden.follows.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn who_waits_on_when_one_of_several_was_approved_is_told_of() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    // The other callers wait on under another id, and no event says so.
    house.warden.queue.lock().unwrap().push(entry(&id(2)));
    let data = json!({"id": "r", "entry": id(1), "approver": "alice", "channel": "web"});
    house.warden.close(&id(1), "approved", &data);
    house
        .did("the others", |did| matches!(did, Did::Post(_, card) if card.entry.id == id(2)))
        .await;
}

#[tokio::test]
async fn however_much_happens_the_queue_is_read_once_a_second() {
    let house = House::started().await;
    let began = Instant::now();
    for _ in 0..60 {
        house.warden.tell("killed", &json!({"processes": 1}));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.warden.queue.lock().unwrap().push(entry(&id(1)));
    house.warden.tell("resumed", &json!({"by": "alice"}));
    house.did("what came last", |did| matches!(did, Did::Post(..))).await;
    let (reads, most) = (house.warden.reads.load(Ordering::SeqCst), began.elapsed().as_secs() + 2);
    assert!(reads <= most, "{reads} in {:?}", began.elapsed());
}

#[tokio::test]
async fn while_the_history_cannot_be_read_nothing_is_said() {
    let house = House::started().await;
    house.warden.ask(&id(1));
    house.did("a post", |did| matches!(did, Did::Post(..))).await;
    house.warden.has_no_history.store(true, Ordering::SeqCst);
    house.warden.queue.lock().unwrap().clear();
    house.warden.tell("killed", &json!({"processes": 1}));
    until("both looks", || (house.warden.reads.load(Ordering::SeqCst) >= 3).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!house.service.did().iter().any(|did| matches!(did, Did::Edit(..))));
    house.warden.close(&id(1), "expired", &json!({"entry": id(1)}));
    house.edited("what is told in the end", |stage| *stage == Stage::Expired).await;
}
