//! Approvals for more than one run: for whom, for how long, and what ends them.

use super::lasting::{Place, crash, known, use_up};
use super::*;

const HOUR: Scope = Scope::Time(Duration::from_secs(3600));

/// The prisoner whose `clawrden run` is process `n`.
fn prisoner(n: u8) -> Life {
    Life::Prisoner(CallerKey { pid: Some(1000 + u32::from(n)), start: Some(7) })
}

/// The same request as [`ask`], of this prisoner.
fn of(n: u8, it: Ask) -> Ask {
    Ask { life: Some(prisoner(n)), ..it }
}

fn approve(queue: &Approvals, id: Id, scope: Scope, now: Now) -> Result<Answered, AnswerError> {
    queue.answer(&id.to_string(), Verdict { scope, ..verdict(true) }, now, |_| Ok(()))
}

fn granted(queue: &Approvals, ask: Ask, now: Now) -> Approval {
    match queue.ask(ask, now) {
        Asked::Granted(approval) => approval,
        other => panic!("it should be granted: {other:?}"),
    }
}

fn is_asked(queue: &Approvals, ask: Ask, now: Now) -> bool {
    matches!(queue.ask(ask, now), Asked::Wait(_))
}

fn taken(ticket: &mut Ticket) -> Approval {
    match ticket.try_answer() {
        Some(Answer::Approved(approval)) => approval,
        other => panic!("it should be approved: {other:?}"),
    }
}

#[test]
fn a_grant_for_a_time_is_used_as_often_as_wanted_and_never_later() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let answered = approve(&queue, ticket.entry, HOUR, clock.0).unwrap();
    assert_eq!(answered.holds_until_ms, Some(clock.after(3600).ms));
    let first = taken(&mut ticket);
    assert!(!first.kept && first.scope == HOUR);
    use_up(&queue, first);
    for n in 2..5 {
        let approval = granted(&queue, ask("ci", n), clock.after(u64::from(n)));
        assert!(approval.kept && approval.covers(&ask("ci", 1).identity));
        assert_eq!((approval.scope, approval.who.as_str()), (HOUR, "alice"));
        use_up(&queue, approval);
    }
    let shown = &queue.grants(clock.after(9))[0];
    assert_eq!((shown.uses, shown.scope), (4, clawrden_api::GrantScope::Time));
    assert!(shown.last_used_ms.is_some());
    assert!(
        is_asked(&queue, ask("other", 6), clock.after(9)),
        "another command is another question"
    );
    assert!(is_asked(&queue, ask("ci", 7), clock.after(3600)));
    assert_eq!(queue.grants(clock.after(3600)), []);
    let _ = queue.expire(clock.after(3600));
    assert_eq!(queue.grants(clock.0), [], "it is forgotten");
}

#[test]
fn a_grant_for_a_time_ends_also_where_the_machine_slept() {
    let (queue, clock) = (queue(), Clock::new());
    drop(wait(&queue, ask("ci", 1), clock.0));
    approve(&queue, only_entry(&queue), HOUR, clock.0).unwrap();
    // The clock that measures stood still meanwhile.
    let slept = |seconds| Now { ms: clock.after(seconds).ms, ..clock.0 };
    use_up(&queue, granted(&queue, ask("ci", 2), slept(3599)));
    assert_eq!(queue.grants(slept(3600)), []);
    assert!(is_asked(&queue, ask("ci", 3), slept(3600)));
    let _ = queue.expire(slept(3600));
    assert_eq!(queue.grants(clock.0), [], "it is forgotten");
}

#[test]
fn a_grant_that_ends_while_a_request_is_made_ready_starts_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let short = Scope::Time(Duration::from_millis(20));
    approve(&queue, ticket.entry, short, clock.0).unwrap();
    let in_hand = taken(&mut ticket);
    std::thread::sleep(Duration::from_millis(30));
    let (loan, why) = queue.lend(in_hand).spend().unwrap_err();
    assert!(why.contains("ran out"), "{why}");
    drop(loan);
}

#[test]
fn a_session_is_one_prisoners_life_and_nobody_elses() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, of(1, ask("ci", 1)), clock.0);
    approve(&queue, ticket.entry, Scope::Session, clock.0).unwrap();
    use_up(&queue, taken(&mut ticket));
    use_up(&queue, granted(&queue, of(1, ask("ci", 2)), clock.after(1)));
    assert!(is_asked(&queue, of(2, ask("ci", 3)), clock.after(1)), "another prisoner");
    assert!(is_asked(&queue, ask("ci", 4), clock.after(1)), "one of whom nothing is proven");
    let container = Ask { life: Some(Life::Container("c".into())), ..ask("ci", 5) };
    assert!(is_asked(&queue, container, clock.after(1)));
    queue.end_sessions(|_| true);
    use_up(&queue, granted(&queue, of(1, ask("ci", 6)), clock.after(2)));
    queue.end_sessions(|key| key.pid != Some(1001));
    assert_eq!(queue.grants(clock.after(2)), []);
    assert!(is_asked(&queue, of(1, ask("ci", 7)), clock.after(2)));
}

#[test]
fn a_session_of_a_container_ends_with_it_also_where_it_is_started_again() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let inside = |c: &str, n| Ask { life: Some(Life::Container("c".into())), ..ask(c, n) };
    let mut ticket = wait(&queue, inside("ci", 1), clock.0);
    approve(&queue, ticket.entry, Scope::Session, clock.0).unwrap();
    use_up(&queue, taken(&mut ticket));
    queue.end_containers(|id| id == "another");
    use_up(&queue, granted(&queue, inside("ci", 2), clock.0));
    let waiting = wait(&queue, inside("late", 3), clock.0);
    queue.end_containers(|id| id == "c");
    assert_eq!(queue.grants(clock.0), []);
    let entry = waiting.entry;
    let refused = approve(&queue, entry, Scope::Session, clock.0).unwrap_err();
    assert_eq!(refused, AnswerError::NoSession(entry));
    crash(queue, [waiting]);
    let (queue, _) = place.start(clock.0);
    assert!(is_asked(&queue, inside("ci", 4), clock.0));
    let refused = approve(&queue, entry, Scope::Session, clock.0).unwrap_err();
    assert_eq!(refused, AnswerError::NoSession(entry), "also after a restart");
}

#[test]
fn a_prisoner_that_has_ended_has_no_session_to_approve() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, of(1, ask("ci", 1)), clock.0);
    queue.end_sessions(|key| key.pid != Some(1001));
    let refused = approve(&queue, ticket.entry, Scope::Session, clock.0).unwrap_err();
    assert_eq!(refused, AnswerError::NoSession(ticket.entry));
}

#[test]
fn without_a_known_session_there_is_none_to_approve() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let refused = approve(&queue, ticket.entry, Scope::Session, clock.0).unwrap_err();
    assert_eq!(refused, AnswerError::NoSession(ticket.entry));
    assert!(refused.to_string().contains("once"), "{refused}");
    assert!(ticket.try_answer().is_none());
    assert_eq!(queue.grants(clock.0), []);
    approve(&queue, ticket.entry, Scope::Once, clock.0).unwrap();
}

#[test]
fn everybody_whom_it_covers_is_told_and_who_is_of_another_session_waits_on() {
    let (queue, clock) = (queue(), Clock::new());
    let mut tickets =
        [(1, 1), (2, 2), (3, 1)].map(|(n, life)| wait(&queue, of(life, ask("ci", n)), clock.0));
    let entry = tickets[0].entry;
    let answered = approve(&queue, entry, Scope::Session, clock.0).unwrap();
    assert_eq!(answered.told, [request(1), request(3)]);
    assert!(answered.reopened.is_some());
    let [first, other, third] = &mut tickets;
    use_up(&queue, taken(first));
    use_up(&queue, taken(third));
    assert!(other.try_answer().is_none());
    assert_eq!(only_entry(&queue), answered.reopened.unwrap());
    assert_eq!(queue.grants(clock.0)[0].uses, 2);
}

#[test]
fn the_oldest_runs_once_where_the_session_that_was_shown_is_anothers() {
    let (queue, clock) = (queue(), Clock::new());
    let shown = wait(&queue, of(1, ask("ci", 1)), clock.0);
    let mut other = wait(&queue, of(2, ask("ci", 2)), clock.0);
    let entry = shown.entry;
    drop(shown);
    approve(&queue, entry, Scope::Session, clock.0).unwrap();
    let approval = taken(&mut other);
    assert_eq!(approval.scope, Scope::Once);
    use_up(&queue, approval);
    assert!(is_asked(&queue, of(2, ask("ci", 3)), clock.after(1)));
    use_up(&queue, granted(&queue, of(1, ask("ci", 4)), clock.after(1)));
}

#[test]
fn two_who_use_it_at_once_both_run_and_what_is_given_back_takes_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    drop(wait(&queue, ask("ci", 1), clock.0));
    let answered = approve(&queue, only_entry(&queue), HOUR, clock.0).unwrap();
    assert!(answered.told.is_empty() && answered.kept_until_ms.is_some());
    let (a, b) = (granted(&queue, ask("ci", 2), clock.0), granted(&queue, ask("ci", 3), clock.0));
    queue.give_back(a, clock.0);
    use_up(&queue, b);
    drop(queue.lend(granted(&queue, ask("ci", 4), clock.0)));
    let grants = queue.grants(clock.0);
    assert_eq!((grants.len(), grants[0].uses), (1, 1));
}

#[test]
fn what_was_taken_back_starts_nothing_that_had_it_in_hand() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    approve(&queue, entry, HOUR, clock.0).unwrap();
    let in_hand = [taken(&mut ticket), granted(&queue, ask("ci", 2), clock.0)];
    assert_eq!(queue.revoke(&entry.to_string(), |_, _| ()), Ok(Some(entry)));
    for approval in in_hand {
        let (loan, why) = queue.lend(approval).spend().unwrap_err();
        assert!(why.contains("taken back"), "{why}");
        drop(loan);
    }
    assert_eq!(queue.grants(clock.0), []);
    assert!(is_asked(&queue, ask("ci", 3), clock.0));
    assert_eq!(queue.revoke(&entry.to_string(), |_, _| ()), Ok(None), "once");
}

#[test]
fn an_answer_that_comes_again_widens_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    approve(&queue, ticket.entry, Scope::Once, clock.0).unwrap();
    use_up(&queue, taken(&mut ticket));
    let again = approve(&queue, ticket.entry, HOUR, clock.0).unwrap_err();
    assert!(matches!(again, AnswerError::AlreadyAnswered { .. }), "{again}");
    assert!(is_asked(&queue, ask("ci", 2), clock.0));
    let late = wait(&queue, ask("late", 3), clock.0);
    let expired = approve(&queue, late.entry, HOUR, clock.after(1800)).unwrap_err();
    assert!(matches!(expired, AnswerError::AlreadyAnswered { answer: "expired", .. }));
    assert_eq!(queue.grants(clock.0), []);
}

#[test]
fn an_answer_that_is_not_recorded_grants_nothing() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let tickets = [1, 2].map(|n| wait(&queue, ask("ci", n), clock.0));
    let it = Verdict { scope: HOUR, ..verdict(true) };
    let id = tickets[0].entry.to_string();
    assert!(queue.answer(&id, it, clock.0, |_| Err("full".into())).is_err());
    assert_eq!(queue.grants(clock.0), []);
    crash(queue, tickets);
    let (queue, restored) = place.start(clock.0);
    assert!(restored.iter().all(|one| one.state == "waiting") && restored.len() == 2);
    assert_eq!(queue.grants(clock.0), []);
}

#[test]
fn a_grant_outlasts_the_warden_with_its_time_and_its_uses() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let mut tickets =
        [("time", 1), ("session", 2)].map(|(c, n)| wait(&queue, of(1, ask(c, n)), clock.0));
    approve(&queue, tickets[0].entry, HOUR, clock.0).unwrap();
    approve(&queue, tickets[1].entry, Scope::Session, clock.0).unwrap();
    tickets.iter_mut().for_each(|ticket| use_up(&queue, taken(ticket)));
    let before = queue.grants(clock.0);
    crash(queue, []);

    let (queue, restored) = place.start(clock.0);
    assert_eq!(restored.iter().map(|one| one.state).collect::<Vec<_>>(), ["approved"; 2]);
    let after = queue.grants(clock.0);
    for (a, b) in before.iter().zip(&after) {
        assert_eq!(
            (&a.id, a.uses, a.last_used_ms, a.scope),
            (&b.id, b.uses, b.last_used_ms, b.scope)
        );
        assert!(b.until_ms <= a.until_ms, "no clock makes it longer");
    }
    use_up(&queue, granted(&queue, of(1, ask("session", 3)), clock.0));
    assert!(is_asked(&queue, of(2, ask("session", 4)), clock.0));
    let entry = queue.grants(clock.0)[0].id.clone();
    queue.revoke(&entry, |_, _| ()).unwrap();
    crash(queue, []);
    let (queue, _) = place.start(clock.0);
    assert_eq!(queue.grants(clock.0).len(), 1, "what was taken back stays taken back");
}

#[test]
fn a_session_whose_prisoner_ended_while_no_warden_ran_is_over() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let mut ticket = wait(&queue, of(1, ask("ci", 1)), clock.0);
    approve(&queue, ticket.entry, Scope::Session, clock.0).unwrap();
    use_up(&queue, taken(&mut ticket));
    crash(queue, []);
    let (queue, restored) = place.start_where(|key| key.pid != Some(1001), clock.0);
    assert_eq!(restored, []);
    assert_eq!(queue.grants(clock.0), []);
}

#[test]
fn who_was_cut_off_before_it_started_anything_has_its_run_once_and_the_grant_holds() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let tickets = [1, 2].map(|n| wait(&queue, ask("ci", n), clock.0));
    approve(&queue, tickets[0].entry, HOUR, clock.0).unwrap();
    crash(queue, tickets);
    let file = rusqlite::Connection::open(place.0.path().join("approvals")).unwrap();
    let with_details = |kind: store::Kind| {
        let sql = "SELECT count(*), count(CASE WHEN text LIKE '%argv%' THEN 1 END) FROM kept WHERE kind = ?1";
        file.query_row(sql, [kind as u8], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(with_details(store::Kind::Grant), (2, 0), "what is shown is there once for all");
    assert_eq!(with_details(store::Kind::Repeating), (1, 1));
    let (queue, _) = place.start(clock.0);
    for n in [1, 2] {
        let (id, _) = known(&queue, "ci", n).unwrap();
        let approval = granted(&queue, Ask { id, ..ask("ci", n) }, clock.0);
        assert!(!approval.kept, "it was given to this one");
        assert_eq!(approval.details.details().argv, ["ci"]);
        use_up(&queue, approval);
        assert!(known(&queue, "ci", n).is_none(), "once");
    }
    assert_eq!(queue.grants(clock.0)[0].uses, 2);
    crash(queue, []);
    let (queue, _) = place.start(clock.0);
    assert!(known(&queue, "ci", 1).is_none() && known(&queue, "ci", 2).is_none());
    assert_eq!(queue.grants(clock.0)[0].uses, 2);
}

/// The same request as `it`, of which these patterns take the words.
fn taken_by(queue: &Approvals, it: Ask) -> Ask {
    let patterns = queue.patterns(&it.frame.unwrap(), it.life.as_ref(), &[]);
    Ask { by_pattern: patterns.into_iter().map(|(entry, _)| entry).collect(), ..it }
}

/// A request with other words than `like`, and all else as it.
fn with_words(like: &Ask, command: &str, n: u8) -> Ask {
    Ask { frame: like.frame, ..ask(command, n) }
}

#[test]
fn a_pattern_is_for_other_words_of_the_same_frame_and_goes_with_its_grant() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let first = ask("install a", 1);
    let mut ticket = wait(&queue, first.clone(), clock.0);
    let it = Verdict { scope: HOUR, pattern: Some("npm install *".into()), ..verdict(true) };
    queue.answer(&ticket.entry.to_string(), it, clock.0, |_| Ok(())).unwrap();
    use_up(&queue, taken(&mut ticket));
    let other = || with_words(&first, "install b", 2);
    assert!(is_asked(&queue, other(), clock.0), "nobody looked whether it takes it");
    let queue = {
        crash(queue, []);
        place.start(clock.0).0
    };
    use_up(&queue, granted(&queue, taken_by(&queue, with_words(&first, "install c", 3)), clock.0));
    let elsewhere = taken_by(&queue, ask("install d", 4));
    assert!(is_asked(&queue, elsewhere, clock.0), "another folder, say");
    let claimed = Ask { frame: ask("x", 5).frame, ..taken_by(&queue, with_words(&first, "e", 5)) };
    assert!(is_asked(&queue, claimed, clock.0), "the frame is looked at in any case");
    let shown = &queue.grants(clock.0)[0];
    assert_eq!((shown.uses, shown.pattern.as_deref()), (2, Some("npm install *")));
    let late = taken_by(&queue, with_words(&first, "install f", 6));
    assert!(is_asked(&queue, late, clock.after(3600)));
    let in_hand = granted(&queue, taken_by(&queue, with_words(&first, "install g", 7)), clock.0);
    queue.revoke(&shown.id, |_, _| ()).unwrap();
    let (loan, _) = queue.lend(in_hand).spend().unwrap_err();
    drop(loan);
    assert!(queue.patterns(&first.frame.unwrap(), None, &[]).is_empty());
}
