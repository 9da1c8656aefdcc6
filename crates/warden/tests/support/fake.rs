//! A backend that remembers what it was asked.

mod backend;

use std::io::{Seek as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use clawrden_api::{
    ChannelList, ChannelTested, ChatUser, ErrorBody, ErrorCode, ExplainRequest, Explained,
    ExportQuery, GrantList, LedgerProof, Overview, PairedUser, PatternTested, PeopleList,
    PolicyCheckRequest, PolicyChecked, PolicyInfo, PolicySuggestions, RecordingFacts, RevokeReport,
    RevokeRequest, RuleAnswer, RuleRequest, RunningEntry, RunningList, SimulateRequest, Simulated,
    StopReport, StopRequest, SuggestionAccepted, UnpairRequest,
};
use clawrden_warden::control::Source;
use clawrden_warden::control::{
    Actor, Auditing, Channels, Commands, Counting, Folk, Grants, Lawyer, Patterns, Readiness,
};
use clawrden_warden::events::Events;
use clawrden_warden::ledger::Export;
use clawrden_warden::process::Identity;
use tokio::sync::watch;

use super::RECORDED;

#[derive(Default)]
struct Memory {
    recording: Option<watch::Sender<u64>>,
    calls: Vec<String>,
    refusals: Vec<String>,
    prisoner: Option<Identity>,
    is_blind: bool,
    events: Events,
    prisoners_user: Option<u32>,
    /// Whether each socket of this machine is a prisoner's.
    has_prisoners_sockets: bool,
    /// How often that was asked.
    looks: usize,
    keeps_no_record: bool,
    entries: usize,
    lines: usize,
    jails: Vec<String>,
    delay: Duration,
    readiness: Readiness,
}

#[derive(Default)]
pub(crate) struct Fake(Mutex<Memory>);

impl Fake {
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        self.0.lock().unwrap().refusals.clone()
    }

    pub(crate) fn imprison(&self, root: Identity) {
        self.0.lock().unwrap().prisoner = Some(root);
    }

    pub(crate) fn know_nothing(&self) {
        self.0.lock().unwrap().is_blind = true;
    }

    pub(crate) fn imprison_user(&self, uid: u32) {
        self.0.lock().unwrap().prisoners_user = Some(uid);
    }

    /// What it tells those who listen.
    pub(crate) fn told(&self) -> Events {
        self.0.lock().unwrap().events.clone()
    }

    /// How often it was looked whose process is at the other end.
    pub(crate) fn looks(&self) -> usize {
        self.0.lock().unwrap().looks
    }

    /// Whoever comes from this machine is a process of a prisoner's.
    pub(crate) fn imprison_sockets(&self) {
        self.0.lock().unwrap().has_prisoners_sockets = true;
    }

    pub(crate) fn keep_no_record(&self) {
        self.0.lock().unwrap().keeps_no_record = true;
    }

    pub(crate) fn fill_queue(&self, entries: usize) {
        self.0.lock().unwrap().entries = entries;
    }

    pub(crate) fn be(&self, readiness: Readiness) {
        self.0.lock().unwrap().readiness = readiness;
    }

    pub(crate) fn be_slow(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    /// The ledger has so many lines.
    pub(crate) fn write_lines(&self, lines: usize) {
        self.0.lock().unwrap().lines = lines;
    }

    /// There is a request in each of these jails, one that waits, one that runs and one that is over.
    pub(crate) fn have_in(&self, jails: &[&str]) {
        self.0.lock().unwrap().jails = jails.iter().map(|&jail| jail.to_owned()).collect();
    }

    fn named_jails(&self) -> Vec<String> {
        self.0.lock().unwrap().jails.clone()
    }

    fn note(&self, call: String) {
        let delay = {
            let mut memory = self.0.lock().unwrap();
            memory.calls.push(call);
            memory.delay
        };
        std::thread::sleep(delay);
    }
}

impl Channels for Fake {
    fn channels(&self) -> Result<ChannelList, ErrorBody> {
        self.note("channels".to_owned());
        Ok(ChannelList::default())
    }

    fn test_channel(&self, name: &str) -> Result<ChannelTested, ErrorBody> {
        self.note(format!("test_channel {name}"));
        Ok(ChannelTested { name: name.to_owned(), steps: vec![] })
    }
}

impl Commands for Fake {
    fn running(&self) -> Result<RunningList, ErrorBody> {
        self.note("running".to_owned());
        let running = |jail| RunningEntry { jail, ..RunningEntry::default() };
        Ok(RunningList { entries: self.named_jails().into_iter().map(running).collect() })
    }

    fn count_running(&self, in_jail: &dyn Fn(&str) -> bool) -> usize {
        self.note("count_running".to_owned());
        self.named_jails().iter().filter(|jail| in_jail(jail)).count()
    }

    fn stop(&self, actor: &Actor, id: &str, request: StopRequest) -> Result<StopReport, ErrorBody> {
        self.note(format!("stop {id} {:?} by {}", request.reason, actor.who));
        Ok(StopReport { id: id.to_owned(), ended: true })
    }

    fn recording(&self, id: &str) -> Result<Source, ErrorBody> {
        self.note(format!("recording {id}"));
        if id == RECORDED {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"{\"version\":2}\n").unwrap();
            let end = file.stream_position().unwrap();
            let progress = self
                .0
                .lock()
                .unwrap()
                .recording
                .get_or_insert_with(|| watch::Sender::new(end))
                .subscribe();
            return Ok(Source { facts: RecordingFacts::default(), file, progress: Some(progress) });
        }
        Err(ErrorBody { code: ErrorCode::NotFound, message: "there is none".to_owned() })
    }
}

impl Grants for Fake {
    fn grants(&self) -> Result<GrantList, ErrorBody> {
        self.note("grants".to_owned());
        Ok(GrantList::default())
    }

    fn revoke(
        &self,
        actor: &Actor,
        id: &str,
        request: RevokeRequest,
    ) -> Result<RevokeReport, ErrorBody> {
        self.note(format!("revoke {id} {:?} by {}", request.reason, actor.who));
        Ok(RevokeReport { id: id.to_owned() })
    }
}

impl Patterns for Fake {
    fn test_pattern(
        &self,
        actor: &Actor,
        id: &str,
        pattern: &str,
    ) -> Result<PatternTested, ErrorBody> {
        self.note(format!("pattern {id} {pattern} by {}", actor.who));
        Ok(PatternTested::default())
    }
}

impl Counting for Fake {
    fn overview(&self, back_ms: u64, jails: &[String]) -> Result<Overview, ErrorBody> {
        self.note(format!("overview {back_ms} {jails:?}"));
        Ok(Overview::default())
    }
}

impl Auditing for Fake {
    fn proof(&self) -> LedgerProof {
        self.note("proof".to_owned());
        LedgerProof::default()
    }

    fn prove(&self) -> Result<LedgerProof, ErrorBody> {
        self.note("prove".to_owned());
        Ok(LedgerProof::default())
    }

    fn export(&self, query: ExportQuery) -> Result<Export, ErrorBody> {
        self.note(format!("export {query:?}"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let line = "{\"seq\":1,\"time_ms\":1,\"event\":\"opened\"}\n";
        std::fs::write(&path, line.repeat(self.0.lock().unwrap().lines.max(1))).unwrap();
        // It is open: where it is does not matter any more.
        Ok(Export::open(&path, query).unwrap())
    }
}

impl Lawyer for Fake {
    fn suggestions(&self, min: usize) -> Result<PolicySuggestions, ErrorBody> {
        self.note(format!("suggestions {min}"));
        Ok(PolicySuggestions::default())
    }

    fn accept(
        &self,
        actor: &Actor,
        min: usize,
        request: SuggestionAccepted,
    ) -> Result<RuleAnswer, ErrorBody> {
        self.note(format!("accept {min} {} by {}", request.rule, actor.who));
        Ok(RuleAnswer::default())
    }

    fn add_rule(&self, actor: &Actor, request: RuleRequest) -> Result<RuleAnswer, ErrorBody> {
        self.note(format!("rule {} {} by {}", request.id, request.dry_run, actor.who));
        Ok(RuleAnswer::default())
    }

    fn policy(&self) -> Result<PolicyInfo, ErrorBody> {
        self.note("policy".to_owned());
        Ok(PolicyInfo::default())
    }

    fn check_policy(&self, request: PolicyCheckRequest) -> Result<PolicyChecked, ErrorBody> {
        self.note(format!("check {}", request.text));
        Ok(PolicyChecked::default())
    }

    fn explain(&self, request: ExplainRequest, bounded: bool) -> Result<Explained, ErrorBody> {
        let ExplainRequest { argv, line, jail, .. } = request;
        self.note(format!("explain {argv:?} {line:?} {jail:?} bounded {bounded}"));
        Ok(Explained::default())
    }

    fn simulate(&self, request: SimulateRequest) -> Result<Simulated, ErrorBody> {
        self.note(format!("simulate {} {:?}", request.text, request.limit));
        Ok(Simulated::default())
    }
}

impl Folk for Fake {
    fn person_of(&self, user: &ChatUser) -> Option<String> {
        (user.to_string() == "slack:T1/U1").then(|| "alice".to_owned())
    }

    fn people(&self) -> Result<PeopleList, ErrorBody> {
        Ok(PeopleList::default())
    }

    fn may_pair(&self, person: &str) -> Result<(), ErrorBody> {
        let message = format!("nobody is {person}");
        if person == "alice" {
            Ok(())
        } else {
            Err(ErrorBody { code: ErrorCode::NotFound, message })
        }
    }

    fn bind(&self, person: &str, user: &ChatUser, by: &str) -> Result<PairedUser, ErrorBody> {
        self.note(format!("bind {person} {user} by {by}"));
        if self.person_of(user).is_some() {
            let message = "is somebody".to_owned();
            return Err(ErrorBody { code: ErrorCode::Conflict, message });
        }
        let (person, by) = (person.to_owned(), by.to_owned());
        Ok(PairedUser { person, user: user.clone(), since_ms: 7, by })
    }

    fn unbind(&self, actor: &Actor, request: UnpairRequest) -> Result<PairedUser, ErrorBody> {
        self.note(format!("unbind {} {} by {}", request.person, request.user, actor.who));
        Err(ErrorBody { code: ErrorCode::NotFound, message: "is not paired".to_owned() })
    }
}
