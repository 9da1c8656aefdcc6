//! What is counted of the ledger: records by event, how long writing took, and since when it fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Count, Times};
use crate::ledger::Record;

/// The events, in the order of [`place`]; each as it stands in the ledger.
pub(crate) const EVENTS: [&str; 31] = [
    "warden_started",
    "warden_stopped",
    "policy_loaded",
    "policy_refused",
    "requested",
    "decided",
    "approved",
    "denied",
    "expired",
    "caller_left",
    "parked",
    "restored",
    "reconnected",
    "grant_used",
    "grant_revoked",
    "approval_returned",
    "started",
    "finished",
    "killed",
    "stopped",
    "resumed",
    "jail_created",
    "jail_deleted",
    "prisoner_started",
    "prisoner_ended",
    "control_refused",
    "token_created",
    "access_revoked",
    "session_opened",
    "recovered",
    "failed",
];

/// Counts of one ledger.
#[derive(Debug)]
pub(crate) struct Books {
    written: [Count; EVENTS.len()],
    /// Writes that failed.
    pub(crate) errors: Count,
    /// How long writes took that did not.
    pub(crate) time: Times,
    opened: Instant,
    /// Milliseconds from `opened` to the first of the writes that fail, and 1; 0 while none does.
    failing: AtomicU64,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            written: Default::default(),
            errors: Count::default(),
            time: Times::short(),
            opened: Instant::now(),
            failing: AtomicU64::new(0),
        }
    }
}

impl Books {
    /// These were written, in so much time.
    pub(crate) fn wrote(&self, records: &[Record], took: Duration) {
        for record in records {
            if let Some(count) = self.written.get(place(record)) {
                count.add(1);
            }
        }
        self.time.add(took);
        self.failing.store(0, Ordering::Relaxed);
    }

    /// A write failed.
    pub(crate) fn failed(&self) {
        self.errors.add(1);
        // The first one of a row says since when.
        let since = self.now();
        let _ = self.failing.compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How long nothing could be written; zero while it can.
    pub(crate) fn lag(&self) -> Duration {
        match self.failing.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.now().saturating_sub(since)),
        }
    }

    /// Every event, and how many records of it were written.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EVENTS.iter().copied().zip(self.written.iter().map(Count::get))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// The place of a record's event among [`EVENTS`].
fn place(record: &Record) -> usize {
    match record {
        Record::WardenStarted(_) => 0,
        Record::WardenStopped(_) => 1,
        Record::PolicyLoaded(_) => 2,
        Record::PolicyRefused(_) => 3,
        Record::Requested(_) => 4,
        Record::Decided(_) => 5,
        Record::Approved(_) => 6,
        Record::Denied(_) => 7,
        Record::Expired(_) => 8,
        Record::CallerLeft(_) => 9,
        Record::Parked(_) => 10,
        Record::Restored(_) => 11,
        Record::Reconnected(_) => 12,
        Record::GrantUsed(_) => 13,
        Record::GrantRevoked(_) => 14,
        Record::ApprovalReturned(_) => 15,
        Record::Started(_) => 16,
        Record::Finished(_) => 17,
        Record::Killed(_) => 18,
        Record::Stopped(_) => 19,
        Record::Resumed(_) => 20,
        Record::JailCreated(_) => 21,
        Record::JailDeleted(_) => 22,
        Record::PrisonerStarted(_) => 23,
        Record::PrisonerEnded(_) => 24,
        Record::ControlRefused(_) => 25,
        Record::TokenCreated(_) => 26,
        Record::AccessRevoked(_) => 27,
        Record::SessionOpened(_) => 28,
        Record::Recovered(_) => 29,
        Record::Failed(_) => 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{CallerLeft, Failed, Id, WardenStopped};

    #[test]
    fn the_events_are_those_of_the_ledger() {
        // What the ledger says of an event that it has not.
        let error = serde_json::from_str::<Record>(r#"{"event":"?"}"#).unwrap_err().to_string();
        let named: Vec<&str> = error.split('`').skip(1).step_by(2).skip(1).collect();
        assert_eq!(named, EVENTS, "{error}");
    }

    #[test]
    fn a_record_is_counted_by_its_event() {
        let books = Books::default();
        let id = Id([1; 16]);
        let records = [
            Record::WardenStopped(WardenStopped { reason: String::new() }),
            Record::CallerLeft(CallerLeft { id }),
            Record::Failed(Failed { id, error: String::new() }),
            Record::Failed(Failed { id, error: String::new() }),
        ];
        books.wrote(&records, Duration::from_micros(7));
        let counted: Vec<_> = books.written().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("warden_stopped", 1), ("caller_left", 1), ("failed", 2)]);
        assert_eq!(books.time.count(), 1);
        for record in &records {
            let written = serde_json::to_value(record).unwrap();
            assert_eq!(written["event"], EVENTS[place(record)]);
        }
    }

    #[test]
    fn the_lag_is_that_of_the_first_write_that_failed() {
        let books = Books::default();
        assert_eq!(books.lag(), Duration::ZERO);
        books.failed();
        std::thread::sleep(Duration::from_millis(30));
        books.failed();
        assert!(books.lag() >= Duration::from_millis(25), "{:?}", books.lag());
        assert_eq!(books.errors.get(), 2);
        books.wrote(&[], Duration::ZERO);
        assert_eq!(books.lag(), Duration::ZERO);
    }
}
