//! The kill switch: stop every prisoner and everything that runs for it, now, and stay stopped.

use clawrden_api::{ErrorBody, ErrorCode, KillReport, KillRequest, Stopped};
use tokio::runtime::Handle;

use super::Warden;
use super::prisoners::refused;
use crate::approvals::Now;
use crate::ledger::{self, Record};
use crate::process::tree::{Scope, freeze_tree, thaw_tree};
use crate::running::Order;

impl Warden {
    /// Throws the switch. What runs is ended, or frozen, before this returns, as far as it can be.
    ///
    /// Blocks; called on a thread of the runtime that may.
    pub(super) fn kill(&self, by: String, request: KillRequest) -> KillReport {
        let KillRequest { pause, reason } = request;
        let stopped = Stopped { since_ms: Now::read().ms, by: by.clone(), paused: pause };
        // First nothing new starts; everything after this line may fail and it stays so.
        let kept = self.switch.throw(stopped);
        self.record(&[Record::Stopped(ledger::Stopped {
            by: by.clone(),
            reason: reason.clone(),
            paused: pause,
        })]);
        let order = if pause {
            Order::Freeze
        } else {
            Order::End { why: "stopped by the kill switch".to_owned() }
        };
        let mut report = KillReport {
            processes: self.running.order(&order),
            stopped: self.switch.stopped(),
            problems: kept.err().map(|error| error.to_string()).into_iter().collect(),
        };
        let (processes, problems) =
            if pause { self.each_prisoner(freeze_tree) } else { self.end_prisoners() };
        report.processes = report.processes.max(processes);
        report.problems.extend(problems);
        if !pause {
            let patience = self.config.grace + super::serve::LAST_WORDS;
            let left = Handle::current().block_on(self.running.drained(patience));
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
        })]);
        report
    }

    /// Takes the switch back; what was frozen goes on.
    ///
    /// # Errors
    /// When that cannot be written down; then it stays thrown.
    pub(super) fn resume(&self, by: String) -> Result<KillReport, ErrorBody> {
        let was = self.switch.release();
        let was = was.map_err(|error| refused(ErrorCode::Internal, error.to_string()))?;
        let mut report = KillReport { processes: 0, stopped: None, problems: Vec::new() };
        let Some(was) = was else { return Ok(report) };
        self.record(&[Record::Resumed(ledger::Resumed { by })]);
        if was.paused {
            report.processes = self.running.order(&Order::Thaw);
            let (processes, problems) = self.each_prisoner(thaw_tree);
            report.processes = report.processes.max(processes);
            report.problems = problems;
        }
        Ok(report)
    }

    fn each_prisoner(
        &self,
        act: impl Fn(crate::process::Identity, Scope) -> crate::process::tree::Report,
    ) -> (usize, Vec<String>) {
        let mut total = (0, Vec::new());
        for prisoner in self.jails.prisoners() {
            let report = act(prisoner.root, Scope::BelowRoot);
            total.0 += report.processes;
            total.1.extend(report.problems);
        }
        total
    }
}
