//! How a bridge is, for `clawrden status` and the metrics. Nothing secret is in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is known of a bridge. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// What is never said, whatever an error says.
    secrets: Mutex<Vec<String>>,
}

/// How it is at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The warden tells it what happens.
    pub follows: bool,
    /// The service is listened to.
    pub listens: bool,
    /// What failed last, until the same goes well again.
    pub error: Option<String>,
    /// Messages that are to be posted, edited or replied to.
    pub outbox: usize,
    /// Messages that the service took, since the start.
    pub sent: u64,
    /// Times that it did not, since the start.
    pub failed: u64,
    /// Taps and commands that were heard, since the start.
    pub heard: u64,
    /// Those that the warden did not take.
    pub refused: u64,
}

/// Letters of a secret under which it is not looked for: it would be found everywhere.
const MIN_SECRET: usize = 6;

impl Standing {
    /// One that never says any of these.
    #[must_use]
    pub fn new(secrets: Vec<String>) -> Self {
        let standing = Self::default();
        *lock(&standing.0.secrets) = secrets;
        standing
    }

    /// Never says these from here on, instead of those before.
    pub fn keep_secret(&self, secrets: Vec<String>) {
        *lock(&self.0.secrets) = secrets;
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.0.state).clone()
    }

    /// Notes something.
    pub fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.0.state));
    }

    /// An error as it may be said: without secrets, and on one line.
    #[must_use]
    pub fn said(&self, error: &str) -> String {
        let mut text = error.to_owned();
        let secrets = lock(&self.0.secrets);
        for secret in secrets.iter().filter(|secret| secret.len() >= MIN_SECRET) {
            text = text.replace(&secret[..], "[redacted]");
        }
        let text = clawrden_api::display::text(&text);
        text.chars().take(500).collect()
    }

    /// Notes an error, and gives it as it may be said.
    pub fn failed(&self, error: &str) -> String {
        let said = self.said(error);
        self.note(|state| state.error = Some(said.clone()));
        said
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_without_what_is_secret() {
        let standing = Standing::new(vec!["xoxb-12345".to_owned(), String::new()]);
        standing.failed("https://x/botxoxb-12345/get\nfailed");
        let said = standing.state().error.unwrap();
        assert_eq!(said, "https://x/bot[redacted]/get\\nfailed");
    }
}
