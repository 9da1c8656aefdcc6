//! A backend that remembers what it was asked, a server around it, and clients.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::zombie_processes,
    reason = "all of this is test code, which clippy only knows of functions marked as tests"
)]

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clawrden_api::{
    AnswerRequest, Answered, ChannelList, ChannelTested, ChatService, ChatUser, ConfigInfo,
    EngineStatus, ErrorBody, ErrorCode, ExplainRequest, Explained, ExportQuery, GrantList, History,
    HistoryEntry, HistoryQuery, JailInfo, JailList, JailRequest, KillReport, KillRequest,
    LedgerProof, LedgerStatus, Overview, PatternTested, PolicyCheckRequest, PolicyChecked,
    PolicyInfo, PolicyReloaded, PolicyStatus, PolicySuggestions, PrisonerAnswer, PrisonerRequest,
    RecordingFacts, ResumeRequest, RevokeReport, RevokeRequest, RuleAnswer, RuleRequest,
    RunningEntry, RunningList, SimulateRequest, Simulated, Status, StopReport, StopRequest,
    SuggestionAccepted,
};
use clawrden_api::{NoApprover, PairedUser, PeopleList, PeopleStatus, UnpairRequest};
use clawrden_warden::approvals::{Changing, Details, Part, Seen, Written};
use clawrden_warden::control::recordings::Source;
use clawrden_warden::control::{
    Access, AccessChange, Actor, ApiConfig, Auditing, Backend, Channels, Commands, Counting, Folk,
    Format, Grants, Lawyer, Limits, Patterns, Peer, Readiness, Refusal, Verdict, serve_bridge,
    serve_tcp, serve_with,
};
use clawrden_warden::ledger::{Export, Id};
use clawrden_warden::process::{self, Identity};
use clawrden_warden::sockets::{Bound, bind_private};
use tokio::sync::watch;

/// The id of a command that is being recorded and does not end.
pub(crate) const RECORDED: &str = "cccc0000000000000000000000000000";

#[derive(Default)]
struct Memory {
    recording: Option<watch::Sender<u64>>,
    calls: Vec<String>,
    refusals: Vec<String>,
    prisoner: Option<Identity>,
    is_blind: bool,
    events: clawrden_warden::events::Events,
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

/// A server that runs until it is dropped.
pub(crate) struct Served {
    pub(crate) path: PathBuf,
    /// Where it is served over TCP.
    pub(crate) address: SocketAddr,
    pub(crate) tokens: PathBuf,
    pub(crate) backend: Arc<Fake>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _bound: Bound,
    /// Where the warden's own bridge to Slack comes in.
    pub(crate) bridge: PathBuf,
    _bound_bridge: Bound,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let bound = bind_private(&path, 0o600).unwrap();
        let listener = bound.listener().try_clone().unwrap();
        let bridge = folder.path().join("slack.sock");
        let bound_bridge = bind_private(&bridge, 0o600).unwrap();
        let over_bridge = bound_bridge.listener().try_clone().unwrap();
        let tokens = folder.path().join("tokens.json");
        let api = ApiConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: None,
            own_certificate: false,
            hosts: vec!["warden.example".to_owned()],
        };
        let (access, tcp) = Access::open(&tokens, Some(&api)).unwrap();
        let (access, tcp) = (Arc::new(access), tcp.unwrap());
        let address = tcp.local_addr().unwrap();
        let backend = Arc::new(Fake::default());
        let shared: Arc<dyn Backend> = Arc::clone(&backend) as Arc<dyn Backend>;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let tcp = tokio::net::TcpListener::from_std(tcp).unwrap();
                let over_bridge = tokio::net::UnixListener::from_std(over_bridge).unwrap();
                let (end, ended) = tokio::sync::watch::channel(());
                let ends = |mut ended: tokio::sync::watch::Receiver<()>| async move {
                    drop(ended.changed().await);
                };
                let over_tcp = serve_tcp(
                    tcp,
                    Arc::clone(&shared),
                    Arc::clone(&access),
                    ends(ended.clone()),
                    limits,
                );
                let over_tcp = tokio::spawn(over_tcp);
                let over_bridge = tokio::spawn(serve_bridge(
                    over_bridge,
                    ChatService::Slack,
                    Arc::clone(&shared),
                    Arc::clone(&access),
                    ends(ended.clone()),
                ));
                let over_socket =
                    tokio::spawn(serve_with(listener, shared, access, ends(ended), limits));
                drop(stopped.await);
                drop(end);
                over_socket.await.unwrap();
                over_tcp.await.unwrap();
                over_bridge.await.unwrap();
            });
        });
        Self {
            path,
            address,
            tokens,
            backend,
            stop: Some(stop),
            thread: Some(thread),
            _bound: bound,
            bridge,
            _bound_bridge: bound_bridge,
            _folder: folder,
        }
    }

    /// An event that everybody hears.
    pub(crate) fn alarm(&self) {
        self.alarm_of("disk full");
    }

    /// The same, with words of its own.
    pub(crate) fn alarm_of(&self, error: &str) {
        let events = self.backend.0.lock().unwrap().events.clone();
        events.alarm(error);
    }

    /// Stops the server and gives the socket up.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: warden\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One request on a connection of its own: status and body.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request(method, path, body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        status,
        if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_owned() },
    )
}

/// What was told in chunks.
pub(crate) fn joined(mut chunks: &str) -> String {
    let mut whole = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n").unwrap();
        let (chunk, rest) = rest.split_at(usize::from_str_radix(length, 16).unwrap());
        whole.push_str(chunk);
        chunks = rest.strip_prefix("\r\n").unwrap();
        if chunk.is_empty() {
            return whole;
        }
    }
}

/// Head and body of a whole answer.
pub(crate) fn whole(socket: &Path, request: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// Head and body of an answer over TCP, which closes behind it.
pub(crate) fn over_tcp(served: &Served, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // A refusal may come before all was read, and the rest is then a reset.
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes);
        // It goes on for ever.
        if text.contains("text/event-stream") && text.contains("\r\n\r\n") {
            break;
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

/// A token, made over the Unix socket.
pub(crate) fn token(served: &Served, request: &str) -> String {
    let (status, body) = ask(&served.path, "POST", "/api/tokens", request);
    assert_eq!(status, 200, "{body}");
    let made: serde_json::Value = serde_json::from_str(&body).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

/// A request with further headers, each on a line of its own.
pub(crate) fn with_headers(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}

/// The header by which a token is shown.
pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// The status of an answer; 0 for none.
pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A header of an answer's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// One answer from a connection that stays open.
pub(crate) fn read_one(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    let mut byte = [0; 1];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    text.push_str(&String::from_utf8(body).unwrap());
    text
}

/// Tells the copy of the test program what to be: socket, method and path, each on a line.
pub(crate) const HELPER: &str = "CLAWRDEN_TEST_CLIENT";

/// A client in a process of its own, started by the command line `before` if there is one.
pub(crate) struct Helper {
    before: Vec<String>,
    words: Vec<String>,
}

pub(crate) fn helper(before: &[&str]) -> Helper {
    let before = before.iter().map(|&word| word.to_owned()).collect();
    Helper { before, words: Vec::new() }
}

impl Helper {
    pub(crate) fn arg(mut self, word: impl AsRef<Path>) -> Self {
        self.words.push(word.as_ref().to_str().unwrap().to_owned());
        self
    }

    pub(crate) fn args(self, words: [&str; 2]) -> Command {
        let all = self.arg(words[0]).arg(words[1]);
        let itself = std::env::current_exe().unwrap();
        let mut command = match all.before.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(itself);
                command
            }
            None => Command::new(itself),
        };
        command.args(["--exact", "helper_client", "--nocapture"]);
        command.env(HELPER, all.words.join("\n"));
        command
    }
}

/// What the helper's process does.
pub(crate) fn be_a_client() {
    let Ok(words) = std::env::var(HELPER) else { return };
    let words: Vec<&str> = words.split('\n').collect();
    let (socket, method, path) = (words[0], words[1], words[2]);
    match method {
        "HOLD" => {
            let _bound = bind_private(Path::new(socket), 0o600).unwrap();
            println!("!");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "LEAVE" => leave(socket, path),
        _ => {
            let (status, text) = ask(Path::new(socket), method, path, "");
            println!("said:{status} {text}");
        }
    }
}

/// Connects and leaves the connection to a shell, which waits for `<file>.go`.
fn leave(socket: &str, file: &str) {
    const SCRIPT: &str = "while [ ! -e \"$0.go\" ]; do sleep 0.02; done
        printf 'GET /api/status HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n'
        cat >\"$0\" 2>&2; : >\"$0.done\"";
    let stream = UnixStream::connect(socket).unwrap();
    // Standard output of the shell is the connection, and `cat` reads it from standard input.
    let spoken: OwnedFd = stream.try_clone().unwrap().into();
    let heard: OwnedFd = stream.into();
    Command::new("sh")
        .args(["-c", SCRIPT, file])
        .stdin(Stdio::from(heard))
        .stdout(Stdio::from(spoken))
        .spawn()
        .unwrap();
}
