//! Mirror by handoff: the shim becomes the tool, and the warden only watches, as does the next one if it ends before.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_policy::Timeout;
use clawrden_protocol::frame::{Handoff, Status, Strings};

use super::end::{ended, ended_in_passing};
use super::limits::{self, exceeded};
use super::{Begun, Refusal, Start, begin, finish, never_started, refuse};
use crate::caller::Caller;
use crate::handed::{Entry, Note, Tool};
use crate::holds::HoldError;
use crate::intercom::{Reply, Unsent};
use crate::ledger::{Finished, Id, Method, Started};
use crate::plan::{Origin, Plan};
use crate::process::cgroup::{CgroupError, Kind, Leaf};
use crate::process::pidfd::Why;
use crate::process::tree::{Report, Scope, end_tree, freeze_tree, thaw_tree};
use crate::process::usage::Tree;
use crate::process::{ExitInfo, ExitStatus, Identity};
use crate::running::{Card, Order, Run};
use crate::warden::Warden;

/// How long a tool runs before it is written down for the next warden. Most have ended by then.
const SETTLED: Duration = Duration::from_millis(100);

/// Hands the plan to the shim, and follows the process to its end.
pub(super) async fn run(warden: &Arc<Warden>, mut start: Start) {
    let plan = start.approved.plan();
    let (id, pid) = (Id(plan.id), plan.caller.pid);
    // With a descriptor it is followed wherever it has got to.
    if plan.caller.pidfd.is_none() && !plan.caller.is_alive() {
        let text = "the caller ended, so its command cannot be followed".to_owned();
        return refuse(warden, start, Refusal::Failed, text).await;
    }
    let report = !warden.exit_info.is_available() || plan.caller.pidfd.is_none();
    let (identity, lap) = (plan.identity, plan.lap);
    let timeout = start.approved.timeout();
    let mut bounded = match limits::bounded(warden, &start.approved, Kind::Handoff).await {
        Ok(bounded) => bounded,
        Err(text) => return refuse(warden, start, Refusal::Denied, text).await,
    };
    let plan = start.approved.plan();
    let mut leaf = match timeout {
        Timeout::Rule(_) if bounded.is_none() => {
            plan.caller.identity().and_then(|identity| warden.leaf_for(identity, &id.to_string()))
        }
        Timeout::Rule(_) | Timeout::Default(_) | Timeout::None => None,
    };
    if told(plan, report).is_none() {
        let text = "what is to be executed cannot be told to the caller".to_owned();
        return refuse(warden, start, Refusal::Failed, text).await;
    }
    let started = Started {
        id,
        executor: "mirror".to_owned(),
        run_as: None,
        ghost: None,
        method: Method::Handoff,
        pid,
        stripped: Vec::new(),
        record: None,
    };
    let Some(Begun { mut run, spent }) = begin(warden, &mut start, started).await else { return };
    if let Some(unjoined) = bounded.take() {
        match limits::join(unjoined, start.approved.plan().caller.identity()).await {
            Ok(mut joined) => {
                leaf = joined.take_leaf();
                bounded = Some(joined);
            }
            Err(text) => {
                finish(warden, &run, never_started(id, &text), spent);
                // A caller that has left needs no answer.
                let _ = start.reply.deny("", &text).await;
                return start.reply.close();
            }
        }
    }
    // For as long as it is followed, its process is no other one.
    let process = start.approved.plan().caller.pidfd.clone();
    let _lap = pid.map(|pid| warden.laps.enter((identity, lap), pid, process));
    let clock = Instant::now();
    let sent = match told(start.approved.plan(), report) {
        Some(told) => start.reply.handoff(told).await,
        None => Err(Unsent { error: std::io::ErrorKind::InvalidData.into(), in_part: false }),
    };
    // Who runs for long holds nothing of what it was asked with.
    let caller = start.approved.into_caller();
    if let Err(Unsent { error, in_part }) = sent {
        let error = Some(format!("the caller left before its command started: {error}"));
        let finished = Finished { error, ..unknown(id, clock, "it never started") };
        // Who has read a part may know enough to go on without the rest.
        return finish(warden, &run, finished, spent.filter(|_| !in_part));
    }
    drop(spent);
    crate::crash::point("after_ack");
    warden.glances.now();
    // Whose end lets others go on, or takes something from them, is not told late.
    let in_passing = leaf.is_none() && bounded.is_none() && run.is_nobodys_condition();
    run.is_in(Some(tree(&caller, leaf.as_ref())));
    let (reply, pidfd, info) = (start.reply, caller.pidfd.clone(), warden.exit_info);
    let mut watch = Watch::new(warden, id, Root::Asked(caller), leaf, clock);
    let end = async move {
        if report {
            reported(reply).await
        } else {
            // The tool's end of the connection closes as it starts; nothing more comes over it.
            drop(reply);
            match pidfd {
                Some(pidfd) if in_passing => {
                    Told::Kernel(ended_in_passing(&pidfd, info, &warden.glances).await)
                }
                pidfd => of_kernel(pidfd, info).await,
            }
        }
    };
    let told = watch.follow(&mut run, end, timeout.duration()).await;
    let finished = watch.finished(told);
    let has_failed = finished.exit_code != Some(0);
    let exceeded = || exceeded(bounded.as_ref()).filter(|_| has_failed);
    let error = finished.error.or_else(exceeded);
    finish(warden, &run, Finished { error, ..finished }, None);
}

/// Follows a tool that an earlier warden handed off, if it still runs. A stop that is in force reaches it as well. Needs the
/// runtime around it.
pub(crate) fn take_up(warden: &Arc<Warden>, entry: Entry) {
    let (id, root, origin) = (entry.tool.id, entry.tool.root(), entry.tool.origin());
    let note = warden.handed.note(id);
    let Some(pidfd) = entry.tool.open().map(Arc::new) else { return };
    let leaf = entry.tool.leaf(warden.methods.cgroups.as_ref());
    let order = warden.order_for(&origin);
    let mut run = warden.running.enter(id.0, origin, Card::left(root.pid, entry.age()));
    let cgroup = leaf.as_ref().map(|leaf| leaf.path().to_owned());
    run.is_in(Some(Tree::behind(root.pid, Arc::clone(&pidfd), cgroup)));
    order.iter().for_each(|order| warden.running.tell(id.0, order));
    tracing::info!(%id, pid = root.pid, "a command of an earlier warden runs on");
    let warden = Arc::clone(warden);
    tokio::spawn(async move {
        let clock = Instant::now().checked_sub(entry.age()).unwrap_or_else(Instant::now);
        let mut watch = Watch::new(&warden, id, Root::Known(root), leaf, clock);
        watch.note = Noted::Is(note);
        let end = of_kernel(Some(pidfd), warden.exit_info);
        let told = watch.follow(&mut run, end, entry.time_left()).await;
        let finished = watch.finished(told);
        // Who said that the end is not known does not say another one.
        if !entry.has_end {
            finish(&warden, &run, finished, None);
        }
    });
}

/// What the shim says that waits for the tool.
async fn reported(mut reply: Reply) -> Told {
    match reply.report().await {
        Some(status) => Told::Shim(status),
        None => Told::Nobody,
    }
}

/// What the kernel says when the tool has ended.
async fn of_kernel(pidfd: Option<Arc<OwnedFd>>, info: ExitInfo) -> Told {
    match pidfd {
        Some(pidfd) => Told::Kernel(ended(&pidfd, info).await),
        None => Told::Kernel(ExitStatus::Unknown(Why::NoKernelSupport)),
    }
}

/// What the shim is told; `None` for what cannot be told.
fn told(plan: &Plan, report: bool) -> Option<Handoff<'_>> {
    let path = &plan.tool.as_ref()?.path;
    let set = Strings::new(&plan.governed)?;
    Some(Handoff { report, by_path: plan.by_path, path, set })
}

/// Where the processes of a tool are that its caller has become.
fn tree(caller: &Caller, leaf: Option<&Leaf>) -> Tree {
    let cgroup = leaf.map(|leaf| leaf.path().to_owned());
    match (caller.pid, &caller.pidfd) {
        (Some(pid), Some(pidfd)) => Tree::behind(pid, Arc::clone(pidfd), cgroup),
        _ => Tree::of_tool(caller.identity(), cgroup),
    }
}

/// Who said how the tool ended.
enum Told {
    Kernel(ExitStatus),
    Shim(Status),
    Nobody,
    /// It runs on, and the warden goes down.
    Left,
}

/// The first process of a tool.
enum Root {
    /// It was the caller.
    Asked(Caller),
    /// An earlier warden knew it.
    Known(Identity),
}

impl Root {
    /// Which it is, unless it had ended before anybody could tell.
    fn identity(&self) -> Option<Identity> {
        match self {
            Self::Asked(caller) => caller.identity(),
            Self::Known(identity) => Some(*identity),
        }
    }
}

/// Whether it is written down for the next warden that a tool runs.
enum Noted {
    NotYet,
    CannotBe,
    Is(Note),
}

/// A tool that was handed off and runs.
struct Watch<'a> {
    warden: &'a Arc<Warden>,
    id: Id,
    root: Root,
    note: Noted,
    leaf: Option<Leaf>,
    clock: Instant,
    timed_out: bool,
    /// Who has stopped it and why, where a person has.
    stopped: Option<String>,
}

impl<'a> Watch<'a> {
    fn new(
        warden: &'a Arc<Warden>,
        id: Id,
        root: Root,
        leaf: Option<Leaf>,
        clock: Instant,
    ) -> Self {
        let (note, timed_out, stopped) = (Noted::NotYet, false, None);
        Self { warden, id, root, note, leaf, clock, timed_out, stopped }
    }

    async fn follow(
        &mut self,
        run: &mut Run,
        end: impl Future<Output = Told>,
        limit: Option<Duration>,
    ) -> Told {
        tokio::pin!(end);
        let time_is_up = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time_is_up);
        let settled = tokio::time::sleep(SETTLED);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                biased;
                told = &mut end => return told,
                () = &mut time_is_up, if !self.timed_out => {
                    self.timed_out = true;
                    tracing::info!(id = %self.id, after = ?self.clock.elapsed(), "a command ran out of its time");
                    self.end();
                }
                () = &mut settled, if matches!(self.note, Noted::NotYet) => self.write_down(run, limit),
                order = run.order() => match order {
                    Order::End { .. } => self.end(),
                    Order::Stop { why } => {
                        self.stopped.get_or_insert(why);
                        self.end();
                    }
                    Order::Freeze => {
                        self.is_frozen(run.origin());
                        self.each(freeze_tree, Leaf::freeze);
                    }
                    Order::Thaw => {
                        self.each(thaw_tree, Leaf::thaw);
                        self.noted(self.warden.holds.remove_tools(&[self.id]));
                    }
                    Order::Leave => {
                        if matches!(self.note, Noted::NotYet) {
                            self.write_down(run, limit);
                        }
                        return Told::Left;
                    }
                },
            }
        }
    }

    /// Writes down that it runs, for the next warden.
    fn write_down(&mut self, run: &Run, limit: Option<Duration>) {
        let cgroup = self.leaf.as_ref().map(|leaf| leaf.path().to_owned());
        let tool =
            self.root.identity().and_then(|root| Tool::new(self.id, root, cgroup, run.origin()));
        let note = tool
            .and_then(|tool| self.warden.handed.add(Entry::new(tool, limit, self.clock.elapsed())));
        self.note = note.map_or(Noted::CannotBe, Noted::Is);
    }

    /// How it ended. Nothing more is written down of it for the next warden, unless it runs on: one alone says in the ledger
    /// how it ended.
    fn finished(self, told: Told) -> Finished {
        let (id, clock) = (self.id, self.clock);
        match (self.note, &told) {
            (Noted::Is(note), Told::Left) => note.leave(),
            (note, _) => drop(note),
        }
        let finished = match told {
            Told::Kernel(ExitStatus::Code(code)) => exit(id, clock, "kernel", Status::Exited(code)),
            Told::Kernel(ExitStatus::Signal(signal)) => {
                exit(id, clock, "kernel", Status::Killed(signal))
            }
            Told::Kernel(ExitStatus::Unknown(why)) => unknown(id, clock, &why.to_string()),
            Told::Shim(status) => exit(id, clock, "shim", status),
            Told::Nobody => unknown(id, clock, "the shim that waited for it did not report"),
            Told::Left => unknown(id, clock, "the warden went down"),
        };
        Finished { timed_out: self.timed_out, error: self.stopped, ..finished }
    }

    /// Ends the tree politely, then not; on a thread of its own, as the grace takes its time.
    fn end(&mut self) {
        let Some(identity) = self.root.identity() else { return };
        let (grace, leaf) = (self.warden.config.grace, self.leaf.take());
        tokio::task::spawn_blocking(move || {
            // What is frozen would sleep through its grace.
            leaf.iter().for_each(Leaf::wake);
            complain(identity, &end_tree(identity, Scope::Whole, grace).problems);
            if let Some(Err(error)) = leaf.map(|leaf| leaf.end(grace)) {
                complain(identity, &[error.to_string()]);
            }
        });
    }

    /// Writes down that it is going to stand, so that a warden after this one can let it go on.
    fn is_frozen(&self, origin: &Origin) {
        let Some(root) = self.root.identity() else { return };
        let cgroup = self.leaf.as_ref().map(|leaf| leaf.path().to_owned());
        let Some(tool) = Tool::new(self.id, root, cgroup, origin) else { return };
        self.noted(self.warden.holds.add_tool(tool));
    }

    fn noted(&self, written: Result<(), HoldError>) {
        if let Err(error) = written {
            tracing::warn!(%error, id = %self.id, "that a command stands is not written down");
        }
    }

    fn each(
        &self,
        tree: impl FnOnce(Identity, Scope) -> Report,
        cgroup: impl FnOnce(&Leaf) -> Result<(), CgroupError>,
    ) {
        let Some(identity) = self.root.identity() else { return };
        let problems = match &self.leaf {
            Some(leaf) => cgroup(leaf).err().map(|error| error.to_string()).into_iter().collect(),
            None => tree(identity, Scope::Whole).problems,
        };
        complain(identity, &problems);
    }
}

fn complain(identity: Identity, problems: &[String]) {
    for problem in problems {
        tracing::warn!(pid = identity.pid, problem, "not all of a command could be reached");
    }
}

fn exit(id: Id, clock: Instant, source: &str, status: Status) -> Finished {
    let (exit_code, signal) = match status {
        Status::Exited(code) => (Some(i32::from(code)), None),
        Status::Killed(signal) => (None, Some(i32::from(signal))),
    };
    Finished { exit_code, signal, exit_source: source.to_owned(), ..unknown(id, clock, "") }
}

fn unknown(id: Id, clock: Instant, why: &str) -> Finished {
    Finished {
        id,
        exit_code: None,
        signal: None,
        exit_source: format!("unknown: {why}"),
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error: None,
        recording: None,
    }
}
