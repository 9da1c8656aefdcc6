//! From settings to a warden that has all it needs: places, policy, ledger, sockets. It serves nobody yet.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use clawrden_bridge::channel::Channel;
use clawrden_policy::Policy;
use clawrden_protocol::limits::RECONNECT;
use tokio::sync::{Notify, watch};

use super::Warden;
use super::due::is_there;
use super::error::ServeError;
use super::jails::{Created, created_path};
use super::neighbours::Neighbours;
use super::people::Folks;
use super::proving::Proving;
use super::reload::Own;
use crate::approvals::{Approvals, Now};
use crate::beside::beside;
use crate::config::{Config, ExitCodes, File};
use crate::containers::{Containers, Members};
use crate::control::Access;
use crate::engine::Engine;
use crate::events::Events;
use crate::executor::{Ghosts, Glances, Pool, learn};
use crate::handed::HandedOff;
use crate::holds::Holds;
use crate::index::Index;
use crate::intercom::Narrows;
use crate::jails::runner::RunnerFile;
use crate::jails::{Baseline, Jails, Places};
use crate::ledger::{self, Ledger};
use crate::policies::Source;
use crate::process::{ExitInfo, Methods, Namespaces};
use crate::recording::Recordings;
use crate::running::Running;
use crate::sockets::{Bound, bind_private};
use crate::strangers::Strangers;
use crate::switch::Switch;

/// How much later than they look for it callers may come back to a restarted warden.
const LATE: Duration = Duration::from_secs(5);

/// A warden that could serve, and what it would be reached by.
pub(super) struct Started {
    pub(super) warden: Arc<Warden>,
    pub(super) control: Bound,
    /// The default jail's.
    pub(super) intercom: Bound,
    pub(super) api: Option<TcpListener>,
    pub(super) channels: Vec<Channel>,
    /// How the ledger was found.
    pub(super) recovery: ledger::Recovery,
    /// What of it is kept.
    pub(super) keep: ledger::Keep,
}

/// Takes all that a warden has. What a second warden would disturb is taken by lock, and is refused to it.
///
/// # Errors
/// The first thing that cannot be had.
pub(super) fn start(config: Config) -> Result<Started, ServeError> {
    let usual = Places::of_this_user()?;
    let places = match &config.control {
        Some(control) => usual.beside(control),
        None => usual,
    };
    places.make()?;
    let settings = File::read(config.settings.as_deref(), &places.settings())?;
    let audit = config.audit.clone().or_else(|| settings.ledger.path.clone());
    let audit = audit.unwrap_or_else(|| places.ledger());
    let switch_path = switch_path(&config, &places);
    let with = |kind: &str| switch_path.with_extension(kind);
    let said = (settings.people, settings.groups);
    let settings_path = config.settings.as_deref();
    let people = Folks::open(settings_path, places.settings(), said, with("paired.json"))?;
    let source = Source::new(config.policy.as_deref(), places.policy(), places.rules())
        .for_people(people.current());
    let policy = source.take(None)?;
    learn(&policy.policy);
    let options = ledger::Options { dry_run: config.dry_run, ..settings.ledger.options() };
    let (ledger, recovery) = Ledger::open(&audit, &options)?;
    let ledger = Arc::new(ledger);
    let events = Events::default();
    ledger.tell(events.clone());
    let index = Arc::new(Index::of(&ledger));
    let control = config.control.clone().unwrap_or_else(|| places.control_socket());
    let control = bind_private(&control, places.control_mode())?;
    let intercom = config.intercom.clone().unwrap_or_else(|| places.default_socket());
    let intercom = bind_private(&intercom, places.intercom_mode())?;
    let methods = Methods::probe();
    let exit_info = match config.exit_codes {
        ExitCodes::Auto => methods.exit_info,
        ExitCodes::Shim => ExitInfo::disabled(),
    };
    let switch = Switch::open(&switch_path);
    let (access, api) = Access::open(&with("tokens.json"), config.api.as_ref())?;
    let runner = RunnerFile::provide(&places.state())?;
    let pool = Arc::new(Pool::new(runner, methods.cgroups.clone()));
    let approvals = open_approvals(&audit, &policy.policy)?;
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
        pool,
        ghosts: Ghosts::new(audit.clone(), &places.run(), places.state()),
        ledger,
        events,
        recordings: Arc::new(Recordings::beside(&audit)),
        index,
        proving: Proving::default(),
        approvals,
        people,
        access: Arc::new(access),
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
        notify: OnceLock::new(),
        own: Own::new(source, policy),
        closing: watch::Sender::new(false),
        admission: Mutex::default(),
        due,
        containers: Containers::new(engine.clone()),
        members: Members::open(config.ephemeral, with("hardened.json")),
        neighbours: Neighbours::default(),
        holds: Holds::open(&with("held.json")),
        handed: HandedOff::open(&with("handed.jsonl")),
        created: Created::open(created_path(&switch_path)),
        engine,
        config,
        places,
    });
    let channels = settings.notify.0;
    Ok(Started { warden, control, intercom, api, channels, recovery, keep: options.keep })
}

fn open_approvals(audit: &Path, policy: &Policy) -> Result<Approvals, ServeError> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| ServeError::system("the kernel gives no random bytes")(errno.into()))?;
    let patience = policy.jails().map(|(_, jail)| jail.reconnect).fold(RECONNECT, Duration::max);
    Ok(Approvals::open(seed, beside(audit, ".approvals"), patience + LATE, is_there)?)
}

/// The kill switch belongs to the ledger: who keeps one elsewhere keeps both there.
fn switch_path(config: &Config, places: &Places) -> PathBuf {
    match &config.audit {
        Some(audit) => beside(audit, ".stopped"),
        None => places.switch(),
    }
}
