//! History: the records of each request put together again, newest request first.
//!
//! The ledger is read backward, so that a page costs what lies behind it and not the whole. What is held is one page,
//! one block and the parts of requests whose beginning is not reached yet.

use std::borrow::Cow;
use std::collections::HashMap;

use clawrden_api::{Caller, CallerContainer, History, HistoryEntry, HistoryQuery};
use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use super::backward::Backward;
use super::error::LedgerError;
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
        seen.add_to(parts.entry(id).or_default());
    }
    None
}

/// The fields of any record that history shows.
#[derive(Deserialize)]
struct Seen<'a> {
    seq: u64,
    time_ms: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    id: Option<Id>,
    jail: Option<String>,
    caller: Option<record::Caller>,
    argv: Option<Vec<String>>,
    cwd: Option<String>,
    decision: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
    approver: Option<String>,
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
    /// What the first record says stands over anything that later ones might.
    fn begin(self, entry: &mut HistoryEntry) {
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

    /// Later records are read first: what they say stays.
    fn add_to(self, entry: &mut HistoryEntry) {
        let outcome = match &*self.event {
            "approved" | "grant_used" => Some("approved"),
            "denied" => Some("denied"),
            "expired" => Some("expired"),
            "caller_left" => Some("caller_left"),
            _ => None,
        };
        if entry.outcome.is_none() {
            entry.outcome = outcome.map(str::to_owned);
        }
        if matches!(&*self.event, "approved" | "denied" | "grant_used") {
            keep(&mut entry.answer, self.reason.clone().filter(|reason| !reason.is_empty()));
            entry.kept_answer |= self.event == "grant_used";
        }
        entry.started |= self.event == "started";
        entry.timed_out |= self.timed_out;
        keep(&mut entry.decision, self.decision);
        keep(&mut entry.rule, self.rule);
        keep(&mut entry.reason, self.reason.filter(|reason| !reason.is_empty()));
        keep(&mut entry.approver, self.approver);
        keep(&mut entry.executor, self.executor);
        let user = self.run_as.map(|user| match user {
            RunAs::Named(user) | RunAs::Started(record::RunAs { user, .. }) => user,
        });
        keep(&mut entry.run_as, user);
        keep(&mut entry.exit_code, self.exit_code);
        keep(&mut entry.signal, self.signal);
        keep(&mut entry.exit_source, self.exit_source);
        keep(&mut entry.duration_ms, self.duration_ms);
        keep(&mut entry.error, self.error);
    }
}

fn keep<T>(place: &mut Option<T>, older: Option<T>) {
    if place.is_none() {
        *place = older;
    }
}

/// A query, understood.
struct Filter<'a> {
    command: Option<(&'a str, Option<GlobMatcher>)>,
    decision: Option<&'a str>,
    caller: Option<Who<'a>>,
    query: &'a HistoryQuery,
}

enum Who<'a> {
    Uid(u32),
    Pid(u32),
    /// A name, or the start of an id.
    Container(&'a str),
    Prisoner(&'a str),
}

impl<'a> Filter<'a> {
    fn new(query: &'a HistoryQuery) -> Result<Self, LedgerError> {
        let glob = |text: &'a str| (text, Glob::new(text).ok().map(|g| g.compile_matcher()));
        let decision = query.decision.as_deref();
        const DECISIONS: [&str; 7] =
            ["allow", "ask", "deny", "approved", "denied", "expired", "caller_left"];
        if let Some(value) = decision.filter(|d| !DECISIONS.contains(d)) {
            return Err(LedgerError::BadFilter {
                name: "decision",
                value: value.to_owned(),
                expected: "give allow, ask, deny, approved, denied, expired or caller_left",
            });
        }
        let caller = query.caller.as_deref().map(Who::new).transpose()?;
        Ok(Self { command: query.command.as_deref().map(glob), decision, caller, query })
    }

    fn fits(&self, entry: &HistoryEntry) -> bool {
        let query = self.query;
        self.command.as_ref().is_none_or(|(text, glob)| is_command(entry, text, glob.as_ref()))
            && self.decision.is_none_or(|d| {
                entry.decision.as_deref() == Some(d) || entry.outcome.as_deref() == Some(d)
            })
            && self.caller.as_ref().is_none_or(|who| who.is(&entry.caller))
            && query.jail.as_ref().is_none_or(|jail| *jail == entry.jail)
            && query.since_ms.is_none_or(|since| entry.time_ms >= since)
            && query.until_ms.is_none_or(|until| entry.time_ms <= until)
    }
}

impl<'a> Who<'a> {
    fn new(text: &'a str) -> Result<Self, LedgerError> {
        let bad = || LedgerError::BadFilter {
            name: "caller",
            value: text.to_owned(),
            expected: "give a uid, pid:N, container:NAME (or the start of its id) or a prisoner's id",
        };
        if let Some(pid) = text.strip_prefix("pid:") {
            return pid.parse().map(Self::Pid).map_err(|_| bad());
        }
        if let Some(name) = text.strip_prefix("container:").filter(|name| !name.is_empty()) {
            return Ok(Self::Container(name));
        }
        if text.is_empty() || text.starts_with("container:") {
            return Err(bad());
        }
        Ok(text.parse().map_or(Self::Prisoner(text), Self::Uid))
    }

    fn is(&self, caller: &Caller) -> bool {
        match *self {
            Self::Uid(uid) => caller.uid == Some(uid),
            Self::Pid(pid) => caller.pid == Some(pid),
            Self::Container(text) => caller
                .container
                .as_ref()
                .is_some_and(|container| container.name == text || container.id.starts_with(text)),
            Self::Prisoner(prisoner) => caller.prisoner.as_deref() == Some(prisoner),
        }
    }
}

fn is_command(entry: &HistoryEntry, text: &str, glob: Option<&GlobMatcher>) -> bool {
    let tool = entry.argv.first().map_or("", String::as_str);
    let name = tool.rsplit('/').next().unwrap_or(tool);
    glob.is_some_and(|glob| glob.is_match(name)) || entry.argv.join(" ").contains(text)
}
