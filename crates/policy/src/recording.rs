//! Recording: what of a command's streams is kept, and how much.

use std::fmt;

/// Bytes of a recording where the policy does not say: 64 MiB.
pub const DEFAULT_RECORD_BYTES: u64 = 64 * 1024 * 1024;

/// What of a command is recorded. Ordered from less to more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recorded {
    /// What it shows.
    Output,
    /// What is typed as well, and how large its window is.
    Session,
}

impl Recorded {
    /// The word used in policy files and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A recording that a policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What is recorded.
    pub what: Recorded,
    /// Bytes of its file; the recording ends there and the command goes on.
    pub bytes: u64,
}

impl Recording {
    /// What satisfies both.
    #[must_use]
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                Some(Self { what: one.what.max(other.what), bytes: one.bytes.max(other.bytes) })
            }
            (found, None) | (None, found) => found,
        }
    }
}

/// What `defaults` says of recordings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usual {
    /// What is recorded where a rule does not say.
    pub(crate) record: Option<Recorded>,
    /// How much.
    pub(crate) bytes: Option<u64>,
}

/// What a rule says of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    /// `Some(None)`: it is not recorded, whatever `defaults` says.
    pub(crate) record: Option<Option<Recorded>>,
    /// How much.
    pub(crate) bytes: Option<u64>,
}

impl Usual {
    /// The recording of a command whose rule says `said`.
    pub(crate) fn with(self, said: Said) -> Option<Recording> {
        let what = said.record.unwrap_or(self.record)?;
        let bytes = said.bytes.or(self.bytes).unwrap_or(DEFAULT_RECORD_BYTES);
        Some(Recording { what, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_satisfies_both_is_the_larger_of_each() {
        let output = Recording { what: Recorded::Output, bytes: 9 };
        let session = Recording { what: Recorded::Session, bytes: 5 };
        let both = Recording { what: Recorded::Session, bytes: 9 };
        assert_eq!(Recording::both(Some(output), Some(session)), Some(both));
        assert_eq!(Recording::both(None, Some(output)), Some(output));
        assert_eq!(Recording::both(None, None), None);
    }
}
