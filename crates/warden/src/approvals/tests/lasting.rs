//! The queue over restarts of the warden.

use std::path::Path;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn opened(path: &Path, is_there: fn(CallerKey) -> bool, now: Now) -> (Approvals, Vec<Restored>) {
    // Each start has a seed of its own.
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).unwrap();
    let queue = Approvals::open(seed, path.to_owned(), PATIENCE, is_there).unwrap();
    // It is tried from the moment on that it was opened.
    let recovered = queue.take_up(Now { instant: now.instant.max(Instant::now()), ..now }).unwrap();
    assert_eq!(recovered.aside, None);
    (queue, recovered.restored)
}

/// A place for a queue, and what is in it after another start.
pub(super) struct Place(pub(super) tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn start(&self, now: Now) -> (Approvals, Vec<Restored>) {
        self.start_where(|_| true, now)
    }

    pub(super) fn start_where(
        &self,
        is_there: fn(CallerKey) -> bool,
        now: Now,
    ) -> (Approvals, Vec<Restored>) {
        opened(&self.0.path().join("approvals"), is_there, now)
    }
}

/// The warden ends as by `kill -9`: nobody says anything any more.
pub(super) fn crash(queue: Approvals, tickets: impl IntoIterator<Item = Ticket>) {
    for ticket in tickets {
        ticket.stay();
    }
    drop(queue);
}

pub(super) fn known(queue: &Approvals, command: &str, n: u8) -> Option<(Id, Id)> {
    let ask = ask(command, n);
    queue.known(&ask.identity, request(n), ask.key)
}

/// Comes back as request `n`: what is known of it goes on.
fn back(queue: &Approvals, command: &str, n: u8, now: Now) -> Asked {
    let (id, _) = known(queue, command, n).unwrap();
    queue.ask(Ask { id, ..ask(command, n) }, now)
}

pub(super) fn use_up(queue: &Approvals, approval: Approval) {
    queue.lend(approval).spend().unwrap();
}

#[test]
fn everybody_has_the_own_place_again() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, restored) = place.start(clock.0);
    assert_eq!(restored, []);
    let first = wait(&queue, ask("ci", 1), clock.0);
    let second = wait(&queue, ask("ci", 2), clock.0);
    let entry = first.entry;
    let shown = queue.queue();
    crash(queue, [first, second]);

    let (queue, restored) = place.start(clock.0);
    let states: Vec<_> = restored.iter().map(|r| (r.request, r.entry, r.state)).collect();
    assert_eq!(states, [(request(1), entry, "waiting"), (request(2), entry, "waiting")]);
    let now = queue.queue();
    assert_eq!((&now[0].id, now[0].since_ms, now[0].callers), (&shown[0].id, shown[0].since_ms, 2));
    assert_eq!(now[0].argv, shown[0].argv);
    // The later one is back first, and the earlier one is the one who is told.
    let Asked::Wait(mut second) = back(&queue, "ci", 2, clock.after(9)) else { panic!() };
    assert_eq!((second.entry, second.since_ms), (entry, clock.0.ms));
    let answered = answer(&queue, entry, true, clock.after(10)).unwrap();
    assert_eq!(answered.told, [request(1)]);
    assert!(answered.kept_until_ms.is_some(), "it is not there to take it");
    assert!(second.try_answer().is_none());
    let Asked::Granted(approval) = back(&queue, "ci", 1, clock.after(11)) else { panic!() };
    assert!(!approval.kept, "it was given to this one");
    assert!(known(&queue, "ci", 1).is_none(), "once");
    use_up(&queue, approval);
    crash(queue, [second]);
    let (queue, _) = place.start(clock.after(12));
    assert_eq!(queue.queue().len(), 1);
    assert!(known(&queue, "ci", 1).is_none() && known(&queue, "ci", 2).is_some());
}

#[test]
fn only_who_waited_is_awaited_and_nobody_once_all_are_back() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    assert!(!queue.expects_callers());
    let tickets = [("ci", 1), ("ci", 2), ("no", 3), ("yes", 4)]
        .map(|(c, n)| wait(&queue, ask(c, n), clock.0));
    let [_, _, no, yes] = [0, 1, 2, 3].map(|n| tickets[n].entry);
    let is_awaited = |queue: &Approvals, n: u8| queue.is_awaited(request(n), ask("", n).key);
    assert!(!is_awaited(&queue, 1), "it is here");
    crash(queue, tickets);
    let (queue, _) = place.start(clock.0);
    answer(&queue, no, false, clock.0).unwrap();
    answer(&queue, yes, true, clock.0).unwrap();
    assert!([1, 2, 3, 4].iter().all(|&n| is_awaited(&queue, n)));
    assert!(!is_awaited(&queue, 5));
    assert!(!queue.is_awaited(request(1), ask("", 2).key), "another process");
    assert!(!queue.is_awaited(request(1), CallerKey::default()), "one that is not known");
    let mut here = Vec::new();
    for (command, n) in [("ci", 2), ("no", 3), ("yes", 4), ("ci", 1)] {
        assert!(queue.expects_callers() && is_awaited(&queue, n));
        match back(&queue, command, n, clock.0) {
            Asked::Wait(ticket) => here.push(ticket),
            Asked::Granted(approval) => use_up(&queue, approval),
            Asked::Denied(denial) => queue.told(&denial),
            Asked::Full(full) => panic!("{full}"),
            Asked::Nobody(why) => panic!("{why}"),
        }
        assert!(!is_awaited(&queue, n));
    }
    assert!(!queue.expects_callers());
    assert_eq!(queue.lapse(clock.after(61)), []);
    // What is parked waits for nobody.
    drop(here);
    crash(queue, []);
    assert!(!place.start(clock.0).0.expects_callers());
}

#[test]
fn another_process_id_or_command_is_nobody_who_waited() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let ticket = wait(&queue, ask("ci", 1), clock.0);
    let is_known = |queue: &Approvals| {
        let it = ask("ci", 1);
        let other = ask("publish", 1).identity;
        let keys = [
            CallerKey { pid: Some(2), ..it.key },
            CallerKey { start: Some(8), ..it.key },
            CallerKey { pid: None, ..it.key },
            CallerKey { start: None, ..it.key },
        ];
        assert!(keys.iter().all(|&key| queue.known(&it.identity, request(1), key).is_none()));
        assert!(queue.known(&it.identity, request(2), it.key).is_none());
        assert!(queue.known(&other, request(1), it.key).is_none());
        queue.known(&it.identity, request(1), it.key).is_some()
    };
    assert!(is_known(&queue));
    let entry = ticket.entry;
    crash(queue, [ticket]);
    let (queue, _) = place.start(clock.0);
    assert!(is_known(&queue));
    answer(&queue, entry, true, clock.0).unwrap();
    assert!(is_known(&queue), "nor has it the answer");
    crash(queue, []);
    assert!(is_known(&place.start(clock.0).0));
}

#[test]
fn one_who_does_not_come_back_in_time_has_left() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let tickets = [("a", 1), ("b", 2), ("c", 3)].map(|(c, n)| wait(&queue, ask(c, n), clock.0));
    let [a, b, c] = [tickets[0].entry, tickets[1].entry, tickets[2].entry];
    crash(queue, tickets);
    let (queue, _) = place.start(clock.0);
    answer(&queue, b, true, clock.0).unwrap();
    answer(&queue, c, false, clock.0).unwrap();
    assert!(queue.expects_callers());
    assert_eq!(queue.lapse(clock.after(59)), []);
    let mut lapsed = queue.lapse(clock.after(62));
    lapsed.sort_by_key(|lapsed| lapsed.request);
    let expected = [(1, Some(a)), (2, None), (3, None)];
    let expected = expected.map(|(n, parked)| Lapsed { request: request(n), parked });
    assert_eq!(lapsed, expected);
    assert!(!queue.expects_callers());
    assert_eq!(queue.queue()[0].callers, 0);
    // What was said is kept for the next who asks the same, also over one more restart.
    crash(queue, []);
    let (queue, restored) = place.start(clock.after(63));
    let mut states: Vec<_> = restored.iter().map(|r| (r.request, r.state)).collect();
    states.sort_unstable();
    assert_eq!(states, [(request(1), "parked"), (request(2), "approved"), (request(3), "denied")]);
    assert!(known(&queue, "b", 2).is_none());
    let Asked::Granted(approval) = queue.ask(ask("b", 12), clock.after(64)) else { panic!() };
    assert!(approval.kept);
    use_up(&queue, approval);
    assert!(matches!(queue.ask(ask("c", 13), clock.after(64)), Asked::Denied(_)));
    crash(queue, []);
    let (queue, restored) = place.start(clock.after(65));
    assert_eq!(restored.len(), 1, "{restored:?}");
    assert_eq!(queue.queue().len(), 1);
}

#[test]
fn whoever_ended_meanwhile_is_not_waited_for() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let tickets = [("a", 1), ("b", 2)].map(|(c, n)| wait(&queue, ask(c, n), clock.0));
    answer(&queue, tickets[1].entry, true, clock.0).unwrap();
    crash(queue, tickets);
    let (queue, restored) = opened(&place.0.path().join("approvals"), |_| false, clock.0);
    let mut states: Vec<_> = restored.iter().map(|r| (r.request, r.state)).collect();
    states.sort_unstable();
    assert_eq!(states, [(request(1), "parked"), (request(2), "approved")]);
    assert!(matches!(queue.ask(ask("b", 3), clock.0), Asked::Granted(Approval { kept: true, .. })));
    assert!(known(&queue, "a", 1).is_none());
}

#[test]
fn deadlines_pass_while_nobody_serves_and_a_clock_that_steps_back_gives_no_time() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let short = Ask { timeout: Duration::from_millis(300), ..ask("short", 1) };
    let tickets = [wait(&queue, short, clock.0), wait(&queue, ask("long", 2), clock.0)];
    let entry = tickets[0].entry;
    crash(queue, tickets);
    std::thread::sleep(Duration::from_millis(400));
    // By the people's clock it is an hour earlier.
    let now = Now { ms: clock.0.ms - 3_600_000, ..Now::read() };
    let (queue, restored) = place.start(now);
    let late = now.after(Duration::from_secs(2));
    let expired = queue.expire(late);
    assert_eq!(
        expired.iter().map(|e| (e.entry, &e.requests[..])).collect::<Vec<_>>(),
        [(entry, &[request(1)][..])]
    );
    let Asked::Denied(denial) = back(&queue, "short", 1, late) else { panic!() };
    assert!(matches!(denial.why, Refusal::Expired(_)));
    let left =
        restored.iter().find(|r| r.request == request(2)).unwrap().until_ms.unwrap() - now.ms;
    assert!(left <= 1_801_000, "{left}");
}

#[test]
fn an_answer_that_cannot_be_recorded_is_not_given_after_a_restart_either() {
    let (place, clock) = (Place::new(), Clock::new());
    for approve in [true, false] {
        let (queue, _) = place.start(clock.0);
        let tickets = [wait(&queue, ask("ci", 1), clock.0), wait(&queue, ask("ci", 2), clock.0)];
        let id = tickets[0].entry.to_string();
        let refused =
            queue.answer(&id, verdict(approve), clock.0, |_| Err("the disk is full".to_owned()));
        assert!(matches!(refused, Err(AnswerError::NotRecorded(_))));
        crash(queue, tickets);
        let (queue, restored) = place.start(clock.0);
        assert!(restored.iter().all(|r| r.state == "waiting"), "{restored:?}");
        assert_eq!((queue.queue().len(), queue.queue()[0].callers), (1, 2));
        let (first, second) = (back(&queue, "ci", 1, clock.0), back(&queue, "ci", 2, clock.0));
        for asked in [first, second] {
            let Asked::Wait(ticket) = asked else { panic!("{asked:?}") };
            ticket.leave();
        }
        let entry = queue.queue()[0].id.parse().unwrap();
        answer(&queue, entry, false, clock.0).unwrap();
        assert!(matches!(queue.ask(ask("ci", 3), clock.0), Asked::Denied(_)));
    }
}

#[test]
fn what_cannot_be_kept_is_not_asked_and_not_answered() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let path = place.0.path().join("approvals");
    // Another writer in the middle of its work.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(queue.ask(ask("publish", 2), clock.0), Asked::Full(Full::Unkept)));
    assert!(matches!(queue.ask(ask("ci", 2), clock.0), Asked::Full(Full::Unkept)));
    let refused = answer(&queue, ticket.entry, true, clock.0);
    assert!(matches!(refused, Err(AnswerError::NotKept(_))), "{refused:?}");
    assert!(ticket.try_answer().is_none());
    other.execute_batch("ROLLBACK").unwrap();
    answer(&queue, ticket.entry, true, clock.0).unwrap();
    let Some(Answer::Approved(approval)) = ticket.try_answer() else { panic!() };
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(queue.lend(approval).spend().is_err(), "nothing may be started with it");
    other.execute_batch("ROLLBACK").unwrap();
    let Asked::Granted(approval) = queue.ask(ask("ci", 3), clock.0) else { panic!("it went back") };
    // What is overruled is worth nothing, whether or not that can be written yet.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    queue.lend(approval).void();
    let Asked::Full(Full::Unkept) = queue.ask(ask("ci", 3), clock.0) else { panic!("it is gone") };
    other.execute_batch("ROLLBACK").unwrap();
    let ticket = wait(&queue, ask("ci", 3), clock.0);
    crash(queue, [ticket]);
    let (_, restored) = place.start(clock.0);
    let states: Vec<_> = restored.iter().map(|r| r.state).collect();
    assert_eq!(states, ["waiting"], "{restored:?}");
}

/// A person's yes that the ledger does not take, at a time when it cannot be taken back out of the file either. Gives the
/// one who keeps the file from being written.
fn a_yes_that_stays_in_the_file(
    place: &Place,
    queue: &Approvals,
    now: Now,
) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(place.0.path().join("approvals")).unwrap();
    let entry = only_entry(queue).to_string();
    let refused = queue.answer(&entry, verdict(true), now, |_| {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        Err("disk full".to_owned())
    });
    assert_eq!(refused, Err(AnswerError::NotRecorded("disk full".to_owned())));
    other
}

#[test]
fn a_yes_that_could_not_be_taken_back_is_none_once_the_answer_is_no() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let entry = ticket.entry;
    let other = a_yes_that_stays_in_the_file(&place, &queue, clock.0);
    let refused = answer(&queue, entry, false, clock.0);
    assert!(matches!(refused, Err(AnswerError::NotKept(_))), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    answer(&queue, entry, false, clock.0).unwrap();
    let Some(Answer::Denied(denial)) = ticket.try_answer() else { panic!() };
    queue.told(&denial);
    crash(queue, [ticket]);
    let (queue, restored) = place.start(clock.0);
    assert_eq!(restored, []);
    assert!(matches!(queue.ask(ask("ci", 2), clock.0), Asked::Wait(_)));
}

#[test]
fn what_is_owed_to_the_file_comes_before_what_is_written_next_or_when_it_is_due() {
    for is_due in [false, true] {
        let (place, clock) = (Place::new(), Clock::new());
        let (queue, _) = place.start(clock.0);
        let mut tickets = vec![wait(&queue, ask("ci", 1), clock.0)];
        let entry = tickets[0].entry;
        let other = a_yes_that_stays_in_the_file(&place, &queue, clock.0);
        assert_eq!(queue.expire(clock.after(9)), [], "it is tried in vain");
        assert!(queue.next_expiry().is_some_and(|next| next <= clock.after(10).instant));
        other.execute_batch("ROLLBACK").unwrap();
        if is_due {
            assert_eq!(queue.expire(clock.after(10)), []);
        } else {
            tickets.push(wait(&queue, ask("publish", 2), clock.0));
        }
        assert!(queue.next_expiry().is_some_and(|next| next > clock.after(10).instant));
        crash(queue, tickets);
        let (queue, restored) = place.start(clock.0);
        assert!(restored.iter().all(|r| r.state == "waiting"), "{restored:?}");
        assert!(restored.iter().any(|r| r.entry == entry), "{restored:?}");
        assert!(matches!(queue.ask(ask("ci", 3), clock.0), Asked::Wait(_)));
    }
}

#[test]
fn an_approval_that_ran_out_before_its_caller_was_back_lets_nothing_run() {
    for is_noticed in [false, true] {
        let (place, clock) = (Place::new(), Clock::new());
        let (queue, _) = place.start(clock.0);
        let ticket = wait(&queue, Ask { timeout: HALF_AN_HOUR * 4, ..ask("ci", 1) }, clock.0);
        let entry = ticket.entry;
        crash(queue, [ticket]);
        let (queue, _) = place.start(clock.0);
        answer(&queue, entry, true, clock.0).unwrap();
        assert_eq!(queue.grants(clock.after(1799)).len(), 1);
        let late = clock.after(1801);
        if is_noticed {
            assert_eq!(queue.expire(late), []);
            assert!(known(&queue, "ci", 1).is_none());
        }
        let Asked::Wait(ticket) = queue.ask(ask("ci", 1), late) else { panic!("it has run out") };
        assert_ne!(ticket.entry, entry);
        crash(queue, [ticket]);
        let (_, restored) = place.start(late);
        let states: Vec<_> = restored.iter().map(|r| r.state).collect();
        assert_eq!(states, ["waiting"], "{restored:?}");
    }
}

#[test]
fn a_denial_is_kept_once_for_all_who_are_to_hear_it() {
    let (place, clock) = (Place::new(), Clock::new());
    let rows = || {
        let file = rusqlite::Connection::open(place.0.path().join("approvals")).unwrap();
        let count = |kind: store::Kind| {
            let sql = "SELECT count(*) FROM kept WHERE kind = ?1";
            file.query_row(sql, [kind as u8], |row| row.get::<_, u32>(0)).unwrap()
        };
        (count(store::Kind::Untold), count(store::Kind::Caller), count(store::Kind::Denial))
    };
    let (queue, _) = place.start(clock.0);
    let mut tickets: Vec<Ticket> = (1..=4).map(|n| wait(&queue, ask("ci", n), clock.0)).collect();
    answer(&queue, tickets[0].entry, false, clock.0).unwrap();
    assert_eq!(rows(), (1, 4, 0));
    let Some(Answer::Denied(denial)) = tickets[0].try_answer() else { panic!() };
    queue.told(&denial);
    assert_eq!(rows(), (1, 3, 0));
    // One has left without having heard it, for whoever asks the same next.
    drop(tickets.pop());
    assert_eq!(rows(), (1, 2, 1));
    crash(queue, tickets);

    let (queue, restored) = place.start(clock.0);
    let mut denied: Vec<_> = restored.iter().map(|r| (r.request, r.state)).collect();
    denied.sort_unstable();
    assert_eq!(denied, [2, 3, 4].map(|n| (request(n), "denied")));
    assert!(known(&queue, "ci", 1).is_none());
    for n in [2, 3] {
        let Asked::Denied(denial) = back(&queue, "ci", n, clock.0) else { panic!() };
        queue.told(&denial);
    }
    assert_eq!(rows(), (0, 0, 1));
    let Asked::Denied(kept) = queue.ask(ask("ci", 9), clock.0) else { panic!() };
    queue.told(&kept);
    assert_eq!(rows(), (0, 0, 0));
    assert!(matches!(queue.ask(ask("ci", 9), clock.0), Asked::Wait(_)));
}

#[test]
fn a_reboot_leaves_questions_and_denials_and_takes_approvals() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let tickets = ["a", "b", "c"].map(|c| wait(&queue, ask(c, 1), clock.0));
    let [_, b, c] = [tickets[0].entry, tickets[1].entry, tickets[2].entry];
    answer(&queue, b, true, clock.0).unwrap();
    answer(&queue, c, false, clock.0).unwrap();
    crash(queue, tickets);
    let path = place.0.path().join("approvals");
    rusqlite::Connection::open(&path).unwrap().execute("UPDATE boot SET id = 'x'", []).unwrap();
    let (queue, restored) = place.start(clock.0);
    let mut states: Vec<_> = restored.iter().map(|r| r.state).collect();
    states.sort_unstable();
    assert_eq!(states, ["denied", "dropped", "parked"]);
    assert!(matches!(queue.ask(ask("b", 1), clock.0), Asked::Wait(_)));
    assert!(matches!(queue.ask(ask("c", 2), clock.0), Asked::Denied(_)));
    assert!(known(&queue, "a", 1).is_none(), "that process was another kernel's");
}

#[test]
fn ten_thousand_that_wait_are_taken_up_again() {
    let (place, clock) = (Place::new(), Clock::new());
    let (queue, _) = place.start(clock.0);
    let mut tickets = Vec::new();
    for n in 0..10_000u32 {
        let it = ask(&format!("npm run task-{n}"), 1);
        let (id, client) = (Id(u128::from(n).to_be_bytes()), Some(Id(u128::from(n).to_le_bytes())));
        tickets.push(wait(&queue, Ask { id, client, ..it }, clock.0));
    }
    let ids: Vec<Id> = tickets.iter().map(|ticket| ticket.entry).collect();
    crash(queue, tickets);
    let (queue, restored) = place.start(clock.0);
    assert_eq!((queue.len(), restored.len()), (10_000, 10_000));
    assert!(ids.iter().all(|id| queue.state().entries.contains_key(id)));
    assert_eq!(queue.expire(clock.after(3600)).len(), 10_000);
    crash(queue, []);
    let (queue, _) = place.start(clock.after(3600));
    assert!(queue.is_empty());
}
