//! What happened lately, counted from the index. The newest requests come first, a few at a time, so that neither the
//! index nor whoever asks waits for long: at a bound it stops and says how far it came.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clawrden_api::{
    HistoryEntry, HistoryQuery, Overview, OverviewAnswers, OverviewDurations, OverviewStep,
    OverviewWaiting, TopDenied, TopTool,
};
use rusqlite::params;

use super::Index;
use super::rows::signed;
use super::store::{IndexError, Store};
use crate::ledger::{Ledger, MAX_LIMIT};

/// Requests that are counted at most.
const MAX_REQUESTS: u64 = 200_000;

/// How long is counted at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Requests that are read at once; in between, others have their turn.
const PAGE: usize = 2000;

/// Characters of a command line that are read.
const MAX_LINE: usize = 4096;

/// Different tools, and different commands, that are told apart.
const MAX_KINDS: usize = 4096;

/// Steps of the time that is looked at.
const STEPS: u64 = 48;

/// Entries of a list.
const TOP: usize = 10;

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// Not before, and until.
    pub times: (u64, u64),
    /// These jails alone; none: all.
    pub jails: &'a [String],
}

/// One request, as far as it counts.
struct Counted {
    sequence: u64,
    time_ms: u64,
    jail: String,
    argv: String,
    decision: Option<String>,
    rule: Option<String>,
    outcome: Option<String>,
    duration_ms: Option<u64>,
}

#[derive(Default)]
struct Counts {
    requests: u64,
    steps: Vec<OverviewStep>,
    answers: OverviewAnswers,
    tools: HashMap<String, TopTool>,
    denied: HashMap<(String, String), TopDenied>,
    durations: Vec<u64>,
}

impl Index {
    /// What happened in this time, but for what waits; `None` where the index is of no use at the moment. Reads files: not
    /// for an async task.
    #[must_use]
    pub fn overview(&self, ledger: &Ledger, stretch: Stretch<'_>) -> Option<Overview> {
        let (from, until) = stretch.times;
        let step_ms = until.saturating_sub(from).div_ceil(STEPS).max(1);
        let step = |n| OverviewStep { time_ms: from + n * step_ms, ..OverviewStep::default() };
        let mut counts = Counts { steps: (0..STEPS).map(step).collect(), ..Counts::default() };
        let deadline = Instant::now() + PATIENCE;
        let (mut before, mut looked, mut reached) = (u64::MAX, 0, until);
        let complete = loop {
            let (page, is_last) =
                self.ask(ledger, |store| store.newest_of(before, &stretch))?.ok()?;
            let Some(oldest) = page.last() else { break true };
            before = oldest.sequence;
            looked += u64::try_from(page.len()).unwrap_or(u64::MAX);
            // Clocks are set back at times: a whole page that is too old is the end.
            let is_past = page.iter().all(|request| request.time_ms < from);
            reached = reached.min(oldest.time_ms);
            for request in page {
                let is_within = request.time_ms >= from && request.time_ms <= until;
                if is_within {
                    counts.take(request, from, step_ms);
                }
            }
            if is_past || is_last {
                break true;
            }
            if looked >= MAX_REQUESTS || Instant::now() >= deadline {
                break false;
            }
        };
        let counted_from_ms = if complete { from } else { reached.max(from) };
        Some(Overview {
            from_ms: from,
            until_ms: until,
            complete,
            counted_from_ms,
            step_ms,
            ..counts.end()
        })
    }
}

impl Store {
    /// The newest requests of these jails before this one, and whether there are no more. What is in other jails is not
    /// looked at: it neither takes time nor counts towards a bound, which would tell how much there is.
    fn newest_of(
        &self,
        before: u64,
        stretch: &Stretch<'_>,
    ) -> Result<(Vec<Counted>, bool), IndexError> {
        if stretch.jails.is_empty() {
            let page = self.newest(before)?;
            let is_last = page.len() < PAGE;
            return Ok((page, is_last));
        }
        let (from, until) = stretch.times;
        let query = HistoryQuery {
            jails: stretch.jails.to_vec(),
            since_ms: Some(from),
            until_ms: Some(until),
            cursor: Some(before),
            limit: Some(MAX_LIMIT),
            ..HistoryQuery::default()
        };
        let found = self.search(&query)?;
        let is_last = found.next.is_none();
        Ok((found.entries.into_iter().map(Counted::of).collect(), is_last))
    }

    /// The newest requests before this one.
    fn newest(&self, before: u64) -> Result<Vec<Counted>, IndexError> {
        let sql = "SELECT seq, time_ms, jail, substr(argv, 1, ?2), decision, rule, outcome, duration_ms FROM requests \
                   WHERE seq < ?1 AND seq >= ?4 ORDER BY seq DESC LIMIT ?3";
        let mut statement = self.db().prepare_cached(sql)?;
        let (most, page) = (i64::try_from(MAX_LINE), i64::try_from(PAGE));
        let values =
            params![signed(before), most.unwrap_or(0), page.unwrap_or(0), signed(self.floor())];
        let found = statement.query_map(values, |row| {
            Ok(Counted {
                sequence: row.get::<_, i64>(0)?.cast_unsigned(),
                time_ms: row.get::<_, i64>(1)?.cast_unsigned(),
                jail: row.get(2)?,
                argv: row.get(3)?,
                decision: row.get(4)?,
                rule: row.get(5)?,
                outcome: row.get(6)?,
                duration_ms: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
            })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

impl Counted {
    fn of(entry: HistoryEntry) -> Self {
        let HistoryEntry {
            sequence,
            time_ms,
            jail,
            argv,
            decision,
            rule,
            outcome,
            duration_ms,
            ..
        } = entry;
        let mut argv = serde_json::to_string(&argv).unwrap_or_default();
        if let Some((end, _)) = argv.char_indices().nth(MAX_LINE) {
            argv.truncate(end);
        }
        Self { sequence, time_ms, jail, argv, decision, rule, outcome, duration_ms }
    }
}

impl Counts {
    fn take(&mut self, request: Counted, from: u64, step_ms: u64) {
        self.requests += 1;
        let at = usize::try_from((request.time_ms - from) / step_ms).unwrap_or(usize::MAX);
        let last = self.steps.len() - 1;
        let step = &mut self.steps[at.min(last)];
        match request.decision.as_deref() {
            Some("allow") => step.allow += 1,
            Some("ask") => step.ask += 1,
            Some("deny") => step.deny += 1,
            _ => {}
        }
        match request.outcome.as_deref() {
            Some("approved") => self.answers.approved += 1,
            Some("denied") => self.answers.denied += 1,
            Some("expired") => self.answers.expired += 1,
            Some("caller_left") => self.answers.caller_left += 1,
            _ => {}
        }
        self.durations.extend(request.duration_ms);
        let is_denied = request.decision.as_deref() == Some("deny")
            || request.outcome.as_deref() == Some("denied");
        let argv = words(&request.argv);
        let name = argv.first().map_or("", String::as_str);
        let tool = name.rsplit('/').next().unwrap_or(name).to_owned();
        if self.tools.len() < MAX_KINDS || self.tools.contains_key(&tool) {
            let entry = self.tools.entry(tool.clone()).or_default();
            entry.tool = tool;
            entry.times += 1;
            entry.denied += u64::from(is_denied);
        }
        if !is_denied {
            return;
        }
        let key = (request.jail, request.argv);
        if let Some(known) = self.denied.get_mut(&key) {
            known.times += 1;
        } else if self.denied.len() < MAX_KINDS {
            let entry = TopDenied { argv, jail: key.0.clone(), rule: request.rule, times: 1 };
            self.denied.insert(key, entry);
        }
    }

    fn end(self) -> Overview {
        let mut top: Vec<TopTool> = self.tools.into_values().collect();
        top.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.tool.cmp(&b.tool)));
        top.truncate(TOP);
        let mut denied: Vec<TopDenied> = self.denied.into_values().collect();
        denied.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.argv.cmp(&b.argv)));
        denied.truncate(TOP);
        let mut durations = self.durations;
        durations.sort_unstable();
        // The shortest one than which so many took no longer.
        let part = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100);
            durations.get(rank.checked_sub(1)?).copied()
        };
        Overview {
            requests: self.requests,
            decisions: self.steps,
            answers: self.answers,
            top,
            denied,
            durations: OverviewDurations {
                count: u64::try_from(durations.len()).unwrap_or(u64::MAX),
                p50_ms: part(50),
                p95_ms: part(95),
            },
            ..Overview::default()
        }
    }
}

/// An argument vector as a row has it. What was cut has its first word alone.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|_| {
        let behind = json.strip_prefix('[').unwrap_or_default();
        let first = serde_json::Deserializer::from_str(behind).into_iter::<String>().next();
        first.into_iter().flatten().chain(["…".to_owned()]).collect()
    })
}

/// What waits, from the moments since when it does.
#[must_use]
pub fn waiting(since: impl Iterator<Item = u64>, now: u64) -> OverviewWaiting {
    let mut told = OverviewWaiting::default();
    for moment in since {
        told.count += 1;
        told.oldest_ms = Some(told.oldest_ms.map_or(moment, |oldest| oldest.min(moment)));
        let place = match now.saturating_sub(moment) / 60_000 {
            0 => 0,
            1..5 => 1,
            5..15 => 2,
            _ => 3,
        };
        told.ages[place] += 1;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_has_its_name_alone() {
        assert_eq!(words(r#"["git","push"]"#), ["git", "push"]);
        assert_eq!(words(r#"["git","pu"#), ["git", "…"]);
        assert_eq!(words(r#"["gi"#), ["…"]);
    }

    #[test]
    fn what_waits_is_told_by_its_age() {
        let minute = 60_000;
        let since = [0, 1, 14, 16, 19, 20].map(|minutes| minutes * minute);
        let told = waiting(since.into_iter(), 20 * minute);
        assert_eq!((told.count, told.oldest_ms, told.ages), (6, Some(0), [1, 2, 1, 2]));
        assert_eq!(waiting(std::iter::empty(), 5), OverviewWaiting::default());
    }
}
