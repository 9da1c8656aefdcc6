//! Patterns that a person approves: whether one may be, and what it would have taken of the history.

use std::collections::HashMap;
use std::time::Duration;

use clawrden_api::{
    ErrorBody, ErrorCode, HistoryEntry, HistoryQuery, PatternTaken, PatternTested, QueueEntry,
};
use clawrden_policy::{Action, Past, Pattern};

use super::control::Control;
use super::refused;
use super::scopes;
use crate::control::{Actor, Patterns};
use crate::jails::JailName;

/// Requests of the history that a pattern is held against.
const LIMIT: usize = 5_000;

/// Commands that are listed.
const LISTED: usize = 50;

/// How long it is held against the history.
const PATIENCE: Duration = Duration::from_secs(5);

impl Patterns for Control {
    fn test_pattern(
        &self,
        actor: &Actor,
        id: &str,
        pattern: &str,
    ) -> Result<PatternTested, ErrorBody> {
        let entry = self.within(actor, id)?;
        let mut tested = PatternTested::default();
        let all = match self.patterns(&entry, pattern) {
            Ok(all) => all,
            Err(why) => return Ok(PatternTested { why: Some(why), complete: true, ..tested }),
        };
        tested.why = scopes::may_repeat(&entry).err().map(|error| error.message);
        tested.why = tested.why.or_else(|| objection(&entry, &all));
        let query = HistoryQuery { jail: Some(entry.jail.clone()), ..HistoryQuery::default() };
        let mut found: HashMap<Vec<String>, (usize, usize)> = HashMap::new();
        tested.complete = self.read_back(query, LIMIT, PATIENCE, |entries| {
            tested.looked_at += entries.len();
            let all_like = entries.iter().filter(|past| is_like(&entry, past) && takes(&all, past));
            for past in all_like {
                let count = found.entry(past.argv.clone()).or_default();
                count.0 += 1;
                let was = [past.decision.as_deref(), past.outcome.as_deref()];
                let denied = was.iter().flatten().any(|word| matches!(*word, "deny" | "denied"));
                count.1 += usize::from(denied);
            }
        })?;
        let told = |(argv, (times, denied))| PatternTaken { argv, times, denied };
        tested.commands = found.into_iter().map(told).collect();
        tested.commands.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.argv.cmp(&b.argv)));
        tested.omitted = tested.commands.len().saturating_sub(LISTED);
        tested.commands.truncate(LISTED);
        Ok(tested)
    }
}

impl Control {
    /// Whether a person may approve this pattern for what was shown.
    ///
    /// # Errors
    /// `BadRequest`, with a sentence.
    pub(super) fn may_approve_pattern(
        &self,
        entry: &QueueEntry,
        pattern: &str,
    ) -> Result<(), ErrorBody> {
        let why = match self.patterns(entry, pattern) {
            Ok(all) => objection(entry, &all),
            Err(why) => Some(why),
        };
        why.map_or(Ok(()), |why| Err(refused(ErrorCode::BadRequest, format!("{pattern:?}: {why}"))))
    }

    /// The pattern as the policies of the entry's jail read it.
    fn patterns(&self, entry: &QueueEntry, text: &str) -> Result<Vec<Pattern>, String> {
        let name = JailName::new(&entry.jail).map_err(|error| error.to_string())?;
        let jail = self.0.jails.get(&name).ok_or("its jail is gone; approve the exact command")?;
        jail.policies().all().map(|one| Pattern::new(&one.policy, text)).collect()
    }
}

fn objection(entry: &QueueEntry, all: &[Pattern]) -> Option<String> {
    let shown = Past {
        argv: entry.argv.clone(),
        cwd: entry.cwd.clone(),
        jail: entry.jail.clone(),
        uid: entry.caller.uid,
        gid: entry.caller.gid,
        was: Action::Ask,
        answer: None,
    };
    all.iter().find_map(|pattern| pattern.objection(&shown))
}

/// Whether it was the same but for its words, as far as the history knows.
fn is_like(entry: &QueueEntry, past: &HistoryEntry) -> bool {
    past.jail == entry.jail && past.cwd == entry.cwd && past.caller.uid == entry.caller.uid
}

fn takes(all: &[Pattern], past: &HistoryEntry) -> bool {
    let past = Past {
        argv: past.argv.clone(),
        cwd: past.cwd.clone(),
        jail: past.jail.clone(),
        uid: past.caller.uid,
        gid: past.caller.gid,
        was: Action::Ask,
        answer: None,
    };
    !past.argv.is_empty() && all.iter().all(|pattern| pattern.takes_past(&past))
}
