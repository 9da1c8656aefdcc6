//! What cards weigh: the bytes of them as they are written, so that neither memory nor file grows beyond a bound.

use std::collections::HashMap;
use std::io;

use serde::Serialize;

/// Bytes of all cards. What waits beyond them is counted, and told when there is room.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one card. A heavier one takes no other's room.
const MAX_OF_ONE: usize = MAX_BYTES / 16;

/// What each card weighs.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    of: HashMap<String, usize>,
    all: usize,
}

impl Weights {
    /// Bytes of all.
    #[cfg(test)]
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// Whether so much more is too much.
    pub(crate) fn is_too_much(&self, more: usize) -> bool {
        self.all + more > MAX_BYTES
    }

    /// A card weighs so much from here on.
    pub(crate) fn note(&mut self, id: &str, bytes: usize) {
        let before = self.of.insert(id.to_owned(), bytes);
        self.all = self.all - before.unwrap_or(0) + bytes;
    }

    pub(crate) fn forget(&mut self, id: &str) {
        self.all -= self.of.remove(id).unwrap_or(0);
    }
}

/// Whether something is too heavy by itself.
pub(crate) fn is_too_heavy(bytes: usize) -> bool {
    bytes > MAX_OF_ONE
}

/// Bytes of something as it is written.
pub(crate) fn weigh(what: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // It can always be written: its keys are text.
    let _ = serde_json::to_writer(&mut counter, what);
    counter.0
}
