//! What came of a card that nobody told of, as the history has it. That something is not in a part of the history does not
//! say that it is not there at all.

use clawrden_api::{History, HistoryEntry, HistoryQuery, QueueEntry};

use crate::kept::Kept;
use crate::warden::{Refusal, Warden};

/// How far the time at which a request was made may lie from the one since which it waits, in milliseconds.
const NEAR_MS: u64 = 10_000;

/// Entries of a page of the history, and pages that are read for one card.
const PAGE: usize = 1_000;
const MAX_PAGES: usize = 5;

/// Bytes of a command from which on the history may have less of it than the queue.
const LONG: usize = 8 * 1024;

/// Characters of a tool's name by which the history is asked.
const MAX_NAME: usize = 64;

/// A card of which it is to be known what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Sought {
    entry: QueueEntry,
    /// Requests that its answer is known to have been for.
    requests: Vec<String>,
}

/// What the history says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    /// This.
    Is(Box<HistoryEntry>),
    /// All of it was read, and there was nothing.
    Nothing,
    /// It may be in what was not read.
    Unknown,
}

impl Sought {
    pub(crate) fn of(kept: &Kept) -> Self {
        Self { entry: kept.card.entry.clone(), requests: kept.requests.clone() }
    }

    /// Asks the history, page by page.
    pub(crate) async fn find<W: Warden>(&self, warden: &W) -> Result<Found, Refusal> {
        let mut query = self.query();
        let (mut best, mut is_near) = (None::<HistoryEntry>, false);
        for _ in 0..MAX_PAGES {
            let History { entries, next } = warden.history(query.clone()).await?;
            is_near |= self.is_long() && entries.iter().any(|of| self.is_like(of));
            let mut all: Vec<HistoryEntry> =
                entries.into_iter().filter(|of| self.is(of)).chain(best.take()).collect();
            // The one that was answered tells more than one that has left.
            all.sort_by_key(|of| (of.outcome.is_some(), of.started));
            best = all.pop();
            match (next, &best) {
                (None, None) => return Ok(if is_near { Found::Unknown } else { Found::Nothing }),
                (Some(next), None) => query.cursor = Some(next),
                (Some(next), Some(_)) if self.requests.is_empty() => query.cursor = Some(next),
                (_, Some(_)) => break,
            }
        }
        Ok(best.map_or(Found::Unknown, |found| Found::Is(Box::new(found))))
    }

    /// The least of the history that must have it.
    fn query(&self) -> HistoryQuery {
        let entry = &self.entry;
        let name = entry.argv.first().map(|name| name.rsplit('/').next().unwrap_or(name));
        let is_plain = |name: &&str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
        };
        // Another request that its answer was for may have come at any time behind it.
        let until_ms = entry.since_ms.saturating_add(NEAR_MS);
        HistoryQuery {
            jail: Some(entry.jail.clone()),
            command: name.filter(is_plain).map(str::to_owned),
            since_ms: Some(entry.since_ms.saturating_sub(NEAR_MS)),
            until_ms: self.requests.is_empty().then_some(until_ms),
            limit: Some(PAGE),
            ..HistoryQuery::default()
        }
    }

    /// Whether an entry of the history is about it.
    fn is(&self, of: &HistoryEntry) -> bool {
        if !self.requests.is_empty() {
            return self.requests.contains(&of.id);
        }
        let entry = &self.entry;
        of.jail == entry.jail
            && of.argv == entry.argv
            && of.cwd == entry.cwd
            && of.time_ms.abs_diff(entry.since_ms) <= NEAR_MS
    }

    /// Whether it may be, as far as can be seen of a long command.
    fn is_like(&self, of: &HistoryEntry) -> bool {
        let entry = &self.entry;
        of.jail == entry.jail && of.cwd == entry.cwd && of.argv.first() == entry.argv.first()
    }

    fn is_long(&self) -> bool {
        self.entry.argv.iter().map(String::len).sum::<usize>() > LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeWarden, kept};

    fn asked(id: &str, time_ms: u64) -> HistoryEntry {
        let entry = kept("a").card.entry;
        HistoryEntry {
            id: id.into(),
            time_ms,
            jail: entry.jail,
            argv: entry.argv,
            ..HistoryEntry::default()
        }
    }

    async fn found(sought: &Sought, history: Vec<HistoryEntry>) -> Found {
        let warden = FakeWarden::default();
        *warden.history.lock().unwrap() = history;
        sought.find(&warden).await.unwrap()
    }

    /// So many others with the same tool, newest first.
    fn others(count: usize, time_ms: u64) -> impl Iterator<Item = HistoryEntry> {
        (0..count).map(move |_| HistoryEntry { argv: vec!["git".into()], ..asked("o", time_ms) })
    }

    #[tokio::test]
    async fn a_request_is_found_however_much_came_behind_it() {
        let mut kept = kept("a");
        kept.card.entry.since_ms = 100_000;
        let history = || others(20_000, 200_000).chain(others(1_500, 100_001));
        let this = HistoryEntry { outcome: Some("denied".into()), ..asked("r", 100_000) };
        let with: Vec<_> = history().chain([this.clone()]).collect();
        assert_eq!(
            found(&Sought::of(&kept), with.clone()).await,
            Found::Is(Box::new(this.clone()))
        );
        assert_eq!(found(&Sought::of(&kept), history().collect()).await, Found::Nothing);
        // Too much came with it: what is behind that is not known.
        let many: Vec<_> = others(6_000, 100_001).chain([this]).collect();
        assert_eq!(found(&Sought::of(&kept), many).await, Found::Unknown);
        // A request that is known may have come at any time.
        kept.requests = vec!["o2".into()];
        let late = HistoryEntry { id: "o2".into(), ..asked("o2", 180_000) };
        let with: Vec<_> = others(1_500, 200_000).chain([late.clone()]).collect();
        assert_eq!(found(&Sought::of(&kept), with).await, Found::Is(Box::new(late)));
    }

    #[tokio::test]
    async fn of_a_long_command_it_is_not_said_that_it_is_not_there() {
        let mut kept = kept("a");
        kept.card.entry.argv.push("x".repeat(LONG));
        let cut = HistoryEntry { argv: kept.card.entry.argv[..2].to_vec(), ..asked("r", 1_000) };
        assert_eq!(found(&Sought::of(&kept), vec![cut]).await, Found::Unknown);
        assert_eq!(found(&Sought::of(&kept), vec![]).await, Found::Nothing);
    }
}
