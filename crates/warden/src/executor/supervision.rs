//! Following a supervised run: what its runner says, the time that it has, and what it is told from outside.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_protocol::frame::Status;
use clawrden_protocol::limits::{EXIT_TIMED_OUT, EXIT_UNREACHABLE};
use clawrden_protocol::runner::{FromRunner, Plan as RunnerPlan, Streams};

use super::limits::exceeded;
use super::pool::Pool;
use super::record;
use super::runner::{Runner, RunnerError};
use crate::approvals;
use crate::engine::Engine;
use crate::intercom::{Reply, close_apart};
use crate::laps::{Lap, Laps};
use crate::ledger::{Finished, Id, Recorded};
use crate::plan::Opened;
use crate::process::Identity;
use crate::process::cgroup::{Bounded, CgroupError, Leaf};
use crate::process::tree::{Report, Scope, descendants, end_tree, freeze_tree, thaw_tree};
use crate::process::usage::Tree;
use crate::recording::{self, Relay, Way};
use crate::running::{Order, Run};

/// How long a runner may take to end its tree, and its client to hear of it, once nothing is polite any more.
const STUCK: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 10_000 });

/// How long what a tool has left behind may go on by itself where it is to be ended.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How often whether it left anything may not be told, before it counts as if it did.
const UNTOLD: u32 = 3;

/// How long the end of a recording, and then its client, may take of a run that was told to end.
const HURRY: Duration = Duration::from_secs(1);

/// Lets a frozen tree go on, the runner last: it must not see its tool stopped, and tell so.
fn thaw_below_first(runner: Identity, scope: Scope) -> Report {
    let below = thaw_tree(runner, Scope::BelowRoot);
    let mut whole = thaw_tree(runner, scope);
    whole.problems.extend(below.problems);
    whole
}

/// Whether anything of a tool runs on below its runner, which its container holds besides where it cannot be seen; `None`
/// when nobody tells.
async fn is_left(runner: Option<u32>, container: Option<(Engine, String)>) -> Option<bool> {
    if let Some(pid) = runner {
        return Some(Identity::of(pid).and_then(descendants).is_ok_and(|left| !left.is_empty()));
    }
    let Some((engine, id)) = container else { return Some(false) };
    // The runner is one of them.
    engine.count_processes(&id).await.ok().map(|count| count > 1)
}

/// Resolves then; never for no time.
async fn at(then: Option<tokio::time::Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

/// A supervised run that is under way.
pub(super) struct Supervision {
    id: Id,
    run: Run,
    runner: Runner,
    clock: Instant,
    limit: Option<Duration>,
    /// Bytes that it may write.
    most_out: u64,
    /// The tool was not executed, for certain.
    pub(super) refused_to_start: bool,
    /// The runner has been given its plan, or a part of it.
    is_given: bool,
    /// It was told to end from outside.
    is_ordered_to_end: bool,
    /// It stands, and its runner with it.
    is_frozen: bool,
    /// The runner, where the engine has started it: the warden ends its tree if it does not.
    engines: Option<Identity>,
    /// The container that is its own.
    container: Option<(Engine, String)>,
    /// Between the polite signal and the other one.
    grace: Duration,
    /// When a runner that was told to end its tree counts as stuck, where somebody else can end it.
    overdue: Option<tokio::time::Instant>,
    /// Who has stopped it and why, where a person has.
    stopped: Option<String>,
    /// What records it.
    relay: Option<Relay>,
    /// What keeps it to its limits.
    bounded: Option<Bounded>,
}

/// A plan with its files opened again, found unchanged.
pub(super) struct Prepared {
    pub(super) plan: RunnerPlan,
    pub(super) tool: Opened,
    pub(super) cwd: Option<Opened>,
    pub(super) stripped: Vec<String>,
}

pub(super) fn device_number((major, minor): (u32, u32)) -> u64 {
    rustix::fs::makedev(major, minor)
}

impl Supervision {
    pub(super) fn new(
        id: Id,
        run: Run,
        runner: Runner,
        clock: Instant,
        limit: Option<Duration>,
    ) -> Self {
        let engines = match runner.leaf() {
            Some(_) => None,
            None => runner.identity(),
        };
        Self {
            id,
            run,
            runner,
            clock,
            limit,
            most_out: u64::MAX,
            refused_to_start: false,
            is_given: false,
            is_ordered_to_end: false,
            is_frozen: false,
            engines,
            container: None,
            grace: Duration::ZERO,
            overdue: None,
            stopped: None,
            relay: None,
            bounded: None,
        }
    }

    /// The same, kept to limits. Its runner is in there.
    pub(super) fn kept_to(self, bounded: Option<Bounded>) -> Self {
        Self { bounded, ..self }
    }

    /// The same in a container of its own, by its id.
    pub(super) fn in_container(self, engine: Engine, id: String) -> Self {
        Self { container: Some((engine, id)), ..self }
    }

    /// What it is entered as.
    pub(super) fn run_of(&self) -> &Run {
        &self.run
    }

    /// Starts it and follows it until the tool itself has ended, and its recording with it. Of one that runs in the
    /// warden's own pid namespace `laps` are noted.
    pub(super) async fn run(
        &mut self,
        prepared: Prepared,
        reply: Reply,
        recording: Option<recording::Begun>,
        laps: Option<(&Arc<Laps>, (approvals::Identity, Lap))>,
    ) -> Finished {
        let finished = match self.start(prepared, reply, recording).await {
            Ok(()) => self.follow(laps).await,
            Err(error) => ended(self.id, self.clock, None, Some(error.to_string())),
        };
        self.close(finished).await
    }

    /// Ends what its runner has not, and closes its recording.
    async fn close(&mut self, mut finished: Finished) -> Finished {
        // What goes on would keep the end of its recording waiting as well.
        if self.is_stuck() {
            self.end_tree().await;
        }
        if let Some(mut relay) = self.relay.take() {
            finished.recording = Some(self.recorded(&mut relay).await);
            self.relay = Some(relay);
        }
        finished
    }

    async fn start(
        &mut self,
        prepared: Prepared,
        mut reply: Reply,
        recording: Option<recording::Begun>,
    ) -> Result<(), RunnerError> {
        let Prepared { plan, tool, cwd, .. } = prepared;
        let recording = match recording {
            Some(begun) => match recording::Ready::new() {
                Ok(ready) => Some((begun, ready)),
                Err(error) => {
                    let error = RunnerError::Relay(error);
                    self.refused_to_start = true;
                    record::discard(Some(begun)).await;
                    // A caller that has left needs no answer.
                    let _ = reply.fail(EXIT_UNREACHABLE, &error.to_string()).await;
                    reply.close();
                    return Err(error);
                }
            },
            None => None,
        };
        let mut connection = match reply.into_connection() {
            Ok(connection) => connection,
            Err(error) => {
                self.refused_to_start = true;
                record::discard(recording.map(|(begun, _)| begun)).await;
                return Err(error.into());
            }
        };
        if let Some((begun, ready)) = recording {
            let way = Way {
                pid: self.runner.pid().unwrap_or_default(),
                is_ours: self.runner.leaf().is_some(),
            };
            let (relay, end) = ready.carry(begun, connection, way);
            (self.relay, connection) = (Some(relay), end);
        }
        self.most_out = plan.most_out;
        self.grace = Duration::from_millis(plan.grace_ms.into());
        let mut files = vec![connection.as_fd(), tool.fd.as_fd()];
        if plan.streams == Streams::Frames {
            files.extend(cwd.as_ref().map(|cwd| cwd.fd.as_fd()));
        }
        self.is_given = true;
        let started = self.runner.start(plan, &files).await;
        if started.is_err() {
            close_apart(connection);
        }
        crate::crash::point("plan_sent");
        started
    }

    /// The end of its recording. Orders are heard meanwhile, and one to end leaves it little time.
    async fn recorded(&mut self, relay: &mut Relay) -> Recorded {
        let end = relay.end();
        tokio::pin!(end);
        let mut hurry = None;
        loop {
            tokio::select! {
                biased;
                recorded = &mut end => return recorded,
                () = at(hurry) => return Relay::late(),
                order = self.run.order() => {
                    if order.ends() {
                        hurry.get_or_insert_with(|| tokio::time::Instant::now() + HURRY);
                    }
                    self.obey(order).await;
                }
            }
        }
    }

    /// Ends the tree of a runner that does not do it, where the warden can.
    async fn end_tree(&self) {
        if let Some((engine, container)) = &self.container {
            match engine.kill_container(container, "KILL").await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, id = %self.id, "a ghost could not be killed"),
            }
        }
        let Some(runner) = self.engines else { return };
        let ending = move || end_tree(runner, Scope::Whole, Duration::ZERO).problems;
        let problems = tokio::task::spawn_blocking(ending).await.unwrap_or_default();
        if !problems.is_empty() {
            tracing::warn!(id = %self.id, ?problems, "not all of a command could be ended");
        }
    }

    async fn follow(&mut self, laps: Option<(&Arc<Laps>, (approvals::Identity, Lap))>) -> Finished {
        // Its runner tells late that it has started. What the tool itself starts until then is known by where it is.
        if self.run.bequeaths() {
            self.run.is_in(self.tree());
        }
        let _entered =
            laps.zip(self.runner.pid()).map(|((laps, lap), runner)| laps.enter(lap, runner, None));
        let (id, clock) = (self.id, self.clock);
        let (mut timed_out, mut has_started) = (false, false);
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let time_is_up = at(deadline);
            let stuck = at(self.overdue);
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Started(pid))) => {
                        tracing::debug!(%id, pid, "a supervised tool runs");
                        crate::crash::point("tool_started");
                        has_started = true;
                        // Of one that has ended meanwhile there is nothing to see.
                        if !self.runner.has_said_more() {
                            self.run.is_in(self.tree());
                        }
                        deadline = self.limit.map(|limit| tokio::time::Instant::now() + limit);
                    }
                    Ok(Some(FromRunner::Finished { status, bytes_out, cancelled })) => {
                        let too_much = bytes_out > self.most_out;
                        let error = too_much.then(|| format!("it wrote more than the {} bytes that it may", self.most_out));
                        let error = error.or_else(|| match status {
                            Status::Exited(0) => None,
                            _ => exceeded(self.bounded.as_ref()),
                        });
                        let error = self.stopped.take().or(error);
                        return Finished { bytes_out: Some(bytes_out), cancelled, timed_out, ..ended(id, clock, Some(status), error) };
                    }
                    Ok(Some(FromRunner::Failed { text, .. })) => {
                        let text = String::from_utf8_lossy(&text).into_owned();
                        self.refused_to_start = !has_started;
                        return ended(id, clock, None, Some(text));
                    }
                    Ok(Some(FromRunner::Idle) | None) => return ended(id, clock, None, Some("the runner ended without a word".to_owned())),
                    Err(error) => return ended(id, clock, None, Some(error.to_string())),
                },
                () = time_is_up => {
                    timed_out = true;
                    deadline = None;
                    let limit = self.limit.unwrap_or_default();
                    self.stop(EXIT_TIMED_OUT, &format!("the command ran out of its time ({limit:?})"), false).await;
                }
                () = stuck => {
                    let error = "its runner did not end it in time".to_owned();
                    return Finished { timed_out, ..ended(id, clock, None, Some(error)) };
                }
                order = self.run.order() => self.obey(order).await,
            }
        }
    }

    /// Whether its runner was told to end its tree, and has had its time.
    fn is_stuck(&self) -> bool {
        self.overdue.is_some_and(|then| then <= tokio::time::Instant::now())
    }

    /// Until its last process has ended, and what recorded it: daemons that it left stay within reach, and so does a
    /// client that takes its time.
    pub(super) async fn linger(mut self, pool: &Pool) {
        // Who was given nothing has nothing to say.
        while self.is_given {
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Idle)) if self.is_reusable() => {
                        // What the runner starts next is another command's.
                        self.run.bequeaths_no_more();
                        if let Some(idle) = self.runner.into_idle() {
                            pool.give_back(idle);
                        }
                        return served(self.relay, &mut self.run, self.is_ordered_to_end).await;
                    }
                    // It goes once nobody talks to it, and its limits with it.
                    Ok(Some(FromRunner::Idle)) if self.bounded.is_some() => break,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                },
                order = self.run.order() => self.obey(order).await,
            }
        }
        // A runner that was killed leaves what it held together; its cgroup does not.
        let leaf = self.runner.leaf().cloned();
        self.runner.reap().await;
        let swept = tokio::task::spawn_blocking(move || {
            leaf.and_then(|leaf| leaf.with_what_is_there(Leaf::kill))
        })
        .await;
        if let Ok(Some(Err(error))) = swept {
            tracing::warn!(%error, id = %self.id, "what a runner left could not be ended");
        }
        served(self.relay, &mut self.run, self.is_ordered_to_end).await;
    }

    /// Until its client has all that was recorded for it, once nothing of it runs.
    pub(super) async fn serve(mut self) {
        served(self.relay, &mut self.run, self.is_ordered_to_end).await;
    }

    /// Until its client has taken what is left for it, and nothing of it runs: what the tool has left behind is ended.
    pub(super) async fn end_all(&mut self) {
        let mut untold = 0;
        while self.is_given {
            let (runner, container) = (self.runner.pid(), self.container.clone());
            let look = async {
                tokio::time::sleep(LEFT_BEHIND).await;
                is_left(runner, container).await
            };
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Idle) | None) | Err(_) => return,
                    Ok(Some(_)) => {}
                },
                () = at(self.overdue) => return,
                order = self.run.order() => self.obey(order).await,
                is_left = look => {
                    untold = if is_left.is_none() { untold + 1 } else { 0 };
                    if self.overdue.is_none() && (is_left == Some(true) || untold >= UNTOLD) {
                        self.stop(EXIT_UNREACHABLE, "its command has ended", true).await;
                    }
                }
            }
        }
    }

    fn is_reusable(&self) -> bool {
        self.bounded.is_none() && self.runner.is_reusable()
    }

    async fn obey(&mut self, order: Order) {
        self.is_ordered_to_end |= order.ends();
        match order {
            Order::End { why } => self.stop(EXIT_UNREACHABLE, &why, true).await,
            Order::Stop { why } => {
                self.stop(EXIT_UNREACHABLE, &why, false).await;
                self.stopped.get_or_insert(why);
            }
            // What is about to end could not.
            Order::Freeze if self.is_ordered_to_end => {}
            Order::Freeze => self.freeze().await,
            Order::Thaw => self.thaw().await,
            Order::Leave => self.stop(EXIT_UNREACHABLE, "the warden went down", false).await,
        }
    }

    /// Where its processes are, as far as they can be seen.
    fn tree(&self) -> Option<Tree> {
        let pid = self.runner.pid()?;
        let leaf = self.runner.leaf().cloned();
        let members = move || {
            let inside = leaf.as_ref().and_then(|leaf| leaf.with_what_is_there(Leaf::processes));
            inside.unwrap_or_default()
        };
        Some(Tree::of_runner(pid, members))
    }

    async fn stop(&mut self, code: u8, text: &str, now: bool) {
        if self.runner.leaf().is_none() {
            let patience = STUCK + if now { Duration::ZERO } else { self.grace };
            let then = tokio::time::Instant::now() + patience;
            self.overdue = Some(self.overdue.map_or(then, |before| before.min(then)));
        }
        if let Err(error) = self.runner.stop(code, text, now).await {
            tracing::warn!(%error, id = %self.id, "a runner could not be told to stop");
        }
        // It hears that once it goes on, before anything else.
        if self.is_frozen {
            self.thaw().await;
        }
    }

    async fn freeze(&mut self) {
        self.is_frozen = true;
        match self.container {
            Some(_) => self.pause(true).await,
            None => self.each(freeze_tree, Leaf::freeze),
        }
    }

    async fn thaw(&mut self) {
        self.is_frozen = false;
        match self.container {
            Some(_) => self.pause(false).await,
            None => self.each(thaw_below_first, Leaf::thaw),
        }
    }

    /// Freezes or thaws the container that is its own.
    async fn pause(&self, freeze: bool) {
        let Some((engine, id)) = &self.container else { return };
        let done = match freeze {
            true => engine.pause_container(id).await,
            false => engine.unpause_container(id).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, id = %self.id, "a ghost could not be frozen or thawed");
        }
    }

    fn each(
        &self,
        tree: impl FnOnce(Identity, Scope) -> Report,
        cgroup: impl FnOnce(&Leaf) -> Result<(), CgroupError>,
    ) {
        let frozen = self.runner.leaf().and_then(|leaf| leaf.with(cgroup));
        let problems = match (frozen, self.runner.identity()) {
            (Some(frozen), _) => frozen.err().map(|error| error.to_string()).into_iter().collect(),
            (None, Some(runner)) => tree(runner, Scope::Whole).problems,
            (None, None) => vec!["its runner has ended".to_owned()],
        };
        for problem in problems {
            tracing::warn!(id = %self.id, problem, "a command could not be frozen or thawed");
        }
    }
}

/// Until the client of a recorded run has taken what is left for it. What ends a run lets its client go.
async fn served(relay: Option<Relay>, run: &mut Run, is_ordered_to_end: bool) {
    let Some(mut relay) = relay else { return };
    let give_up = is_ordered_to_end.then(|| tokio::time::Instant::now() + HURRY);
    loop {
        tokio::select! {
            biased;
            () = relay.gone() => return,
            () = at(give_up) => break,
            order = run.order() => if order.ends() { break },
        }
    }
    relay.let_go();
    relay.gone().await;
}

pub(super) fn ended(
    id: Id,
    clock: Instant,
    status: Option<Status>,
    error: Option<String>,
) -> Finished {
    let (exit_code, signal) = match status {
        Some(Status::Exited(code)) => (Some(i32::from(code)), None),
        Some(Status::Killed(signal)) => (None, Some(i32::from(signal))),
        None => (None, None),
    };
    let exit_source = match status {
        Some(_) => "runner".to_owned(),
        None => "unknown: the runner did not say".to_owned(),
    };
    Finished {
        id,
        exit_code,
        signal,
        exit_source,
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error,
        recording: None,
    }
}

#[cfg(test)]
mod tests;
