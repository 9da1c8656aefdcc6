//! One page of the queue. A cursor names the entry that came last, so that entries which are answered meanwhile shift
//! nothing.

use std::convert::Infallible;
use std::iter;

use axum::body::Body;
use axum::http::Uri;
use clawrden_api::{ErrorCode, QueueQuery};
use futures_util::stream;

use super::history::MAX_LIMIT;
use super::reply::{Failure, tag_of};
use super::values::of_query;
use crate::approvals::{Part, Seen};

/// The query of `GET /api/queue`, checked.
pub(super) struct Wanted {
    limit: usize,
    after: Option<(u64, String)>,
}

pub(super) fn wanted(uri: &Uri) -> Result<Wanted, Failure> {
    let bad = |message| Failure::new(ErrorCode::BadRequest, message);
    let query: QueueQuery = of_query(uri)?;
    if let Some(limit) = query.limit.filter(|given| !(1..=MAX_LIMIT).contains(given)) {
        return Err(bad(format!("limit: {limit} is not within 1 and {MAX_LIMIT}")));
    }
    let after = match query.cursor {
        None => None,
        Some(cursor) => {
            Some(position(&cursor).ok_or_else(|| bad(format!("cursor: {cursor:?} is none")))?)
        }
    };
    Ok(Wanted { limit: query.limit.unwrap_or(usize::MAX), after })
}

fn position(cursor: &str) -> Option<(u64, String)> {
    let (since_ms, id) = cursor.split_once('-')?;
    let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    Some((since_ms.parse().ok()?, id.to_owned())).filter(|_| is_id)
}

impl Wanted {
    /// The part of the queue that this page is, of the jails that `has_jail` picks.
    pub(super) fn part<'a>(&self, has_jail: &'a dyn Fn(&str) -> bool) -> Part<'a> {
        Part { has_jail, after: self.after.clone(), limit: self.limit }
    }
}

/// Bytes of a page that are written at once, about: less than what is asked of the kernel anew each time.
const CHUNK: usize = 64 * 1024;

/// A page; as JSON it is a [`clawrden_api::Queue`].
pub(super) struct Page {
    entries: Vec<Seen>,
    next: Option<String>,
}

impl Page {
    /// The page with these entries, and with a cursor where `more` come behind them.
    pub(super) fn new(entries: Vec<Seen>, more: bool) -> Self {
        let last = entries.last().filter(|_| more);
        let next = last.map(|last| format!("{}-{}", last.now.since_ms, last.now.id));
        Self { entries, next }
    }

    /// What tells it from every other page: of an entry, what may change and its id, which says what does not.
    pub(super) fn tag(&self) -> u64 {
        tag_of(&(self.entries.iter().map(|entry| &entry.now).collect::<Vec<_>>(), &self.next))
    }

    /// It is written while it is read: for ten thousand entries the caches have not room enough for all of it.
    pub(super) fn body(self) -> Body {
        let mut chunks = self.chunks();
        let first = chunks.next().unwrap_or_default();
        match chunks.next() {
            // Its length is said.
            None => Body::from(first),
            Some(second) => {
                let all = [first, second].into_iter().chain(chunks);
                Body::from_stream(stream::iter(all.map(Ok::<_, Infallible>)))
            }
        }
    }

    fn chunks(self) -> impl Iterator<Item = Vec<u8>> {
        let Self { entries, next } = self;
        let mut entries = Some(entries.into_iter());
        let mut before: &[u8] = br#"{"entries":["#;
        iter::from_fn(move || {
            let left = entries.as_mut()?;
            let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 4);
            while chunk.len() < CHUNK {
                chunk.extend_from_slice(before);
                let Some(entry) = left.next() else {
                    end(&mut chunk, next.as_deref());
                    entries = None;
                    break;
                };
                entry.write(&mut chunk);
                before = b",";
            }
            Some(chunk)
        })
    }
}

/// The end of a page, behind its entries.
fn end(page: &mut Vec<u8>, next: Option<&str>) {
    if page.last() == Some(&b',') {
        page.pop();
    }
    page.push(b']');
    if let Some(next) = next {
        page.extend_from_slice(format!(r#","next":"{next}""#).as_bytes());
    }
    page.push(b'}');
}

#[cfg(test)]
mod tests {
    use clawrden_api::Queue;

    use super::*;
    use crate::approvals::{Changing, Written};
    use crate::ledger::Id;

    fn queue(ids: impl IntoIterator<Item = u64>) -> Vec<Seen> {
        let entry = |n: u64| Seen {
            details: Written::default(),
            now: Changing {
                id: Id(u128::from(n).to_be_bytes()),
                short: String::new(),
                request: None,
                since_ms: n / 3,
                expires_ms: 0,
                approvals: None,
                callers: 0,
            },
        };
        ids.into_iter().map(entry).collect()
    }

    /// The page of a queue that is oldest first.
    fn of(wanted: &Wanted, queue: Vec<Seen>) -> Queue {
        let place = |entry: &Seen| (entry.now.since_ms, entry.now.id.to_string());
        let (entries, more) = wanted.part(&|_| true).of(queue, |entry| entry.details.jail(), place);
        let page: Vec<u8> = Page::new(entries, more).chunks().flatten().collect();
        serde_json::from_slice(&page).unwrap()
    }

    fn ask(query: &str) -> Result<Wanted, Failure> {
        wanted(&format!("/api/queue?{query}").parse().unwrap())
    }

    #[test]
    fn pages_have_every_entry_once_although_some_go_meanwhile() {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for round in 0.. {
            let page = ask(&format!("limit=4{cursor}")).unwrap();
            // The last one of each page goes before the next is asked for.
            let page = of(&page, queue((0..18).filter(|n| round == 0 || n % 4 != 3)));
            seen.extend(page.entries.iter().map(|e| e.id.clone()));
            let Some(next) = page.next else { break };
            cursor = format!("&cursor={next}");
        }
        seen.dedup();
        assert!(seen.is_sorted());
        assert_eq!(seen.len(), 15, "0 to 17 without 7, 11 and 15: {seen:?}");
    }

    #[test]
    fn a_page_is_known_by_what_it_tells_and_by_what_comes_behind_it() {
        let tag = |change: fn(&mut Vec<Seen>), more| {
            let mut entries = queue(0..3);
            change(&mut entries);
            Page::new(entries, more).tag()
        };
        let first = tag(|_| {}, false);
        assert_eq!(tag(|_| {}, false), first);
        assert_ne!(tag(|_| {}, true), first);
        for change in [
            |entries: &mut Vec<Seen>| entries[1].now.callers += 1,
            |entries: &mut Vec<Seen>| entries[1].now.id = Id([9; 16]),
            |entries: &mut Vec<Seen>| drop(entries.pop()),
        ] {
            assert_ne!(tag(change, false), first);
        }
    }

    #[test]
    fn without_a_limit_everything_comes_and_nonsense_is_refused() {
        let all = of(&ask("").unwrap(), queue(0..2000));
        assert_eq!((all.entries.len(), all.next), (2000, None));
        assert_eq!(of(&ask("").unwrap(), Vec::new()), Queue { entries: Vec::new(), next: None });
        for bad in ["limit=0", "limit=1001", "cursor=", "cursor=1-x", "cursor=7", "colour=red"] {
            assert!(ask(bad).is_err(), "{bad}");
        }
    }
}
