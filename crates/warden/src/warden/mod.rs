//! The warden: everything that its parts share. It is made once, by [`serve`], and never replaced.

mod always;
mod approvers;
mod channels;
mod containers;
mod control;
mod due;
mod engine;
mod error;
mod grants;
mod jails;
mod listener;
mod lookups;
mod metrics;
mod neighbours;
mod overview;
mod past;
mod patterns;
mod people;
mod policy;
mod prisoners;
mod proving;
mod reload;
mod running;
mod scopes;
mod serve;
mod start;
mod stop;
mod suggesting;
mod surfaces;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use clawrden_api::{ErrorBody, ErrorCode, Stopped};
use clawrden_policy::Policy;
use tokio::sync::{Notify, watch};

use self::proving::Proving;
use crate::approvals::Approvals;
use crate::config::Config;
use crate::containers::{Containers, Members};
use crate::control::Access;
use crate::engine::Engine;
use crate::events::Events;
use crate::executor::{Ghosts, Glances, Pool};
use crate::handed::HandedOff;
use crate::holds::Holds;
use crate::index::Index;
use crate::intercom::{Gate, Narrows, Turns};
use crate::jails::{Baseline, JailName, Jails, Places, Prisoner};
use crate::laps::Laps;
use crate::ledger::{Ledger, Record};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::plan::{Digests, Kinds, Sight, Workers};
use crate::process::cgroup::{Kind, Leaf, Parent};
use crate::process::{ExitInfo, Identity, Methods, Namespaces};
use crate::quotas::Quotas;
use crate::recording::Recordings;
use crate::running::Running;
use crate::sockets::Bound;
use crate::strangers::Strangers;
use crate::switch::Switch;
use neighbours::Neighbours;
use people::Folks;
use reload::Own;

pub use error::ServeError;
#[cfg(test)]
pub(crate) use neighbours::PATIENCE as ENGINE_PATIENCE;
pub use serve::{run_warden, serve};

/// How long supervised commands have beyond the grace when the warden goes down.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// The supervisor's state.
pub(crate) struct Warden {
    pub(crate) config: Config,
    pub(crate) places: Places,
    /// The user that it runs as.
    pub(crate) uid: u32,
    pub(crate) started_ms: u64,
    pub(crate) namespaces: Namespaces,
    pub(crate) methods: Methods,
    pub(crate) exit_info: ExitInfo,
    pub(crate) pool: Arc<Pool>,
    pub(crate) ghosts: Ghosts,
    pub(crate) ledger: Arc<Ledger>,
    /// What happens, for whoever listens.
    pub(crate) events: Events,
    pub(crate) recordings: Arc<Recordings>,
    /// What makes history fast.
    pub(crate) index: Arc<Index>,
    /// Whether it is being proved, and how it was.
    proving: Proving,
    pub(crate) approvals: Approvals,
    /// Who answers.
    pub(crate) people: Folks,
    /// The tokens and sessions by which they come.
    access: Arc<Access>,
    /// The last requests that nobody could have answered.
    nobody: Mutex<approvers::Unanswerable>,
    pub(crate) jails: Jails,
    pub(crate) running: Arc<Running>,
    /// How many commands of rules that say so start and run.
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) metrics: Metrics,
    pub(crate) switch: Switch,
    pub(crate) gate: Arc<Gate>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) narrows: Narrows,
    pub(crate) laps: Arc<Laps>,
    pub(crate) glances: Glances,
    /// Users other than its own that prisoners run as.
    pub(crate) strangers: Strangers,
    kinds: Arc<Kinds>,
    pub(crate) workers: Workers,
    /// What files held that a person was asked about.
    pub(crate) digests: Arc<Digests>,
    /// The container engine, which need not be there.
    pub(crate) engine: Engine,
    /// Which container a caller is in.
    pub(crate) containers: Containers,
    /// Which containers are in which jail.
    pub(crate) members: Members,
    /// From which addresses prisoners in them come.
    neighbours: Neighbours,
    /// What is stopped alone.
    pub(crate) holds: Holds,
    /// What was handed off and runs, for the next warden.
    pub(crate) handed: Arc<HandedOff>,
    /// The jails that people created.
    created: jails::Created,
    /// The environment of prisoners that nobody registered, as far as it is known.
    baseline: Baseline,
    /// The warden's own policy, for jails that bring none.
    own: Own,
    /// What a dry run denies all the same: what this policy does. `None` where the own policy is enforced.
    disasters: Option<Arc<Policy>>,
    doors: Mutex<BTreeMap<JailName, Door>>,
    /// The channels by which people are told; none before they are started.
    notify: OnceLock<Notifier>,
    closing: watch::Sender<bool>,
    admission: Mutex<Admission>,
    /// Something may be due sooner than the warden waits for: a request that may expire, a prisoner that has ended.
    pub(crate) due: Arc<Notify>,
}

/// Whether prisoners are taken in. Locked for the whole of a registration, so that none begins in a warden that has
/// already decided to go.
#[derive(Default)]
struct Admission {
    /// One was registered, so that an ephemeral warden may end with the last one.
    was_used: bool,
    /// None is taken in any more.
    closed: bool,
}

/// A jail's socket, and what ends its listener.
struct Door {
    socket: Bound,
    closing: watch::Sender<bool>,
}

impl Warden {
    /// Writes what needs no answer: what has happened. What cannot be written is written as soon as it can be; `status`
    /// and the log tell.
    pub(crate) fn record(&self, records: &[Record]) {
        if let Err(error) = self.ledger.record(records) {
            tracing::error!(%error, "a record could not be written yet");
        }
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    fn doors(&self) -> MutexGuard<'_, BTreeMap<JailName, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The environment that a prisoner was started with, or what comes nearest to it.
    pub(crate) fn baseline<'a>(&'a self, prisoner: Option<&'a Prisoner>) -> &'a Baseline {
        prisoner.map_or(&self.baseline, |prisoner| &prisoner.baseline)
    }

    /// The kinds of files that were looked at before.
    pub(crate) fn kinds(&self) -> Arc<Kinds> {
        Arc::clone(&self.kinds)
    }

    /// What planning a request of `prisoner` needs.
    pub(crate) fn sight<'a>(&'a self, prisoner: Option<&'a Prisoner>) -> Sight<'a> {
        let (kinds, workers) = (&self.kinds, &self.workers);
        let disasters = self.disasters.as_ref();
        Sight { kinds, workers, baseline: self.baseline(prisoner), jails: &self.jails, disasters }
    }

    /// A cgroup below the process's own, with the process in it, where one can be had: what it starts cannot leave. It is a
    /// handed-off tool's, which outlives this warden.
    pub(crate) fn leaf_for(&self, process: Identity, name: &str) -> Option<Leaf> {
        let cgroups = self.methods.cgroups.as_ref()?;
        let made = cgroups.create(Parent::Of(process.pid), Kind::Handoff, name);
        let joined = made.and_then(|leaf| leaf.add(process).map(|()| leaf));
        match joined {
            Ok(leaf) => Some(leaf),
            Err(error) => {
                tracing::warn!(%error, pid = process.pid, "a command gets no cgroup of its own");
                None
            }
        }
    }
}

/// What a caller is told while the kill switch is thrown.
pub(crate) fn stopped_text(stopped: &Stopped) -> String {
    let how = if stopped.paused { "paused" } else { "stopped" };
    format!(
        "everything is {how} by the kill switch (thrown by {}); nothing runs until a person says `clawrden resume`",
        stopped.by
    )
}

fn refused(code: ErrorCode, message: String) -> ErrorBody {
    ErrorBody { code, message }
}
