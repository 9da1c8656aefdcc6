//! The clock that people read is set while something waits or is kept: it decides nothing.

use super::*;

/// The time of day, in milliseconds since the epoch, after somebody has set it.
const SET: [u64; 3] = [0, 1_793_714_592_045 - 31_536_000_000, u64::MAX];

fn set(now: Now, ms: u64) -> Now {
    Now { ms, ..now }
}

#[test]
fn a_request_expires_when_its_time_has_passed_and_not_before() {
    for ms in SET {
        let (queue, clock) = (queue(), Clock::new());
        let _ticket = wait(&queue, ask("ci", 1), clock.0);
        assert_eq!(queue.expire(set(clock.after(1799), ms)).len(), 0);
        assert_eq!(queue.expire(set(clock.after(1801), ms)).len(), 1);
    }
}

#[test]
fn a_grant_ends_when_its_time_has_passed_and_not_before() {
    for (ms, seconds, is_granted) in
        SET.into_iter().flat_map(|ms| [(ms, 1799, true), (ms, 1801, false)])
    {
        let (queue, clock) = (queue(), Clock::new());
        let ticket = wait(&queue, ask("ci", 1), clock.0);
        let entry = ticket.entry;
        ticket.leave();
        answer(&queue, entry, true, set(clock.0, ms)).unwrap();
        let asked = queue.ask(ask("ci", 2), set(clock.after(seconds), ms));
        assert_eq!(matches!(asked, Asked::Granted(_)), is_granted, "{ms} {seconds}");
    }
}
