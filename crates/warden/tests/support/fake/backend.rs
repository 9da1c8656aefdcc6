//! What it says of the warden itself, and of its queue.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use clawrden_api::{
    AnswerRequest, Answered, ConfigInfo, EngineStatus, ErrorBody, ErrorCode, History, HistoryEntry,
    HistoryQuery, JailInfo, JailList, JailRequest, KillReport, KillRequest, LedgerStatus,
    NoApprover, PeopleStatus, PolicyReloaded, PolicyStatus, PrisonerAnswer, PrisonerRequest,
    ResumeRequest, Status,
};
use clawrden_warden::approvals::{Changing, Details, Part, Seen, Written};
use clawrden_warden::control::{
    AccessChange, Actor, Backend, Format, Peer, Readiness, Refusal, Verdict,
};
use clawrden_warden::ledger::Id;
use clawrden_warden::process;

use super::Fake;

impl Backend for Fake {
    fn prisoner_of(&self, pid: u32) -> Result<Option<String>, String> {
        let (prisoner, is_blind) = {
            let memory = self.0.lock().unwrap();
            (memory.prisoner, memory.is_blind)
        };
        match prisoner {
            _ if is_blind => Err("blind".to_owned()),
            None => Ok(None),
            Some(root) => {
                let inside =
                    process::descends_from(pid, root).map_err(|error| error.to_string())?;
                Ok(inside.then(|| "p".to_owned()))
            }
        }
    }

    fn refused(&self, _peer: &Peer, request: &str, why: &Refusal, note: &str) {
        self.0.lock().unwrap().refusals.push(format!("{request}: {why:?}{note}"));
    }

    fn readiness(&self) -> Readiness {
        self.note("readiness".to_owned());
        self.0.lock().unwrap().readiness.clone()
    }

    fn metrics(&self, format: Format) -> Result<String, ErrorBody> {
        self.note(format!("metrics {format:?}"));
        Ok("clawrden_pending 0\n".to_owned())
    }

    fn is_prisoners_user(&self, uid: u32) -> bool {
        self.0.lock().unwrap().prisoners_user == Some(uid)
    }

    fn is_prisoners_address(&self, _address: IpAddr, _since: Instant) -> bool {
        // Every address that a test can come from is this machine's own.
        unreachable!("asked about who is near");
    }

    fn is_prisoners_socket(&self, number: u64) -> Option<bool> {
        assert_ne!(number, 0);
        let mut memory = self.0.lock().unwrap();
        memory.looks += 1;
        Some(memory.has_prisoners_sockets)
    }

    fn refused_at(&self, from: &str, request: &str, why: &str) {
        self.0.lock().unwrap().refusals.push(format!("{from}: {request}: {why}"));
    }

    fn access_changed(&self, change: AccessChange) -> Result<(), ErrorBody> {
        if self.0.lock().unwrap().keeps_no_record {
            let message = "no record".to_owned();
            return Err(ErrorBody { code: ErrorCode::LedgerUnavailable, message });
        }
        self.note(format!("{change:?}"));
        Ok(())
    }

    fn access_ended(&self, id: &str, by: &str) {
        self.note(format!("access_ended {id} by {by}"));
    }

    fn events(&self) -> clawrden_warden::events::Events {
        self.0.lock().unwrap().events.clone()
    }

    fn config(&self) -> Result<ConfigInfo, ErrorBody> {
        self.note("config".to_owned());
        Ok(ConfigInfo::default())
    }

    fn no_approver(&self, in_jail: &dyn Fn(&str) -> bool) -> Option<NoApprover> {
        let jails = self.named_jails();
        let last = jails.iter().rfind(|jail| in_jail(jail))?;
        let count = jails.iter().filter(|jail| in_jail(jail)).count() as u64;
        Some(NoApprover { jail: last.clone(), count, ..NoApprover::default() })
    }

    fn status(&self) -> Result<Status, ErrorBody> {
        self.note("status".to_owned());
        Ok(Status {
            no_approver: self.no_approver(&|_| true),
            people: PeopleStatus::default(),
            bridges: Vec::new(),
            version: "0".to_owned(),
            pid: std::process::id(),
            uid: 0,
            started_ms: 0,
            stopped: None,
            held: Vec::new(),
            jails: Vec::new(),
            pending: 0,
            running: 0,
            dry_run: false,
            policy: PolicyStatus::default(),
            index: clawrden_api::IndexStatus::default(),
            ledger: LedgerStatus::default(),
            engine: EngineStatus::default(),
            methods: BTreeMap::new(),
            channels: Vec::new(),
            cautions: Vec::new(),
        })
    }

    fn queue(&self, part: &Part<'_>) -> Result<(Vec<Seen>, bool), ErrorBody> {
        self.note("queue".to_owned());
        let entries = self.0.lock().unwrap().entries;
        let mut entries: Vec<_> =
            (0..entries).map(|number| entry(number, "default".to_owned())).collect();
        for (number, jail) in self.named_jails().into_iter().enumerate() {
            entries.push(entry(9000 + number, jail));
        }
        let place = |entry: &Seen| (entry.now.since_ms, entry.now.id.to_string());
        Ok(part.of(entries, |entry| entry.details.jail(), place))
    }

    fn count_waiting(&self, in_jail: &dyn Fn(&str) -> bool) -> usize {
        let part = Part { has_jail: in_jail, ..Part::whole() };
        self.queue(&part).unwrap().0.len()
    }

    fn answer(
        &self,
        actor: &Actor,
        id: &str,
        verdict: Verdict,
        request: AnswerRequest,
    ) -> Result<Answered, ErrorBody> {
        assert!(actor.peer.as_ref().is_none_or(|peer| peer.identity().is_ok()));
        let error = |code, message: &str| Err(ErrorBody { code, message: message.to_owned() });
        if id.starts_with("aaaa") {
            return error(ErrorCode::Conflict, "answered before");
        }
        assert!(!id.starts_with("dddd"), "a backend that panics");
        if !id.starts_with("bbbb") {
            return error(ErrorCode::NotFound, "no such request");
        }
        let by = actor.doors.chat.as_ref().map(|_| format!(" {} by {}", actor.channel, actor.who));
        let by = by.unwrap_or_default();
        self.note(format!("answer {id} {verdict:?} {:?}{by}", request.reason));
        let answer = format!("{verdict:?}");
        Ok(Answered {
            progress: None,
            id: id.to_owned(),
            answer,
            delivered: true,
            kept_until_ms: None,
            holds_until_ms: None,
        })
    }

    fn open_requests(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn history(&self, query: HistoryQuery) -> Result<History, ErrorBody> {
        self.note(format!("history {:?} {:?}", query.limit, query.decision));
        let fits = |jail: &String| {
            (query.jails.is_empty() || query.jails.contains(jail))
                && query.jail.as_ref().is_none_or(|wanted| wanted == jail)
        };
        let jails = self.named_jails().into_iter().filter(fits);
        let past = |jail| HistoryEntry { jail, ..HistoryEntry::default() };
        let entries: Vec<_> = jails.map(past).collect();
        let next = (!entries.is_empty()).then_some(7);
        Ok(History { entries, next })
    }

    fn rebuild_index(&self) -> Result<clawrden_api::IndexStatus, ErrorBody> {
        self.note("rebuild".to_owned());
        Ok(clawrden_api::IndexStatus::default())
    }

    fn kill(&self, _actor: &Actor, request: KillRequest) -> Result<KillReport, ErrorBody> {
        let reason = request.reason.filter(|reason| reason.len() < 100);
        self.note(format!("kill {} {reason:?}", request.pause));
        Ok(KillReport { processes: 0, containers: 0, stopped: None, problems: Vec::new() })
    }

    fn resume(&self, _actor: &Actor, request: ResumeRequest) -> Result<KillReport, ErrorBody> {
        let jail = request.jail.map(|jail| format!(" {jail}"));
        self.note(format!("resume{}", jail.unwrap_or_default()));
        Ok(KillReport { processes: 0, containers: 0, stopped: None, problems: Vec::new() })
    }

    fn jails(&self) -> Result<JailList, ErrorBody> {
        self.note("jails".to_owned());
        Ok(JailList::default())
    }

    fn jail(&self, name: &str) -> Result<JailInfo, ErrorBody> {
        self.note(format!("jail {name:?}"));
        Err(ErrorBody { code: ErrorCode::NotFound, message: "no such jail".to_owned() })
    }

    fn create_jail(&self, _actor: &Actor, request: JailRequest) -> Result<JailInfo, ErrorBody> {
        self.note(format!("create {:?} {:?}", request.name, request.commands));
        Ok(JailInfo::default())
    }

    fn delete_jail(&self, _actor: &Actor, name: &str) -> Result<JailInfo, ErrorBody> {
        self.note(format!("delete {name:?}"));
        Ok(JailInfo::default())
    }

    fn reload_policy(&self, _actor: &Actor) -> Result<PolicyReloaded, ErrorBody> {
        self.note("reload".to_owned());
        Err(ErrorBody {
            code: ErrorCode::BadPolicy,
            message: "p.yaml:3:7: it is broken".to_owned(),
        })
    }

    fn register_prisoner(
        &self,
        _actor: &Actor,
        request: PrisonerRequest,
    ) -> Result<PrisonerAnswer, ErrorBody> {
        self.note(format!("register {:?}", request.command));
        Ok(PrisonerAnswer {
            id: "p".to_owned(),
            jail: "default".to_owned(),
            socket: String::new(),
            bin: String::new(),
            tools: Vec::new(),
            ledger: String::new(),
            policy: String::new(),
        })
    }
}

fn entry(number: usize, jail: String) -> Seen {
    let details = Details {
        jail,
        argv: vec!["git".to_owned(), "push".to_owned(), "x".repeat(200)],
        executor: "mirror".to_owned(),
        ..Details::default()
    };
    let now = Changing {
        id: Id(u128::try_from(number).unwrap().to_be_bytes()),
        short: format!("{number:04x}"),
        request: None,
        since_ms: 0,
        expires_ms: 0,
        approvals: None,
        callers: 1,
    };
    Seen { details: Written::of(&details), now }
}
