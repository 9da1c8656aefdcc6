//! From start to end of a warden: what goes on while it serves, and going down in good order.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinSet, spawn_blocking};

use super::error::ServeError;
use super::start::{Started, start};
use super::surfaces::Surfaces;
use super::{LAST_WORDS, Warden};
use crate::config::Config;
use crate::executor::{clear_doors, reap};
use crate::index::Follower;
use crate::jails::{JailName, Origin};
use crate::ledger::{self, Record};
use crate::retention::Retention;
use crate::running::Order;
use crate::sys::{memory, process};

/// Makes an event loop and [`serve`]s on it: the whole of a `clawrden warden`.
///
/// # Errors
/// As [`serve`].
pub fn run_warden(config: Config) -> Result<(), ServeError> {
    memory::give_back_at_once();
    // One thread: a request that is allowed costs one wake-up then. What may block has threads of its own.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(ServeError::system("no event loop can be had"))?;
    let served = runtime.block_on(serve(config));
    // A thread that hangs on a file system of the prisoner's does not keep the warden from ending.
    runtime.shutdown_background();
    served
}

/// The signals that it hears.
struct Signals {
    term: Signal,
    int: Signal,
    /// For the policy.
    reload: Signal,
    /// For the people.
    renewal: Signal,
}

impl Signals {
    fn watched() -> Result<Self, ServeError> {
        let watched = |kind, what| signal(kind).map_err(ServeError::system(what));
        let hangup = || watched(SignalKind::hangup(), "SIGHUP cannot be watched");
        Ok(Self {
            term: watched(SignalKind::terminate(), "SIGTERM cannot be watched")?,
            int: watched(SignalKind::interrupt(), "SIGINT cannot be watched")?,
            reload: hangup()?,
            renewal: hangup()?,
        })
    }
}

/// Serves until SIGTERM or SIGINT, or, when ephemeral, until the last prisoner has ended.
///
/// # Errors
/// When it cannot start. Once it serves, nothing ends it but its signals.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    // First of all: who can be reached can be told to go down.
    let Signals { mut term, mut int, reload, renewal } = Signals::watched()?;
    raise_descriptor_limit();
    // A ledger at that limit is one that cannot be written: nothing runs, and the warden says so.
    process::outlive_file_size_limit();
    let Started { warden, control, intercom, api, channels, recovery, keep } = start(config)?;
    warden.pool.fill();
    warden.sweep();
    warden.metrics.accepted.add(1);
    let indexing = Follower::start(&warden.index, &warden.ledger);
    warden.open_books(&recovery);
    warden.take_up_approvals();
    warden.take_up_tools();
    // What is owed is known from here on.
    let retention = Retention::start(&warden, keep);
    clear_doors(&warden.places.run().join("jails"));
    let own = (Origin::Own, warden.own.sourced());
    let places = (intercom.path().to_owned(), control.path().to_owned());
    warden.open_jail(JailName::default_jail(), Vec::new(), false, own, intercom)?;
    warden.open_declared_jails()?;
    warden.open_created_jails();
    let mut surfaces = Surfaces::open(&warden, control, api, channels)?;
    tracing::info!(intercom = %places.0.display(), control = %places.1.display(), ledger = %warden.ledger.path().display(), policy = warden.own.sourced().source, "the warden serves");
    if warden.config.dry_run {
        tracing::warn!(
            "a dry run: what the policy asks or denies is recorded and let through, disasters excepted"
        );
    }
    let mut chores = warden.chores(reload, renewal);
    let why = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
        () = warden.attend() => "the last prisoner ended",
    };
    tracing::info!(why, "the warden goes down");
    warden.events.close();
    chores.abort_all();
    warden.drain().await;
    warden.pool.close();
    surfaces.close().await;
    warden.record(&[Record::WardenStopped(ledger::WardenStopped { reason: why.to_owned() })]);
    let _ = spawn_blocking(move || drop(retention)).await;
    // It waits for the disk, but not for ever.
    let last = Arc::clone(&warden);
    let _ = spawn_blocking(move || last.ledger.close()).await;
    warden.doors().clear();
    drop(surfaces);
    let _ = spawn_blocking(move || drop(indexing)).await;
    Ok(())
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

    /// Cleans up after wardens that could not. It may take as long as the grace, and nobody waits for it, nor does the end
    /// of this warden.
    fn sweep(&self) {
        let (controllers, grace) = (self.methods.controllers.clone(), self.config.grace);
        let sweep = std::thread::Builder::new().name("sweep".to_owned());
        drop(sweep.spawn(move || controllers.sweep(grace)));
    }

    /// What goes on beside the requests, until it is aborted or dropped.
    fn chores(self: &Arc<Self>, reload: Signal, renewal: Signal) -> JoinSet<()> {
        let mut chores = JoinSet::new();
        chores.spawn(Arc::clone(self).follow_policy(reload));
        chores.spawn(Arc::clone(self).follow_people(renewal));
        chores.spawn(Arc::clone(self).follow_engine());
        chores.spawn(reap(Arc::clone(self)));
        let gate = Arc::clone(&self.gate);
        chores.spawn(async move { gate.keep_time().await });
        chores
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
