//! One page of the queue. A cursor names the entry that came last, so that entries which are answered meanwhile shift
//! nothing.

use super::history::{MAX_LIMIT, cause};
use super::reply::Failure;
use crate::approvals::{Changing, Part, Seen};
use axum::extract::Query;
use axum::http::Uri;
use clawrden_api::{ErrorCode, QueueQuery};

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

/// A page as JSON, of these entries: a [`clawrden_api::Queue`], with a cursor where `more` come behind them.
pub(super) fn page(entries: &[Seen], more: bool) -> Vec<u8> {
    let mut page = br#"{"entries":["#.to_vec();
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            page.push(b',');
        }
        entry.write(&mut page);
    }
    page.push(b']');
    if let Some(last) = entries.last().filter(|_| more) {
        let Changing { since_ms, id, .. } = last.now;
        page.extend_from_slice(format!(r#","next":"{since_ms}-{id}""#).as_bytes());
    }
    page.push(b'}');
    page
}

#[cfg(test)]
mod tests {
    use clawrden_api::Queue;

    use super::*;
    use crate::approvals::Written;
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
        serde_json::from_slice(&page(&entries, more)).unwrap()
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
    fn without_a_limit_everything_comes_and_nonsense_is_refused() {
        let all = of(&ask("").unwrap(), queue(0..2000));
        assert_eq!((all.entries.len(), all.next), (2000, None));
        for bad in ["limit=0", "limit=1001", "cursor=", "cursor=1-x", "cursor=7", "colour=red"] {
            assert!(ask(bad).is_err(), "{bad}");
        }
    }
}
