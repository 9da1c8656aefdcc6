//! What is counted of the ledger: records by event, how long writing took, and since when it fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Record;
use crate::metrics::{Count, Times};

/// The events, in the order of [`place`]; each as it stands in the ledger.
pub(crate) const EVENTS: [&str; 43] = [
    "opened",
    "sealed",
    "dropped",
    "disk_failed",
    "warden_started",
    "warden_stopped",
    "policy_loaded",
    "policy_refused",
    "requested",
    "decided",
    "voted",
    "escalated",
    "approved",
    "denied",
    "expired",
    "caller_left",
    "parked",
    "restored",
    "reconnected",
    "grant_used",
    "grant_revoked",
    "rule_added",
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
    "people_loaded",
    "people_refused",
    "paired",
    "unpaired",
    "pairing_offered",
];

/// Counts of one ledger.
#[derive(Debug)]
pub(crate) struct Books {
    written: [Count; EVENTS.len()],
    /// Bytes that were written.
    pub(crate) bytes: Count,
    /// Writes that failed.
    pub(crate) errors: Count,
    /// How long writes took that did not.
    pub(crate) time: Times,
    /// How long it took to put on the disk what was written.
    pub(crate) syncs: Times,
    /// Times that the disk did not take it.
    pub(crate) sync_errors: Count,
    /// Records that somebody waited for to be on the disk.
    pub(crate) awaited: Count,
    /// Segments that were closed.
    pub(crate) segments: Count,
    /// Heads that were signed.
    pub(crate) heads: Count,
    opened: Instant,
    /// Milliseconds from `opened` to the first of the writes that fail, and 1; 0 while none does.
    failing: AtomicU64,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            written: std::array::from_fn(|_| Count::default()),
            bytes: Count::default(),
            errors: Count::default(),
            time: Times::short(),
            syncs: Times::short(),
            sync_errors: Count::default(),
            awaited: Count::default(),
            segments: Count::default(),
            heads: Count::default(),
            opened: Instant::now(),
            failing: AtomicU64::new(0),
        }
    }
}

impl Books {
    /// A record of the event at this place was written.
    pub(crate) fn wrote(&self, place: usize) {
        if let Some(count) = self.written.get(place) {
            count.add(1);
        }
    }

    /// A write went well, in so much time.
    pub(crate) fn took(&self, time: Duration) {
        self.time.add(time);
        self.works();
    }

    /// What failed does not fail any more.
    pub(crate) fn works(&self) {
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
pub(crate) fn place(record: &Record) -> usize {
    match record {
        Record::Opened(_) => 0,
        Record::Sealed(_) => 1,
        Record::Dropped(_) => 2,
        Record::DiskFailed(_) => 3,
        Record::WardenStarted(_) => 4,
        Record::WardenStopped(_) => 5,
        Record::PolicyLoaded(_) => 6,
        Record::PolicyRefused(_) => 7,
        Record::Requested(_) => 8,
        Record::Decided(_) => 9,
        Record::Voted(_) => 10,
        Record::Escalated(_) => 11,
        Record::Approved(_) => 12,
        Record::Denied(_) => 13,
        Record::Expired(_) => 14,
        Record::CallerLeft(_) => 15,
        Record::Parked(_) => 16,
        Record::Restored(_) => 17,
        Record::Reconnected(_) => 18,
        Record::GrantUsed(_) => 19,
        Record::GrantRevoked(_) => 20,
        Record::RuleAdded(_) => 21,
        Record::ApprovalReturned(_) => 22,
        Record::Started(_) => 23,
        Record::Finished(_) => 24,
        Record::Killed(_) => 25,
        Record::Stopped(_) => 26,
        Record::Resumed(_) => 27,
        Record::JailCreated(_) => 28,
        Record::JailDeleted(_) => 29,
        Record::PrisonerStarted(_) => 30,
        Record::PrisonerEnded(_) => 31,
        Record::ControlRefused(_) => 32,
        Record::TokenCreated(_) => 33,
        Record::AccessRevoked(_) => 34,
        Record::SessionOpened(_) => 35,
        Record::Recovered(_) => 36,
        Record::Failed(_) => 37,
        Record::PeopleLoaded(_) => 38,
        Record::PeopleRefused(_) => 39,
        Record::Paired(_) => 40,
        Record::Unpaired(_) => 41,
        Record::PairingOffered(_) => 42,
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
        for record in &records {
            books.wrote(place(record));
        }
        books.took(Duration::from_micros(7));
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
        books.took(Duration::ZERO);
        assert_eq!(books.lag(), Duration::ZERO);
    }
}
