//! The way of one command: read, planned, judged, perhaps asked about, executed or refused. One direction.

mod inherited;
mod question;
mod records;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_api::display;
use clawrden_policy::{Action, Decision};
use clawrden_protocol::Request;
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::sync::watch;

use crate::again::Objection;
use crate::approvals::{
    Answer, Ask, Asked, CallerKey, Denial, Left, Life, Loan, Refusal, Ticket, wants, whom,
};
use crate::caller::Caller;
use crate::containers::strangeness;
use crate::decision::{Judged, Verdict};
use crate::executor::{Start, execute, returned};
use crate::intercom::{Account, Connection, Interruption, Line, Pass, Reply, read_request};
use crate::jails::{Jail, Prisoner};
use crate::laps::Astray;
use crate::ledger::{self, Id, Record};
use crate::metrics::AnswerKind;
use crate::plan::{Invocation, Plan, RequestId};
use crate::process::Identity;
use crate::wait;
use crate::warden::Warden;

use inherited::inherited;
pub(crate) use question::cut;
use question::{About, SHOWN_BYTES, about, question, shown};
pub(crate) use records::denied;
use records::{decided, failed, grant_used, requested, unplanned_record};

/// How long a request waits before the caller is told what it waits for. Quick answers stay silent.
const SILENCE: Duration = Duration::from_secs(1);

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
    pass: Pass,
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
            drop(pass);
            let reply = Reply::new(connection, true);
            return Box::pin(wait::serve(&warden, &jail, &caller, &request, reply)).await;
        }
    };
    let prisoner = warden.jails.attribute(&jail.name, caller.pid);
    let account = Account::new(&jail, prisoner.as_deref(), caller.uid);
    let command = || command(&warden, jail, prisoner, caller, invocation, connection);
    warden.turns.take(account, (&line, bytes), command).await;
}

async fn command(
    warden: &Arc<Warden>,
    jail: Arc<Jail>,
    prisoner: Option<Arc<Prisoner>>,
    mut caller: Caller,
    invocation: Invocation,
    connection: Connection,
) {
    let began = Instant::now();
    let mut reply = Reply::new(connection, invocation.version_2());
    jail.count_request();
    if let Some(prisoner) = &prisoner {
        prisoner.count_request();
    }
    if warden.wants_container(&jail, &caller) {
        caller.container = warden.containers.find(&caller).await;
    }
    let Ok(id) = random_id() else {
        // Told or not, nothing runs.
        let _ = reply.fail(EXIT_UNREACHABLE, "the kernel gives no random bytes").await;
        return;
    };
    let holder = prisoner.clone();
    let sight = warden.sight(holder.as_deref());
    let planned = Plan::freeze(id, jail, prisoner, caller, invocation, sight).await;
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
    judged.plan().jail.counts().decided(*action, began.elapsed());
    warden.metrics.rules.count(rule.as_ref(), *action);
    let mut judged = judged;
    let is_asked = judged.decision().action == Action::Ask;
    let may_be_back = !is_asked && is_awaited(warden, judged.plan());
    if (is_asked || may_be_back)
        && let Err(error) = judged.keep_contents(&warden.digests, &warden.workers).await
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

/// Whose life the caller's session is. What a request is put down to for people to read does not count here, only what
/// the kernel says of the process; one of which it says neither has no session.
fn life(warden: &Warden, plan: &Plan) -> Option<Life> {
    let caller = &plan.caller;
    let prisoner = warden.jails.prisoner_of(caller.pid?).ok()?;
    // As long as it has not ended, the number was its own.
    if !caller.is_alive() {
        return None;
    }
    match prisoner {
        Some(prisoner) if prisoner.jail == plan.jail.name => {
            let Identity { pid, start_ticks } = prisoner.root;
            Some(Life::Prisoner(CallerKey { pid: Some(pid), start: Some(start_ticks) }))
        }
        Some(_) => None,
        None => caller.container.container().map(|found| Life::Container(found.id.clone())),
    }
}

/// Asks a person, and waits for as long as the caller does.
async fn ask(warden: Arc<Warden>, mut judged: Box<Judged>, mut reply: Reply) {
    let warden = &warden;
    let id = Id(judged.plan().id);
    if judged.plan().prisoner.as_ref().is_some_and(|prisoner| prisoner.unattended) {
        let text = format!("{}; nobody is there to ask (--unattended)", judged.decision().reason);
        let told = judged.decision().with_suggestion(&text);
        warden.record(&[denied(id, Some(judged.rule()), text)]);
        let _ = reply.deny(&judged.rule(), &told).await;
        return;
    }
    crate::crash::point("before_pending");
    if !reply.may_wait() || !judged.may_wait() {
        let text = "too much waits for approval already; answer some of it and repeat the command";
        warden.record(&[failed(id, text.to_owned())]);
        let _ = reply.deny(&judged.rule(), text).await;
        return;
    }
    warden.take_up_approvals();
    let inherits;
    (judged, inherits) = match inherited(warden, judged).await {
        Ok(found) => found,
        Err(text) => {
            warden.record(&[failed(id, text.clone())]);
            let _ = reply.fail(EXIT_UNREACHABLE, &text).await;
            return;
        }
    };
    // What more people have to say yes to than said it to a pattern, or to the command above, is asked about.
    let wanted = wants(&judged.decision().approvers);
    let life = life(warden, judged.plan());
    let frame = judged.frame();
    let patterns = frame.map(|frame| warden.approvals.patterns(&frame, life.as_ref(), &wanted));
    let by_pattern;
    (judged, by_pattern) =
        match judged.taken_by(patterns.unwrap_or_default(), &warden.workers).await {
            Ok(found) => found,
            Err(error) => {
                let text = error.to_string();
                warden.record(&[failed(id, text.clone())]);
                let _ = reply.fail(EXIT_UNREACHABLE, &text).await;
                return;
            }
        };
    let shown = shown(judged.plan(), SHOWN_BYTES);
    let inherits = inherits.filter(|bequest| warden.approvals.may_inherit(bequest, &wanted));
    let about = match inherits {
        // Nobody is going to see it.
        Some(_) => About::default(),
        None if !by_pattern.is_empty() => About::default(),
        None => about(warden, &judged, life.as_ref(), &shown).await,
    };
    let mut question =
        Ask { inherits, frame, by_pattern, ..question(&mut judged, shown, about, life) };
    if !question.wants.is_empty() {
        let asks = (&*question.details.jail, question.details.rule.as_deref());
        let requester = judged.plan().caller.uid;
        question.nobody = warden.nobody_answers(&question.wants, asks, requester);
    }
    let ticket = match warden.approvals.ask(question, crate::approvals::Now::read()) {
        Asked::Granted(approval) => {
            return Box::pin(settle(warden, judged, reply, Answer::Approved(approval))).await;
        }
        Asked::Denied(denial) => {
            return Box::pin(settle(warden, judged, reply, Answer::Denied(denial))).await;
        }
        Asked::Nobody(why) => {
            let rule = judged.decision().rule.as_ref().map(ToString::to_string);
            warden.record(&[denied(id, rule.clone(), why.clone())]);
            warden.found_nobody(id, judged.plan().jail.name.as_str(), rule, &why);
            let told = judged.decision().with_suggestion(&why);
            let _ = reply.deny(&judged.rule(), &told).await;
            return;
        }
        Asked::Full(full) => {
            warden.record(&[failed(id, full.to_string())]);
            let _ = reply.deny(&judged.rule(), &full.to_string()).await;
            return;
        }
        Asked::Wait(ticket) => ticket,
    };
    let entry = ticket.entry;
    warden.ledger.events().waiting(|| warden.approvals.find(&entry.to_string(), |_| true).ok());
    warden.due.notify_one();
    judged.slim();
    let mut ticket = ticket;
    let began = Instant::now();
    match wait_for_answer(warden, &judged, &mut reply, &mut ticket).await {
        Waited::Answered(answer) => {
            warden.metrics.waited(AnswerKind::from(&*answer), began.elapsed());
            Box::pin(settle(warden, judged, reply, *answer)).await;
        }
        Waited::CutOff => ticket.stay(),
        Waited::Left => {
            let mut records = vec![Record::CallerLeft(ledger::CallerLeft { id })];
            if let Left::Parked(entry) = ticket.leave() {
                records.push(Record::Parked(ledger::Parked { id, entry }));
            }
            warden.record(&records);
        }
    }
}

/// What waiting for a person came to.
enum Waited {
    Answered(Box<Answer>),
    /// The caller left, or was sent away after `hold`.
    Left,
    /// The warden goes down, and the caller will come back to the next one.
    CutOff,
}

async fn wait_for_answer(
    warden: &Warden,
    judged: &Judged,
    reply: &mut Reply,
    ticket: &mut Ticket,
) -> Waited {
    let short = ticket.short.clone();
    let jail = &judged.plan().jail;
    let can_come_back = judged.plan().invocation.client().is_some() && !warden.config.ephemeral;
    let reconnect = jail.policy().reconnect(jail.name.as_str());
    let reconnect = if can_come_back { reconnect } else { Duration::ZERO };
    let pending = match judged.plan().invocation.client() {
        Some(_) => reply.pending_for(reconnect).await,
        None => reply.pending().await,
    };
    if pending.is_err() {
        return Waited::Left;
    }
    crate::crash::point("after_pending");
    let now_ms = crate::approvals::Now::read().ms;
    let before = Duration::from_millis(now_ms.saturating_sub(ticket.since_ms));
    // One that comes back has waited for a part of it, and was told what for.
    let hold = jail.policy().hold(jail.name.as_str());
    let hold = hold.map(|hold| hold.saturating_sub(before).max(SILENCE));
    let mut told = before > SILENCE;
    let mut closing = warden.closing();
    let silence = tokio::time::sleep(SILENCE);
    tokio::pin!(silence);
    let patience = wait::at_most(hold);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            biased;
            answer = ticket.answered() => return Waited::Answered(Box::new(answer)),
            interruption = reply.interrupted() => {
                if interruption == Interruption::Cancelled {
                    let _ = reply.fail(EXIT_UNREACHABLE, "cancelled while it waited; nothing ran").await;
                }
                return Waited::Left;
            }
            () = &mut silence, if !told => {
                told = true;
                let text = format!(
                    "waiting for approval {short} ({}); answer with: clawrden approve {short}",
                    judged.decision().reason
                );
                if reply.notice(&text).await.is_err() {
                    return Waited::Left;
                }
            }
            () = closed(&mut closing) => {
                if !reconnect.is_zero() {
                    return Waited::CutOff;
                }
                let _ = reply.fail(EXIT_UNREACHABLE, "the warden is going down; nothing ran").await;
                return Waited::Left;
            }
            () = &mut patience => {
                let text = format!(
                    "still waiting for approval {short}; nothing ran. Repeat the same command later, \
                     or run: clawrden wait {short}"
                );
                let _ = reply.still_waiting(&text).await;
                return Waited::Left;
            }
        }
    }
}

/// Resolves when the warden goes down.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // A sender that is gone went down with the warden.
    let _ = closing.wait_for(|&closing| closing).await;
}

/// Acts on a person's answer.
async fn settle(warden: &Arc<Warden>, mut judged: Box<Judged>, mut reply: Reply, answer: Answer) {
    let id = Id(judged.plan().id);
    let approval = match answer {
        Answer::Approved(approval) => approval,
        Answer::Denied(denial) => return refuse(warden, &judged, reply, denial).await,
    };
    crate::crash::point("after_approved");
    let mut records = Vec::new();
    if approval.kept {
        records.push(grant_used(id, &approval));
    }
    let loan = warden.approvals.lend(approval);
    let unchanged = judged.recall(&warden.digests, &warden.workers).await;
    // A jail can have been hardened while it waited.
    let by_now = |plan: &Plan| plan.judges.renewed().is_some_and(|now| now.harden());
    let unlocked = || judged.unlocked(|plan| warden.hardens(plan) || by_now(plan));
    let objection = judged
        .objection(&warden.jails)
        .or_else(|| unlocked().map(|reason| Objection { rule: None, reason }))
        .or_else(|| too_few(warden, &judged, &loan));
    if let Some(objection) = objection {
        let Objection { rule, reason } = objection;
        records.push(denied(id, rule.clone(), reason.clone()));
        warden.record(&records);
        // Nobody else may use it either.
        loan.void();
        let _ = reply.deny(&rule.unwrap_or_default(), &reason).await;
        return;
    }
    let (refused, loan) = match unchanged {
        Ok(()) => match judged.consented(loan) {
            Ok(approved) => return execute(warden, Start { approved, reply, records }).await,
            Err(loan) => ("the approval is for another request".to_owned(), loan),
        },
        Err(why) => (why, loan),
    };
    records.push(failed(id, refused.clone()));
    records.extend(loan.approval().and_then(|approval| returned(id, approval)));
    warden.record(&records);
    // Before the caller is told, who may ask again at once.
    drop(loan);
    // A caller that has left needs no answer.
    let _ = reply.deny("", &refused).await;
}

/// Why an approval is not enough by now: the policy may have come to want others since it was given.
fn too_few(warden: &Warden, judged: &Judged, loan: &Loan) -> Option<Objection> {
    let (approval, wants) = (loan.approval()?, judged.wants(&warden.jails));
    if warden.approvals.suffices(approval, &wants) {
        return None;
    }
    let whom: Vec<String> = wants.iter().map(whom).collect();
    let reason = format!(
        "it takes {} by now, and was approved by {}; repeat the command",
        whom.join("; "),
        approval.who
    );
    Some(Objection { rule: Some(judged.rule()), reason })
}

async fn refuse(warden: &Warden, judged: &Judged, mut reply: Reply, denial: Denial) {
    let text = refusal_text(&denial);
    let heard = denial.clone();
    // What a person has to say comes before what the policy has, and so does what it says by now.
    let (rule, told) = match denial.why {
        Refusal::Policy { rule, .. } => (rule.unwrap_or_default(), text),
        Refusal::Person { reason: Some(_), .. } => (judged.rule(), text),
        _ => (judged.rule(), judged.decision().with_suggestion(&text)),
    };
    // One that could not be told has gone, and is told when it comes back.
    if reply.deny(&rule, &told).await.is_ok() {
        warden.approvals.told(&heard);
    }
}

fn refusal_text(denial: &Denial) -> String {
    match &denial.why {
        Refusal::Person { who, reason, .. } => wait::said_no(who, reason.as_deref()),
        Refusal::Policy { reason, .. } => reason.clone(),
        Refusal::Expired(after) => format!(
            "nobody answered within {}; ask the person who approves, then repeat the command",
            display::duration(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
        ),
        Refusal::Superseded => "the same request came again on another connection".to_owned(),
    }
}
