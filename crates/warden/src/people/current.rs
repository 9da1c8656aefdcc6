//! The people of the moment: their file may change, and users of chats may become theirs. Whoever asks gets those that hold
//! then, whole.

use std::sync::{Arc, PoisonError, RwLock};

use super::People;

/// The people of the moment. Looking waits for no disk.
#[derive(Debug, Default)]
pub struct Current(RwLock<Arc<People>>);

impl Current {
    /// Begins with these.
    #[must_use]
    pub fn new(people: Arc<People>) -> Self {
        Self(RwLock::new(people))
    }

    /// Those that hold.
    #[must_use]
    pub fn now(&self) -> Arc<People> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// These hold from here on.
    pub(crate) fn put(&self, people: Arc<People>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = people;
    }
}
