//! Failures by user or address: who has too many gets no further look for a while. Whoever has what opens still gets in,
//! so that nobody can lock out others behind the same address; what opens has 256 random bits and is not guessed.
//! Records of refusals are bounded over all addresses: who is not known must not fill the ledger.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures within [`WINDOW`] after which a user or an address is locked out.
pub const TOLERATED: u32 = 10;

/// How long failures count.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Users and addresses that are remembered. For a further one the one whose failures began first is forgotten.
const MAX_ADDRESSES: usize = 1024;

/// Refusals that are recorded within [`WINDOW`], whoever they are of. Beyond it they are counted.
const MAX_RECORDS: u32 = 100;

/// Whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A user of this machine, by whichever of its addresses.
    User(u32),
    /// A network.
    Network(IpAddr),
}

impl Key {
    /// Of a connection from `address`, by `uid` where it is known.
    pub(super) fn of(address: IpAddr, uid: Option<u32>) -> Self {
        uid.map_or_else(|| Self::Network(network(address)), Self::User)
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    first: Instant,
}

impl Failures {
    fn none(now: Instant) -> Self {
        Self { count: 0, first: now }
    }

    /// Counts one more, from the beginning where the last count is old. Gives how many there were before that are over.
    fn count(&mut self, now: Instant) -> u32 {
        let is_over = now.saturating_duration_since(self.first) >= WINDOW;
        let before = if is_over { std::mem::replace(self, Self::none(now)).count } else { 0 };
        self.count = self.count.saturating_add(1);
        before
    }
}

/// What a failure comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// It is one more, to be recorded.
    Counted,
    /// It is the one too many, to be recorded as that.
    LockedOut,
    /// The address is locked out already: nothing is recorded of it.
    StillOut,
}

/// Whether a refusal is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// It is, after so many that were not.
    After(u32),
    /// It is, as the last for now.
    Last,
    /// It is not.
    Not,
}

#[derive(Default)]
pub(super) struct Lockout {
    by: Mutex<HashMap<Key, Failures>>,
    records: Mutex<Option<Failures>>,
}

impl Lockout {
    /// What the record of one more refusal says behind its reason; `None` where there is no room for a record.
    pub(super) fn note(&self, now: Instant) -> Option<String> {
        Some(match self.recorded(now) {
            Recorded::Not => return None,
            Recorded::After(0) => String::new(),
            Recorded::After(missed) => format!("; {missed} refusals before it were not recorded"),
            Recorded::Last => {
                "; so many were refused within a minute that further ones are only counted"
                    .to_owned()
            }
        })
    }

    /// Whether there is room for one more record of a refusal.
    fn recorded(&self, now: Instant) -> Recorded {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let records = records.get_or_insert_with(|| Failures::none(now));
        let before = records.count(now);
        match records.count {
            ..MAX_RECORDS => Recorded::After(before.saturating_sub(MAX_RECORDS)),
            MAX_RECORDS => Recorded::Last,
            _ => Recorded::Not,
        }
    }

    /// One more failure.
    pub(super) fn failed(&self, key: Key, now: Instant) -> Failed {
        let mut all = self.all();
        if all.len() >= MAX_ADDRESSES && !all.contains_key(&key) {
            all.retain(|_, failures| now.saturating_duration_since(failures.first) < WINDOW);
            if all.len() >= MAX_ADDRESSES {
                let oldest = all.iter().min_by_key(|(_, failures)| failures.first);
                if let Some(oldest) = oldest.map(|(key, _)| *key) {
                    all.remove(&oldest);
                }
            }
        }
        let failures = all.entry(key).or_insert_with(|| Failures::none(now));
        failures.count(now);
        match failures.count {
            ..TOLERATED => Failed::Counted,
            TOLERATED => Failed::LockedOut,
            _ => Failed::StillOut,
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of an IPv6 address the first half: who has one has the rest of its network as well. Every address of the loopback
/// network is one: who is on this machine may take any of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let kept = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(kept.into())
        }
        IpAddr::V4(v4) if v4.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_locked_out_after_so_many_failures_and_let_in_again() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        let of = |address: &str| Key::of(address.parse().unwrap(), None);
        let (address, neighbour) = (of("2001:db8::1"), of("2001:db8::2"));
        for _ in 1..TOLERATED {
            assert_eq!(lockout.failed(address, start), Failed::Counted);
        }
        assert_eq!(lockout.failed(neighbour, start), Failed::LockedOut, "the same network");
        assert_eq!(lockout.failed(address, start), Failed::StillOut);
        assert_eq!(lockout.failed(of("10.0.0.1"), start), Failed::Counted);
        assert_eq!(lockout.failed(address, start + WINDOW), Failed::Counted);
    }

    #[test]
    fn who_goes_on_failing_is_recorded_again_each_minute() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        let mut counted = [0; 3];
        for second in 0..180 {
            let now = start + second * Duration::from_secs(1);
            let failed = lockout.failed(Key::of([127, 0, 0, 1].into(), None), now);
            let minute = usize::try_from(second / 60).unwrap();
            counted[minute] += u32::from(failed != Failed::StillOut);
        }
        assert_eq!(counted, [TOLERATED; 3]);
    }

    #[test]
    fn all_of_the_loopback_network_is_one_and_a_user_is_counted_alone() {
        let key = |last, uid| Key::of([127, 0, 0, last].into(), uid);
        assert_eq!(key(1, None), key(9, None));
        assert_eq!(key(1, Some(7)), key(9, Some(7)));
        assert_ne!(key(1, Some(7)), key(1, Some(8)));
    }

    #[test]
    fn records_of_refusals_are_bounded_and_what_is_left_out_is_counted() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        for _ in 1..MAX_RECORDS {
            assert_eq!(lockout.recorded(start), Recorded::After(0));
        }
        assert_eq!(lockout.recorded(start), Recorded::Last);
        for _ in 0..7 {
            assert_eq!(lockout.recorded(start), Recorded::Not);
        }
        assert_eq!(lockout.recorded(start + WINDOW), Recorded::After(7));
        assert_eq!(lockout.recorded(start + WINDOW), Recorded::After(0));
    }

    #[test]
    fn the_last_record_of_a_minute_and_the_next_one_say_what_is_left_out() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        for _ in 1..MAX_RECORDS {
            assert_eq!(lockout.note(start).as_deref(), Some(""));
        }
        assert!(lockout.note(start).unwrap().contains("only counted"));
        assert_eq!((lockout.note(start), lockout.note(start)), (None, None));
        let next = lockout.note(start + WINDOW).unwrap();
        assert!(next.contains("2 refusals before it were not recorded"), "{next}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        for n in 0..3000_u32 {
            lockout.failed(
                Key::Network(IpAddr::V4(n.into())),
                start + Duration::from_millis(n.into()),
            );
        }
        assert_eq!(lockout.all().len(), MAX_ADDRESSES);
    }
}
