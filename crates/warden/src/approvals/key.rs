//! Which process asks.

use serde::{Deserialize, Serialize};

/// A process, told apart from every other that has had or will have its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallerKey {
    /// Its id; `None` is unknown and the same as nobody.
    pub pid: Option<u32>,
    /// When it started, in the kernel's clock ticks since boot; `None` is unknown and the same as nobody.
    pub start: Option<u64>,
}

impl CallerKey {
    pub(super) fn is_same_process(self, other: Self) -> bool {
        self.pid.is_some() && self.start.is_some() && self == other
    }
}
