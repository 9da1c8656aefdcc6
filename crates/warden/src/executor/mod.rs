//! Running an approved plan: by handoff in the prisoner, or supervised on the warden's side.
//!
//! Executors take an [`Approved`] plan and nothing else. The intent is in the ledger before anything starts.

mod door;
mod end;
mod exec;
mod ghost;
mod handoff;
mod judge;
mod limits;
mod local;
mod pool;
mod prepared;
mod record;
mod reopen;
mod run_as;
mod runner;
mod supervision;

use std::sync::Arc;

use clawrden_policy::Executor;

use crate::approvals::{Approval, Loan, Now};
use crate::caller::Caller;
use crate::decision::Approved;
use crate::intercom::Reply;
use crate::ledger::{ApprovalReturned, Failed, Finished, Id, LedgerError, Method, Record, Started};
use crate::metrics::Meter;
use crate::plan::PlanError;
use crate::process::{self, ProcessError};
use crate::running::{Card, Order, Run};
use crate::warden::Warden;
use crate::whereabouts::Whereabouts;

pub(crate) use end::Glances;
pub(crate) use ghost::{Ghosts, clear_doors, is_ghost, learn, reap};
pub(crate) use handoff::take_up;
pub(crate) use pool::Pool;

/// What stands between an approved plan and its start: what is still to be recorded, and the client.
pub(crate) struct Start {
    pub(crate) approved: Approved,
    pub(crate) reply: Reply,
    /// Records of this request that are not in the ledger yet. They go there with the intent, in one write.
    pub(crate) records: Vec<Record>,
}

impl Start {
    /// Records that nothing was started and why, and gives back what would have let it. Before the client is told, who
    /// may ask again at once.
    fn abandon(&mut self, warden: &Warden, error: String) {
        let id = Id(self.approved.plan().id);
        self.give_up(warden, Record::Failed(Failed { id, error }));
    }

    /// The same, with the record that says why.
    fn give_up(&mut self, warden: &Warden, why: Record) {
        let id = Id(self.approved.plan().id);
        self.records.push(why);
        let loan = self.approved.take_loan();
        self.records.extend(loan.as_ref().and_then(Loan::approval).and_then(|a| returned(id, a)));
        warden.record(&self.records);
    }
}

/// What is recorded of an approval that goes back. One that was handed down by what runs goes nowhere.
pub(crate) fn returned(id: Id, approval: &Approval) -> Option<Record> {
    approval.inherited.is_none().then(|| {
        Record::ApprovalReturned(ApprovalReturned {
            id,
            entry: approval.entry,
            kept_until_ms: approval.kept_until_ms(),
        })
    })
}

/// Runs it, to its end. Whatever goes wrong is told to the client and recorded.
///
/// Each way is boxed by itself: a future is moved to where it lives, and a handoff is not to carry the room that a ghost
/// needs. Nor has a request that waits for a person room for what comes after.
pub(crate) async fn execute(warden: &Arc<Warden>, mut start: Start) {
    if start.approved.plan().invocation.only_judged() {
        return Box::pin(judge::run(warden, start)).await;
    }
    if let Some((refusal, text)) = impossible(&start) {
        return Box::pin(refuse(warden, start, refusal, text)).await;
    }
    if start.approved.executor() != Executor::Local {
        drop(start.approved.take_root());
    }
    match start.approved.executor() {
        // A shim cannot become what its caller cannot reach.
        Executor::Mirror if is_watched(&start) => Box::pin(exec::run(warden, start)).await,
        Executor::Mirror if start.approved.plan().invocation.version_2() => {
            Box::pin(handoff::run(warden, start)).await;
        }
        Executor::Mirror => {
            let text = "this rule runs the command in the prisoner by handoff, which a version 1 client cannot do; \
                        use the shim, or give the rule `executor: local`";
            Box::pin(refuse(warden, start, Refusal::Denied, text.to_owned())).await;
        }
        Executor::Local => Box::pin(local::run(warden, start)).await,
        Executor::Ghost => Box::pin(ghost::run(warden, start)).await,
    }
}

/// Why it cannot run in any way, if so.
fn impossible(start: &Start) -> Option<(Refusal, String)> {
    let (approved, plan) = (&start.approved, start.approved.plan());
    let is_elsewhere = approved.executor() == Executor::Ghost;
    if plan.caller.is_unseen() && (!is_elsewhere || approved.recording().is_some()) {
        return Some((Refusal::Failed, PlanError::CallerUnseen.to_string()));
    }
    // What the caller has not, a ghost's image may have.
    if plan.meant_tool().is_none() && !is_elsewhere {
        let name = String::from_utf8_lossy(plan.invocation.name());
        let text = format!("{name}: there is no such tool on the caller's PATH");
        return Some((Refusal::NoSuchTool, text));
    }
    None
}

/// Where the caller is. Looked for now, where that did not matter before.
async fn whereabouts(warden: &Warden, caller: &Caller) -> Whereabouts {
    match &caller.container {
        Whereabouts::NotSought => warden.containers.find(caller).await,
        known => known.clone(),
    }
}

/// Whether the warden stays with what runs in the prisoner: its tool is locked away, or the policy wants it so.
fn is_watched(start: &Start) -> bool {
    let Start { approved, .. } = start;
    approved.is_supervised()
        || record::by_frames(approved)
        || approved.plan().tool.as_ref().is_some_and(|tool| tool.locked)
}

/// Why an approved plan does not run after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It may not, here: 126.
    Denied,
    /// It cannot: 125.
    Failed,
    /// There is nothing to run: 127.
    NoSuchTool,
}

/// Tells the client, and records it.
async fn refuse(warden: &Arc<Warden>, mut start: Start, refusal: Refusal, text: String) {
    use clawrden_protocol::limits::{EXIT_NO_SUCH_TOOL, EXIT_UNREACHABLE};
    start.abandon(warden, text.clone());
    let told = match refusal {
        Refusal::Denied => start.reply.deny("", &text).await,
        Refusal::Failed => start.reply.fail(EXIT_UNREACHABLE, &text).await,
        Refusal::NoSuchTool => start.reply.fail(EXIT_NO_SUCH_TOOL, &text).await,
    };
    if let Err(error) = told {
        tracing::debug!(%error, "the caller did not wait for its refusal");
    }
    start.reply.close();
}

/// A command whose intent is in the ledger.
struct Begun {
    /// From here on the kill switch reaches it.
    run: Run,
    /// The person's word, spent; for [`finish`], should nothing be started after all.
    spent: Option<Approval>,
}

/// Enters the command among those that run and writes its intent; `None` when it may not start any more, and then the
/// client knows.
async fn begin(warden: &Arc<Warden>, start: &mut Start, started: Started) -> Option<Begun> {
    let plan = start.approved.plan();
    let card = Card::new(plan, start.approved.rule(), &started);
    let mut run = warden.running.enter(plan.id, plan.origin(), card);
    if let Some(text) = warden.stopped_for(plan) {
        start.abandon(warden, "stopped by the kill switch".to_owned());
        // A caller that has left needs no answer.
        let _ = start.reply.deny("", &text).await;
        return None;
    }
    if start.approved.bounds().is_some() && !limits::take(warden, start, &mut run).await {
        return None;
    }
    let id = started.id;
    let has_authority = has_authority(start, &started);
    let is_handed_off = started.method == Method::Handoff;
    start.records.push(Record::Started(started));
    crate::crash::point("before_intent");
    let sequence = match warden.ledger.append(&start.records) {
        Ok(sequence) => sequence,
        Err(error) => {
            let text = format!("the ledger cannot be written, so nothing runs: {error}");
            tracing::error!(%error, "an intent could not be recorded");
            drop(start.approved.take_loan());
            let _ = start.reply.fail(clawrden_protocol::limits::EXIT_UNREACHABLE, &text).await;
            return None;
        }
    };
    crate::crash::point("after_intent");
    let spent = match start.approved.take_loan().map(Loan::spend).transpose() {
        Ok(spent) => spent.flatten(),
        Err((loan, error)) => {
            let text =
                format!("that its approval is used cannot be kept, so nothing runs: {error}");
            tracing::error!(%error, "an approval could not be used");
            unspent(warden, Id(start.approved.plan().id), &loan, &text);
            drop(loan);
            let _ = start.reply.fail(clawrden_protocol::limits::EXIT_UNREACHABLE, &text).await;
            return None;
        }
    };
    let plan = start.approved.plan();
    let meter = Meter::start(plan.jail.counts(), start.approved.executor());
    run.counts(meter);
    if let Some(approval) = spent.as_ref().filter(|approval| approval.and_what_it_starts) {
        match before(start, is_handed_off, approval) {
            Ok(None) => run.bequeath(approval),
            Ok(Some(pid)) => {
                tracing::warn!(id = %id, pid, "its process had started something before, so it hands its approval down to nothing");
            }
            Err(error) => tracing::warn!(%error, id = %id, "it hands its approval down to nothing"),
        }
    }
    crate::crash::point("after_spent");
    // Who has left cannot be handed anything; of a runner's caller nothing else would tell.
    let caller = (!is_handed_off).then_some(&start.reply);
    let landed = landed(warden.ledger.promised(sequence, has_authority), &mut run, caller).await;
    let stopped = warden.stopped_for(start.approved.plan());
    let text = match (landed, stopped.as_ref()) {
        (Ok(()), None) => {
            run.begins();
            return Some(Begun { run, spent });
        }
        // The switch was thrown while the disk was waited for.
        (_, Some(text)) => text.clone(),
        (Err(text), None) => text,
    };
    finish(warden, &run, never_started(id, &text), spent);
    // A caller that has left needs no answer.
    let _ = match stopped {
        Some(text) => start.reply.deny("", &text).await,
        None => start.reply.fail(clawrden_protocol::limits::EXIT_UNREACHABLE, &text).await,
    };
    None
}

/// What is below the process that becomes the command, and could not be told from what that starts. A runner has nothing,
/// and what a command above hands down goes to all of that anyhow.
fn before(
    start: &Start,
    is_handed_off: bool,
    approval: &Approval,
) -> Result<Option<u32>, ProcessError> {
    if !is_handed_off || approval.inherited.is_some() {
        return Ok(None);
    }
    let caller = &start.approved.plan().caller;
    let unclear = || {
        let (pid, why) = (caller.pid.unwrap_or(0), "which process it is, is not known");
        ProcessError::Children { pid, why }
    };
    process::first_child(caller.identity().ok_or_else(unclear)?)
}

/// Waits for the intent to be where it was promised, for as long as nobody says otherwise. The text says why nothing
/// runs.
async fn landed(
    promised: impl Future<Output = Result<(), LedgerError>>,
    run: &mut Run,
    caller: Option<&Reply>,
) -> Result<(), String> {
    tokio::select! {
        biased;
        why = ordered(run) => return Err(why),
        landed = promised => landed.map_err(|error| {
            tracing::error!(%error, "an intent is not on the disk");
            format!("the ledger cannot be kept, so nothing runs: {error}")
        })?,
    }
    match caller {
        Some(caller) if caller.has_gone() => {
            Err("the caller left before its command started".to_owned())
        }
        _ => Ok(()),
    }
}

/// What the person at the other end is told of an order that comes before there is anything to end.
async fn ordered(run: &mut Run) -> String {
    loop {
        match run.order().await {
            Order::End { why } | Order::Stop { why } => return why,
            Order::Leave => return "the warden went down; nothing ran".to_owned(),
            Order::Freeze => return "everything was paused while it began; nothing ran".to_owned(),
            Order::Thaw => {}
        }
    }
}

/// Whether the command can do more than its caller could without us, or a person answers for it.
fn has_authority(start: &Start, started: &Started) -> bool {
    let is_elsewhere = matches!(start.approved.executor(), Executor::Local | Executor::Ghost);
    let is_root = started.method == Method::Exec && start.approved.plan().caller.uid == Some(0);
    is_elsewhere || is_root || start.approved.has_loan()
}

fn never_started(id: Id, error: &str) -> Finished {
    Finished {
        id,
        exit_code: None,
        signal: None,
        exit_source: "unknown: it never started".to_owned(),
        duration_ms: 0,
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        recording: None,
        error: Some(error.to_owned()),
    }
}

/// Records that nothing was started because its approval could not be spent, and that it goes back.
fn unspent(warden: &Warden, id: Id, loan: &Loan, text: &str) {
    let failed = Record::Failed(Failed { id, error: text.to_owned() });
    let returned = loan.approval().and_then(|approval| returned(id, approval));
    warden.record(&[Some(failed), returned].into_iter().flatten().collect::<Vec<_>>());
}

/// Writes how it ended. With `unused` nothing was started for certain: it goes back once that is in the ledger, and
/// while it cannot be written it counts as used.
fn finish(warden: &Warden, run: &Run, finished: Finished, unused: Option<Approval>) {
    crate::crash::point("before_finished");
    run.finished(&finished);
    let Some(approval) = unused else { return warden.record(&[Record::Finished(finished)]) };
    let returned = returned(finished.id, &approval);
    let finished = Record::Finished(finished);
    let records: Vec<Record> = [finished.clone()].into_iter().chain(returned).collect();
    match warden.ledger.append(&records) {
        Ok(_) => warden.approvals.give_back(approval, Now::read()),
        Err(error) => {
            tracing::error!(%error, "an end could not be recorded; its approval is used up");
            warden.record(&[finished]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::net::UnixStream;

    use super::*;
    use crate::plan::Origin;
    use crate::running::Running;

    fn run(running: &Arc<Running>) -> Run {
        let origin = Origin { jails: Vec::new(), container: None, is_told: true };
        running.enter([7; 16], origin, Card::default())
    }

    #[tokio::test]
    async fn an_order_is_heard_while_the_disk_is_waited_for_and_before_it_counts() {
        let running = Arc::new(Running::default());
        let mut run = run(&running);
        let stop = Order::Stop { why: "enough".to_owned() };
        running.order(&Order::Thaw, |_| true);
        running.order(&stop, |_| true);
        assert_eq!(landed(pending(), &mut run, None).await, Err("enough".to_owned()));
        running.order(&stop, |_| true);
        assert_eq!(landed(ready(Ok(())), &mut run, None).await, Err("enough".to_owned()));
        assert_eq!(landed(ready(Ok(())), &mut run, None).await, Ok(()));
    }

    #[tokio::test]
    async fn nothing_starts_for_who_left_while_the_disk_was_waited_for() {
        let running = Arc::new(Running::default());
        let mut run = run(&running);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let caller = Reply::new(ours, true);
        assert_eq!(landed(ready(Ok(())), &mut run, Some(&caller)).await, Ok(()));
        let leaves = async {
            drop(theirs);
            Ok(())
        };
        let error = landed(leaves, &mut run, Some(&caller)).await.unwrap_err();
        assert!(error.contains("the caller left"), "{error}");
    }
}
