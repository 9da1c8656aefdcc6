//! What is to be sent next, and when: one thing at a time for each place, what waits for a person first. Nothing is queued
//! by itself: what a message says is held against what it is to say, so that it is brought to the newest at once.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::card::{Card, Digest};
use crate::heard::Failure;
use crate::http::MAX_REST;
use crate::kept::{Kept, Post, Tail};
use crate::service::Posted;
use crate::table::Table;

/// A digest is brought to the newest so often at most.
const DIGEST_EVERY: Duration = Duration::from_secs(3);

/// What is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Job {
    Post { entry: String, version: u64, card: Box<Card> },
    Edit { entry: String, version: u64, posted: Posted, card: Box<Card> },
    Reply { entry: String, posted: Posted, text: String },
    Digest { number: u64, said: (usize, usize), before: Option<Posted>, digest: Box<Digest> },
}

/// Names a job over its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key(String, u8, String);

impl Job {
    fn key(&self, place: &str) -> Key {
        let (id, kind) = match self {
            Self::Post { entry, .. } => (entry.clone(), 0),
            Self::Edit { entry, .. } => (entry.clone(), 1),
            Self::Reply { entry, .. } => (entry.clone(), 2),
            Self::Digest { number, .. } => (number.to_string(), 3),
        };
        Key(place.to_owned(), kind, id)
    }
}

/// How a place is.
#[derive(Debug, Default)]
struct Place {
    is_busy: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
    digest_not_before: Option<Instant>,
}

/// The state of sending. It is made anew with the process.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    places: HashMap<String, Place>,
    attempts: HashMap<Key, u32>,
}

/// What can be sent now, what waits, and until when there is nothing to do.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) now: Vec<(String, Job)>,
    pub(crate) waiting: usize,
    pub(crate) wake: Option<Instant>,
}

/// Where a job stands in the order of its place.
type Rank = (u32, u8, u64, String);

impl Outbox {
    /// What is to be sent, of each place that is free the first. The place is busy from then on.
    pub(crate) fn due(&mut self, table: &Table, now: Instant) -> Due {
        let mut due = Due::default();
        let mut first: HashMap<&str, (Rank, Job)> = HashMap::new();
        for (entry, kept) in &table.memory().cards {
            for post in &kept.posts {
                let Some(kind) = kind_of(kept, post) else { continue };
                due.waiting += 1;
                let tried = self.tried(&Key(post.place.clone(), kind, entry.clone()));
                let rank = (tried, kind, kept.card.entry.since_ms, entry.clone());
                if first.get(&post.place[..]).is_none_or(|(other, _)| rank < *other) {
                    first.insert(&post.place, (rank, job(entry, kept, post)));
                }
            }
        }
        for (&number, kept) in &table.memory().digests {
            let digest = table.digest(kept);
            let said = (digest.waiting, digest.answered);
            if kept.said == Some(said) || (kept.posted.is_none() && digest.waiting == 0) {
                continue;
            }
            due.waiting += 1;
            let rest = self.places.get(&kept.place).and_then(|place| place.digest_not_before);
            if let Some(rest) = rest.filter(|rest| *rest > now && kept.posted.is_some()) {
                due.wake = due.wake.into_iter().chain([rest]).min();
                continue;
            }
            let tried = self.tried(&Key(kept.place.clone(), 3, number.to_string()));
            let rank = (tried, 1, kept.grown_ms, number.to_string());
            if first.get(&kept.place[..]).is_none_or(|(other, _)| rank < *other) {
                let (before, digest) = (kept.posted.clone(), Box::new(digest));
                first.insert(&kept.place, (rank, Job::Digest { number, said, before, digest }));
            }
        }
        for (name, (_, job)) in first {
            let place = self.places.entry(name.to_owned()).or_default();
            match place.not_before {
                _ if place.is_busy => {}
                Some(not_before) if not_before > now => {
                    due.wake = due.wake.into_iter().chain([not_before]).min();
                }
                _ => {
                    place.is_busy = true;
                    due.now.push((name.to_owned(), job));
                }
            }
        }
        due
    }

    fn tried(&self, key: &Key) -> u32 {
        self.attempts.get(key).copied().unwrap_or(0)
    }

    /// Takes up what came of a job.
    pub(crate) fn came(
        &mut self,
        place: &str,
        job: &Job,
        came: &Result<Option<Posted>, Failure>,
        now: Instant,
    ) {
        let key = job.key(place);
        let state = self.places.entry(place.to_owned()).or_default();
        state.is_busy = false;
        match came {
            Ok(_) | Err(Failure::Never(_)) => {
                (state.not_before, state.backoff) = (None, Backoff::default());
                self.attempts.remove(&key);
                if matches!(job, Job::Digest { .. }) {
                    state.digest_not_before = Some(now + DIGEST_EVERY);
                }
            }
            Err(Failure::Later(rest)) => state.not_before = Some(now + (*rest).min(MAX_REST)),
            Err(Failure::Now(_)) => {
                state.not_before = Some(now + state.backoff.wait());
                *self.attempts.entry(key).or_default() += 1;
            }
        }
    }

    /// Forgets attempts at what is no more.
    pub(crate) fn tidy(&mut self, table: &Table) {
        let memory = table.memory();
        self.attempts.retain(|Key(_, kind, id), _| {
            *kind == 3
                || memory.cards.get(id).is_some_and(|kept| {
                    kept.posts.iter().any(|post| kind_of(kept, post) == Some(*kind))
                })
        });
    }
}

/// What is to be done about a message, if anything is.
fn kind_of(kept: &Kept, post: &Post) -> Option<u8> {
    if post.folded || post.given_up {
        return None;
    }
    match &post.posted {
        // What was answered before anybody was told needs no message.
        None => kept.is_open().then_some(0),
        Some(_) if post.said < kept.version => Some(1),
        Some(_) => (matches!(kept.tail, Tail::Text(_)) && !post.has_tail).then_some(2),
    }
}

fn job(entry: &str, kept: &Kept, post: &Post) -> Job {
    let (entry, version) = (entry.to_owned(), kept.version);
    let card = || Box::new(kept.card.clone());
    match (&post.posted, &kept.tail) {
        (None, _) => Job::Post { entry, version, card: card() },
        (Some(posted), Tail::Text(text)) if post.said >= version => {
            Job::Reply { entry, posted: posted.clone(), text: text.clone() }
        }
        (Some(posted), _) => Job::Edit { entry, version, posted: posted.clone(), card: card() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floods::{Flood, Floods};
    use crate::routes::Routes;
    use crate::store::Memory;
    use crate::testing::entry;
    use crate::told::Told;

    fn table(requests: &[&str]) -> Table {
        let routes = Routes { routes: vec![], default: vec!["C1".to_owned()] };
        let mut table = Table::new(Memory::default(), routes, Floods::new(Flood::default()), None);
        for id in requests {
            table.told(Told::Waiting(Box::new(entry(id))), 1);
        }
        table
    }

    #[test]
    fn a_rest_is_kept_whole_and_no_longer_than_ten_minutes() {
        let (table, now) = (table(&["a", "b"]), Instant::now());
        for (asked_for, kept) in [(30, 30), (600, 600), (3_600, 600), (u64::MAX, 600)] {
            let mut outbox = Outbox::default();
            let mut due = outbox.due(&table, now);
            let (place, job) = due.now.remove(0);
            assert!(due.now.is_empty() && outbox.due(&table, now).now.is_empty(), "one at a time");
            let rest = Failure::Later(Duration::from_secs(asked_for));
            outbox.came(&place, &job, &Err(rest), now);
            let until = now + Duration::from_secs(kept);
            let before = outbox.due(&table, until - Duration::from_millis(1));
            assert_eq!((before.now, before.waiting, before.wake), (vec![], 2, Some(until)));
            assert_eq!(outbox.due(&table, until).now.len(), 1, "{asked_for}");
        }
    }

    #[test]
    fn what_failed_lets_the_others_of_its_place_go_first() {
        let (table, now) = (table(&["a", "b"]), Instant::now());
        let mut outbox = Outbox::default();
        let (place, first) = outbox.due(&table, now).now.remove(0);
        outbox.came(&place, &first, &Err(Failure::Now("cut".to_owned())), now);
        let soon = outbox.due(&table, now).wake.unwrap();
        assert!(soon > now && soon <= now + Duration::from_secs(1));
        let (_, second) = outbox.due(&table, soon).now.remove(0);
        assert_ne!(first.key("C1"), second.key("C1"));
    }
}
