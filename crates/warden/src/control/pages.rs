//! One page of the queue. A cursor names the entry that came last, so that entries which are answered meanwhile shift
//! nothing.

use std::cell::RefCell;

use axum::extract::Query;
use axum::http::Uri;
use clawrden_api::{ErrorCode, QueueQuery};
use serde::ser::{Serialize, SerializeSeq as _, SerializeStruct as _, Serializer};

use super::backend::Entries;
use super::history::{MAX_LIMIT, cause};
use super::reply::Failure;
use crate::approvals::Part;

/// The query of `GET /api/queue`, checked.
pub(super) struct Wanted {
    limit: usize,
    after: Option<(u64, String)>,
}

pub(super) fn wanted(uri: &Uri) -> Result<Wanted, Failure> {
    let bad = |message| Failure::new(ErrorCode::BadRequest, message);
    let Query(query) = Query::<QueueQuery>::try_from_uri(uri)
        .map_err(|rejection| bad(format!("the query is not understood: {}", cause(&rejection))))?;
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

/// A page that is made while it is written: as JSON it is a [`clawrden_api::Queue`].
pub(super) struct Page {
    entries: RefCell<Entries>,
    more: bool,
}

impl Page {
    /// The page with these entries, and with a cursor where `more` come behind them.
    pub(super) fn new(entries: Entries, more: bool) -> Self {
        Self { entries: RefCell::new(entries), more }
    }
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = List { entries: &self.entries, last: RefCell::default() };
        let mut page = serializer.serialize_struct("Queue", 2)?;
        page.serialize_field("entries", &list)?;
        let last = list.last.into_inner().filter(|_| self.more);
        if let Some((since_ms, id)) = last {
            page.serialize_field("next", &format!("{since_ms}-{id}"))?;
        }
        page.end()
    }
}

/// Its entries, and the place of the one that came last.
struct List<'a> {
    entries: &'a RefCell<Entries>,
    last: RefCell<Option<(u64, String)>>,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for entry in &mut **self.entries.borrow_mut() {
            list.serialize_element(&entry)?;
            *self.last.borrow_mut() = Some((entry.since_ms, entry.id));
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use clawrden_api::{Queue, QueueEntry};

    use super::*;

    fn queue(ids: impl IntoIterator<Item = u64>) -> Vec<QueueEntry> {
        let entry = |n: u64| {
            let json = serde_json::json!({
                "id": format!("{n:032x}"), "short": "", "jail": "", "caller": {}, "argv": [], "executor": "",
                "reason": "", "noticed": [], "labels": {}, "since_ms": n / 3, "expires_ms": 0, "callers": 0,
            });
            serde_json::from_value::<QueueEntry>(json).unwrap()
        };
        ids.into_iter().map(entry).collect()
    }

    /// The page of a queue that is oldest first.
    fn of(wanted: &Wanted, queue: Vec<QueueEntry>) -> Queue {
        let place = |entry: &QueueEntry| (entry.since_ms, entry.id.clone());
        let (entries, more) = wanted.part(&|_| true).of(queue, |entry| &entry.jail, place);
        let page = Page::new(Box::new(entries.into_iter()), more);
        serde_json::from_slice(&serde_json::to_vec(&page).unwrap()).unwrap()
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
    fn a_page_is_written_as_a_queue_is() {
        for (limit, next) in [(2, Some("0-00000000000000000000000000000001")), (9, None)] {
            let place = |entry: &QueueEntry| (entry.since_ms, entry.id.clone());
            let wanted = ask(&format!("limit={limit}")).unwrap();
            let (entries, more) =
                wanted.part(&|_| true).of(queue(0..5), |entry| &entry.jail, place);
            let whole = Queue { entries: entries.clone(), next: next.map(str::to_owned) };
            let page = Page::new(Box::new(entries.into_iter()), more);
            assert_eq!(
                serde_json::to_string(&page).unwrap(),
                serde_json::to_string(&whole).unwrap()
            );
        }
    }

    #[test]
    fn without_a_limit_everything_comes_and_nonsense_is_refused() {
        let all = of(&ask("").unwrap(), queue(0..2000));
        assert_eq!((all.entries.len(), all.next), (2000, None));
        for bad in ["limit=0", "limit=1001", "cursor=", "cursor=1-x", "cursor=7", "colour=red"] {
            assert!(ask(bad).is_err(), "{bad}");
        }
    }
}
