//! Failures by address: who has too many gets no further look for a while. Whoever has what opens still gets in, so that
//! nobody can lock out others behind the same address; what opens has 256 random bits and is not guessed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures within [`WINDOW`] after which an address is locked out.
pub const TOLERATED: u32 = 10;

/// How long failures count.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered. For a further one the one that failed least lately is forgotten.
const MAX_ADDRESSES: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
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

#[derive(Default)]
pub(super) struct Lockout(Mutex<HashMap<IpAddr, Failures>>);

impl Lockout {
    /// A failure from this address.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) -> Failed {
        let mut all = self.all();
        let key = network(address);
        if all.len() >= MAX_ADDRESSES && !all.contains_key(&key) {
            all.retain(|_, failures| now.saturating_duration_since(failures.last) < WINDOW);
            if all.len() >= MAX_ADDRESSES {
                let oldest = all.iter().min_by_key(|(_, failures)| failures.last);
                if let Some(oldest) = oldest.map(|(key, _)| *key) {
                    all.remove(&oldest);
                }
            }
        }
        let failures = all.entry(key).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) >= WINDOW {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        match failures.count {
            ..TOLERATED => Failed::Counted,
            TOLERATED => Failed::LockedOut,
            _ => Failed::StillOut,
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of an IPv6 address the first half: who has one has the rest of its network as well.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let kept = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(kept.into())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_locked_out_after_so_many_failures_and_let_in_again() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        let address = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        for _ in 1..TOLERATED {
            assert_eq!(lockout.failed(address, start), Failed::Counted);
        }
        assert_eq!(lockout.failed(neighbour, start), Failed::LockedOut, "the same network");
        assert_eq!(lockout.failed(address, start), Failed::StillOut);
        assert_eq!(lockout.failed("10.0.0.1".parse().unwrap(), start), Failed::Counted);
        assert_eq!(lockout.failed(address, start + WINDOW), Failed::Counted);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (lockout, start) = (Lockout::default(), Instant::now());
        for n in 0..3000_u32 {
            lockout.failed(IpAddr::V4(n.into()), start + Duration::from_millis(n.into()));
        }
        assert_eq!(lockout.all().len(), MAX_ADDRESSES);
    }
}
