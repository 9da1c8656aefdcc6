//! The kill switch: stop every prisoner and everything that runs for it, now, and stay stopped; or those of one jail, or
//! one container.

use std::sync::Arc;

use clawrden_api::{
    CallerContainer, ErrorBody, ErrorCode, KillReport, KillRequest, ResumeRequest, Stopped,
};
use tokio::runtime::Handle;

use super::{Warden, refused, stopped_text};
use crate::approvals::Now;
use crate::engine::EngineError;
use crate::executor::take_up;
use crate::handed::Tool;
use crate::holds::{HoldError, Scope};
use crate::jails::{JailName, Prisoner};
use crate::ledger::{self, Id, Record};
use crate::plan::Origin;
use crate::plan::Plan;
use crate::process::tree::{Scope as Tree, end_tree, freeze_tree, thaw_tree};
use crate::running::Order;
use crate::switch::SwitchError;

impl Warden {
    /// Why nothing runs for the caller of `plan` at the moment, if a stop is in force that reaches it.
    pub(crate) fn stopped_for(&self, plan: &Plan) -> Option<String> {
        if let Some(stopped) = self.switch.stopped() {
            return Some(stopped_text(&stopped));
        }
        let jails = plan.judges.jails().map(JailName::as_str);
        self.holds.against(jails, &plan.caller.container)
    }

    /// Throws the switch, for everything or for what the request names. What runs is ended, or frozen, before this
    /// returns, as far as it can be.
    ///
    /// Blocks; called on a thread of the runtime that may.
    ///
    /// # Errors
    /// When what it names is not there, or cannot be told.
    pub(super) fn kill(&self, by: String, request: KillRequest) -> Result<KillReport, ErrorBody> {
        let KillRequest { pause, reason, jail, container } = request;
        let scope = self.scope(jail, container, false)?;
        let stopped = Stopped { since_ms: Now::read().ms, by: by.clone(), paused: pause };
        // First nothing new starts; everything after this line may fail and it stays so.
        let kept = match &scope {
            Scope::All => self.switch.throw(stopped.clone()).map_err(|error| error.to_string()),
            scope => {
                let held = self.holds.hold(scope, stopped.clone());
                held.map_err(|error| error.to_string())
            }
        };
        let (jail, container) = recorded(&scope);
        self.record(&[Record::Stopped(ledger::Stopped {
            by: by.clone(),
            reason: reason.clone(),
            paused: pause,
            jail,
            container,
        })]);
        let order = if pause {
            Order::Freeze
        } else {
            Order::End { why: "stopped by the kill switch".to_owned() }
        };
        let now = match &scope {
            Scope::All => self.switch.stopped(),
            scope => self.holds.of(scope),
        };
        // What is ended takes along what runs for it: its connection goes. A frozen one keeps that.
        let meant = |origin: &Origin| scope.reaches(origin) || pause && scope.may_reach(origin);
        let mut report = KillReport {
            processes: self.running.order(&order, meant),
            containers: 0,
            stopped: now,
            problems: kept.err().into_iter().collect(),
        };
        // Beside each other: an engine that does not answer keeps nobody else alive.
        let (prisoners, grace) = (self.prisoners_of(&scope), self.config.grace);
        let left =
            if pause { Vec::new() } else { self.left_frozen(|origin| scope.reaches(origin)) };
        let cgroups = self.methods.cgroups.clone();
        let natives = tokio::task::spawn_blocking(move || {
            let natives = each_of(&prisoners, |prisoner| match pause {
                true => freeze_tree(prisoner.root, Tree::BelowRoot),
                false => end_tree(prisoner.root, Tree::BelowRoot, grace),
            });
            let (tools, ended) = settled(&left, |tool| tool.end(cgroups.as_ref(), grace));
            (natives.0 + tools.0, [natives.1, tools.1].concat(), ended)
        });
        let containers = self.stop_containers(&scope, pause);
        let both = Handle::current().block_on(async { tokio::join!(containers, natives) });
        let ((containers, problems), natives) = both;
        report.containers = containers;
        report.problems.extend(problems);
        let (processes, problems, ended) =
            natives.unwrap_or_else(|error| (0, vec![format!("prisoners: {error}")], Vec::new()));
        report.processes = report.processes.max(processes);
        report.problems.extend(problems);
        report.problems.extend(self.forget_tools(&ended));
        ended.iter().for_each(|&id| self.handed.remove(id));
        if !pause {
            let patience = self.config.grace + super::LAST_WORDS;
            let drained = self.running.drained(patience, |origin| scope.reaches(origin));
            let left = Handle::current().block_on(drained);
            if left > 0 {
                report.problems.push(format!("{left} commands have not ended yet"));
            }
        }
        self.record(&[Record::Killed(ledger::Killed {
            id: None,
            prisoner: None,
            by,
            reason,
            processes: report.processes,
            containers: report.containers,
        })]);
        Ok(report)
    }

    /// Takes the switch back; what was frozen by it goes on, unless another stop reaches it.
    ///
    /// # Errors
    /// When it was thrown after that was said, or that cannot be written down; then it stays thrown.
    pub(super) fn resume(
        self: &Arc<Self>,
        by: String,
        request: ResumeRequest,
    ) -> Result<KillReport, ErrorBody> {
        let scope = self.scope(request.jail, request.container, true)?;
        let said_ms = request.said_ms;
        let was = match &scope {
            Scope::All => self.switch.release(said_ms).map_err(HoldError::from),
            scope => self.holds.release(scope, said_ms),
        };
        let was = was.map_err(|error| {
            let is_newer = matches!(error, HoldError::File(SwitchError::Newer { .. }));
            let code = if is_newer { ErrorCode::Conflict } else { ErrorCode::Internal };
            refused(code, error.to_string())
        })?;
        let stopped = self.switch.stopped();
        let mut report = KillReport { processes: 0, containers: 0, stopped, problems: Vec::new() };
        if was.is_some() {
            let (jail, container) = recorded(&scope);
            self.record(&[Record::Resumed(ledger::Resumed { by, jail, container })]);
        }
        if was.is_some_and(|was| was.paused) {
            let meant = |origin: &Origin| scope.reaches(origin) || scope.may_reach(origin);
            let freed = |origin: &Origin| meant(origin) && !self.is_paused(origin);
            report.processes = self.running.order(&Order::Thaw, freed);
            let (processes, problems) = each_of(&self.prisoners_of(&scope), |prisoner| {
                if self.is_paused(&native(prisoner)) {
                    return crate::process::tree::Report::default();
                }
                thaw_tree(prisoner.root, Tree::BelowRoot)
            });
            report.processes = report.processes.max(processes);
            report.problems = problems;
            let (containers, problems) = Handle::current().block_on(self.thaw_containers());
            report.containers = containers;
            report.problems.extend(problems);
        }
        // A warden may have ended between taking a stop back and letting go on what it had frozen.
        let (tools, problems) = self.thaw_tools();
        report.processes += tools;
        report.problems.extend(problems);
        Ok(report)
    }

    /// Tools that were handed off and frozen, and that nobody follows any more: a warden before this one did. Those that run
    /// for one of those that `meant` likes.
    fn left_frozen(&self, meant: impl Fn(&Origin) -> bool) -> Vec<Tool> {
        let mut tools = self.holds.tools();
        tools.retain(|tool| meant(&tool.origin()) && !self.running.holds(tool.id.0));
        tools
    }

    /// Lets those of them go on that no stop reaches any more, and follows them from here on.
    fn thaw_tools(self: &Arc<Self>) -> (usize, Vec<String>) {
        let tools = self.left_frozen(|origin| !self.is_paused(origin));
        let cgroups = self.methods.cgroups.as_ref();
        let ((thawed, mut problems), gone_on) = settled(&tools, |tool| tool.thaw(cgroups));
        problems.extend(self.forget_tools(&gone_on));
        for entry in gone_on.iter().filter_map(|&id| self.handed.get(id)) {
            take_up(self, entry);
        }
        (thawed, problems)
    }

    /// Gives what is wrong, if that cannot be written down.
    fn forget_tools(&self, ids: &[Id]) -> Option<String> {
        self.holds.remove_tools(ids).err().map(|error| error.to_string())
    }

    /// Takes up what an earlier warden handed off and still runs. What that had frozen stands until it may go on.
    pub(super) fn take_up_tools(self: &Arc<Self>) {
        let frozen = self.holds.tools();
        for entry in self.handed.tools() {
            if frozen.iter().all(|tool| tool.id != entry.tool.id) {
                take_up(self, entry);
            }
        }
    }

    /// What a stop that is in force says to what is found running for `origin`: an earlier warden may have ended before it
    /// came to it.
    pub(crate) fn order_for(&self, origin: &Origin) -> Option<Order> {
        if self.is_reached(origin, false) {
            return Some(Order::End { why: "stopped by the kill switch".to_owned() });
        }
        self.is_paused(origin).then_some(Order::Freeze)
    }

    /// Whether a stop that freezes reaches this.
    pub(super) fn is_paused(&self, origin: &Origin) -> bool {
        self.is_reached(origin, true)
    }

    /// Whether a stop reaches this that freezes, or one that ends.
    fn is_reached(&self, origin: &Origin, freezes: bool) -> bool {
        let is_one = |stopped: &Stopped| stopped.paused == freezes;
        let held = |held: clawrden_api::Held| {
            let jail =
                held.jail.is_some_and(|name| origin.jails.iter().any(|j| j.as_str() == name));
            let container = held.container.is_some_and(|container| {
                let scope = Scope::Container(container);
                scope.reaches(origin) || freezes && scope.may_reach(origin)
            });
            is_one(&held.stopped) && (jail || container)
        };
        self.switch.stopped().is_some_and(|stopped| is_one(&stopped))
            || self.holds.all().into_iter().any(held)
    }

    /// What a request names. `stopped`: among what is stopped.
    fn scope(
        &self,
        jail: Option<String>,
        container: Option<String>,
        stopped: bool,
    ) -> Result<Scope, ErrorBody> {
        match (jail, container) {
            (None, None) => Ok(Scope::All),
            (Some(_), Some(_)) => {
                let text = "give a jail or a container, not both".to_owned();
                Err(refused(ErrorCode::BadRequest, text))
            }
            (Some(jail), None) => {
                let name = JailName::new(&jail)
                    .map_err(|error| refused(ErrorCode::BadRequest, error.to_string()))?;
                let scope = Scope::Jail(jail);
                if self.jails.get(&name).is_none() && self.holds.of(&scope).is_none() {
                    return Err(super::jails::no_such_jail(&name));
                }
                Ok(scope)
            }
            (None, Some(wanted)) => {
                if let Some(known) = self.holds.container(&wanted).filter(|_| stopped) {
                    return Ok(Scope::Container(known));
                }
                self.named_container(&wanted).map(Scope::Container)
            }
        }
    }

    /// A container by its name, its id or the start of it. Without an engine, one that was seen.
    fn named_container(&self, wanted: &str) -> Result<CallerContainer, ErrorBody> {
        match Handle::current().block_on(self.engine.inspect_container(wanted)) {
            Ok(found) => Ok(CallerContainer { id: found.id, name: found.name, image: found.image }),
            Err(error @ (EngineError::NotFound { .. } | EngineError::BadName { .. })) => {
                Err(refused(ErrorCode::NotFound, error.to_string()))
            }
            Err(error) => {
                let all = self.members.all();
                let mut found = all
                    .into_iter()
                    .filter(|one| one.name == wanted || one.id.starts_with(wanted))
                    .map(|one| CallerContainer { id: one.id, name: one.name, image: one.image });
                let first = found.next();
                match first.filter(|first| found.all(|other| other.id == first.id)) {
                    Some(only) => Ok(only),
                    None => Err(refused(ErrorCode::NotFound, error.to_string())),
                }
            }
        }
    }

    fn prisoners_of(&self, scope: &Scope) -> Vec<Arc<Prisoner>> {
        let mut prisoners = self.jails.prisoners();
        prisoners.retain(|prisoner| scope.reaches(&native(prisoner)));
        prisoners
    }
}

/// Does it to each, and gives those with which nothing was wrong: the others are tried again by the next word.
fn settled(
    tools: &[Tool],
    act: impl Fn(&Tool) -> crate::process::tree::Report,
) -> ((usize, Vec<String>), Vec<Id>) {
    let mut done = Vec::new();
    let total = each_of(tools, |tool| {
        let report = act(tool);
        if report.problems.is_empty() {
            done.push(tool.id);
        }
        report
    });
    (total, done)
}

fn each_of<T>(
    all: &[T],
    mut act: impl FnMut(&T) -> crate::process::tree::Report,
) -> (usize, Vec<String>) {
    let mut total = (0, Vec::new());
    for one in all {
        let report = act(one);
        total.0 += report.processes;
        total.1.extend(report.problems);
    }
    total
}

impl Scope {
    /// Whether what runs for `origin` is meant.
    pub(super) fn reaches(&self, origin: &Origin) -> bool {
        match self {
            Self::All => true,
            Self::Jail(name) => origin.jails.iter().any(|jail| jail.as_str() == name),
            Self::Container(wanted) => origin.container.as_ref() == Some(&wanted.id),
        }
    }

    /// Whether what runs for `origin` may be meant, and nobody can tell: its caller is not seen.
    fn may_reach(&self, origin: &Origin) -> bool {
        matches!(self, Self::Container(_)) && !origin.is_told
    }
}

/// What a prisoner on the warden's host starts itself.
fn native(prisoner: &Prisoner) -> Origin {
    Origin { jails: vec![prisoner.jail.clone()], container: None, is_told: true }
}

fn recorded(scope: &Scope) -> (Option<String>, Option<ledger::Container>) {
    let (jail, container) = scope.parts();
    let container =
        container.map(|CallerContainer { id, name, image }| ledger::Container { id, name, image });
    (jail, container)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::process::boot_id;

    #[test]
    fn what_could_not_be_reached_is_not_forgotten() {
        let standing = |id: u8, cgroup: Option<&str>| -> Tool {
            let (id, start_ticks) = (Id([id; 16]), u64::MAX);
            let told = json!({
                "id": id, "pid": std::process::id(), "start_ticks": start_ticks, "boot": boot_id(),
                "cgroup": cgroup, "jails": ["web"], "is_told": true,
            });
            serde_json::from_value(told).unwrap()
        };
        // A folder that is no cgroup of the first, and a process that has gone.
        let tools = [standing(1, Some("/proc")), standing(2, None)];
        let ((processes, problems), done) = settled(&tools, |tool| tool.thaw(None));
        assert_eq!((processes, problems.len()), (0, 1), "{problems:?}");
        assert_eq!(done, [Id([2; 16])]);
    }
}
