//! Following a supervised run: what its runner says, the time that it has, and what it is told from outside.

mod after;
mod orders;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_protocol::frame::Status;
use clawrden_protocol::limits::{EXIT_TIMED_OUT, EXIT_UNREACHABLE};
use clawrden_protocol::runner::{FromRunner, Streams};

use super::limits::exceeded;
use super::prepared::Prepared;
use super::record;
use super::runner::{Runner, RunnerError};
use crate::approvals;
use crate::engine::Engine;
use crate::intercom::{Reply, close_apart};
use crate::laps::Laps;
use crate::ledger::{Finished, Id, Recorded};
use crate::plan::Lap;
use crate::process::Identity;
use crate::process::cgroup::Bounded;
use crate::recording::{self, Relay, Way};
use crate::running::Run;

/// How long the end of a recording, and then its client, may take of a run that was told to end.
const HURRY: Duration = Duration::from_secs(1);

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
