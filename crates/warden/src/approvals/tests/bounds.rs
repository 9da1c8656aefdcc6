//! What happens at each bound.

use super::*;

#[test]
fn a_full_queue_refuses_and_forgets_nobody() {
    let (queue, clock) = (queue(), Clock::new());
    let mut held = Vec::new();
    let in_jail = |jail: &str, n: usize| {
        let mut ask = ask(&format!("{jail} {n}"), 1);
        ask.details.jail = jail.to_owned();
        ask
    };
    for n in 0..share_of(MAX_OPEN) {
        held.push(wait(&queue, in_jail("greedy", n), clock.0));
    }
    let one_more = queue.ask(in_jail("greedy", MAX_OPEN), clock.0);
    assert!(matches!(one_more, Asked::Full(Full::Jail)));
    for n in 0..MAX_OPEN - share_of(MAX_OPEN) {
        held.push(wait(&queue, in_jail("modest", n), clock.0));
    }
    assert!(matches!(queue.ask(in_jail("late", 0), clock.0), Asked::Full(Full::Queue)));
    held.push(wait(&queue, in_jail("greedy", 0), clock.0));
    assert_eq!(queue.len(), MAX_OPEN);
    assert_eq!(queue.expire(clock.after(1800)).len(), MAX_OPEN);
    held.push(wait(&queue, in_jail("greedy", MAX_OPEN), clock.after(1801)));
}

#[test]
fn only_what_nobody_has_seen_opens_an_entry() {
    let (queue, clock) = (queue(), Clock::new());
    let opens = |command: &str| queue.opens(&ask(command, 1).identity, None, ("dev", &[]));
    assert!(opens("a") && opens("b"));
    let ticket = wait(&queue, ask("a", 1), clock.0);
    assert!(!opens("a") && opens("b"), "it waits already");
    let entry = ticket.entry;
    drop(ticket);
    assert!(!opens("a"), "it is parked");
    answer(&queue, entry, true, clock.0).unwrap();
    assert!(!opens("a"), "it has an answer");
    assert!(matches!(queue.ask(ask("a", 2), clock.0), Asked::Granted(_)));
    assert!(opens("a"));
    let held: Vec<Ticket> =
        (0..share_of(MAX_OPEN)).map(|n| wait(&queue, ask(&format!("c {n}"), 1), clock.0)).collect();
    assert!(!opens("a"), "there is no room");
    assert!(queue.opens(&ask("a", 1).identity, None, ("another", &[])));
    drop(held);
}

#[test]
fn long_commands_fill_the_queue_by_their_bytes() {
    let (queue, clock) = (queue(), Clock::new());
    let long = "x".repeat(MAX_HELD_BYTES / 8);
    let big = |n: u8| {
        let mut ask = ask(&n.to_string(), n);
        ask.details.argv.push(long.clone());
        ask
    };
    let held: Vec<Ticket> = (0..5).map(|n| wait(&queue, big(n), clock.0)).collect();
    assert!(matches!(queue.ask(big(5), clock.0), Asked::Full(Full::Jail)));
    answer(&queue, held[0].entry, false, clock.0).unwrap();
    let _room_again = wait(&queue, big(6), clock.0);
}

#[test]
fn an_entry_has_so_many_callers_and_no_more() {
    let (queue, clock) = (queue(), Clock::new());
    let key = CallerKey::default();
    let mut held: Vec<Ticket> = (0..MAX_CALLERS)
        .map(|n| {
            let id = Id((n as u128).to_be_bytes());
            wait(&queue, Ask { key, id, ..ask("ci", 1) }, clock.0)
        })
        .collect();
    assert!(matches!(queue.ask(ask("ci", 200), clock.0), Asked::Full(Full::Callers)));
    held.pop();
    let _room_again = wait(&queue, ask("ci", 201), clock.0);
}

#[test]
fn more_answers_than_can_be_kept_are_not_taken() {
    let (queue, clock) = (queue(), Clock::new());
    let parked = |n: usize| {
        let ticket = wait(&queue, ask(&n.to_string(), 1), clock.0);
        ticket.entry
    };
    for n in 0..MAX_KEPT {
        answer(&queue, parked(n), n % 2 == 0, clock.0).unwrap();
    }
    let one_more = parked(MAX_KEPT);
    assert_eq!(answer(&queue, one_more, true, clock.0), Err(AnswerError::TooManyKept(MAX_KEPT)));
    assert_eq!(answer(&queue, one_more, false, clock.0), Err(AnswerError::TooManyKept(MAX_KEPT)));
    let mut live = wait(&queue, ask("live", 1), clock.0);
    answer(&queue, live.entry, false, clock.0).unwrap();
    assert!(
        person_denied(live.try_answer().as_ref()),
        "to say no to one who is there needs no room"
    );
    assert!(matches!(queue.ask(ask("0", 1), clock.0), Asked::Granted(_)));
    answer(&queue, one_more, true, clock.0).unwrap();
}

#[test]
fn the_oldest_answers_are_forgotten_and_then_unknown() {
    let (queue, clock) = (queue(), Clock::new());
    let mut entries = Vec::new();
    for n in 0..=MAX_REMEMBERED {
        let mut ticket = wait(&queue, ask(&n.to_string(), 1), clock.0);
        answer(&queue, ticket.entry, false, clock.0).unwrap();
        assert!(ticket.try_answer().is_some());
        entries.push(ticket.entry);
    }
    let again = |at: usize| answer(&queue, entries[at], true, clock.0).unwrap_err();
    assert!(matches!(again(0), AnswerError::Unknown(_)));
    assert!(matches!(again(1), AnswerError::AlreadyAnswered { .. }));
}

#[test]
fn watchers_are_bounded_and_those_that_left_make_room() {
    let (queue, clock) = (queue(), Clock::new());
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let id = ticket.entry.to_string();
    let mut watchers: Vec<Watch> =
        (0..MAX_WATCHERS).map(|_| queue.wait("dev", 1000, &id, clock.0).unwrap()).collect();
    let refused = queue.wait("dev", 1000, &id, clock.0).unwrap_err();
    assert_eq!(refused, Standing::TooManyWatchers);
    watchers.pop();
    queue.wait("dev", 1000, &id, clock.0).unwrap();
}

#[test]
fn callers_that_come_and_go_cost_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    let mut first = None;
    for n in 0..10_000u32 {
        let id = Id(u128::from(n).to_be_bytes());
        let ticket = wait(&queue, Ask { id, ..ask("ci", 1) }, clock.0);
        first.get_or_insert(ticket.entry);
    }
    assert_eq!(Some(only_entry(&queue)), first);
    let state = queue.state();
    let asks: usize = state.entries.values().map(|e| e.asks().count()).sum();
    assert_eq!(asks, MAX_GONE);
}
