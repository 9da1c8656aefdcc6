//! A request that a person is asked about: it is put into the queue, waits there, and does what it is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_api::display;
use clawrden_protocol::limits::EXIT_UNREACHABLE;
use tokio::sync::watch;

use super::inherited::inherited;
use super::question::{About, SHOWN_BYTES, about, question, shown};
use super::records::{denied, failed, grant_used};
use crate::again::Objection;
use crate::approvals::{
    Answer, Ask, Asked, CallerKey, Denial, Left, Life, Loan, Refusal, Ticket, wants, whom,
};
use crate::decision::Judged;
use crate::executor::{Start, execute, returned};
use crate::intercom::{Interruption, Reply};
use crate::ledger::{self, Id, Record};
use crate::metrics::AnswerKind;
use crate::plan::Plan;
use crate::process::Identity;
use crate::wait;
use crate::warden::Warden;

/// How long a request waits before the caller is told what it waits for. Quick answers stay silent.
const SILENCE: Duration = Duration::from_secs(1);

/// A request in the queue.
struct Queued {
    judged: Box<Judged>,
    reply: Reply,
    ticket: Ticket,
}

/// Asks a person, and waits for as long as the caller does.
pub(super) async fn ask(warden: Arc<Warden>, judged: Box<Judged>, reply: Reply) {
    let warden = &warden;
    // Boxed: thousands may wait, and hold nothing of what comes before and after that.
    let Some(mut queued) = Box::pin(queue_up(warden, judged, reply)).await else { return };
    let entry = queued.ticket.entry;
    warden.events.waiting(|| warden.approvals.find(&entry.to_string(), |_| true).ok());
    warden.due.notify_one();
    queued.judged.slim();
    let began = Instant::now();
    match wait_for_answer(warden, &mut queued).await {
        Waited::Answered(answer) => {
            warden.metrics.waited(AnswerKind::from(&*answer), began.elapsed());
            let Queued { judged, reply, .. } = *queued;
            Box::pin(settle(warden, judged, reply, *answer)).await;
        }
        Waited::CutOff => queued.ticket.stay(),
        Waited::Left => {
            let id = Id(queued.judged.plan().id);
            let mut records = vec![Record::CallerLeft(ledger::CallerLeft { id })];
            if let Left::Parked(entry) = queued.ticket.leave() {
                records.push(Record::Parked(ledger::Parked { id, entry }));
            }
            warden.record(&records);
        }
    }
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

/// Puts it into the queue, unless it has its answer by then. `None` is that it has, and was told.
async fn queue_up(
    warden: &Arc<Warden>,
    mut judged: Box<Judged>,
    mut reply: Reply,
) -> Option<Box<Queued>> {
    let id = Id(judged.plan().id);
    if judged.plan().prisoner.as_ref().is_some_and(|prisoner| prisoner.unattended) {
        let text = format!("{}; nobody is there to ask (--unattended)", judged.decision().reason);
        let told = judged.decision().with_suggestion(&text);
        warden.record(&[denied(id, Some(judged.rule()), text)]);
        let _ = reply.deny(&judged.rule(), &told).await;
        return None;
    }
    crate::crash::point("before_pending");
    if !reply.may_wait() || !judged.may_wait() {
        let text = "too much waits for approval already; answer some of it and repeat the command";
        warden.record(&[failed(id, text.to_owned())]);
        let _ = reply.deny(&judged.rule(), text).await;
        return None;
    }
    warden.take_up_approvals();
    let inherits;
    (judged, inherits) = match inherited(warden, judged).await {
        Ok(found) => found,
        Err(text) => {
            warden.record(&[failed(id, text.clone())]);
            let _ = reply.fail(EXIT_UNREACHABLE, &text).await;
            return None;
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
                return None;
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
    match warden.approvals.ask(question, crate::approvals::Now::read()) {
        Asked::Granted(approval) => {
            settle(warden, judged, reply, Answer::Approved(approval)).await;
            None
        }
        Asked::Denied(denial) => {
            settle(warden, judged, reply, Answer::Denied(denial)).await;
            None
        }
        Asked::Nobody(why) => {
            let rule = judged.decision().rule.as_ref().map(ToString::to_string);
            warden.record(&[denied(id, rule.clone(), why.clone())]);
            warden.found_nobody(id, judged.plan().jail.name.as_str(), rule, &why);
            let told = judged.decision().with_suggestion(&why);
            let _ = reply.deny(&judged.rule(), &told).await;
            None
        }
        Asked::Full(full) => {
            warden.record(&[failed(id, full.to_string())]);
            let _ = reply.deny(&judged.rule(), &full.to_string()).await;
            None
        }
        Asked::Wait(ticket) => Some(Box::new(Queued { judged, reply, ticket })),
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

async fn wait_for_answer(warden: &Warden, queued: &mut Queued) -> Waited {
    let Queued { judged, reply, ticket } = queued;
    let short = ticket.short.clone();
    let jail = &judged.plan().jail;
    let can_come_back = judged.plan().invocation.client().is_some() && !warden.config.ephemeral;
    let reconnect = jail.policy().reconnect(jail.name.as_str());
    let reconnect = if can_come_back { reconnect } else { Duration::ZERO };
    // Whatever is said is boxed: who only waits holds no room for it.
    let pending = match judged.plan().invocation.client() {
        Some(_) => Box::pin(reply.pending_for(reconnect)).await,
        None => Box::pin(reply.pending()).await,
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
    let began = tokio::time::Instant::now();
    let ends = hold.and_then(|hold| began.checked_add(hold));
    let mut told = before > SILENCE;
    // One timer for both: the next thing to say.
    let mut next = if told { ends } else { Some(began + SILENCE) };
    let timer = tokio::time::sleep_until(next.unwrap_or(began));
    tokio::pin!(timer);
    let mut closing = warden.closing();
    loop {
        tokio::select! {
            biased;
            answer = async { Box::new(ticket.answered().await) } => return Waited::Answered(answer),
            interruption = reply.interrupted() => {
                if interruption == Interruption::Cancelled {
                    let text = "cancelled while it waited; nothing ran";
                    let _ = Box::pin(reply.fail(EXIT_UNREACHABLE, text)).await;
                }
                return Waited::Left;
            }
            () = closed(&mut closing) => {
                if !reconnect.is_zero() {
                    return Waited::CutOff;
                }
                let text = "the warden is going down; nothing ran";
                let _ = Box::pin(reply.fail(EXIT_UNREACHABLE, text)).await;
                return Waited::Left;
            }
            () = &mut timer, if next.is_some() => {
                if told {
                    let text = format!(
                        "still waiting for approval {short}; nothing ran. Repeat the same command later, \
                         or run: clawrden wait {short}"
                    );
                    let _ = Box::pin(reply.still_waiting(&text)).await;
                    return Waited::Left;
                }
                told = true;
                let text = format!(
                    "waiting for approval {short} ({}); answer with: clawrden approve {short}",
                    judged.decision().reason
                );
                if Box::pin(reply.notice(&text)).await.is_err() {
                    return Waited::Left;
                }
                next = ends;
                timer.as_mut().reset(next.unwrap_or(began));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<F: Future>(_: impl Fn(Arc<Warden>, Box<Judged>, Reply) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of them wait at once: see the budget of 10,000.
    #[test]
    fn what_waits_holds_little() {
        let bytes = bytes(ask);
        assert!(bytes <= 1024, "{bytes} bytes");
    }
}
