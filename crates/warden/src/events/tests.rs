use super::listener::BATCH;
use super::ring::MAX_KNOWN;
use super::*;
use crate::ledger::Listener as _;

fn left(n: u8) -> Record {
    Record::CallerLeft(ledger::CallerLeft { id: Id([n; 16]) })
}

fn in_jail(jail: &str) -> Scope {
    Scope { jails: vec![jail.to_owned()], rules: Vec::new() }
}

fn answered(id: Id, entry: Id) -> ledger::Answered {
    ledger::Answered::new(id, entry, "me", "cli")
}

async fn frames(listener: &mut Listener) -> String {
    match listener.news().await {
        News::Frames(frames) | News::Last(frames) => frames,
    }
}

fn last_id(frames: &str) -> String {
    let line = frames.lines().rev().find_map(|line| line.strip_prefix("id: "));
    line.unwrap().to_owned()
}

#[tokio::test]
async fn nothing_is_kept_while_nobody_listens() {
    let events = Events::default();
    events.recorded(&[left(1)]);
    assert!(!events.is_wanted() && events.ring().events.is_empty());
    let (mut listener, is_first) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
    assert!(is_first && frames(&mut listener).await.contains("event: hello"));
    events.recorded(&[left(1)]);
    assert!(frames(&mut listener).await.contains("event: caller_left"));
}

#[tokio::test(start_paused = true)]
async fn where_many_listen_who_was_told_hears_of_the_rest_at_once_a_moment_later() {
    let events = Events::default();
    let listen = || events.listen(Scope::default(), None, Wants::Whole).unwrap().0;
    let mut one = listen();
    frames(&mut one).await;
    let began = tokio::time::Instant::now();
    events.recorded(&[left(1)]);
    frames(&mut one).await;
    events.recorded(&[left(2)]);
    frames(&mut one).await;
    assert_eq!(began.elapsed(), std::time::Duration::ZERO, "alone it waits for nothing");
    let _others: Vec<Listener> = (1..200).map(|_| listen()).collect();
    events.recorded(&[left(3)]);
    frames(&mut one).await;
    assert_eq!(
        began.elapsed(),
        std::time::Duration::ZERO,
        "what comes after a rest is told at once"
    );
    events.recorded(&[left(4)]);
    events.recorded(&[left(5), left(6)]);
    let told = frames(&mut one).await;
    assert_eq!(told.matches("event: caller_left").count(), 3, "{told}");
    assert_eq!(began.elapsed(), std::time::Duration::from_millis(10));
}

#[tokio::test]
async fn what_is_told_has_its_secrets_marked() {
    let events = Events::default();
    let (mut listener, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
    frames(&mut listener).await;
    let labels = [("api_key".to_owned(), "abcdef".to_owned())].into();
    events.recorded(&[
        Record::PrisonerStarted(ledger::PrisonerStarted {
            prisoner: "p".to_owned(),
            jail: "default".to_owned(),
            pid: 1,
            uid: 1,
            argv: ledger::Argv::new(&["x"]),
            labels,
        }),
        Record::Stopped(ledger::Stopped {
            by: "me".to_owned(),
            reason: Some("password=hunter2".to_owned()),
            paused: false,
            jail: None,
            container: None,
        }),
    ]);
    let heard = frames(&mut listener).await;
    assert!(!heard.contains("abcdef") && !heard.contains("hunter2"), "{heard}");
    assert!(heard.contains("[redacted:api-key]") && heard.contains("event: stopped"), "{heard}");
}

#[tokio::test]
async fn who_comes_back_hears_what_it_missed_or_that_it_missed_something() {
    let events = Events::default();
    let (mut first, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
    frames(&mut first).await;
    events.recorded(&[left(1)]);
    let heard = last_id(&frames(&mut first).await);
    drop(first);
    events.recorded(&[left(2), left(3)]);
    let (mut again, is_first) =
        events.listen(Scope::default(), Some(&heard), Wants::Whole).unwrap();
    assert!(!is_first && frames(&mut again).await.contains("event: hello"));
    let missed = frames(&mut again).await;
    assert_eq!(missed.matches("event: caller_left").count(), 2, "{missed}");
    for stranger in ["", "x", "1-1", "ffffffffffff-0", &format!("{heard}9")] {
        let (mut other, _) = events.listen(Scope::default(), Some(stranger), Wants::Whole).unwrap();
        assert!(frames(&mut other).await.contains("event: reset"), "{stranger}");
    }
    for _ in 0..=MAX_EVENTS {
        events.recorded(&[left(4)]);
    }
    let (mut late, _) = events.listen(Scope::default(), Some(&heard), Wants::Whole).unwrap();
    assert!(frames(&mut late).await.contains("event: reset"));
    let slow = again.news().await;
    assert!(matches!(&slow, News::Last(frame) if frame.contains("too slowly")), "{slow:?}");
}

#[tokio::test]
async fn who_is_bounded_to_a_jail_hears_of_it_alone() {
    let events = Events::default();
    let (mut mine, _) = events.listen(in_jail("mine"), None, Wants::Whole).unwrap();
    frames(&mut mine).await;
    events.know(Id([1; 16]).to_string(), "mine");
    events.know(Id([2; 16]).to_string(), "other");
    events.recorded(&[left(2), left(3), left(1)]);
    let heard = frames(&mut mine).await;
    assert_eq!(heard.matches("event: ").count(), 1, "{heard}");
    assert!(heard.contains(r#""jail":"mine""#), "{heard}");
    let (mut whole, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
    frames(&mut whole).await;
    events.alarm("/var/lib/x: disk full");
    let heard = frames(&mut mine).await;
    assert!(heard.contains("event: ledger_failed") && !heard.contains("/var"), "{heard}");
    assert!(heard.contains(UNWRITABLE) && heard.starts_with("id: "), "{heard}");
    assert!(frames(&mut whole).await.contains("/var/lib/x: disk full"));
}

#[tokio::test]
async fn what_expires_or_parks_is_told_by_its_entry_where_the_request_is_not_known() {
    let events = Events::default();
    let (mut mine, _) = events.listen(in_jail("mine"), None, Wants::Whole).unwrap();
    frames(&mut mine).await;
    events.know(Id([9; 16]).to_string(), "mine");
    let (id, entry) = (Id([1; 16]), Id([9; 16]));
    events.recorded(&[
        Record::Parked(ledger::Parked { id, entry }),
        Record::Expired(ledger::Expired { id, entry, after_ms: 1 }),
        Record::Expired(ledger::Expired { id, entry: Id([8; 16]), after_ms: 1 }),
    ]);
    let heard = frames(&mut mine).await;
    assert_eq!(heard.matches("event: ").count(), 2, "{heard}");
}

#[tokio::test]
async fn what_is_over_pushes_nothing_out_that_is_open() {
    let events = Events::default();
    let (_listener, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
    events.know("open".to_owned(), "mine");
    for n in 0..3 * MAX_KNOWN {
        let id = Id((n as u128).to_be_bytes());
        events.know(id.to_string(), "other");
        events.recorded(&[crate::request::denied(id, None, String::new())]);
    }
    let (one, two, entry) = (Id([1; 16]), Id([2; 16]), Id([9; 16]));
    let answered = |id| answered(id, entry);
    let expired = |id| Record::Expired(ledger::Expired { id, entry, after_ms: 1 });
    let denied = [Record::Denied(answered(one)), Record::Denied(answered(two))];
    for records in [denied, [expired(one), expired(two)]] {
        // Of the other request only its entry is known.
        events.know(one.to_string(), "mine");
        events.know(entry.to_string(), "mine");
        events.recorded(&records);
        let ring = events.ring();
        for known in [&one, &entry] {
            assert_eq!(ring.about(&known.to_string()), About::Unknown);
        }
        let told = ring.events.iter().rev().take(2);
        assert!(told.map(|kept| &kept.about).all(|about| *about == About::Jail("mine".into())));
    }
    let ring = events.ring();
    assert_eq!(ring.about("open"), About::Jail("mine".to_owned()));
    assert!(ring.known.len() <= 2 * MAX_KNOWN + 1, "{}", ring.known.len());
}

#[tokio::test]
async fn who_comes_back_late_is_given_what_it_missed_in_pieces() {
    let events = Events::default();
    let (mut first, _) = events.listen(Scope::default(), None, Wants::Whole).unwrap();
    let heard = last_id(&frames(&mut first).await);
    for _ in 0..200 {
        events.alarm(&"x".repeat(1000));
    }
    let (mut late, _) = events.listen(Scope::default(), Some(&heard), Wants::Whole).unwrap();
    frames(&mut late).await;
    let mut got = 0;
    while got < 200 {
        let piece = frames(&mut late).await;
        assert!(piece.len() < BATCH + 2000, "{}", piece.len());
        got += piece.matches("event: ledger_failed").count();
    }
    assert_eq!(got, 200);
}

#[tokio::test]
async fn what_nobody_was_asked_about_is_told_to_who_wants_all_of_it_and_to_no_channel() {
    let events = Events::default();
    let ended = |n: u8| {
        let json = serde_json::json!({
            "event": "finished", "id": Id([n; 16]), "exit_source": "kernel", "duration_ms": 1,
        });
        serde_json::from_value::<Record>(json).unwrap()
    };
    let let_run = |n: u8| Record::Approved(answered(Id([n; 16]), Id([9; 16])));
    let (mut channel, _) = events.listen(Scope::default(), None, Wants::Asked).unwrap();
    let first = last_id(&frames(&mut channel).await);
    events.recorded(&[ended(1), let_run(2), ended(2), ended(2)]);
    let heard = frames(&mut channel).await;
    assert_eq!(heard.matches("event: finished").count(), 1, "{heard}");
    assert_eq!(heard.matches("event: ").count(), 2, "{heard}");
    // Who wants all of it cannot go on where some was left out.
    let (mut whole, _) = events.listen(Scope::default(), Some(&first), Wants::Whole).unwrap();
    assert!(frames(&mut whole).await.contains("event: reset"));
    events.recorded(&[ended(3)]);
    let heard = frames(&mut whole).await;
    assert_eq!(heard.matches("event: finished").count(), 1, "{heard}");
    let last = last_id(&heard);
    drop(whole);
    events.recorded(&[ended(4)]);
    let (mut again, is_first) = events.listen(Scope::default(), Some(&last), Wants::Whole).unwrap();
    assert!(!is_first && frames(&mut again).await.contains("event: hello"));
    assert!(frames(&mut again).await.contains("event: finished"), "it is waited for");
}

#[tokio::test]
async fn listeners_are_bounded_and_let_go_at_the_end() {
    let events = Events::default();
    let mut all: Vec<_> = (0..MAX_LISTENERS)
        .map(|_| events.listen(Scope::default(), None, Wants::Whole).unwrap().0)
        .collect();
    assert!(events.listen(Scope::default(), None, Wants::Whole).is_err());
    drop(all.pop());
    assert!(events.listen(Scope::default(), None, Wants::Whole).is_ok());
    events.close();
    frames(&mut all[0]).await;
    assert!(matches!(all[0].news().await, News::Last(_)));
}
