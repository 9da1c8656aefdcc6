//! The way of one command: read, planned, judged, perhaps asked about, executed or refused. One direction.

mod asking;
mod inherited;
mod question;
mod records;

use std::sync::Arc;
use std::time::Instant;

use clawrden_policy::{Action, Decision};
use clawrden_protocol::Request;
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::sync::OwnedSemaphorePermit;

use crate::approvals::CallerKey;
use crate::caller::Caller;
use crate::containers::strangeness;
use crate::decision::{Judged, Verdict};
use crate::executor::{Start, execute};
use crate::intercom::{Account, Connection, Line, Pass, Reply, read_request};
use crate::jails::{Jail, Prisoner};
use crate::laps::Astray;
use crate::ledger::{self, Id, Record, RequestId};
use crate::plan::{Invocation, Plan, root_of};
use crate::wait;
use crate::warden::Warden;

use asking::ask;
pub(crate) use records::denied;
use records::{decided, failed, requested, unplanned_record};

/// How many times its length a version 1 request may take in memory: a word of one letter, which takes four bytes of
/// JSON, is a string of its own.
const V1_GROWTH: usize = 16;

/// A fresh id, for a request or a prisoner.
///
/// # Errors
/// When the kernel has no random bytes to give.
pub(crate) fn random_id() -> std::io::Result<RequestId> {
    let mut id = [0; 16];
    let got = getrandom(&mut id, GetRandomFlags::empty())?;
    if got == id.len() { Ok(id) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// Conducts one connection from its first byte to its end.
pub(crate) async fn conduct(
    warden: Arc<Warden>,
    jail: Arc<Jail>,
    caller: Caller,
    mut connection: Connection,
    (pass, place): (Pass, Option<OwnedSemaphorePermit>),
    line: Arc<Line>,
) {
    // Before anything is read: who only waits on for an answer is a prisoner's user as well.
    warden.strangers.saw(caller.uid);
    let request = match read_request(&mut connection, &pass).await {
        Ok(request) => request,
        Err(error) => {
            tracing::info!(%error, jail = %jail.name, pid = caller.pid, "a request could not be read");
            return;
        }
    };
    crate::crash::point("after_request_read");
    let free = pass.free_bytes();
    let (invocation, bytes) = match request {
        Request::V1(request) => (Invocation::new_1(request, pass), free * V1_GROWTH),
        Request::V2(request) => (Invocation::new_2(request, pass), free),
        Request::Wait(request) => {
            drop((pass, place));
            let reply = Reply::new(connection, true);
            return Box::pin(wait::serve(&warden, &jail, &caller, &request, reply)).await;
        }
    };
    let prisoner = warden.jails.attribute(&jail.name, caller.pid);
    let account = Account::new(&jail, prisoner.as_deref(), caller.uid);
    let command = || command(&warden, jail, prisoner, caller, invocation, connection, place);
    warden.turns.take(account, (&line, bytes), command).await;
}

async fn command(
    warden: &Arc<Warden>,
    jail: Arc<Jail>,
    prisoner: Option<Arc<Prisoner>>,
    mut caller: Caller,
    invocation: Invocation,
    connection: Connection,
    place: Option<OwnedSemaphorePermit>,
) {
    let began = Instant::now();
    let mut reply = Reply::new(connection, invocation.version_2());
    jail.count_request();
    if let Some(prisoner) = &prisoner {
        prisoner.count_request();
    }
    let root = root_of(&caller);
    let is_here = matches!(&root, Ok(Some(root)) if root.is_own());
    if warden.wants_container(&jail, &caller, is_here) {
        caller.container = Box::pin(warden.containers.find(&caller)).await;
    }
    let Ok(id) = random_id() else {
        // Told or not, nothing runs.
        let _ = reply.fail(EXIT_UNREACHABLE, "the kernel gives no random bytes").await;
        return;
    };
    let holder = prisoner.clone();
    let sight = warden.sight(holder.as_deref());
    let planned = Plan::freeze(id, jail, prisoner, caller, invocation, sight, root).await;
    let straight = match planned {
        // What the warden never starts goes round in no circle.
        Ok(plan) if plan.invocation.only_judged() => Ok(plan),
        Ok(plan) => warden.laps.straighten(plan, sight).await,
        Err(unplanned) => Err(Astray::Unplanned(unplanned)),
    };
    let plan = match straight {
        Ok(plan) => plan,
        Err(Astray::Circle(plan, text)) => {
            warden.record(&[requested(&plan), failed(Id(id), text.clone())]);
            let _ = reply.fail(EXIT_UNREACHABLE, &text).await;
            return;
        }
        Err(Astray::Unplanned(unplanned)) => {
            let text = unplanned.error.to_string();
            warden.record(&[unplanned_record(id, &unplanned), failed(Id(id), text.clone())]);
            let _ = reply.fail(EXIT_UNREACHABLE, &text).await;
            return;
        }
    };
    let requested = requested(&plan);
    let container = plan.caller.container.container();
    if let Some(text) = container.and_then(|found| strangeness(found, plan.jail.name.as_str())) {
        plan.jail.counts().decided(Action::Deny, began.elapsed());
        warden.record(&[requested, denied(Id(id), None, text.clone())]);
        let _ = reply.deny("", &text).await;
        return;
    }
    if let Some(container) = plan.caller.container.container() {
        warden.members.saw(container, &plan.jail.name);
    }
    if let Some(text) = warden.stopped_for(&plan) {
        plan.jail.counts().decided(Action::Deny, began.elapsed());
        warden.record(&[requested, denied(Id(id), None, text.clone())]);
        let _ = reply.deny("", &text).await;
        return;
    }
    let judged = match Judged::of(plan, sight, |plan| warden.hardens(plan)).await {
        Ok(judged) => judged,
        Err(error) => {
            warden.record(&[requested, failed(Id(id), error.to_string())]);
            // Told or not, nothing runs.
            let _ = reply.fail(EXIT_UNREACHABLE, &error.to_string()).await;
            return;
        }
    };
    let Decision { action, rule, .. } = judged.decision();
    let took = began.elapsed();
    judged.plan().jail.counts().decided(*action, took);
    warden.metrics.rules.count(rule.as_ref(), *action, took);
    let mut judged = judged;
    let is_asked = judged.decision().action == Action::Ask;
    let may_be_back = !is_asked && is_awaited(warden, judged.plan());
    if (is_asked || may_be_back)
        && let Err(error) = Box::pin(judged.keep_contents(&warden.digests, &warden.workers)).await
    {
        warden.record(&[requested, failed(Id(id), error.to_string())]);
        let _ = reply.fail(EXIT_UNREACHABLE, &error.to_string()).await;
        return;
    }
    let back = (is_asked || may_be_back).then(|| comes_back(warden, &mut judged)).flatten();
    let records = match back {
        Some(reconnected) if judged.decision().action == Action::Ask => vec![reconnected],
        Some(reconnected) => vec![reconnected, decided(&judged)],
        None => vec![requested, decided(&judged)],
    };
    drop(place);
    match judged.verdict() {
        Verdict::Allow(approved) => execute(warden, Start { approved, reply, records }).await,
        Verdict::Deny(judged) => {
            warden.record(&records);
            let decision = judged.decision();
            let text = decision.with_suggestion(&decision.reason);
            let _ = reply.deny(&judged.rule(), &text).await;
        }
        Verdict::Ask(judged) => {
            if let Err(error) = warden.ledger.append(&records) {
                let text = format!("the ledger cannot be written, so nobody is asked: {error}");
                let _ = reply.fail(EXIT_UNREACHABLE, &text).await;
                return;
            }
            crate::crash::point("after_asked");
            // A task of its own: it may wait for long, and holds only what waiting needs.
            tokio::spawn(ask(Arc::clone(warden), Box::new(judged), reply));
        }
    }
}

/// Whether its caller was asked to wait for a person before it lost the warden, with whatever command.
fn is_awaited(warden: &Warden, plan: &Plan) -> bool {
    warden.approvals.expects_callers()
        && plan
            .invocation
            .client()
            .is_some_and(|id| warden.approvals.is_awaited(Id(id), caller_key(&plan.caller)))
}

/// Whether it is a request that waits, or was answered, while its caller had lost the warden: it goes on as that one. One
/// that is not the same any more is asked about anew.
fn comes_back(warden: &Warden, judged: &mut Judged) -> Option<Record> {
    judged.stays_asked();
    let plan = judged.plan();
    let client = Id(plan.invocation.client()?);
    let (id, entry) =
        warden.approvals.known(&judged.identity(), client, caller_key(&plan.caller))?;
    judged.goes_on_as(id.0);
    Some(Record::Reconnected(ledger::Reconnected { id, entry }))
}

fn caller_key(caller: &Caller) -> CallerKey {
    let start = caller.identity().map(|identity| identity.start_ticks);
    CallerKey { pid: caller.pid, start }
}
