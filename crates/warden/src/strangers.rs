//! Users other than the warden's own whose processes asked for commands: prisoners live among them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Users that are remembered. Beyond it every user but the warden's own and root counts as one of them.
const MAX_USERS: usize = 4096;

/// The users that were seen.
#[derive(Debug)]
pub(crate) struct Strangers {
    own: u32,
    /// The one who was seen last, so that one user's many commands do not ask for the lock. The own user for none.
    last: AtomicU32,
    seen: Mutex<BTreeSet<u32>>,
}

impl Strangers {
    /// Nobody was seen yet. `own` is the warden's user.
    pub(crate) fn new(own: u32) -> Self {
        Self { own, last: AtomicU32::new(own), seen: Mutex::default() }
    }

    /// A process of this user asked for a command.
    pub(crate) fn saw(&self, uid: Option<u32>) {
        let Some(uid) = uid.filter(|&uid| uid != self.own && uid != 0) else { return };
        if self.last.load(Ordering::Relaxed) == uid {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() <= MAX_USERS {
            seen.insert(uid);
        }
        self.last.store(uid, Ordering::Relaxed);
    }

    /// Whether this user's processes asked for commands.
    pub(crate) fn has(&self, uid: u32) -> bool {
        if uid == self.own || uid == 0 {
            return false;
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() > MAX_USERS || seen.contains(&uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_remembered_and_the_own_user_never_is() {
        let strangers = Strangers::new(1000);
        for uid in [Some(1000), Some(0), Some(1001), None] {
            strangers.saw(uid);
        }
        assert!(strangers.has(1001) && !strangers.has(1000) && !strangers.has(0));
        assert!(!strangers.has(1002));
        for uid in 2000..2001 + 4096 {
            strangers.saw(Some(uid));
        }
        assert!(strangers.has(1002), "too many to tell");
    }
}
