//! What the control plane can ask of the warden.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use clawrden_api::{
    AnswerRequest, Answered, ConfigInfo, ErrorBody, ErrorCode, History, HistoryQuery, IndexStatus,
    JailInfo, JailList, JailRequest, KillReport, KillRequest, NoApprover, PolicyReloaded,
    PrisonerAnswer, PrisonerRequest, QueueEntry, ResumeRequest, Status,
};
use tokio::runtime::Handle;

use super::scopes;
use super::{Warden, refused};
use crate::again::Case;
use crate::approvals::{self, AnswerError, Now, Part, Seen};
use crate::control::access::unknown;
use crate::control::{AccessChange, Actor, Backend, Format, Peer, Readiness, Refusal, Verdict};
use crate::ledger::{self, Id, LedgerError, Listener as _, Record};
use crate::request::denied;

/// How far the promises hold where the warden serves its own user and no other.
const SAME_USER: &str = "prisoners run as the warden's own user and without isolation: a hostile one can leave its \
                         process tree, edit this user's files and approve itself; here the promises hold against \
                         accident only";

/// The same for root.
const ROOT: &str = "prisoners that run as root and without isolation can undo all of this: the promises hold for \
                    prisoners of another user, and against accident for the rest";

/// The warden, as its control plane sees it.
pub(super) struct Control(pub(super) Arc<Warden>);

impl Backend for Control {
    fn prisoner_of(&self, pid: u32) -> Result<Option<String>, String> {
        let found = self.0.jails.prisoner_of(pid).map_err(|error| error.to_string())?;
        Ok(found.map(|prisoner| prisoner.id.clone()))
    }

    fn refused(&self, peer: &Peer, request: &str, why: &Refusal, note: &str) {
        let why = format!("{why}{note}");
        tracing::warn!(
            pid = peer.pid,
            uid = peer.uid,
            request,
            why,
            "somebody was refused at the control plane"
        );
        self.0.record(&[Record::ControlRefused(ledger::ControlRefused {
            peer: ledger::Caller {
                uid: Some(peer.uid),
                gid: Some(peer.gid),
                pid: peer.pid,
                ..ledger::Caller::default()
            },
            why: format!("{request}: {why}"),
        })]);
    }

    fn readiness(&self) -> Readiness {
        self.0.readiness()
    }

    fn metrics(&self, format: Format) -> Result<String, ErrorBody> {
        let page = self.0.metrics_page(format);
        page.map_err(|_| refused(ErrorCode::Internal, "the metrics cannot be written".to_owned()))
    }

    fn is_prisoners_user(&self, uid: u32) -> bool {
        self.0.strangers.has(uid) || uid == crate::sys::peer::overflow_uid()
    }

    fn is_prisoners_address(&self, address: IpAddr, since: Instant) -> bool {
        Handle::current().block_on(self.0.is_prisoners_address(address, since))
    }

    fn is_prisoners_socket(&self, number: u64) -> Option<bool> {
        Handle::current().block_on(self.0.is_prisoners_socket(number))
    }

    fn refused_at(&self, from: &str, request: &str, why: &str) {
        tracing::warn!(from, ?request, why, "somebody was refused at the control plane");
        self.0.record(&[Record::ControlRefused(ledger::ControlRefused {
            peer: ledger::Caller::default(),
            why: format!("{from}: {request}: {why}"),
        })]);
    }

    fn access_changed(&self, change: AccessChange) -> Result<(), ErrorBody> {
        let record = match change {
            AccessChange::TokenCreated(token) => Record::TokenCreated(ledger::TokenCreated {
                token: token.id,
                name: token.name,
                role: token.role,
                jails: token.scope.jails,
                rules: token.scope.rules,
                speaks_for: token.speaks_for,
                expires_ms: token.expires_ms,
                by: token.created_by,
            }),
            AccessChange::SessionOpened(session) => Record::SessionOpened(ledger::SessionOpened {
                session: session.id,
                who: session.who,
                role: session.role,
                from: session.address,
                expires_ms: session.expires_ms,
            }),
            AccessChange::CodeMade { person, service, expires_ms, by } => {
                Record::PairingOffered(ledger::PairingOffered { person, service, expires_ms, by })
            }
        };
        self.0.ledger.append(&[record]).map(|_| ()).map_err(|error| {
            let text = format!("the ledger cannot be written, so nobody is given access: {error}");
            refused(ErrorCode::LedgerUnavailable, text)
        })
    }

    fn access_ended(&self, id: &str, by: &str) {
        let (revoked, by) = (id.to_owned(), by.to_owned());
        self.0.record(&[Record::AccessRevoked(ledger::AccessRevoked { revoked, by })]);
    }

    fn events(&self) -> crate::events::Events {
        self.0.events.clone()
    }

    fn config(&self) -> Result<ConfigInfo, ErrorBody> {
        let Warden { config, places, .. } = &*self.0;
        let shown = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        Ok(ConfigInfo {
            intercom: shown(config.intercom.clone().unwrap_or_else(|| places.default_socket())),
            control: shown(config.control.clone().unwrap_or_else(|| places.control_socket())),
            ledger: shown(self.0.ledger.path().to_owned()),
            policy: self.0.own.status().source,
            grace_ms: u64::try_from(config.grace.as_millis()).unwrap_or(u64::MAX),
            ephemeral: config.ephemeral,
            dry_run: config.dry_run,
            ..ConfigInfo::default()
        })
    }

    fn status(&self) -> Result<Status, ErrorBody> {
        let warden = &self.0;
        let policy = warden.own.status();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uid: warden.uid,
            started_ms: warden.started_ms,
            stopped: warden.switch.stopped().or_else(|| warden.holds.unread()),
            held: warden.holds.all(),
            jails: warden.jails.status(policy.error.as_ref().map(|error| &error.message[..])),
            pending: warden.approvals.len(),
            running: warden.running.count(),
            no_approver: warden.last_unanswerable(&|_| true),
            people: warden.people.status(),
            bridges: warden.bridges(),
            dry_run: warden.config.dry_run,
            policy,
            ledger: warden.ledger.status(),
            index: warden.index.status(),
            engine: warden.engine_status(),
            methods: warden.method_map(),
            channels: warden.channel_list().channels,
            cautions: vec![if warden.uid == 0 { ROOT } else { SAME_USER }.to_owned()],
        })
    }

    fn no_approver(&self, in_jail: &dyn Fn(&str) -> bool) -> Option<NoApprover> {
        self.0.last_unanswerable(in_jail)
    }

    fn queue(&self, part: &Part<'_>) -> Result<(Vec<Seen>, bool), ErrorBody> {
        Ok(self.0.approvals.part(part))
    }

    fn count_waiting(&self, in_jail: &dyn Fn(&str) -> bool) -> usize {
        self.0.approvals.since(in_jail).len()
    }

    fn answer(
        &self,
        actor: &Actor,
        id: &str,
        verdict: Verdict,
        request: AnswerRequest,
    ) -> Result<Answered, ErrorBody> {
        let scope = scopes::wanted(verdict, &request)?;
        let (who, channel) = (actor.who.clone(), actor.channel.to_owned());
        let approve = verdict == Verdict::Approve;
        let doors = actor.doors.clone();
        let mut verdict = approvals::Verdict::new(approve, who, channel, doors);
        verdict.from.clone_from(&actor.from);
        verdict.scope = scope;
        verdict.reason = request.reason.filter(|reason| !reason.trim().is_empty());
        verdict.and_what_it_starts = request.and_what_it_starts;
        verdict.pattern = request.pattern;
        // What ran out of time holds no place that an answer needs.
        self.0.expire();
        let entry = self.within(actor, id)?;
        let id = &entry.id;
        if scope.repeats() || verdict.and_what_it_starts {
            scopes::may_repeat(&entry)?;
        }
        if verdict.and_what_it_starts {
            scopes::may_hand_down(&entry)?;
        }
        if let Some(pattern) = &verdict.pattern {
            self.may_approve_pattern(&entry, pattern)?;
        }
        if approve && self.0.is_own_request(actor, &entry) {
            let text = format!(
                "{} asks for this by its own user, and nobody approves their own request; another person may",
                actor.who
            );
            return Err(self.not_taken(actor, id, refused(ErrorCode::OwnRequest, text)));
        }
        let voter = self.0.people.now().voter(&actor.doors);
        if let Some(user) = actor.doors.chat.as_ref().filter(|_| voter.is_stranger()) {
            // Nobody's since it was let in.
            return Err(self.not_taken(actor, id, refused(ErrorCode::UnknownUser, unknown(user))));
        }
        let case = self.0.approvals.case(id).map_err(answer_error)?;
        if approve {
            self.judge_again(id, case.as_deref(), &verdict.who)?;
        }
        // A changed list of approvers holds for everybody who has answered and for who answers now.
        let by_now = case.as_ref().and_then(|case| case.approvers(&self.0.jails));
        let wants = by_now.map(|approvers| approvals::wants(&approvers));
        let holds = |token: &str| self.0.token_holds(token);
        let moment = approvals::Moment { wants: wants.as_ref(), holds: &holds };
        let chat = actor.doors.chat.as_ref().map(|user| ledger::Chat {
            person: voter.person.to_string(),
            user: user.to_string(),
            token: actor.token.clone(),
        });
        let person = voter.person;
        let ledger = &self.0.ledger;
        let channel = verdict.channel.clone();
        let record = |answered: &approvals::Answered| {
            let written =
                ledger.append(&answer_records(answered, &channel, &person, chat.as_ref()));
            crate::crash::point("after_answer_recorded");
            written.map(|_| ()).map_err(|error| error.to_string())
        };
        let answered = self.0.approvals.answer_by(id, verdict, (Now::read(), &moment), record);
        let answered = answered.map_err(|error| match error {
            AnswerError::NotAsked { .. } => self.not_taken(actor, id, answer_error(error)),
            AnswerError::OnlyWished { .. } => {
                self.not_taken(actor, id, self.0.confirmed_elsewhere(answer_error(error), id))
            }
            error => answer_error(error),
        })?;
        if answered.progress.is_some() {
            self.0.due.notify_one();
        }
        let answer = match (&answered.progress, answered.approved) {
            (Some(_), _) => "voted",
            (None, true) => "approved",
            (None, false) => "denied",
        };
        Ok(Answered {
            id: answered.entry.to_string(),
            answer: answer.to_owned(),
            progress: answered.progress,
            delivered: answered.kept_until_ms.is_none(),
            kept_until_ms: answered.kept_until_ms,
            holds_until_ms: answered.holds_until_ms,
        })
    }

    fn open_requests(&self) -> Vec<(String, String)> {
        let asks = self.0.approvals.asks().into_iter();
        asks.map(|(id, jail)| (id.to_string(), jail)).collect()
    }

    fn history(&self, query: HistoryQuery) -> Result<History, ErrorBody> {
        self.0.index.history(&self.0.ledger, &query).map_err(|error| {
            let code = match error {
                LedgerError::BadFilter { .. } => ErrorCode::BadRequest,
                _ => ErrorCode::Internal,
            };
            refused(code, error.to_string())
        })
    }

    fn rebuild_index(&self) -> Result<IndexStatus, ErrorBody> {
        self.0.index.rebuild(&self.0.ledger);
        Ok(self.0.index.status())
    }

    fn kill(&self, actor: &Actor, request: KillRequest) -> Result<KillReport, ErrorBody> {
        self.0.kill(actor.who.clone(), request)
    }

    fn resume(&self, actor: &Actor, request: ResumeRequest) -> Result<KillReport, ErrorBody> {
        self.0.resume(actor.who.clone(), request)
    }

    fn jails(&self) -> Result<JailList, ErrorBody> {
        Ok(self.0.list_jails())
    }

    fn jail(&self, name: &str) -> Result<JailInfo, ErrorBody> {
        self.0.show_jail(name)
    }

    fn create_jail(&self, actor: &Actor, request: JailRequest) -> Result<JailInfo, ErrorBody> {
        self.0.create_jail(actor.who.clone(), request)
    }

    fn delete_jail(&self, actor: &Actor, name: &str) -> Result<JailInfo, ErrorBody> {
        self.0.delete_jail(actor.who.clone(), name)
    }

    fn reload_policy(&self, actor: &Actor) -> Result<PolicyReloaded, ErrorBody> {
        self.0.reload_asked(&actor.who)
    }

    fn register_prisoner(
        &self,
        actor: &Actor,
        request: PrisonerRequest,
    ) -> Result<PrisonerAnswer, ErrorBody> {
        let Some(peer) = &actor.peer else {
            let text =
                "a prisoner is held by a process on this machine: register it on the Unix socket";
            return Err(refused(ErrorCode::Forbidden, text.to_owned()));
        };
        self.0.register(peer, request)
    }
}

impl Control {
    /// What somebody wants to answer, if they may.
    pub(super) fn within(&self, actor: &Actor, id: &str) -> Result<QueueEntry, ErrorBody> {
        let entry = self.0.approvals.find(id, |jail| actor.scope.has_jail(jail));
        // As if there were no other jails: of them nothing is told.
        let entry = entry.map_err(answer_error)?;
        if !actor.scope.has_rule(entry.rule.as_deref()) {
            let rule = entry.rule.as_deref().unwrap_or("the default action");
            let text = format!(
                "{rule} asks for this, and {} may answer to {} alone",
                actor.who,
                actor.scope.rules.join(", ")
            );
            return Err(refused(ErrorCode::Forbidden, text));
        }
        Ok(entry)
    }

    /// Records that an answer is not taken from whoever gives it, as far as there is room for more of them within this minute.
    pub(super) fn not_taken(&self, actor: &Actor, id: &str, why: ErrorBody) -> ErrorBody {
        let uid = actor.doors.uid;
        tracing::warn!(who = actor.who, request = id, why = why.message, "an answer is not taken");
        if let Some(note) = self.0.note_answer() {
            self.0.record(&[Record::ControlRefused(ledger::ControlRefused {
                peer: ledger::Caller { uid, ..ledger::Caller::default() },
                why: format!("{}: answer to {id}: {}{note}", actor.who, why.message),
            })]);
        }
        why
    }

    /// Denies what the policy in force denies by now, and tells so whoever would approve it.
    fn judge_again(&self, id: &str, case: Option<&Case>, who: &str) -> Result<(), ErrorBody> {
        let warden = &self.0;
        let Some(objection) = case.and_then(|case| case.objection(&warden.jails)) else {
            return Ok(());
        };
        let record = |requests: &[Id]| {
            let denied = |&id: &Id| {
                let reason = format!("{} (when {who} approved it)", objection.reason);
                denied(id, objection.rule.clone(), reason)
            };
            let records: Vec<Record> = requests.iter().map(denied).collect();
            warden.ledger.append(&records).map(|_| ()).map_err(|error| error.to_string())
        };
        let refusal = warden.approvals.refuse(id, &objection, Now::read(), record);
        let (entry, requests) = refusal.map_err(answer_error)?;
        // The ledger has a decision for it; who follows the queue hears that it is answered.
        let answered = |id| {
            let reason = Some(objection.reason.clone());
            let answered = ledger::Answered::new(id, entry, "the policy", "policy");
            Record::Denied(ledger::Answered { reason, ..answered })
        };
        let told: Vec<Record> = requests.into_iter().map(answered).collect();
        warden.events.recorded(&told);
        let rule = objection.rule.as_ref().map_or_else(String::new, |rule| format!(" ({rule})"));
        let text = format!(
            "request {id} cannot be approved: the policy in force by now denies it{rule}: {}; its caller is told",
            objection.reason
        );
        Err(refused(ErrorCode::DeniedByPolicy, text))
    }
}

/// An answer has a record for each request that it is for; where nobody waits, for the one that asked last.
/// Of a vote that does not decide there is one, for the request that was shown.
fn answer_records(
    answered: &approvals::Answered,
    channel: &str,
    person: &str,
    chat: Option<&ledger::Chat>,
) -> Vec<Record> {
    if let Some(progress) = &answered.progress {
        let shown = answered.told.first().or(answered.parked.as_ref()).copied();
        return vec![Record::Voted(ledger::Voted {
            id: shown.unwrap_or(answered.entry),
            entry: answered.entry,
            approver: answered.who.clone(),
            person: person.to_owned(),
            channel: channel.to_owned(),
            from: answered.from.clone(),
            reason: answered.reason.clone(),
            progress: progress.clone(),
            chat: chat.cloned(),
        })];
    }
    let requests = answered.told.iter().chain(&answered.parked);
    requests
        .map(|&id| {
            let record = ledger::Answered {
                from: answered.from.clone(),
                reason: answered.reason.clone(),
                kept_until_ms: answered.kept_until_ms,
                scope: answered.holds_until_ms.map(|_| answered.scope.word().to_owned()),
                holds_until_ms: answered.holds_until_ms,
                and_what_it_starts: answered.and_what_it_starts,
                pattern: answered.pattern.clone(),
                chat: chat.cloned(),
                ..ledger::Answered::new(id, answered.entry, &answered.who, channel)
            };
            if answered.approved { Record::Approved(record) } else { Record::Denied(record) }
        })
        .collect()
}

// By value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn answer_error(error: AnswerError) -> ErrorBody {
    let code = match &error {
        AnswerError::Malformed(_) | AnswerError::NoSession(_) | AnswerError::NoPattern(_) => {
            ErrorCode::BadRequest
        }
        AnswerError::Unknown(_) => ErrorCode::NotFound,
        AnswerError::Ambiguous { .. } => ErrorCode::Ambiguous,
        AnswerError::NotAsked { .. } => ErrorCode::NotApprover,
        AnswerError::NoReason(_) => ErrorCode::ReasonRequired,
        AnswerError::OnlyWished { .. } => ErrorCode::ConfirmOnPage,
        AnswerError::VotedBefore { .. } => ErrorCode::AlreadyVoted,
        AnswerError::AlreadyAnswered { .. }
        | AnswerError::TooManyKept(_)
        | AnswerError::TooManyVotes(_) => ErrorCode::Conflict,
        AnswerError::NotRecorded(_) | AnswerError::NotKept(_) | AnswerError::OnlyTakenBack(_) => {
            ErrorCode::LedgerUnavailable
        }
    };
    refused(code, error.to_string())
}
