//! What people are told of running commands, and stopping one of them.

use clawrden_api::{
    ErrorBody, ErrorCode, HistoryQuery, RecordingFacts, RunningEntry, RunningList, StopReport,
    StopRequest, display,
};
use tokio::runtime::Handle;

use super::control::Control;
use super::refused;
use crate::control::Source;
use crate::control::{Actor, Backend as _, Commands};
use crate::ledger::{self, Id, Record, Recorded};
use crate::process::tree::Snapshot;
use crate::process::usage::usage;
use crate::recording::{Found, Missing};
use crate::running::Unstoppable;

impl Commands for Control {
    fn running(&self) -> Result<RunningList, ErrorBody> {
        let mut list = self.0.running.list();
        for entry in list.entries.iter_mut().filter(|entry| entry.argv.is_empty()) {
            self.recall(entry);
        }
        Ok(list)
    }

    fn count_running(&self, in_jail: &dyn Fn(&str) -> bool) -> usize {
        self.0.running.count_in(in_jail)
    }

    fn stop(&self, actor: &Actor, id: &str, request: StopRequest) -> Result<StopReport, ErrorBody> {
        let warden = &self.0;
        let by = actor.who.clone();
        let reason = request.reason.filter(|reason| !reason.is_empty());
        let mut why = format!("stopped by {by}");
        if let Some(reason) = &reason {
            why = format!("{why}: {}", display::text(reason));
        }
        let (found, trees) = warden.running.find(id).map_err(|error| {
            let code = match error {
                Unstoppable::Unknown(_) => ErrorCode::NotFound,
                Unstoppable::Ended(_) => ErrorCode::Conflict,
                Unstoppable::Ambiguous { .. } => ErrorCode::Ambiguous,
            };
            refused(code, error.to_string())
        })?;
        let seen = Snapshot::take().ok();
        let used = trees.iter().filter_map(|tree| usage(seen.as_ref()?, tree));
        let processes = used.map(|used| used.processes).sum();
        warden.record(&[Record::Killed(ledger::Killed {
            id: Some(Id(found)),
            prisoner: None,
            by,
            reason,
            processes,
            containers: 0,
        })]);
        warden.running.stop(found, &why);
        let patience = warden.config.grace + super::LAST_WORDS;
        let ended = Handle::current().block_on(warden.running.ended(found, patience));
        Ok(StopReport { id: Id(found).to_string(), ended })
    }

    fn recording(&self, id: &str) -> Result<Source, ErrorBody> {
        let warden = &self.0;
        let found = warden.recordings.find(id).map_err(|error| {
            let code = match error {
                Missing::Unknown(_) => ErrorCode::NotFound,
                Missing::Ambiguous(..) => ErrorCode::Ambiguous,
                Missing::Io(_) => ErrorCode::Internal,
            };
            refused(code, error.to_string())
        })?;
        let Found { id, file, progress } = found;
        let live = progress.is_some();
        // What goes on has no end yet.
        let end = if live { Ok(None) } else { warden.ledger.recorded(id) };
        let end = end.map_err(|error| refused(ErrorCode::Internal, error.to_string()))?;
        let facts = RecordingFacts { id: id.to_string(), live, ..facts(end) };
        Ok(Source { facts, file, progress })
    }
}

impl Control {
    /// What the ledger says of a command that an earlier warden started.
    fn recall(&self, entry: &mut RunningEntry) {
        let query =
            HistoryQuery { id: Some(entry.id.clone()), limit: Some(1), ..HistoryQuery::default() };
        let Some(found) = self.history(query).ok().and_then(|page| page.entries.into_iter().next())
        else {
            return;
        };
        (entry.argv, entry.caller, entry.rule) = (found.argv, found.caller, found.rule);
    }
}

/// What the ledger says of a recording's end.
fn facts(end: Option<Recorded>) -> RecordingFacts {
    let Some(Recorded { sha256, bytes, error }) = end else { return RecordingFacts::default() };
    // One that could not be closed in time has no end that is known.
    let (sha256, bytes) = match sha256.is_empty() {
        true => (None, None),
        false => (Some(sha256), Some(bytes)),
    };
    RecordingFacts { sha256, bytes, error, ..RecordingFacts::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_that_was_not_closed_has_no_sum_to_compare_with() {
        let error = Some("it could not be finished in time".to_owned());
        let lost = Recorded { sha256: String::new(), bytes: 0, error: error.clone() };
        let found = facts(Some(lost));
        assert_eq!((found.sha256, found.bytes, found.error), (None, None, error));
        let whole = Recorded { sha256: "ab".to_owned(), bytes: 0, error: None };
        let found = facts(Some(whole));
        assert_eq!((found.sha256.as_deref(), found.bytes), (Some("ab"), Some(0)));
    }
}
