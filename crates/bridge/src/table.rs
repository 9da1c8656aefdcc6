//! The cards of a bridge and where they are shown: what the messages are to say. What has to be sent follows from it.

use std::collections::{BTreeSet, HashMap};

use clawrden_api::{HistoryEntry, QueueEntry};

use crate::card::{By, Card, Digest, Outcome, Stage};
use crate::floods::Floods;
use crate::kept::{Kept, KeptDigest, Post, Tail};
use crate::routes::Routes;
use crate::store::{Line, Memory};
use crate::told::{Told, signal};
use crate::weights::{Weights, is_too_heavy, weigh};

/// Cards that are remembered. What waits beyond them is counted, and told when there is room.
pub(crate) const MAX_CARDS: usize = 2_000;

/// Digests that are remembered.
const MAX_DIGESTS: usize = 64;

/// How long it is known what came of a request that was answered, in milliseconds.
const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// Requests that a card knows its answer was for.
const MAX_REQUESTS: usize = 32;

/// Requests that a digest shows.
const MAX_SHOWN: usize = 10;

/// What a bridge knows.
#[derive(Debug, Default)]
pub(crate) struct Table {
    memory: Memory,
    /// The card that a request's answer was given by.
    by_request: HashMap<String, String>,
    routes: Routes,
    floods: Floods,
    /// The page of the warden.
    page: Option<String>,
    /// What waits and has no card.
    beyond: usize,
    /// What is to be written.
    dirty: BTreeSet<String>,
    dirty_digests: BTreeSet<u64>,
    dirty_heard: bool,
    /// It is to be written though nothing else is.
    is_heard_due: bool,
    weights: Weights,
}

impl Table {
    pub(crate) fn new(
        memory: Memory,
        routes: Routes,
        floods: Floods,
        page: Option<String>,
    ) -> Self {
        let mut table = Self { memory, routes, floods, page, ..Self::default() };
        for (id, kept) in &mut table.memory.cards {
            post_again(kept);
            let requests = kept.requests.iter().map(|request| (request.clone(), id.clone()));
            table.by_request.extend(requests);
            table.weights.note(id, weigh(kept));
        }
        table.keep_to_bounds();
        table
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What the service would not take before it is told after all.
    pub(crate) fn post_again(&mut self) {
        self.memory.cards.values_mut().for_each(post_again);
    }

    /// Forgets the oldest of what another one left that is more than is kept.
    fn keep_to_bounds(&mut self) {
        let cards = self.memory.cards.iter();
        let mut oldest: Vec<(bool, u64, String)> =
            cards.map(|(id, kept)| (kept.is_open(), kept.changed_ms, id.clone())).collect();
        oldest.sort();
        for (_, _, id) in oldest {
            if self.memory.cards.len() <= MAX_CARDS && !self.weights.is_too_much(0) {
                return;
            }
            self.forget(&id);
        }
    }

    /// Cards that are remembered, and digests.
    pub(crate) fn len(&self) -> usize {
        self.memory.cards.len() + self.memory.digests.len()
    }

    pub(crate) fn card(&self, entry: &str) -> Option<&Card> {
        self.memory.cards.get(entry).map(|kept| &kept.card)
    }

    /// An event was taken up. That is written with what it changed: those that mean nothing may come again.
    pub(crate) fn heard(&mut self, id: &str) {
        self.memory.heard = Some(id.to_owned());
        self.dirty_heard = true;
    }

    /// What changed since it was asked last, to be written.
    pub(crate) fn changes(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let kept = self.memory.cards.get(&id).cloned().map(Box::new);
            if let Some(kept) = &kept {
                self.weights.note(&id, weigh(kept));
            }
            lines.push(Line::Card(id, kept));
        }
        for number in std::mem::take(&mut self.dirty_digests) {
            let kept = self.memory.digests.get(&number).cloned().map(Box::new);
            lines.push(Line::Digest(number, kept));
        }
        let is_due = std::mem::take(&mut self.is_heard_due) || !lines.is_empty();
        if is_due && std::mem::take(&mut self.dirty_heard) {
            lines.extend(self.memory.heard.clone().map(Line::Heard));
        }
        lines
    }

    /// Takes up what the warden told. True: what waits is to be looked at.
    pub(crate) fn told(&mut self, told: Told, now_ms: u64) -> bool {
        let makes_room = matches!(told, Told::Answered { .. } | Told::Expired { .. });
        match told {
            Told::Waiting(entry) => self.waiting(*entry, now_ms),
            Told::Progress { entry, progress } => self.with(&entry, |kept| {
                kept.card.progress = Some(progress);
                kept.change(now_ms);
            }),
            Told::Answered { entry, request, approved, by } => {
                self.is_for(&entry, request);
                self.with(&entry, |kept| {
                    if kept.is_open() {
                        kept.card.stage =
                            if approved { Stage::Approved(by) } else { Stage::Denied(by) };
                        kept.change(now_ms);
                    }
                });
                // Of several callers it may be for one: the others wait on under another id, of which nothing is told.
                if approved {
                    return true;
                }
            }
            Told::Used { entry, request } => self.is_for(&entry, request),
            Told::Expired { entry } => self.close(&entry, Stage::Expired, now_ms),
            Told::Parked { entry } => self.with(&entry, |kept| {
                if kept.card.stage == Stage::Waiting {
                    kept.card.stage = Stage::Parked;
                    kept.change(now_ms);
                }
            }),
            Told::Finished { request, outcome, is_recorded } => {
                if let Some(entry) = self.by_request.get(&request).cloned() {
                    let tail = is_recorded.then_some(request);
                    self.finished(&entry, outcome, tail, now_ms);
                }
            }
            Told::Look | Told::Missed => return true,
            Told::Nothing => {}
        }
        self.beyond > 0 && makes_room
    }

    /// A card's answer is for this request.
    fn is_for(&mut self, entry: &str, request: String) {
        let Some(kept) = self.memory.cards.get_mut(entry) else { return };
        if kept.requests.contains(&request) {
            return;
        }
        kept.requests.push(request.clone());
        let over = kept.requests.len().saturating_sub(MAX_REQUESTS);
        for old in kept.requests.drain(..over) {
            self.by_request.remove(&old);
        }
        self.by_request.insert(request, entry.to_owned());
        self.dirty.insert(entry.to_owned());
    }

    fn finished(&mut self, entry: &str, outcome: Outcome, tail: Option<String>, now_ms: u64) {
        self.with(entry, |kept| {
            // Of an approval for more than one run, the first is told.
            if let Stage::Approved(by) = &kept.card.stage {
                kept.card.stage = Stage::Finished(by.clone(), outcome);
                kept.tail = tail.map_or(Tail::None, Tail::Wanted);
                kept.change(now_ms);
            }
        });
    }

    /// Something waits, or waits again.
    fn waiting(&mut self, entry: QueueEntry, now_ms: u64) {
        let id = entry.id.clone();
        let stage = if entry.callers > 0 { Stage::Waiting } else { Stage::Parked };
        let progress = entry.approvals.as_ref().map(|approvals| approvals.summary.clone());
        if let Some(kept) = self.memory.cards.get(&id) {
            let card = &kept.card;
            let is_same = card.stage == stage && (progress.is_none() || card.progress == progress);
            let is_for_same = entry.request.is_none() || card.entry.request == entry.request;
            if kept.is_open() && !(is_same && is_for_same) {
                self.with(&id, |kept| {
                    if !is_for_same {
                        kept.card.entry.request = entry.request;
                    }
                    if !is_same {
                        (kept.card.stage, kept.card.progress) = (stage, progress);
                        kept.change(now_ms);
                    }
                });
            }
            return;
        }
        let places = self.routes.places(&entry);
        if places.is_empty() {
            return;
        }
        let card = Card { entry, stage, progress, page: self.page.clone() };
        let mut kept = Kept {
            card,
            version: 1,
            requests: vec![],
            posts: vec![],
            tail: Tail::None,
            changed_ms: now_ms,
        };
        let weight = weigh(&kept);
        self.make_room(weight, now_ms);
        let is_full = self.memory.cards.len() >= MAX_CARDS || self.weights.is_too_much(weight);
        if is_full || is_too_heavy(weight) {
            self.beyond += 1;
            places.into_iter().for_each(|place| self.count_beyond(place, now_ms));
            return;
        }
        kept.posts = places.into_iter().map(|place| self.post(place, &id, now_ms)).collect();
        self.memory.cards.insert(id.clone(), kept);
        self.weights.note(&id, weight);
        self.dirty.insert(id);
    }

    /// A message of its own, or a place in the digest.
    fn post(&mut self, place: String, id: &str, now_ms: u64) -> Post {
        let is_flood = self.floods.is_one(&place, now_ms);
        let digests = &mut self.memory.digests;
        let open = digests.iter_mut().find(|(_, digest)| digest.place == place && !digest.closed);
        let number = match open {
            Some((number, digest)) if is_flood && digest.entries.len() < MAX_CARDS => {
                digest.entries.push(id.to_owned());
                digest.grown_ms = now_ms;
                Some(*number)
            }
            // What has no card is still told of there.
            Some((number, digest)) if is_flood || self.beyond == 0 => {
                digest.closed = true;
                self.dirty_digests.insert(*number);
                None
            }
            _ => None,
        };
        if !is_flood {
            return Post::to(place, false);
        }
        if let Some(number) = number {
            self.dirty_digests.insert(number);
        } else {
            self.open_digest(place.clone(), vec![id.to_owned()], now_ms);
        }
        Post::to(place, true)
    }

    fn open_digest(&mut self, place: String, entries: Vec<String>, now_ms: u64) {
        let digests = &mut self.memory.digests;
        let number = digests.keys().next_back().map_or(0, |last| last + 1);
        let (posted, said, closed) = (None, None, false);
        let digest = KeptDigest { place, posted, entries, said, grown_ms: now_ms, closed };
        digests.insert(number, digest);
        self.dirty_digests.insert(number);
        let oldest = digests.iter().find(|(_, digest)| digest.closed).map(|(number, _)| *number);
        if let Some(oldest) = oldest.filter(|_| digests.len() > MAX_DIGESTS) {
            digests.remove(&oldest);
            self.dirty_digests.insert(oldest);
        }
    }

    /// What has no card is told by a digest of its place: how much there is of it.
    fn count_beyond(&mut self, place: String, now_ms: u64) {
        let mut digests = self.memory.digests.values();
        if !digests.any(|digest| digest.place == place && !digest.closed) {
            self.open_digest(place, vec![], now_ms);
        }
    }

    /// Forgets what nobody needs any more, and of what is closed as much as makes room for so many bytes.
    fn make_room(&mut self, bytes: usize, now_ms: u64) {
        let old = |changed_ms: u64| now_ms.saturating_sub(changed_ms) > KEPT_MS;
        let is_full = self.memory.cards.len() >= MAX_CARDS;
        let is_needed = is_full || self.weights.is_too_much(bytes);
        let closed = self.memory.cards.iter().filter(|(_, kept)| !kept.is_open());
        let mut gone: Vec<(u64, String)> = closed
            .filter(|(_, kept)| is_needed || old(kept.changed_ms))
            .map(|(id, kept)| (kept.changed_ms, id.clone()))
            .collect();
        gone.sort();
        for (at, (changed_ms, id)) in gone.into_iter().enumerate() {
            // Of a full table, an eighth: it is not looked through for each that comes.
            let is_of_many = is_full && at < MAX_CARDS / 8;
            if !old(changed_ms) && !is_of_many && !self.weights.is_too_much(bytes) {
                return;
            }
            self.forget(&id);
        }
    }

    fn forget(&mut self, id: &str) {
        self.weights.forget(id);
        if let Some(kept) = self.memory.cards.remove(id) {
            kept.requests.iter().for_each(|request| drop(self.by_request.remove(request)));
            self.dirty.insert(id.to_owned());
        }
    }

    /// The queue as it is. Gives the open cards that are not in it: what came of them is not known.
    pub(crate) fn queue(&mut self, entries: Vec<QueueEntry>, now_ms: u64) -> Vec<String> {
        self.beyond = 0;
        let open = self.memory.cards.iter().filter(|(_, kept)| kept.is_open());
        let mut missing: BTreeSet<String> = open.map(|(id, _)| id.clone()).collect();
        for entry in entries {
            missing.remove(&entry.id);
            self.waiting(entry, now_ms);
        }
        missing.into_iter().collect()
    }

    /// Cards whose end was missed, perhaps: approved, and not ended so far as is known.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let is_one = |kept: &&Kept| {
            matches!(kept.card.stage, Stage::Approved(_)) && !kept.card.entry.only_judged
        };
        let cards = self.memory.cards.iter();
        cards.filter(|(_, kept)| is_one(kept)).map(|(id, _)| id.clone()).collect()
    }

    /// The requests of a card, for which to ask the history; `None` where it is known what came of it.
    pub(crate) fn sought(&self, id: &str) -> Option<Vec<String>> {
        let kept = self.memory.cards.get(id)?;
        let is_open = kept.is_open() || matches!(kept.card.stage, Stage::Approved(_));
        is_open.then(|| {
            let asked = kept.card.entry.request.iter();
            let mut all: Vec<String> = asked.chain(&kept.requests).cloned().collect();
            all.dedup();
            all
        })
    }

    /// Takes up what the history says of a card, as far as more was not heard meanwhile.
    pub(crate) fn looked_up(&mut self, id: &str, found: Option<&HistoryEntry>, now_ms: u64) {
        let Some(found) = found else { return self.close(id, Stage::CallerLeft, now_ms) };
        let by = By {
            who: found.approver.clone().unwrap_or_else(|| "the policy".to_owned()),
            reason: found.answer.clone(),
            at_ms: now_ms,
            ..By::default()
        };
        match found.outcome.as_deref() {
            Some("approved") => {
                let is_over = found.exit_code.is_some()
                    || found.signal.is_some()
                    || found.duration_ms.is_some();
                let (entry, request) = (id.to_owned(), found.id.clone());
                self.told(Told::Answered { entry, request, approved: true, by }, now_ms);
                if is_over {
                    let outcome = Outcome {
                        exit: found.exit_code,
                        signal: found.signal.map(signal),
                        duration_ms: found.duration_ms,
                        error: found.error.clone(),
                    };
                    self.finished(id, outcome, None, now_ms);
                }
            }
            Some("denied") => self.close(id, Stage::Denied(by), now_ms),
            Some("expired") => self.close(id, Stage::Expired, now_ms),
            _ if found.decision.as_deref() == Some("deny") => {
                self.close(id, Stage::Denied(by), now_ms);
            }
            _ => self.close(id, Stage::CallerLeft, now_ms),
        }
    }

    /// It is answered, whatever came of it, unless it was before.
    fn close(&mut self, id: &str, stage: Stage, now_ms: u64) {
        self.with(id, |kept| {
            if kept.is_open() {
                kept.card.stage = stage;
                kept.change(now_ms);
            }
        });
    }

    pub(crate) fn with(&mut self, id: &str, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.memory.cards.get_mut(id) {
            change(kept);
            self.dirty.insert(id.to_owned());
        }
    }

    pub(crate) fn with_digest(&mut self, number: u64, change: impl FnOnce(&mut KeptDigest)) {
        if let Some(digest) = self.memory.digests.get_mut(&number) {
            change(digest);
            self.dirty_digests.insert(number);
        }
    }

    /// What a digest says by now.
    pub(crate) fn digest(&self, digest: &KeptDigest) -> Digest {
        let open = digest.entries.iter().filter_map(|id| {
            let kept = self.memory.cards.get(id).filter(|kept| kept.is_open());
            kept.map(|kept| &kept.card.entry)
        });
        let open: Vec<&QueueEntry> = open.collect();
        let beyond = if digest.closed { 0 } else { self.beyond };
        Digest {
            some: open.iter().take(MAX_SHOWN).map(|&entry| entry.clone()).collect(),
            waiting: open.len() + beyond,
            answered: digest.entries.len() - open.len(),
            page: self.page.clone(),
        }
    }

    /// Closes digests that nothing came into for a while, and forgets those that have said all.
    pub(crate) fn tidy(&mut self, now_ms: u64) {
        let mut gone = Vec::new();
        for (number, digest) in &mut self.memory.digests {
            if !digest.closed && self.beyond == 0 && self.floods.is_over(digest.grown_ms, now_ms) {
                digest.closed = true;
                self.dirty_digests.insert(*number);
            }
            let is_said = digest.said == Some((0, digest.entries.len()));
            let is_old = now_ms.saturating_sub(digest.grown_ms) > KEPT_MS;
            if digest.closed && (is_said || is_old) {
                gone.push(*number);
            }
        }
        for number in gone {
            self.memory.digests.remove(&number);
            self.dirty_digests.insert(number);
        }
        self.make_room(0, now_ms);
        self.is_heard_due = true;
    }
}

/// What a service would not take may be put right by now.
fn post_again(kept: &mut Kept) {
    for post in kept.posts.iter_mut().filter(|post| post.posted.is_none()) {
        post.given_up = false;
    }
}

#[cfg(test)]
mod tests;
