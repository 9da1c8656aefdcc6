//! From start to end of a warden: places, ledger, sockets, service, and going down in good order.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clawrden_policy::Policy;
use clawrden_protocol::limits::RECONNECT;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::Warden;
use super::jails::{Created, created_path};
use super::neighbours::Neighbours;
use super::people::{Folks, PairedError};
use super::proving::Proving;
use super::reload::Own;
use crate::approvals::{self, Approvals, Now, StoreError};
use crate::config::{Config, ConfigError, ExitCodes, File};
use crate::containers::{Containers, Members};
use crate::control::{Access, AccessError, Limits};
use crate::engine::Engine;
use crate::events::Events;
use crate::executor::{Ghosts, Glances, Pool, clear_doors, reap};
use crate::handed::HandedOff;
use crate::holds::Holds;
use crate::index::{Follower, Index};
use crate::intercom::Narrows;
use crate::jails::runner::{RunnerError, RunnerFile};
use crate::jails::{BadName, Baseline, JailName, Jails, Origin, PlaceError, Places, RegistryError};
use crate::ledger::{self, Ledger, LedgerError, Record};
use crate::policies::{Source, Unread};
use crate::process::{ExitInfo, Identity, Methods, Namespaces, ProcessError};
use crate::recording::Recordings;
use crate::retention::Retention;
use crate::running::{Order, Running};
use crate::sockets::{BindError, bind_private};
use crate::strangers::Strangers;
use crate::switch::Switch;
use crate::sys::memory;

/// How long an ephemeral warden waits for its first prisoner.
const FIRST_PRISONER: Duration = Duration::from_secs(30);

/// How much later than they look for it callers may come back to a restarted warden.
const LATE: Duration = Duration::from_secs(5);

/// How long supervised commands have beyond the grace when the warden goes down.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a warden does not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The settings are not read.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// Who was paired with whom is not read.
    #[error(transparent)]
    Paired(#[from] PairedError),
    /// The policy does not load.
    #[error(transparent)]
    Policy(#[from] Unread),
    /// A directory cannot be had.
    #[error(transparent)]
    Places(#[from] PlaceError),
    /// A jail has a name that it cannot have.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A jail cannot be made.
    #[error(transparent)]
    Jail(#[from] RegistryError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What waits for a person cannot be kept.
    #[error(transparent)]
    Approvals(#[from] StoreError),
    /// A socket cannot be had.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The runner cannot be had.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The API cannot be served over TCP.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// /proc is missing.
    #[error("the warden needs /proc: {0}")]
    Proc(#[from] ProcessError),
    /// Anything else of the system's.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Makes an event loop and [`serve`]s on it: the whole of a `clawrden warden`.
///
/// # Errors
/// As [`serve`].
pub fn run_warden(config: Config) -> Result<(), ServeError> {
    memory::give_back_at_once();
    // One thread: a request that is allowed costs one wake-up then. What may block has threads of its own.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    let runtime = runtime
        .map_err(|source| ServeError::System { what: "no event loop can be had", source })?;
    let served = runtime.block_on(serve(config));
    // A thread that hangs on a file system of the prisoner's does not keep the warden from ending.
    runtime.shutdown_background();
    served
}

/// Serves until SIGTERM or SIGINT, or, when ephemeral, until the last prisoner has ended.
///
/// # Errors
/// When it cannot start. Once it serves, nothing ends it but its signals.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let system = |what| move |source: io::Error| ServeError::System { what, source };
    // First of all: who can be reached can be told to go down.
    let mut term = signal(SignalKind::terminate()).map_err(system("SIGTERM cannot be watched"))?;
    let mut int = signal(SignalKind::interrupt()).map_err(system("SIGINT cannot be watched"))?;
    let hangup = signal(SignalKind::hangup()).map_err(system("SIGHUP cannot be watched"))?;
    let renewal = signal(SignalKind::hangup()).map_err(system("SIGHUP cannot be watched"))?;
    raise_descriptor_limit();
    // A ledger at that limit is one that cannot be written: nothing runs, and the warden says so.
    crate::sys::process::outlive_file_size_limit();
    let usual = Places::of_this_user()?;
    let places = match &config.control {
        Some(control) => usual.beside(control),
        None => usual,
    };
    places.make()?;
    let settings = File::read(config.settings.as_deref(), &places.settings())?;
    let said = (settings.people, settings.groups);
    let channels = settings.notify.0;
    let settings = settings.ledger;
    let audit = config.audit.clone().or_else(|| settings.path.clone());
    let audit = audit.unwrap_or_else(|| places.ledger());
    let switch_path = switch_path(&config, &places);
    let paired = switch_path.with_extension("paired.json");
    let people = Folks::open(config.settings.as_deref(), places.settings(), said, paired)?;
    let source = Source::new(config.policy.as_deref(), places.policy(), places.rules())
        .for_people(people.current());
    let policy = source.take(None)?;
    let policy_name = policy.source.clone();
    crate::executor::learn(&policy.policy);
    let options = ledger::Options { dry_run: config.dry_run, ..settings.options() };
    let (ledger, recovery) = Ledger::open(&audit, &options)?;
    let ledger = Arc::new(ledger);
    let events = Events::default();
    ledger.tell(events.clone());
    let index = Arc::new(Index::of(&ledger));
    let control_path = config.control.clone().unwrap_or_else(|| places.control_socket());
    let control = bind_private(&control_path, places.control_mode())?;
    let intercom_path = config.intercom.clone().unwrap_or_else(|| places.default_socket());
    let intercom = bind_private(&intercom_path, places.intercom_mode())?;
    let methods = Methods::probe();
    let exit_info = match config.exit_codes {
        ExitCodes::Auto => methods.exit_info,
        ExitCodes::Shim => ExitInfo::disabled(),
    };
    let switch = Switch::open(&switch_path);
    let (access, api) =
        Access::open(&switch_path.with_extension("tokens.json"), config.api.as_ref())?;
    let access = Arc::new(access);
    let runner = RunnerFile::provide(&places.state())?;
    let pool = Arc::new(Pool::new(runner, methods.cgroups.clone()));
    let mut seed = [0; 32];
    let got = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    got.map_err(|errno| system("the kernel gives no random bytes")(errno.into()))?;
    let declared_jails = policy.policy.jails().map(|(_, jail)| jail.reconnect);
    let patience = declared_jails.fold(RECONNECT, Duration::max) + LATE;
    let path = approvals_path(&audit);
    let approvals = Approvals::open(seed, path, patience, is_there)?;
    approvals.know(people.now());
    let due: Arc<Notify> = Arc::default();
    approvals.wakes(Arc::clone(&due));
    let engine = Engine::new(config.engine.clone());
    let warden = Arc::new(Warden {
        uid: rustix::process::getuid().as_raw(),
        started_ms: Now::read().ms,
        namespaces: Namespaces::own()?,
        exit_info,
        methods,
        pool: Arc::clone(&pool),
        ghosts: Ghosts::new(audit.clone(), &places.run(), places.state()),
        ledger,
        events,
        recordings: Arc::new(Recordings::beside(&audit)),
        index,
        proving: Proving::default(),
        approvals,
        people,
        access: Arc::clone(&access),
        nobody: Mutex::default(),
        jails: Jails::default(),
        running: Arc::<Running>::default(),
        quotas: Arc::default(),
        metrics: crate::metrics::Metrics::default(),
        switch,
        gate: Arc::default(),
        turns: Arc::default(),
        narrows: Narrows::default(),
        laps: Arc::default(),
        glances: Glances::default(),
        strangers: Strangers::new(rustix::process::getuid().as_raw()),
        kinds: Arc::default(),
        workers: crate::plan::Workers::default(),
        digests: Arc::default(),
        baseline: Baseline::own(),
        disasters: config.dry_run.then(|| Arc::new(Policy::stock())),
        doors: Mutex::default(),
        notify: std::sync::OnceLock::new(),
        own: Own::new(source, policy),
        closing: watch::Sender::new(false),
        admission: Mutex::default(),
        due,
        containers: Containers::new(engine.clone()),
        members: Members::open(config.ephemeral, switch_path.with_extension("hardened.json")),
        neighbours: Neighbours::default(),
        holds: Holds::open(&switch_path.with_extension("held.json")),
        handed: HandedOff::open(&switch_path.with_extension("handed.jsonl")),
        created: Created::open(created_path(&switch_path)),
        engine,
        config,
        places,
    });
    pool.fill();
    let (controllers, grace) = (warden.methods.controllers.clone(), warden.config.grace);
    // It may wait for that long, and nobody waits for it, nor does the end of this warden.
    let sweep = std::thread::Builder::new().name("sweep".to_owned());
    drop(sweep.spawn(move || controllers.sweep(grace)));
    warden.metrics.accepted.add(1);
    let indexing = Follower::start(&warden.index, &warden.ledger);
    warden.open_books(&recovery);
    warden.take_up_approvals();
    warden.take_up_tools();
    // What is owed is known from here on.
    let retention = Retention::start(&warden, options.keep);
    clear_doors(&warden.places.run().join("jails"));
    let default = JailName::default_jail();
    let own = (Origin::Own, warden.own.sourced());
    warden.open_jail(default, Vec::new(), false, own, intercom)?;
    warden.open_declared_jails()?;
    warden.open_created_jails();
    let (down, going_down) = watch::channel(false);
    let down_is_said = |mut going_down: watch::Receiver<bool>| async move {
        // It counts as said when nobody is left to say it.
        let _ = going_down.wait_for(|&down| down).await;
    };
    let listener = control.listener().try_clone().and_then(tokio::net::UnixListener::from_std);
    let backend: Arc<dyn crate::control::Backend> =
        Arc::new(super::control::Control(Arc::clone(&warden)));
    let served = tokio::spawn(crate::control::serve(
        listener.map_err(system("the control socket cannot be listened on"))?,
        Arc::clone(&backend),
        Arc::clone(&access),
        down_is_said(going_down.clone()),
    ));
    let bridges = warden.start_channels(channels, &backend, &access, &going_down);
    let api = match api {
        None => None,
        Some(api) => {
            let listener = tokio::net::TcpListener::from_std(api);
            Some(tokio::spawn(crate::control::serve_tcp(
                listener.map_err(system("the API cannot be listened on"))?,
                backend,
                Arc::clone(&access),
                down_is_said(going_down),
                Limits::default(),
            )))
        }
    };
    if let Some((url, fingerprint)) = access.place() {
        tracing::info!(url, fingerprint, "the API is served over TCP");
    }
    tracing::info!(intercom = %intercom_path.display(), control = %control_path.display(), ledger = %audit.display(), policy = policy_name, "the warden serves");
    let following = tokio::spawn(Arc::clone(&warden).follow_policy(hangup));
    let meeting = tokio::spawn(Arc::clone(&warden).follow_people(renewal));
    let listening = tokio::spawn(Arc::clone(&warden).follow_engine());
    let reaping = tokio::spawn(reap(Arc::clone(&warden)));
    let gate = Arc::clone(&warden.gate);
    let timing = tokio::spawn(async move { gate.keep_time().await });
    if warden.config.dry_run {
        tracing::warn!(
            "a dry run: what the policy asks or denies is recorded and let through, disasters excepted"
        );
    }
    let why = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
        () = warden.attend() => "the last prisoner ended",
    };
    tracing::info!(why, "the warden goes down");
    warden.events.close();
    following.abort();
    meeting.abort();
    listening.abort();
    reaping.abort();
    timing.abort();
    warden.drain().await;
    warden.pool.close();
    drop(down);
    let all = async {
        let _ = served.await;
        if let Some(api) = api {
            let _ = api.await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, all).await;
    warden.record(&[Record::WardenStopped(ledger::WardenStopped { reason: why.to_owned() })]);
    let last = Arc::clone(&warden);
    let _ = tokio::task::spawn_blocking(move || drop(retention)).await;
    // It waits for the disk, but not for ever.
    let _ = tokio::task::spawn_blocking(move || last.ledger.close()).await;
    warden.doors().clear();
    drop((control, bridges));
    let _ = tokio::task::spawn_blocking(move || drop(indexing)).await;
    Ok(())
}

/// The jails that a policy names, and their tools.
///
/// # Errors
/// When one has a name that it cannot have.
pub(super) fn declared(policy: &Policy) -> Result<Vec<(JailName, Vec<String>)>, BadName> {
    let default = JailName::default_jail();
    let named = policy.jails().filter(|(name, _)| *name != default.as_str());
    named.map(|(name, jail)| Ok((JailName::new(name)?, jail.commands.clone()))).collect()
}

/// The kill switch belongs to the ledger: who keeps one elsewhere keeps both there.
fn switch_path(config: &Config, places: &Places) -> PathBuf {
    match &config.audit {
        Some(audit) => {
            let mut name = audit.file_name().unwrap_or_default().to_owned();
            name.push(".stopped");
            audit.with_file_name(name)
        }
        None => places.switch(),
    }
}

/// Whether a process still is.
pub(super) fn is_there(key: approvals::CallerKey) -> bool {
    let identity = key.pid.zip(key.start).map(|(pid, start_ticks)| Identity { pid, start_ticks });
    identity.is_some_and(Identity::is_alive)
}

/// What waits for a person lies beside the ledger, which one warden has at a time.
fn approvals_path(audit: &std::path::Path) -> PathBuf {
    let mut name = audit.file_name().unwrap_or_default().to_owned();
    name.push(".approvals");
    audit.with_file_name(name)
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays at {:?}", limit.current);
    }
}

impl Warden {
    /// What the kernel offers, and what was chosen.
    pub(super) fn method_map(&self) -> BTreeMap<String, String> {
        let mut map = self.methods.map();
        let codes = if self.exit_info.is_available() { "kernel" } else { "shim" };
        map.insert("exit_codes".to_owned(), codes.to_owned());
        let runner = if self.pool.is_sealed() { "sealed memory" } else { "file" };
        map.insert("runner".to_owned(), runner.to_owned());
        map
    }

    fn open_books(&self, recovery: &ledger::Recovery) {
        if *recovery != ledger::Recovery::default() {
            tracing::warn!(?recovery, "the ledger was not whole");
        }
        self.record(&[Record::WardenStarted(ledger::WardenStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uid: self.uid,
            methods: self.method_map(),
        })]);
        tracing::info!(methods = ?self.method_map(), "what the kernel offers");
    }

    /// Takes up what the last warden left, once, and records what goes on.
    pub(crate) fn take_up_approvals(&self) {
        let Some(approvals::Recovered { restored, aside }) = self.approvals.take_up(Now::read())
        else {
            return;
        };
        if let Some(aside) = aside {
            tracing::warn!(aside = %aside.display(), "what waited and what was kept is asked anew: it cannot be understood");
        }
        self.due.notify_one();
        let record = |restored: &approvals::Restored| {
            let answered = restored.answered.clone();
            let from = answered.as_ref().and_then(|answered| answered.from.clone());
            let (approver, channel) = answered.map(|by| (by.who, by.channel)).unzip();
            Record::Restored(ledger::Restored {
                id: restored.request,
                entry: restored.entry,
                state: restored.state.to_owned(),
                until_ms: restored.until_ms,
                approver,
                channel,
                from,
            })
        };
        let records: Vec<Record> = restored.iter().map(record).collect();
        self.record(&records);
    }

    /// Makes the jails that the policy names.
    fn open_declared_jails(self: &Arc<Self>) -> Result<(), ServeError> {
        let policy = self.own.sourced();
        for (name, tools) in declared(&policy.policy)? {
            self.make_jail(name, tools, (Origin::Own, policy.clone()))?;
        }
        Ok(())
    }

    /// Does what is due when it is: approvals expire, ended prisoners are let go. Resolves when an ephemeral warden has
    /// nobody left.
    async fn attend(self: &Arc<Self>) {
        let first = tokio::time::Instant::now() + FIRST_PRISONER;
        loop {
            self.expire();
            let left = self.discharge_ended();
            let may_be_deserted = self.config.ephemeral && tokio::time::Instant::now() < first;
            if self.config.ephemeral && left == 0 && self.close_if_deserted(first) {
                return;
            }
            let expiry = self.approvals.next_expiry().map(tokio::time::Instant::from_std);
            let next = expiry.into_iter().chain(may_be_deserted.then_some(first)).min();
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = self.due.notified() => {}
            }
        }
    }

    pub(super) fn expire(&self) {
        for approvals::Lapsed { request: id, parked } in self.approvals.lapse(Now::read()) {
            let left = Record::CallerLeft(ledger::CallerLeft { id });
            let parked = parked.map(|entry| Record::Parked(ledger::Parked { id, entry }));
            let records: Vec<Record> = [Some(left), parked].into_iter().flatten().collect();
            self.record(&records);
        }
        self.approvals.escalate(Now::read(), |escalated| {
            self.record(&[Record::Escalated(ledger::Escalated {
                id: escalated.request,
                entry: escalated.entry,
                to: escalated.to,
                after_ms: escalated.after_ms,
            })]);
        });
        for expired in self.approvals.expire(Now::read()) {
            let records: Vec<Record> = expired
                .requests
                .iter()
                .map(|&id| {
                    Record::Expired(ledger::Expired {
                        id,
                        entry: expired.entry,
                        after_ms: u64::try_from(expired.after.as_millis()).unwrap_or(u64::MAX),
                    })
                })
                .collect();
            self.record(&records);
        }
    }

    /// Stops listening, lets who waits go, and ends what is supervised.
    async fn drain(&self) {
        self.admission().closed = true;
        self.closing.send_replace(true);
        for door in self.doors().values() {
            door.closing.send_replace(true);
        }
        self.running.order(&Order::Leave, |_| true);
        let left = self.running.drained(self.config.grace + LAST_WORDS, |_| true).await;
        if left > 0 {
            tracing::warn!(left, "commands are left behind");
        }
    }
}
