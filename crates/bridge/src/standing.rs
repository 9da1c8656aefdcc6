//! How a bridge is, for `clawrden status` and the metrics. Nothing secret is in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clawrden_api::Trouble;
use tokio::sync::watch;

use crate::heard::Failure;

/// What is known of a bridge. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// What is never said, whatever an error says.
    secrets: Mutex<Vec<String>>,
    /// Why people cannot answer there, as the warden is to know it.
    reach: watch::Sender<Option<Trouble>>,
    again: watch::Sender<()>,
}

/// What of a bridge can fail by itself. What comes first says most of why nothing works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// To be set up.
    Setup,
    /// To be told by the warden what happens.
    Following,
    /// To hear people.
    Hearing,
    /// To be taken by the service, whatever it says.
    Speaking,
    /// One message.
    Message,
    /// To read what waits.
    Queue,
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
    troubles: BTreeMap<Part, (Trouble, String)>,
}

impl State {
    /// Why it is not connected; `None` while it is.
    #[must_use]
    pub fn reason(&self) -> Option<Trouble> {
        if let Some((trouble, _)) = self.troubles.get(&Part::Setup) {
            return Some(*trouble);
        }
        if !self.follows {
            return Some(self.because(Part::Following));
        }
        self.deaf()
    }

    /// Why people cannot answer there.
    fn deaf(&self) -> Option<Trouble> {
        if !self.listens {
            return Some(self.because(Part::Hearing));
        }
        self.troubles.get(&Part::Speaking).map(|(trouble, _)| *trouble)
    }

    fn because(&self, part: Part) -> Trouble {
        self.troubles.get(&part).map_or(Trouble::Starting, |(trouble, _)| *trouble)
    }
}

/// Letters of a secret under which it is not looked for: it would be found everywhere.
const MIN_SECRET: usize = 6;

impl Default for Inner {
    fn default() -> Self {
        let (reach, again) = (watch::Sender::new(Some(Trouble::Starting)), watch::Sender::new(()));
        Self { state: Mutex::default(), secrets: Mutex::default(), reach, again }
    }
}

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
        let mut state = lock(&self.0.state);
        change(&mut state);
        state.error = state.troubles.values().next().map(|(_, error)| error.clone());
        let deaf = state.deaf();
        self.0.reach.send_if_modified(|reach| std::mem::replace(reach, deaf) != deaf);
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

    /// Notes that a part failed, and gives the error as it may be said.
    pub fn failed(&self, part: Part, trouble: Trouble, error: &str) -> String {
        let said = self.said(error);
        self.note(|state| drop(state.troubles.insert(part, (trouble, said.clone()))));
        said
    }

    /// The same of what a service did not do.
    pub fn refused(&self, part: Part, failure: &Failure) -> String {
        self.failed(part, failure.trouble(), &failure.to_string())
    }

    /// Notes that a part goes well again.
    pub fn went_well(&self, part: Part) {
        self.note(|state| drop(state.troubles.remove(&part)));
    }

    /// Why people cannot answer there, now and whenever it changes.
    #[must_use]
    pub fn reach(&self) -> watch::Receiver<Option<Trouble>> {
        self.0.reach.subscribe()
    }

    /// Has what was refused be tried again at once: somebody may have put it right.
    pub fn try_again(&self) {
        self.0.again.send_replace(());
    }

    /// Changes whenever somebody wants it to be tried again.
    #[must_use]
    pub fn wanted_again(&self) -> watch::Receiver<()> {
        self.0.again.subscribe()
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
        standing.failed(Part::Queue, Trouble::Warden, "https://x/botxoxb-12345/get\nfailed");
        let said = standing.state().error.unwrap();
        assert_eq!(said, "https://x/bot[redacted]/get\\nfailed");
    }

    #[test]
    fn what_goes_well_says_nothing_of_what_does_not() {
        let standing = Standing::default();
        let state = || (standing.state().reason(), standing.state().error);
        assert_eq!(state(), (Some(Trouble::Starting), None));
        standing.note(|state| state.follows = true);
        let mut reach = standing.reach();
        standing.refused(Part::Hearing, &Failure::Never("no token".to_owned()));
        assert!(reach.has_changed().unwrap());
        assert_eq!(*reach.borrow_and_update(), Some(Trouble::Refused));
        standing.refused(Part::Message, &Failure::Now("lost".to_owned()));
        standing.went_well(Part::Message);
        assert_eq!(state(), (Some(Trouble::Refused), Some("no token".to_owned())));
        standing.went_well(Part::Hearing);
        standing.note(|state| state.listens = true);
        assert_eq!((state(), *reach.borrow_and_update()), ((None, None), None));
        // One message is no reason: what it is about is asked for.
        standing.refused(Part::Message, &Failure::Now("lost".to_owned()));
        assert_eq!(state(), (None, Some("lost".to_owned())));
        assert!(!reach.has_changed().unwrap());
        standing.refused(Part::Speaking, &Failure::Now("it is away".to_owned()));
        assert_eq!(state(), (Some(Trouble::Unreachable), Some("it is away".to_owned())));
        // That the warden is away is no news to it.
        standing.went_well(Part::Speaking);
        assert_eq!(*reach.borrow_and_update(), None);
        standing.note(|state| state.follows = false);
        standing.failed(Part::Following, Trouble::Warden, "nobody is there");
        assert_eq!(state(), (Some(Trouble::Warden), Some("nobody is there".to_owned())));
        assert!(!reach.has_changed().unwrap());
        standing.failed(Part::Setup, Trouble::Broken, "the secret is open");
        assert_eq!(state(), (Some(Trouble::Broken), Some("the secret is open".to_owned())));
    }
}
