//! What happens, told in order.

use super::*;

#[test]
fn a_waiting_caller_gets_its_approval() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    assert!(ticket.try_answer().is_none());
    let answered = answer(&queue, ticket.entry, true, clock.after(5)).unwrap();
    assert_eq!(answered.told, [request(1)]);
    assert_eq!((answered.parked, answered.kept_until_ms, answered.reopened), (None, None, None));
    let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
    assert_eq!((&*approval.who, approval.kept), ("alice", false));
    assert_eq!(approval.entry, ticket.entry);
    assert!(queue.is_empty());
}

#[tokio::test]
async fn a_caller_can_wait_for_its_answer_and_give_up_waiting() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let short = Duration::from_millis(5);
    assert!(tokio::time::timeout(short, ticket.answered()).await.is_err());
    answer(&queue, ticket.entry, false, clock.0).unwrap();
    assert!(person_denied(Some(&ticket.answered().await)));
}

#[test]
fn killed_at_2_approved_at_4_repeated_at_6_runs_exactly_once() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    assert_eq!(ticket.leave(), Left::Parked(entry));
    let listed = &queue.queue()[0];
    assert_eq!((listed.callers, listed.request.clone()), (0, Some(request(1).to_string())));
    let answered = answer(&queue, entry, true, clock.after(4)).unwrap();
    assert_eq!(answered.told, []);
    assert_eq!(answered.parked, Some(request(1)));
    assert_eq!(answered.kept_until_ms, Some(clock.after(4 + 1800).ms));
    let Asked::Granted(approval) = queue.ask(ask("ci", 2), clock.after(6)) else { panic!() };
    assert!(approval.kept);
    assert_eq!(approval.entry, entry);
    wait(&queue, ask("ci", 3), clock.after(7)).leave();
}

#[test]
fn a_grant_is_for_the_identical_request_only() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    drop(ticket);
    answer(&queue, entry, true, clock.0).unwrap();
    let _other = wait(&queue, ask("publish", 2), clock.0);
    assert!(matches!(queue.ask(ask("ci", 3), clock.0), Asked::Granted(_)));
}

#[test]
fn a_grant_ends_after_half_an_hour() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    drop(ticket);
    answer(&queue, entry, true, clock.after(100)).unwrap();
    let _asked_anew = wait(&queue, ask("ci", 2), clock.after(100 + 1800));
}

#[test]
fn identical_requests_share_an_entry_and_one_approval_is_one_run() {
    let (queue, clock) = (queue(), Clock::new());
    let mut first = wait(&queue, ask("ci", 1), clock.0);
    let mut second = wait(&queue, ask("ci", 2), clock.after(1));
    let mut third = wait(&queue, ask("ci", 3), clock.after(2));
    assert_eq!(first.entry, third.entry);
    let for_whom = || queue.queue()[0].request.clone();
    assert_eq!((queue.queue()[0].callers, for_whom()), (3, Some(request(1).to_string())));
    let answered = answer(&queue, first.entry, true, clock.after(5)).unwrap();
    assert_eq!(answered.told, [request(1)], "the oldest has it");
    assert!(is_approved(&mut first));
    assert!(second.try_answer().is_none() && third.try_answer().is_none());
    let next = only_entry(&queue);
    assert_eq!(answered.reopened, Some(next));
    assert_ne!(next, first.entry, "the rest waits under an id of its own");
    assert_eq!(queue.queue()[0].since_ms, clock.0.ms, "and loses no time");
    assert_eq!(for_whom(), Some(request(2).to_string()));
    assert_eq!(answer(&queue, next, true, clock.after(6)).unwrap().told, [request(2)]);
    assert!(is_approved(&mut second) && third.try_answer().is_none());
}

#[test]
fn a_denial_is_for_all_who_wait() {
    let (queue, clock) = (queue(), Clock::new());
    let mut tickets: Vec<Ticket> = (1..4).map(|n| wait(&queue, ask("ci", n), clock.0)).collect();
    let answered = answer(&queue, tickets[0].entry, false, clock.0).unwrap();
    assert_eq!(answered.told, [request(1), request(2), request(3)]);
    assert_eq!(answered.kept_until_ms, None);
    for ticket in &mut tickets {
        assert!(person_denied(ticket.try_answer().as_ref()));
    }
    drop(tickets);
    let _asked_anew = wait(&queue, ask("ci", 9), clock.0);
}

#[test]
fn a_denial_of_a_parked_request_answers_the_next_one_once() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    drop(ticket);
    let answered = answer(&queue, entry, false, clock.after(10)).unwrap();
    assert_eq!(
        answered.kept_until_ms,
        Some(clock.after(1800).ms),
        "as long as it would have waited"
    );
    let Asked::Denied(denial) = queue.ask(ask("ci", 2), clock.after(20)) else { panic!() };
    let Refusal::Person { who, reason, .. } = denial.why else { panic!() };
    assert_eq!((&*who, reason.as_deref()), ("alice", Some("because")));
    let _asked_anew = wait(&queue, ask("ci", 3), clock.after(21));
}

#[test]
fn a_kept_denial_ends_with_the_time_of_its_request() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    drop(ticket);
    answer(&queue, entry, false, clock.after(10)).unwrap();
    let _asked_anew = wait(&queue, ask("ci", 2), clock.after(1800));
}

#[test]
fn an_approval_that_its_caller_did_not_take_is_kept() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    answer(&queue, ticket.entry, true, clock.0).unwrap();
    assert_eq!(ticket.leave(), Left::Answered);
    assert!(matches!(queue.ask(ask("ci", 2), clock.after(1)), Asked::Granted(_)));
}

#[test]
fn an_approval_that_its_caller_did_not_take_goes_to_the_next_who_waits() {
    let (queue, clock) = (queue(), Clock::new());
    let first = wait(&queue, ask("ci", 1), clock.0);
    let mut second = wait(&queue, ask("ci", 2), clock.0);
    let entry = first.entry;
    answer(&queue, entry, true, clock.0).unwrap();
    drop(first);
    let Some(Answer::Approved(approval)) = second.try_answer() else { panic!() };
    assert!(approval.kept);
    assert_eq!(approval.entry, entry, "it says which entry was answered");
    assert!(queue.is_empty());
    queue.give_back(approval, clock.after(1));
    assert!(matches!(queue.ask(ask("ci", 3), clock.0), Asked::Granted(_)));
    let _no_more = wait(&queue, ask("ci", 4), clock.0);
}

/// The approval that a caller of `command` finds kept.
fn granted(queue: &Approvals, command: &str, n: u8, now: Now) -> Approval {
    match queue.ask(ask(command, n), now) {
        Asked::Granted(approval) => approval,
        other => panic!("it should be kept: {other:?}"),
    }
}

#[test]
fn a_loan_that_is_dropped_goes_back_once_and_one_that_is_spent_never() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    answer(&queue, ticket.entry, true, clock.0).unwrap();
    let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
    let loan = queue.lend(approval);
    assert!(loan.covers(&ask("ci", 1).identity) && !loan.covers(&ask("publish", 1).identity));
    wait(&queue, ask("ci", 2), clock.0).leave();
    drop(loan);
    let again = granted(&queue, "ci", 3, clock.0);
    assert!(again.kept);
    wait(&queue, ask("ci", 4), clock.0).leave();
    let spent = queue.lend(again).spend().unwrap();
    wait(&queue, ask("ci", 5), clock.0).leave();
    // What is known to be unused for certain may go back after that, as it is the same one.
    queue.give_back(spent.unwrap(), clock.0);
    drop(queue.lend(granted(&queue, "ci", 6, clock.0)).spend());
    wait(&queue, ask("ci", 7), clock.0).leave();
}

#[test]
fn an_approval_that_goes_back_is_kept_no_longer_than_it_would_have_been() {
    let (queue, clock) = (queue(), Clock::new());
    for (back, asked, is_there) in [(100, 1799, true), (100, 1800, false), (1800, 1799, false)] {
        let mut ticket = wait(&queue, ask("ci", 1), clock.0);
        answer(&queue, ticket.entry, true, clock.0).unwrap();
        let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
        let kept_until = approval.kept_until_ms();
        assert_eq!(kept_until, clock.after(1800).ms);
        queue.give_back(approval, clock.after(back));
        match queue.ask(ask("ci", 2), clock.after(asked)) {
            Asked::Granted(again) => {
                assert!(is_there && again.kept_until_ms() == kept_until);
            }
            Asked::Wait(ticket) => {
                assert!(!is_there);
                answer(&queue, ticket.entry, false, clock.after(asked)).unwrap();
            }
            other => panic!("{other:?}"),
        }
        let _ = queue.expire(clock.after(7200));
    }
}

#[test]
fn an_approval_that_ran_out_is_not_handed_to_who_waits() {
    let (queue, clock) = (queue(), Clock::new());
    let mut first = wait(&queue, ask("ci", 1), clock.0);
    let mut second = wait(&queue, ask("ci", 2), clock.0);
    answer(&queue, first.entry, true, clock.0).unwrap();
    let Some(Answer::Approved(approval)) = first.try_answer() else { panic!() };
    queue.give_back(approval, clock.after(1800));
    assert!(second.try_answer().is_none());
    assert_eq!(queue.len(), 1);
}

#[test]
fn an_approval_that_was_taken_is_not_kept_too() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    answer(&queue, ticket.entry, true, clock.0).unwrap();
    assert!(is_approved(&mut ticket));
    drop(ticket);
    let _asked_anew = wait(&queue, ask("ci", 2), clock.0);
}

#[test]
fn a_denial_that_its_caller_did_not_take_is_kept() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    answer(&queue, ticket.entry, false, clock.0).unwrap();
    drop(ticket);
    assert!(matches!(queue.ask(ask("ci", 2), clock.0), Asked::Denied(_)));
}

#[test]
fn the_first_answer_wins_and_the_second_is_told_so() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    answer(&queue, ticket.entry, false, clock.after(3)).unwrap();
    let error = answer(&queue, ticket.entry, true, clock.after(4)).unwrap_err();
    assert_eq!(
        error,
        AnswerError::AlreadyAnswered {
            entry: ticket.entry,
            answer: "denied",
            by: "alice".to_owned(),
            when_ms: clock.after(3).ms
        }
    );
}

#[test]
fn an_id_that_never_was_is_unknown_and_none_is_malformed() {
    let queue = queue();
    let now = Clock::new().0;
    let of = |id: &str| queue.answer(id, verdict(true), now, |_| Ok(())).unwrap_err();
    assert!(matches!(of("7f3a"), AnswerError::Unknown(_)));
    assert!(matches!(of("7f3"), AnswerError::Malformed(_)));
    assert!(matches!(of("../kill"), AnswerError::Malformed(_)));
}

#[test]
fn a_short_id_is_enough_and_an_ambiguous_one_answers_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    let tickets: Vec<Ticket> =
        (0..2000).map(|n| wait(&queue, ask(&n.to_string(), 1), clock.0)).collect();
    let entries = queue.queue();
    let long =
        entries.iter().find(|e| e.short.len() > MIN_PREFIX).expect("2000 ids share prefixes");
    let error = queue.answer(&long.short[..MIN_PREFIX], verdict(true), clock.0, |_| Ok(()));
    assert!(matches!(error, Err(AnswerError::Ambiguous { count: 2.., .. })), "{error:?}");
    assert_eq!(queue.len(), 2000);
    let answered = queue.answer(&long.short, verdict(true), clock.0, |_| Ok(())).unwrap();
    assert_eq!(answered.entry.to_string(), long.id);
    // An answered one still counts: its digits must not come to mean another entry.
    let error = queue.answer(&long.short[..MIN_PREFIX], verdict(true), clock.0, |_| Ok(()));
    assert!(matches!(error, Err(AnswerError::Ambiguous { .. })), "{error:?}");
    drop(tickets);
}

#[test]
fn an_answer_that_cannot_be_recorded_is_not_given() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let id = ticket.entry.to_string();
    let error = queue.answer(&id, verdict(true), clock.0, |_| Err("disk full".to_owned()));
    assert_eq!(error, Err(AnswerError::NotRecorded("disk full".to_owned())));
    assert!(ticket.try_answer().is_none());
    let mut seen = None;
    let answered = queue.answer(&id, verdict(true), clock.0, |answered| {
        seen = Some(answered.clone());
        Ok(())
    });
    assert_eq!(answered.ok(), seen);
    assert!(is_approved(&mut ticket));
}

#[test]
fn what_nobody_answers_is_denied_as_expired() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let parked = wait(&queue, ask("publish", 2), clock.after(1));
    let (first, second) = (ticket.entry, parked.entry);
    drop(parked);
    assert_eq!(queue.next_expiry(), Some(clock.after(1800).instant));
    assert_eq!(queue.expire(clock.after(1799)), []);
    let expired = queue.expire(clock.after(1800));
    assert_eq!(expired.len(), 1);
    assert_eq!((expired[0].entry, &expired[0].requests[..]), (first, &[request(1)][..]));
    assert!(matches!(
        ticket.try_answer(),
        Some(Answer::Denied(Denial { why: Refusal::Expired(HALF_AN_HOUR), .. }))
    ));
    let expired = queue.expire(clock.after(1801));
    assert_eq!((expired[0].entry, &expired[0].requests[..]), (second, &[request(2)][..]));
    assert_eq!(queue.next_expiry(), None);
    let error = answer(&queue, first, true, clock.after(1801)).unwrap_err();
    assert!(matches!(error, AnswerError::AlreadyAnswered { answer: "expired", .. }));
    let _asked_anew = wait(&queue, ask("ci", 3), clock.after(1802));
}

#[test]
fn an_answer_after_the_time_is_not_taken_even_if_nobody_looked_at_the_clock() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let error = answer(&queue, ticket.entry, true, clock.after(1800)).unwrap_err();
    assert!(matches!(error, AnswerError::AlreadyAnswered { answer: "expired", .. }));
    assert!(ticket.try_answer().is_none());
}

#[test]
fn a_caller_that_connects_again_has_its_place_back() {
    let (queue, clock) = (queue(), Clock::new());
    let mut lost = wait(&queue, ask("ci", 1), clock.0);
    let mut other = wait(&queue, ask("ci", 2), clock.0);
    let mut again = wait(&queue, ask("ci", 1), clock.after(3));
    assert_eq!(queue.queue()[0].callers, 2, "it counts once");
    let superseded = lost.try_answer();
    assert!(matches!(superseded, Some(Answer::Denied(Denial { why: Refusal::Superseded, .. }))));
    drop(lost);
    assert_eq!(queue.queue()[0].callers, 2, "the lost connection takes nobody's place along");
    answer(&queue, again.entry, true, clock.after(4)).unwrap();
    assert!(is_approved(&mut again), "it is still the oldest");
    assert!(other.try_answer().is_none());
}

#[test]
fn the_id_of_another_process_gives_no_place() {
    let (queue, clock) = (queue(), Clock::new());
    let mut owner = wait(&queue, ask("ci", 1), clock.0);
    let strangers = [
        CallerKey { pid: Some(2), start: Some(7) },
        CallerKey { pid: Some(1), start: Some(8) },
        CallerKey { pid: None, start: None },
    ];
    let thieves: Vec<Ticket> =
        strangers.map(|key| wait(&queue, Ask { key, ..ask("ci", 1) }, clock.0)).into();
    assert_eq!(queue.queue()[0].callers, 4);
    answer(&queue, owner.entry, true, clock.0).unwrap();
    assert!(is_approved(&mut owner));
    drop(thieves);
}

#[test]
fn unknown_processes_are_never_the_same() {
    let (queue, clock) = (queue(), Clock::new());
    let key = CallerKey::default();
    let _one = wait(&queue, Ask { key, ..ask("ci", 1) }, clock.0);
    let _two = wait(&queue, Ask { key, ..ask("ci", 1) }, clock.0);
    assert_eq!(queue.queue()[0].callers, 2);
}

#[test]
fn one_who_watches_hears_the_answer_and_runs_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let (entry, short) = (ticket.entry, ticket.short.clone());
    drop(ticket);
    let mut by_entry = queue.wait("dev", 1000, &short, clock.0).unwrap();
    let mut by_request = queue.wait("dev", 1000, &request(1).to_string(), clock.0).unwrap();
    assert_eq!(queue.queue()[0].callers, 0);
    answer(&queue, entry, true, clock.0).unwrap();
    let told = Told::Approved { by: "alice".to_owned(), kept_until_ms: Some(clock.after(1800).ms) };
    assert_eq!(by_entry.try_told(), Some(told.clone()));
    assert_eq!(by_request.try_told(), Some(told.clone()));
    assert_eq!(queue.status_of("dev", 1000, &short, clock.0), Standing::Answered(told));
    assert!(matches!(queue.ask(ask("ci", 2), clock.0), Asked::Granted(_)));
    let used = Told::Approved { by: "alice".to_owned(), kept_until_ms: None };
    assert_eq!(queue.status_of("dev", 1000, &short, clock.0), Standing::Answered(used));
}

#[test]
fn one_who_watches_hears_of_denials_and_expiry() {
    let (queue, clock) = (queue(), Clock::new());
    let denied = wait(&queue, ask("ci", 1), clock.0);
    let expired = wait(&queue, ask("publish", 2), clock.0);
    let mut of_denied = queue.wait("dev", 1000, &denied.entry.to_string(), clock.0).unwrap();
    let mut of_expired = queue.wait("dev", 1000, &expired.entry.to_string(), clock.0).unwrap();
    answer(&queue, denied.entry, false, clock.0).unwrap();
    let _ = queue.expire(clock.after(1800));
    let told = Told::Denied { by: "alice".to_owned(), reason: Some("because".to_owned()) };
    assert_eq!(of_denied.try_told(), Some(told));
    assert_eq!(of_expired.try_told(), Some(Told::Expired));
}

#[test]
fn one_who_watches_goes_on_when_another_caller_got_the_approval() {
    let (queue, clock) = (queue(), Clock::new());
    let _first = wait(&queue, ask("ci", 1), clock.0);
    let second = wait(&queue, ask("ci", 2), clock.0);
    let entry = second.entry;
    let mut early = queue.wait("dev", 1000, &entry.to_string(), clock.0).unwrap();
    let next = answer(&queue, entry, true, clock.0).unwrap().reopened.unwrap();
    drop(second);
    assert_eq!(early.try_told(), None);
    let mut late = queue.wait("dev", 1000, &entry.to_string(), clock.0).unwrap();
    assert_eq!(late.entry, next);
    answer(&queue, next, false, clock.0).unwrap();
    assert!(matches!(early.try_told(), Some(Told::Denied { .. })));
    assert!(matches!(late.try_told(), Some(Told::Denied { .. })));
}

#[test]
fn nobody_watches_the_requests_of_another_jail_or_user() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let id = ticket.entry.to_string();
    assert_eq!(queue.wait("prod", 1000, &id, clock.0).unwrap_err(), Standing::Unknown);
    assert_eq!(queue.wait("dev", 0, &id, clock.0).unwrap_err(), Standing::Unknown);
    answer(&queue, ticket.entry, false, clock.0).unwrap();
    assert_eq!(queue.status_of("prod", 1000, &id, clock.0), Standing::Unknown);
    let unknown_user = Caller { uid: None, ..Caller::default() };
    let details = Details { caller: unknown_user, ..ask("x", 1).details };
    let nobody = wait(&queue, Ask { details, ..ask("x", 1) }, clock.0);
    let id = nobody.entry.to_string();
    assert_eq!(queue.status_of("dev", 0, &id, clock.0), Standing::Unknown);
    assert_eq!(queue.status_of("dev", 1000, "xyz", clock.0), Standing::Malformed);
}

#[test]
fn the_queue_shows_the_oldest_first_and_who_waits() {
    let (queue, clock) = (queue(), Clock::new());
    let tickets: Vec<Ticket> = (0..20)
        .map(|n| wait(&queue, ask(&n.to_string(), n), clock.after(100 - u64::from(n))))
        .collect();
    let shown = queue.queue();
    assert!(shown.windows(2).all(|pair| pair[0].since_ms <= pair[1].since_ms));
    assert_eq!(shown[0].argv, ["19"]);
    assert_eq!(shown[0].expires_ms, shown[0].since_ms + 1_800_000);
    assert!(shown[0].id.starts_with(&shown[0].short));
    drop(tickets);
}

#[test]
fn tickets_outlive_the_queues_other_handles() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    drop(queue);
    assert!(ticket.try_answer().is_none());
}
