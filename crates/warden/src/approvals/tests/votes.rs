//! Several people and one request: who counts, who does not, and what a restart leaves of it.

use std::collections::BTreeMap;

use super::lasting::{Place, crash};
use super::*;
use crate::people::Door;

/// Alice has two doors, and is in security with bob and carol; dave leads.
fn people() -> Arc<People> {
    let doors = |doors: &[&str]| doors.iter().map(|door| Door::parse(door).unwrap()).collect();
    let persons: BTreeMap<String, Vec<Door>> = [
        ("alice".to_owned(), doors(&["uid:1", "token:alice"])),
        ("bob".to_owned(), doors(&["token:bob", "slack:T1/BOB"])),
        ("carol".to_owned(), doors(&["token:carol"])),
        ("dave".to_owned(), doors(&["token:dave"])),
    ]
    .into();
    let group = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
    let groups = [
        ("security".to_owned(), group(&["alice", "bob", "carol"])),
        ("leads".to_owned(), group(&["dave"])),
    ];
    Arc::new(People::new(&persons, &groups.into()).unwrap())
}

fn token(name: &str) -> Doors {
    let (token, token_name) = (Some(format!("id-{name}")), Some(name.to_owned()));
    Doors { uid: None, token, token_name, chat: None }
}

fn uid(uid: u32) -> Doors {
    Doors { uid: Some(uid), ..Doors::default() }
}

fn want(from: &[&str], count: u32) -> Want {
    let from = from.iter().map(|name| (*name).to_owned()).collect();
    Want { from, count, reason: false, on_page: false, waits: false, steps: Vec::new() }
}

fn wanted(command: &str, n: u8, wants: &[Want]) -> Ask {
    Ask { wants: wants.into(), ..ask(command, n) }
}

fn known() -> Approvals {
    let queue = queue();
    queue.know(people());
    queue
}

fn yes(doors: Doors) -> Verdict {
    let who = doors.token_name.clone().unwrap_or_else(|| "somebody".to_owned());
    Verdict { who, doors, ..verdict(true) }
}

fn give(queue: &Approvals, id: Id, verdict: Verdict, now: Now) -> Result<Answered, AnswerError> {
    queue.answer(&id.to_string(), verdict, now, |_| Ok(()))
}

/// What is told at this moment.
fn escalated(queue: &Approvals, now: Now) -> Vec<Escalated> {
    let mut told = Vec::new();
    queue.escalate(now, |one| told.push(one));
    told
}

fn summary(queue: &Approvals) -> String {
    queue.queue()[0].approvals.as_ref().unwrap().summary.clone()
}

#[test]
fn nothing_starts_before_there_are_enough_different_people() {
    let (queue, clock) = (known(), Clock::new());
    let two = [want(&["security"], 2)];
    let mut ticket = wait(&queue, wanted("ci", 1, &two), clock.0);
    let entry = ticket.entry;
    assert_eq!(summary(&queue), "0 of 2 approvals");
    let first = give(&queue, entry, yes(token("alice")), clock.after(1)).unwrap();
    assert_eq!(first.progress.as_deref(), Some("1 of 2 approvals: alice"));
    assert_eq!(first.told, [request(1)]);
    assert!(ticket.try_answer().is_none() && queue.grants(clock.0).is_empty());
    // The same person by another door, and by another token of the same name.
    let other = Doors { token: Some("another".to_owned()), ..token("alice") };
    for doors in [uid(1), token("alice"), other] {
        let again = give(&queue, entry, yes(doors), clock.after(2)).unwrap_err();
        assert!(matches!(again, AnswerError::VotedBefore { .. }), "{again}");
    }
    assert!(ticket.try_answer().is_none());
    let last = give(&queue, entry, yes(token("bob")), clock.after(3)).unwrap();
    assert_eq!(last.progress, None);
    let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
    assert_eq!(approval.who, "alice and bob");
    assert!(
        queue.suffices(&approval, &two) && !queue.suffices(&approval, &[want(&["security"], 3)])
    );
    assert!(!queue.suffices(&approval, &[want(&["leads"], 1)]));
    queue.void(&approval);
}

#[test]
fn who_is_not_asked_says_no_yes_and_one_no_by_anybody_is_final() {
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    let entry = ticket.entry;
    for doors in [token("dave"), uid(7), Doors::default()] {
        let refused = give(&queue, entry, yes(doors), clock.after(1)).unwrap_err();
        assert!(matches!(refused, AnswerError::NotAsked { .. }), "{refused}");
    }
    give(&queue, entry, yes(token("alice")), clock.after(1)).unwrap();
    let no = Verdict { approve: false, ..yes(token("alice")) };
    give(&queue, entry, no, clock.after(2)).unwrap();
    assert!(person_denied(ticket.try_answer().as_ref()));
    for doors in [token("dave"), uid(7), Doors::default()] {
        let queue = known();
        let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
        give(&queue, ticket.entry, yes(token("alice")), clock.after(1)).unwrap();
        let no = Verdict { approve: false, ..yes(doors) };
        give(&queue, ticket.entry, no, clock.after(2)).unwrap();
        assert!(person_denied(ticket.try_answer().as_ref()));
    }
    let late = give(&queue, entry, yes(token("bob")), clock.after(3)).unwrap_err();
    assert!(matches!(late, AnswerError::AlreadyAnswered { .. }));
}

fn chat(user: &str) -> Doors {
    Doors { chat: Some(user.parse().unwrap()), ..Doors::default() }
}

#[test]
fn a_yes_by_a_chat_is_a_wish_where_the_rule_says_so_and_a_no_counts() {
    let (queue, clock) = (known(), Clock::new());
    let here = Want { on_page: true, ..want(&["security"], 1) };
    let mut ticket = wait(&queue, wanted("ci", 1, std::slice::from_ref(&here)), clock.0);
    let wish = give(&queue, ticket.entry, yes(chat("slack:T1/BOB")), clock.after(1)).unwrap_err();
    assert!(matches!(wish, AnswerError::OnlyWished { .. }), "{wish}");
    assert!(ticket.try_answer().is_none());
    give(&queue, ticket.entry, yes(token("bob")), clock.after(2)).unwrap();
    assert!(matches!(ticket.try_answer(), Some(Answer::Approved(_))));
    let mut ticket = wait(&queue, wanted("cd", 2, &[here]), clock.0);
    let no = Verdict { approve: false, ..yes(chat("slack:T1/BOB")) };
    give(&queue, ticket.entry, no, clock.after(3)).unwrap();
    assert!(person_denied(ticket.try_answer().as_ref()));
    // One that was given by a chat while another policy was in force counts no more.
    let mut ticket = wait(&queue, wanted("ce", 3, &[want(&["security"], 2)]), clock.0);
    give(&queue, ticket.entry, yes(chat("slack:T1/BOB")), clock.after(4)).unwrap();
    let stricter: Wants = [Want { on_page: true, ..want(&["security"], 2) }].into();
    let moment = Moment { wants: Some(&stricter), ..Moment::default() };
    let by_alice = yes(token("alice"));
    let answered = queue
        .answer_by(&ticket.entry.to_string(), by_alice, (clock.after(5), &moment), |_| Ok(()))
        .unwrap();
    assert_eq!(answered.progress.as_deref(), Some("1 of 2 approvals: alice"));
    assert!(ticket.try_answer().is_none());
}

#[test]
fn who_is_nobody_any_more_has_said_nothing() {
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    give(&queue, ticket.entry, yes(chat("slack:T1/BOB")), clock.after(1)).unwrap();
    assert_eq!(summary(&queue), "1 of 2 approvals: bob");
    let doors = |door: &str| vec![Door::parse(door).unwrap()];
    let left = [("alice".to_owned(), doors("uid:1")), ("carol".to_owned(), doors("token:carol"))];
    let groups = [("security".to_owned(), vec!["alice".to_owned(), "carol".to_owned()])];
    queue.know(Arc::new(People::new(&left.into(), &groups.into()).unwrap()));
    assert_eq!(summary(&queue), "0 of 2 approvals");
    let answered = give(&queue, ticket.entry, yes(uid(1)), clock.after(2)).unwrap();
    assert_eq!(answered.progress.as_deref(), Some("1 of 2 approvals: alice"));
    for doors in [chat("slack:T1/BOB"), chat("slack:T1/MALLORY"), token("bob")] {
        assert!(give(&queue, ticket.entry, yes(doors), clock.after(3)).is_err());
    }
    assert!(ticket.try_answer().is_none());
    give(&queue, ticket.entry, yes(token("carol")), clock.after(4)).unwrap();
    assert!(matches!(ticket.try_answer(), Some(Answer::Approved(_))));
}

#[test]
fn without_names_only_people_whom_the_settings_name_make_a_number() {
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&[], 2)]), clock.0);
    let entry = ticket.entry;
    // The same person could have both.
    for doors in [uid(7), token("new")] {
        assert!(matches!(
            give(&queue, entry, yes(doors), clock.0),
            Err(AnswerError::NotAsked { .. })
        ));
    }
    give(&queue, entry, yes(token("dave")), clock.0).unwrap();
    give(&queue, entry, yes(uid(1)), clock.0).unwrap();
    assert!(is_approved(&mut ticket));
}

#[test]
fn everything_that_is_wanted_has_to_be_met() {
    let (queue, clock) = (known(), Clock::new());
    let wants = [want(&["security"], 2), want(&["dave"], 1), want(&["alice", "dave"], 1)];
    let mut ticket = wait(&queue, wanted("ci", 1, &wants), clock.0);
    for (name, is_done) in [("bob", false), ("dave", false), ("carol", true)] {
        give(&queue, ticket.entry, yes(token(name)), clock.0).unwrap();
        assert_eq!(is_approved(&mut ticket), is_done, "{name}");
    }
}

#[test]
fn a_reason_is_given_where_one_is_wanted_and_a_vote_without_does_not_count_later() {
    let (queue, clock) = (known(), Clock::new());
    let why = Want { reason: true, ..want(&["security"], 2) };
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    let silent = |name: &str| Verdict { reason: None, ..yes(token(name)) };
    give(&queue, ticket.entry, silent("alice"), clock.0).unwrap();
    let by_now: Wants = [why].into();
    let moment = Moment { wants: Some(&by_now), ..Moment::default() };
    let id = ticket.entry.to_string();
    let say = |verdict| queue.answer_by(&id, verdict, (clock.after(1), &moment), |_| Ok(()));
    assert!(matches!(say(silent("bob")), Err(AnswerError::NoReason(_))));
    let bob = say(yes(token("bob"))).unwrap();
    assert_eq!(bob.progress.as_deref(), Some("1 of 2 approvals: bob"));
    assert!(!is_approved(&mut ticket));
    // Alice may say why, as her vote counts for nothing.
    say(yes(token("alice"))).unwrap();
    assert!(is_approved(&mut ticket));
}

#[test]
fn a_changed_list_holds_for_the_votes_that_are_there() {
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    let id = ticket.entry.to_string();
    give(&queue, ticket.entry, yes(token("alice")), clock.0).unwrap();
    let say = |doors, wants: &[Want]| {
        let wants: Wants = wants.into();
        let moment = Moment { wants: Some(&wants), ..Moment::default() };
        queue.answer_by(&id, yes(doors), (clock.after(1), &moment), |_| Ok(()))
    };
    // Alice is none of them any more, so bob is the first.
    let bob = say(token("bob"), &[want(&["bob", "dave"], 2)]).unwrap();
    assert_eq!(bob.progress.as_deref(), Some("1 of 2 approvals: bob"));
    assert_eq!(summary(&queue), "1 of 2 approvals: bob");
    assert!(!is_approved(&mut ticket));
    // One is enough by now: who has voted before says so again.
    let again = say(token("bob"), &[want(&["bob"], 1)]).unwrap();
    assert_eq!(again.progress, None);
    let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
    assert_eq!(approval.who, "bob", "alice's word is not part of it");
    queue.void(&approval);
}

#[test]
fn a_vote_by_a_token_that_opens_nothing_any_more_does_not_count() {
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    let id = ticket.entry.to_string();
    give(&queue, ticket.entry, yes(token("alice")), clock.0).unwrap();
    let holds = |token: &str| token != "id-alice";
    let moment = Moment { wants: None, holds: &holds };
    let say = |doors| queue.answer_by(&id, yes(doors), (clock.after(1), &moment), |_| Ok(()));
    assert_eq!(say(token("bob")).unwrap().progress.as_deref(), Some("1 of 2 approvals: bob"));
    assert!(!is_approved(&mut ticket));
    assert_eq!(say(uid(1)).unwrap().progress, None, "alice by her other door");
    assert!(is_approved(&mut ticket));
}

#[test]
fn a_vote_that_cannot_be_recorded_is_none() {
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    let id = ticket.entry.to_string();
    let failed = queue.answer(&id, yes(token("alice")), clock.0, |_| Err("full".to_owned()));
    assert!(matches!(failed, Err(AnswerError::NotRecorded(_))));
    assert_eq!(summary(&queue), "0 of 2 approvals");
    give(&queue, ticket.entry, yes(token("bob")), clock.0).unwrap();
    assert!(!is_approved(&mut ticket));
}

#[test]
fn votes_last_and_count_once_after_a_restart() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    queue.know(people());
    let ticket = wait(&queue, wanted("ci", 1, &[want(&["security"], 2)]), clock.0);
    let entry = ticket.entry;
    give(&queue, entry, yes(token("alice")), clock.after(1)).unwrap();
    crash(queue, [ticket]);
    let (queue, restored) = place.start(clock.after(2));
    queue.know(people());
    let answered = restored[0].answered.as_ref().unwrap();
    let told = (&*answered.who, &*answered.channel, answered.from.as_deref());
    assert_eq!(told, ("alice", "cli", Some("192.0.2.7:4711")));
    assert_eq!(summary(&queue), "1 of 2 approvals: alice");
    assert_eq!(
        queue.queue()[0].approvals.as_ref().unwrap().votes[0].reason.as_deref(),
        Some("because")
    );
    let again = give(&queue, entry, yes(uid(1)), clock.after(3)).unwrap_err();
    assert!(matches!(again, AnswerError::VotedBefore { .. }));
    let done = give(&queue, entry, yes(token("bob")), clock.after(4)).unwrap();
    assert_eq!((done.progress, done.told), (None, vec![request(1)]));
    assert!(done.kept_until_ms.is_some(), "nobody is back to take it");
}

#[test]
fn votes_are_for_one_answer_and_not_for_the_callers_that_are_left() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    queue.know(people());
    let two = [want(&["security"], 2)];
    let mut tickets = [1, 2].map(|n| wait(&queue, wanted("ci", n, &two), clock.0));
    let entry = tickets[0].entry;
    give(&queue, entry, yes(token("alice")), clock.0).unwrap();
    let done = give(&queue, entry, yes(token("bob")), clock.0).unwrap();
    assert!(is_approved(&mut tickets[0]) && !is_approved(&mut tickets[1]));
    assert_eq!(summary(&queue), "0 of 2 approvals");
    crash(queue, tickets);
    let (queue, _) = place.start(clock.after(1));
    queue.know(people());
    let next = done.reopened.unwrap();
    let left = queue.find(&next.to_string(), |_| true).unwrap();
    assert_eq!(left.approvals.unwrap().summary, "0 of 2 approvals");
}

#[test]
fn the_narrowest_of_the_scopes_holds() {
    let hour = Scope::Time(Duration::from_secs(3600));
    let day = Scope::Time(Duration::from_secs(24 * 3600));
    let life = || Some(Life::Container("c".to_owned()));
    for (n, first, second, scope, seconds) in [
        (1, day, hour, Scope::Time(Duration::from_secs(3600)), 3600),
        (2, hour, Scope::Once, Scope::Once, 1800),
        (3, day, Scope::Session, Scope::Session, 24 * 3600),
        (4, Scope::Session, Scope::Session, Scope::Session, 30 * 24 * 3600),
    ] {
        let (queue, clock) = (known(), Clock::new());
        let it = Ask { life: life(), ..wanted("ci", n, &[want(&["security"], 2)]) };
        let mut ticket = wait(&queue, it, clock.0);
        let vote = |name: &str, scope| Verdict { scope, ..yes(token(name)) };
        give(&queue, ticket.entry, vote("alice", first), clock.0).unwrap();
        give(&queue, ticket.entry, vote("bob", second), clock.0).unwrap();
        let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
        assert_eq!(approval.scope, scope, "{n}");
        assert_eq!(approval.kept_until_ms(), clock.after(seconds).ms, "{n}");
        queue.void(&approval);
    }
}

#[test]
fn a_lasting_yes_of_too_few_does_not_cover_what_wants_more() {
    let hour = Scope::Time(Duration::from_secs(3600));
    let (queue, clock) = (known(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    give(&queue, ticket.entry, Verdict { scope: hour, ..yes(token("alice")) }, clock.0).unwrap();
    let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
    queue.give_back(approval, clock.0);
    for (wants, is_covered) in [
        (vec![], true),
        (vec![want(&["security"], 1)], true),
        (vec![want(&["security"], 2)], false),
        (vec![want(&["leads"], 1)], false),
    ] {
        let asked = queue.ask(wanted("ci", 2, &wants), clock.after(1));
        assert_eq!(matches!(asked, Asked::Granted(_)), is_covered, "{wants:?}");
    }
    // The same for one run that was kept.
    let parked = wait(&queue, ask("once", 3), clock.0);
    let entry = parked.entry;
    assert_eq!(parked.leave(), Left::Parked(entry));
    give(&queue, entry, yes(token("alice")), clock.0).unwrap();
    let asked = queue.ask(wanted("once", 4, &[want(&["security"], 2)]), clock.after(1));
    assert!(matches!(asked, Asked::Wait(_)));
    assert_eq!(
        queue.grants(clock.after(1)).iter().filter(|grant| grant.argv == ["once"]).count(),
        1
    );
}

#[test]
fn others_may_answer_after_a_while_and_are_told_once() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    queue.know(people());
    let steps = vec![
        Step { after_ms: 60_000, to: vec!["leads".to_owned()] },
        Step { after_ms: 9_000_000, to: vec!["nobody".to_owned()] },
    ];
    let it = Want { steps, ..want(&["bob"], 1) };
    let mut ticket = wait(&queue, wanted("ci", 1, std::slice::from_ref(&it)), clock.0);
    let early = give(&queue, ticket.entry, yes(token("dave")), clock.after(59)).unwrap_err();
    assert!(matches!(early, AnswerError::NotAsked { .. }));
    assert!(escalated(&queue, clock.after(59)).is_empty());
    assert!(queue.next_expiry().unwrap() <= clock.after(60).instant);
    let told = escalated(&queue, clock.after(60));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].request, &told[0].to[..]), (request(1), &["leads".to_owned()][..]));
    assert!(escalated(&queue, clock.after(61)).is_empty(), "once");
    assert_eq!(
        queue.next_expiry(),
        Some(clock.after(1800).instant),
        "what never comes is not waited for"
    );
    assert!(ticket.try_answer().is_none());
    let (entry, tickets) = (ticket.entry, [ticket]);
    crash(queue, tickets);
    let (queue, _) = place.start(clock.after(62));
    queue.know(people());
    assert!(escalated(&queue, clock.after(63)).is_empty(), "nor after a restart");
    assert!(give(&queue, entry, yes(token("dave")), clock.after(64)).is_ok());
    let Asked::Granted(approval) = queue
        .ask(Ask { id: request(1), ..wanted("ci", 1, std::slice::from_ref(&it)) }, clock.after(65))
    else {
        panic!()
    };
    assert!(queue.suffices(&approval, &[it]), "it was given when it might be");
    queue.void(&approval);
}

#[test]
fn what_nobody_can_answer_does_not_wait_and_never_runs() {
    let (queue, clock) = (known(), Clock::new());
    let nobody = || Some("nobody is there".to_owned());
    let it = Ask { nobody: nobody(), ..wanted("ci", 1, &[want(&["leads"], 1)]) };
    assert!(matches!(queue.ask(it, clock.0), Asked::Nobody(why) if why == "nobody is there"));
    assert!(queue.is_empty());
    // An answer that they left when they were there is good.
    let parked = wait(&queue, wanted("ci", 2, &[want(&["leads"], 1)]), clock.0);
    let entry = parked.entry;
    let _ = parked.leave();
    give(&queue, entry, yes(token("dave")), clock.0).unwrap();
    let it = Ask { nobody: nobody(), ..wanted("ci", 3, &[want(&["leads"], 1)]) };
    let Asked::Granted(approval) = queue.ask(it, clock.after(1)) else { panic!() };
    queue.void(&approval);
}
