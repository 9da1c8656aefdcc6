//! The way of one command: read, planned, judged, perhaps asked about, executed or refused. One direction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_api::{QueueContext, display};
use clawrden_policy::{Action, Decision};
use clawrden_protocol::Request;
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::again::Objection;
use crate::approvals::{
    Answer, Approval, Ask, Asked, CallerKey, Denial, Details, Left, Life, Refusal, Ticket,
};
use crate::caller::Caller;
use crate::containers::strangeness;
use crate::context;
use crate::decision::{Judged, Verdict};
use crate::executor::{Start, execute, returned};
use crate::intercom::{Account, Interruption, Line, Pass, Reply, read_request};
use crate::jails::{Jail, Prisoner};
use crate::laps::Astray;
use crate::ledger::{self, Argv, Id, Record};
use crate::metrics::AnswerKind;
use crate::plan::{Invocation, Plan, RequestId, Unplanned};
use crate::process::Identity;
use crate::redaction;
use crate::wait;
use crate::warden::Warden;

/// How long a request waits before the caller is told what it waits for. Quick answers stay silent.
const SILENCE: Duration = Duration::from_secs(1);

/// Arguments that an entry of the queue shows at most; the ledger has more.
const SHOWN_BYTES: usize = 16 * 1024;

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
    mut stream: UnixStream,
    pass: Pass,
    line: Arc<Line>,
) {
    // Before anything is read: who only waits on for an answer is a prisoner's user as well.
    warden.strangers.saw(caller.uid);
    let request = match read_request(&mut stream, &pass).await {
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
            let reply = Reply::new(stream, true);
            return Box::pin(wait::serve(&warden, &jail, &caller, &request, reply)).await;
        }
    };
    let prisoner = warden.jails.attribute(&jail.name, caller.pid);
    let account = Account::new(&jail, prisoner.as_deref(), caller.uid);
    let command = || command(&warden, jail, prisoner, caller, invocation, stream);
    warden.turns.take(account, (&line, bytes), command).await;
}

async fn command(
    warden: &Arc<Warden>,
    jail: Arc<Jail>,
    prisoner: Option<Arc<Prisoner>>,
    mut caller: Caller,
    invocation: Invocation,
    stream: UnixStream,
) {
    let began = Instant::now();
    let mut reply = Reply::new(stream, invocation.version_2());
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
    let shown = shown(judged.plan(), SHOWN_BYTES);
    let life = life(warden, judged.plan());
    let about = about(warden, &judged, life.as_ref(), &shown).await;
    let ticket = match warden
        .approvals
        .ask(question(&mut judged, shown, about, life), crate::approvals::Now::read())
    {
        Asked::Granted(approval) => {
            return Box::pin(settle(warden, judged, reply, Answer::Approved(approval))).await;
        }
        Asked::Denied(denial) => {
            return Box::pin(settle(warden, judged, reply, Answer::Denied(denial))).await;
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
            warden.metrics.waited(AnswerKind::from(&answer), began.elapsed());
            Box::pin(settle(warden, judged, reply, answer)).await;
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
    Answered(Answer),
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
            answer = ticket.answered() => return Waited::Answered(answer),
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
        .or_else(|| unlocked().map(|reason| Objection { rule: None, reason }));
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
    records.extend(loan.approval().map(|approval| returned(id, approval)));
    warden.record(&records);
    // Before the caller is told, who may ask again at once.
    drop(loan);
    // A caller that has left needs no answer.
    let _ = reply.deny("", &refused).await;
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

/// What helps a person to judge it.
struct About {
    context: QueueContext,
    warnings: Vec<String>,
}

/// Looks at it. What surrounds it is looked up only if a person is going to see it: what has its answer, or waits already,
/// is not kept waiting for that.
async fn about(warden: &Arc<Warden>, judged: &Judged, life: Option<&Life>, shown: &Shown) -> About {
    let jail = judged.plan().jail.name.as_str();
    let context = async {
        if !warden.approvals.opens(&judged.identity(), life, jail) {
            return QueueContext::default();
        }
        context::of(warden, judged, shown.is_exact.then(|| shown.argv.clone())).await
    };
    let warnings = async {
        if shown.argv.iter().all(|argument| argument.is_ascii()) {
            return Vec::new();
        }
        let argv = shown.argv.clone();
        let warnings = tokio::task::spawn_blocking(move || display::warnings(&argv));
        let unknown = |_| vec!["the command's letters could not be looked at".to_owned()];
        warnings.await.unwrap_or_else(unknown)
    };
    let (context, warnings) = tokio::join!(context, warnings);
    About { context, warnings }
}

fn question(judged: &mut Judged, shown: Shown, about: About, life: Option<Life>) -> Ask {
    let case = Some(judged.keep_case());
    let plan = judged.plan();
    let decision = judged.decision();
    let mut caller: clawrden_api::Caller = (&plan.caller).into();
    caller.prisoner = plan.prisoner.as_ref().map(|prisoner| prisoner.id.clone());
    Ask {
        identity: judged.identity(),
        id: Id(plan.id),
        client: plan.invocation.client().map(Id),
        key: caller_key(&plan.caller),
        life,
        details: Details {
            jail: plan.jail.name.to_string(),
            caller,
            argv: shown.argv,
            is_exact: shown.is_exact,
            context: about.context,
            warnings: about.warnings,
            cwd: plan.meant_cwd().map(|cwd| clean(lossy(&cwd.path))),
            executable: plan.meant_tool().map(|tool| clean(lossy(&tool.resolved))),
            sha256: judged.sha256(),
            executor: decision.executor.as_str().to_owned(),
            run_as: decision.run_as.as_ref().map(ToString::to_string),
            rule: decision.rule.as_ref().map(ToString::to_string),
            reason: clean(decision.reason.clone()),
            suggest: decision.suggest.as_ref().map(ToString::to_string),
            noticed: judged.noticed().into_iter().map(clean).chain(shown.noticed).collect(),
            labels: plan.prisoner.as_ref().map(|p| p.labels.clone()).unwrap_or_default(),
        },
        case,
        timeout: decision.approval_timeout,
    }
}

/// An argument vector for a person.
pub(crate) struct Shown {
    pub(crate) argv: Vec<String>,
    /// It is all of it, as it was sent.
    is_exact: bool,
    /// What a person must know of what is hidden.
    noticed: Vec<String>,
}

/// Arguments that are named to a person, at most.
const MOST_NAMED: usize = 8;

/// The argument vector for a person: all of it, unless it is longer than `room` bytes or has secrets.
fn shown(plan: &Plan, room: usize) -> Shown {
    let argv: Vec<&[u8]> = plan.invocation.argv().collect();
    let redacted = redaction::ours().argv(&argv);
    let is_exact = redacted.is_none() && argv.iter().all(|arg| std::str::from_utf8(arg).is_ok());
    let acting = redacted.iter().flat_map(|redacted| redacted.acting.iter().take(MOST_NAMED));
    let noticed = acting
        .map(|at| format!("argument {at}: what is hidden has characters that a shell acts on"));
    let noticed = noticed.collect();
    let argv = match &redacted {
        Some(redacted) => redacted.argv.iter().map(|arg| &**arg).collect(),
        None => argv,
    };
    let (argv, is_whole) = cut(argv.iter().map(|arg| (*arg, arg.len())), 0, room);
    Shown { argv, is_exact: is_exact && is_whole, noticed }
}

/// The text of arguments, each with the length that it is told to have, and word of those that are `left` behind them:
/// as much as fits into `room` bytes, and whether that is all.
pub(crate) fn cut<'a>(
    argv: impl Iterator<Item = (&'a [u8], usize)>,
    left: usize,
    mut room: usize,
) -> (Vec<String>, bool) {
    let (mut shown, mut is_whole) = (Vec::new(), true);
    let mut all = argv;
    for (arg, length) in all.by_ref() {
        let text = lossy(&arg[..arg.len().min(room)]);
        room = room.saturating_sub(text.len() + 1);
        let cut = length > text.len();
        is_whole &= !cut;
        shown.push(if cut { format!("{text}… ({length} bytes)") } else { text });
        if room == 0 {
            break;
        }
    }
    let left = left + all.count();
    if left > 0 {
        shown.push(format!("… and {left} more arguments"));
        is_whole = false;
    }
    (shown, is_whole)
}

fn clean(text: String) -> String {
    redaction::ours().clean(text)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ledger_caller(caller: &Caller, prisoner: Option<&Prisoner>) -> ledger::Caller {
    ledger::Caller {
        uid: caller.uid,
        gid: caller.gid,
        pid: caller.pid,
        container: caller.container.container().map(|found| ledger::Container {
            id: found.id.clone(),
            name: found.name.clone(),
            image: found.image.clone(),
        }),
        prisoner: prisoner.map(|prisoner| prisoner.id.clone()),
    }
}

fn requested(plan: &Plan) -> Record {
    let argv: Vec<&[u8]> = plan.invocation.argv().collect();
    Record::Requested(ledger::Requested {
        id: Id(plan.id),
        jail: plan.jail.name.to_string(),
        caller: ledger_caller(&plan.caller, plan.prisoner.as_deref()),
        argv: Argv::new(&argv),
        cwd: plan.cwd.as_ref().map(|cwd| lossy(&cwd.path)),
        executable: plan.tool.as_ref().map(|tool| lossy(&tool.resolved)),
        version: if plan.invocation.version_2() { 2 } else { 1 },
    })
}

/// A request that could not even be planned: what the client said is all there is.
fn unplanned_record(id: RequestId, unplanned: &Unplanned) -> Record {
    let Unplanned { jail, prisoner, caller, invocation, .. } = unplanned;
    let argv: Vec<&[u8]> = invocation.argv().collect();
    Record::Requested(ledger::Requested {
        id: Id(id),
        jail: jail.name.to_string(),
        caller: ledger_caller(caller, prisoner.as_deref()),
        argv: Argv::new(&argv),
        cwd: None,
        executable: None,
        version: if invocation.version_2() { 2 } else { 1 },
    })
}

fn failed(id: Id, error: String) -> Record {
    Record::Failed(ledger::Failed { id, error })
}

/// A denial by other means than the policy's decision.
pub(crate) fn denied(id: Id, rule: Option<String>, reason: String) -> Record {
    Record::Decided(ledger::Decided {
        id,
        decision: "deny".to_owned(),
        rule,
        reason,
        suggest: None,
        noticed: Vec::new(),
        let_through: false,
        executor: String::new(),
        run_as: None,
    })
}

fn grant_used(id: Id, approval: &Approval) -> Record {
    Record::GrantUsed(ledger::Answered {
        id,
        entry: approval.entry,
        approver: approval.who.clone(),
        channel: approval.channel.clone(),
        reason: approval.reason.clone(),
        kept_until_ms: None,
        scope: approval.scope.repeats().then(|| approval.scope.word().to_owned()),
        holds_until_ms: approval.scope.repeats().then(|| approval.kept_until_ms()),
    })
}

fn decided(judged: &Judged) -> Record {
    let decision = judged.decision();
    Record::Decided(ledger::Decided {
        id: Id(judged.plan().id),
        decision: decision.action.as_str().to_owned(),
        rule: decision.rule.as_ref().map(ToString::to_string),
        reason: decision.reason.clone(),
        suggest: decision.suggest.as_ref().map(ToString::to_string),
        noticed: ledger::names(judged.noticed()),
        let_through: judged.is_let_through(),
        executor: match judged.plan().invocation.only_judged() {
            true => String::new(),
            false => decision.executor.as_str().to_owned(),
        },
        run_as: decision.run_as.as_ref().map(ToString::to_string),
    })
}
