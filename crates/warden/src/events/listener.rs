//! Reading the ring: each listener at its own place.

use std::sync::atomic::Ordering;
use std::time::Duration;

use clawrden_api::Scope;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::ring::About;
use super::{Events, Standing};

/// What it takes to tell one listener, about, on a machine that is not fast.
const EACH: Duration = Duration::from_micros(50);

/// Bytes of frames after which a listener is given what there is.
pub(super) const BATCH: usize = 64 * 1024;

/// What a listener wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// All of it.
    Whole,
    /// Not what starts and ends without anybody having been asked.
    Asked,
}

/// One who listens, until this is dropped.
pub(crate) struct Listener {
    pub(super) _standing: Standing,
    pub(super) events: Events,
    pub(super) scope: Scope,
    pub(super) wants: Wants,
    pub(super) epoch: u64,
    pub(super) next: u64,
    pub(super) news: watch::Receiver<u64>,
    /// What is to be said first.
    pub(super) greeting: Option<String>,
    /// It was told something, and the others are to be told until then.
    pub(super) rests_until: Option<Instant>,
}

/// What a listener gets next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Whole frames.
    Frames(String),
    /// The last frame; there will be none after it.
    Last(String),
}

/// How long who was told rests where so many listen: what happens meanwhile it hears at once. Else each event would be as many
/// writes as there are listeners, before anybody else is served.
fn rest(listeners: usize) -> Option<Duration> {
    let rest = EACH.saturating_mul(u32::try_from(listeners).unwrap_or(u32::MAX));
    // A timer knows milliseconds.
    (rest >= Duration::from_millis(1)).then_some(rest)
}

impl Listener {
    /// What is next. May be dropped and called again.
    pub(crate) async fn news(&mut self) -> News {
        if let Some(greeting) = self.greeting.take() {
            return News::Frames(greeting);
        }
        if let Some(until) = self.rests_until {
            sleep_until(until).await;
            self.rests_until = None;
        }
        loop {
            if *self.news.borrow_and_update() == u64::MAX {
                return News::Last("event: bye\ndata: {}\n\n".to_owned());
            }
            match self.read() {
                // All of it is for others.
                Some(News::Frames(frames)) if frames.is_empty() => {}
                Some(news) => {
                    self.rests_until =
                        rest(self.events.listeners()).map(|rest| Instant::now() + rest);
                    return news;
                }
                None => {}
            }
            if self.news.changed().await.is_err() {
                return News::Last("event: bye\ndata: {}\n\n".to_owned());
            }
        }
    }

    /// What comes next, if there is anything: so much that nobody has to wait for the copying.
    fn read(&mut self) -> Option<News> {
        let ring = self.events.ring();
        if ring.epoch != self.epoch || self.next < ring.first {
            return Some(News::Last(ring.reset("you read too slowly: read everything anew")));
        }
        if self.next >= ring.end() {
            return None;
        }
        let from = usize::try_from(self.next - ring.first).unwrap_or(usize::MAX);
        let mut frames = String::new();
        for kept in ring.events.range(from..) {
            if frames.len() >= BATCH {
                break;
            }
            self.next += 1;
            let may = match &kept.about {
                About::Everybody => true,
                About::Jail(jail) => self.scope.has_jail(jail),
                About::Unknown => self.scope.jails.is_empty(),
            };
            if may {
                let told = kept.bounded.as_ref().filter(|_| !self.scope.jails.is_empty());
                frames.push_str(told.unwrap_or(&kept.frame));
            }
        }
        Some(News::Frames(frames))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut ring = self.events.ring();
        ring.last_left = Some(std::time::Instant::now());
        if self.wants == Wants::Whole {
            ring.whole_left = ring.last_left;
            self.events.0.whole.fetch_sub(1, Ordering::SeqCst);
        }
        drop(ring);
        self.events.0.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}
