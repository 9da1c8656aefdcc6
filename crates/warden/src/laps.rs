//! Laps: a tool that looks on PATH for the next of its own name, which is not itself, finds our stand-in, and would be
//! led back to itself for ever.
//!
//! A request that repeats one whose tool still runs, from that tool's own process or from one that it started, with the
//! same words, directory and environment, is such a lap: from the same beginning the same follows. After a few of them
//! the tool behind it on PATH is meant. What then runs is judged as any request is. A tool that starts itself again with
//! anything changed goes on undisturbed, up to [`MAX_LAPS`].

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHasher;

use crate::plan::{Identity, Lap, Plan, Sight, Unplanned};
use crate::process::pidfd::has_ended;
use crate::process::stat;

/// Laps with nothing changed after which the tool behind this one is taken, where there is one. For a tool that was
/// started by a path: who looks on PATH for what is not itself says the path that it found.
const SAME_LAPS_BY_PATH: u32 = 2;

/// The same for a tool that was started by its bare name, as one does that wants itself again and leaves word in a file.
const SAME_LAPS_BY_NAME: u32 = 16;

/// Laps, with nothing but the environment changed between them, after which there is no further one.
const MAX_LAPS: u32 = 256;

/// What takes longer than this from one start to the next has done something meanwhile, and is no lap.
const LAP_TIME: Duration = Duration::from_secs(5);

/// How many generations above a request its tool is looked for. A supervised one is known by its runner, which is the next.
const GENERATIONS: usize = 4;

/// Variables that shells change by themselves at each start.
const PASSED_OVER: [&[u8]; 2] = [b"SHLVL=", b"_="];

/// The tools that were handed off and run.
#[derive(Debug, Default)]
pub(crate) struct Laps {
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    by_identity: HashMap<Identity, Vec<Runner>>,
}

/// A tool that runs, for as long as its process cannot be another one.
#[derive(Debug)]
struct Runner {
    number: u64,
    pid: u32,
    /// The process, where it is at hand: it may have ended, and nobody has looked yet.
    process: Option<Arc<OwnedFd>>,
    since: Instant,
    lap: Lap,
}

impl Runner {
    fn may_be_above(&self) -> bool {
        let has_ended = || self.process.as_ref().is_some_and(|process| has_ended(process.as_fd()));
        self.since.elapsed() < LAP_TIME && !has_ended()
    }
}

/// Keeps a tool among those that run.
#[derive(Debug)]
pub(crate) struct Entered {
    laps: Arc<Laps>,
    identity: Identity,
    number: u64,
}

/// Why a request is not planned.
#[derive(Debug)]
pub(crate) enum Astray {
    /// Its tool only starts itself again.
    Circle(Box<Plan>, String),
    /// See [`Plan::freeze`].
    Unplanned(Box<Unplanned>),
}

impl Laps {
    /// `plan`, or the one for the tool that is meant where its own only leads back here.
    pub(crate) async fn straighten(
        &self,
        mut plan: Box<Plan>,
        sight: Sight<'_>,
    ) -> Result<Box<Plan>, Astray> {
        loop {
            plan.lap = self.lap(&plan);
            let by_path = plan.invocation.argv().next().is_some_and(|name| name.contains(&b'/'));
            let most = if by_path { SAME_LAPS_BY_PATH } else { SAME_LAPS_BY_NAME };
            if plan.lap.same < most && plan.lap.all < MAX_LAPS {
                return Ok(plan);
            }
            let is_last = plan.lap.all >= MAX_LAPS;
            let (next, is_another) =
                Box::pin(plan.behind(sight)).await.map_err(Astray::Unplanned)?;
            plan = next;
            match (is_another, is_last) {
                (true, _) => {}
                (false, false) => return Ok(plan),
                (false, true) => {
                    let name = String::from_utf8_lossy(plan.invocation.name()).into_owned();
                    let text = format!(
                        "{name} has started itself {MAX_LAPS} times with the same arguments, and there is no other \
                         {name} behind it on PATH; nothing more is started"
                    );
                    return Err(Astray::Circle(plan, text));
                }
            }
        }
    }

    /// Which lap it is: the first, unless the same request's tool runs in this process or above it.
    fn lap(&self, plan: &Plan) -> Lap {
        let environment = fingerprint(plan.invocation.env());
        let first = Lap { environment, same: 0, all: 0 };
        let Some(pid) = plan.caller.pid else { return first };
        let may_be_one = |all: &Vec<Runner>| all.iter().any(Runner::may_be_above);
        if !self.running().by_identity.get(&plan.identity).is_some_and(may_be_one) {
            return first;
        }
        let above = std::iter::successors(Some(pid), |&pid| Some(stat(pid).ok()?.ppid));
        let above: Vec<u32> = above.take(GENERATIONS + 1).collect();
        let running = self.running();
        let before = running.by_identity.get(&plan.identity).into_iter().flatten();
        let before = before.filter(|before| above.contains(&before.pid) && before.may_be_above());
        match before.max_by_key(|before| before.lap.all) {
            Some(Runner { lap, .. }) => Lap {
                environment,
                same: if lap.environment == environment { lap.same + 1 } else { 0 },
                all: lap.all + 1,
            },
            None => first,
        }
    }

    /// The tool of a request of this identity runs in process `pid`, or below it. That is no other one until it has ended, or,
    /// without `process`, until the result is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        (identity, lap): (Identity, Lap),
        pid: u32,
        process: Option<Arc<OwnedFd>>,
    ) -> Entered {
        let mut running = self.running();
        let number = running.next;
        running.next += 1;
        let same = running.by_identity.entry(identity).or_default();
        same.push(Runner { number, pid, process, since: Instant::now(), lap });
        Entered { laps: Arc::clone(self), identity, number }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut running = self.laps.running();
        if let Some(same) = running.by_identity.get_mut(&self.identity) {
            same.retain(|runner| runner.number != self.number);
            if same.is_empty() {
                running.by_identity.remove(&self.identity);
            }
        }
    }
}

/// Every request pays for it. Who makes two environments with one fingerprint only has its own tool looked for behind
/// itself earlier.
fn fingerprint<'a>(env: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = FxHasher::default();
    for entry in env.filter(|entry| !PASSED_OVER.iter().any(|name| entry.starts_with(name))) {
        entry.hash(&mut hasher);
    }
    hasher.finish()
}
