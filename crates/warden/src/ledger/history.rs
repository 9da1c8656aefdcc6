//! History: the records of each request put together again, newest request first.
//!
//! Here the ledger is read backward, so that a page costs what lies behind it and not the whole. What is held is one
//! page, one block and the parts of requests whose beginning is not reached yet. The index reads forward, with the same
//! understanding of a line, and answers instead of this while it is up to date.

use std::borrow::Cow;
use std::collections::HashMap;

use clawrden_api::{Caller, CallerContainer, History, HistoryEntry, HistoryQuery};
use serde::Deserialize;

use super::backward::Backward;
use super::error::LedgerError;
use super::filter::Filter;
use super::id::Id;
use super::place::Place;
use super::record;
use super::writer::View;

/// Entries of a page when the query says nothing.
pub const DEFAULT_LIMIT: usize = 50;

/// Entries of the longest page; a query for more gets so many.
pub const MAX_LIMIT: usize = 1000;

/// Requests whose end was read and whose beginning was not. Of further ones the end is left out.
pub const MAX_PARTS: usize = 32 * 1024;

/// Digits of a whole id.
const ID_LENGTH: usize = 32;

/// Reads one page.
pub(super) fn search(
    place: &Place,
    view: View,
    query: &HistoryQuery,
) -> Result<History, LedgerError> {
    let filter = Filter::new(query)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut lines = Backward::new(place, view)?;
    let mut parts: HashMap<Id, HistoryEntry> = HashMap::new();
    let mut entries = Vec::new();
    while let Some(whole) = lines.next_line(|line| merge(line, &mut parts))? {
        let Some(entry) = whole else { continue };
        if query.cursor.is_some_and(|cursor| entry.sequence >= cursor) || !filter.fits(&entry) {
            continue;
        }
        if entries.len() == limit {
            // One more than asked for: there is a next page.
            let next = entries.last().map(|e: &HistoryEntry| e.sequence);
            return Ok(History { entries, next });
        }
        entries.push(entry);
        // There is no other of a whole id.
        if query.id.as_ref().is_some_and(|id| id.len() == ID_LENGTH) {
            break;
        }
    }
    Ok(History { entries, next: None })
}

/// Adds a line to the request that it is about. Gives the request when the line is its first.
fn merge(line: &[u8], parts: &mut HashMap<Id, HistoryEntry>) -> Option<HistoryEntry> {
    // What is no record of a request, or damaged, is for `verify` to name.
    let seen: Seen<'_> = serde_json::from_slice(line).ok()?;
    let id = seen.id?;
    if seen.event == "requested" {
        let mut entry = parts.remove(&id).unwrap_or_default();
        entry.id = id.to_string();
        seen.begin(&mut entry);
        return Some(entry);
    }
    if parts.len() < MAX_PARTS || parts.contains_key(&id) {
        seen.add_to(parts.entry(id).or_default(), Read::Backward);
    }
    None
}

/// Which way the ledger is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Newest first: what stands in an entry stays.
    Backward,
    /// Oldest first: what comes takes the place of what stands there.
    Forward,
}

/// The fields of any record that history shows.
#[derive(Deserialize)]
pub(crate) struct Seen<'a> {
    pub(crate) seq: u64,
    time_ms: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    pub(crate) id: Option<Id>,
    jail: Option<String>,
    caller: Option<record::Caller>,
    argv: Option<Vec<String>>,
    cwd: Option<String>,
    decision: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
    approver: Option<String>,
    from: Option<String>,
    executor: Option<String>,
    run_as: Option<RunAs>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    exit_source: Option<String>,
    duration_ms: Option<u64>,
    #[serde(default)]
    timed_out: bool,
    error: Option<String>,
}

/// A user as the decision names it, or as it came to be.
#[derive(Deserialize)]
#[serde(untagged)]
enum RunAs {
    Named(String),
    Started(record::RunAs),
}

impl Seen<'_> {
    /// Whether it is the first record of a request.
    pub(crate) fn begins(&self) -> bool {
        self.event == "requested"
    }

    /// What the first record says stands over anything that later ones might.
    pub(crate) fn begin(self, entry: &mut HistoryEntry) {
        let caller = self.caller.unwrap_or_default();
        entry.sequence = self.seq;
        entry.time_ms = self.time_ms;
        entry.jail = self.jail.unwrap_or_default();
        entry.argv = self.argv.unwrap_or_default();
        entry.cwd = self.cwd;
        let container = caller
            .container
            .map(|record::Container { id, name, image }| CallerContainer { id, name, image });
        entry.caller = Caller {
            uid: caller.uid,
            gid: caller.gid,
            pid: caller.pid,
            prisoner: caller.prisoner,
            container,
        };
    }

    /// Adds what a later record says. What was written last is what holds, whichever way it is read.
    pub(crate) fn add_to(self, entry: &mut HistoryEntry, read: Read) {
        let outcome = match &*self.event {
            "approved" | "grant_used" => Some("approved"),
            "denied" => Some("denied"),
            "expired" => Some("expired"),
            "caller_left" => Some("caller_left"),
            _ => None,
        };
        put(&mut entry.outcome, outcome.map(str::to_owned), read);
        let reason = self.reason.filter(|reason| !reason.is_empty());
        match &*self.event {
            "decided" => put(&mut entry.reason, reason, read),
            // Who, from where and why belong together: whoever said nothing does not say what another did.
            "voted" | "approved" | "denied" | "grant_used" if takes(&entry.approver, read) => {
                entry.approver = self.approver;
                entry.answered_from = self.from;
                entry.answer = reason;
            }
            _ => {}
        }
        entry.kept_answer |= self.event == "grant_used";
        entry.started |= self.event == "started";
        entry.timed_out |= self.timed_out;
        put(&mut entry.decision, self.decision, read);
        put(&mut entry.rule, self.rule, read);
        put(&mut entry.executor, self.executor, read);
        let user = self.run_as.map(|user| match user {
            RunAs::Named(user) | RunAs::Started(record::RunAs { user, .. }) => user,
        });
        put(&mut entry.run_as, user, read);
        put(&mut entry.exit_code, self.exit_code, read);
        put(&mut entry.signal, self.signal, read);
        put(&mut entry.exit_source, self.exit_source, read);
        put(&mut entry.duration_ms, self.duration_ms, read);
        put(&mut entry.error, self.error, read);
    }
}

fn put<T>(place: &mut Option<T>, value: Option<T>, read: Read) {
    if value.is_some() && takes(place, read) {
        *place = value;
    }
}

/// Whether what is read is to stand there.
fn takes<T>(place: &Option<T>, read: Read) -> bool {
    place.is_none() || read == Read::Forward
}
