//! What is told of a running command: taken once, when it begins. It is for showing only.

use clawrden_api::Caller;

use crate::approvals::Now;
use crate::decision::Approved;
use crate::ledger::{Method, Started};
use crate::request::shown;

/// Bytes of an argument vector that are kept for as long as its command runs.
const WORDS: usize = 4 * 1024;

/// A running command, as a person sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Card {
    pub(super) jail: String,
    pub(super) caller: Caller,
    pub(super) argv: Vec<String>,
    pub(super) executor: String,
    pub(super) method: Option<Method>,
    pub(super) rule: Option<String>,
    pub(super) run_as: Option<String>,
    pub(super) recording: Option<String>,
    pub(super) started_ms: u64,
}

impl Card {
    /// What `approved` is, started as `started` says.
    pub(crate) fn new(approved: &Approved, started: &Started) -> Self {
        let plan = approved.plan();
        let mut caller: Caller = (&plan.caller).into();
        caller.prisoner = plan.prisoner.as_ref().map(|prisoner| prisoner.id.clone());
        Self {
            jail: plan.jail.name.to_string(),
            caller,
            argv: shown(plan, WORDS).argv,
            executor: started.executor.clone(),
            method: Some(started.method),
            rule: approved.rule().map(str::to_owned),
            run_as: started.run_as.as_ref().map(|found| found.user.clone()),
            recording: started.record.clone(),
            started_ms: Now::read().ms,
        }
    }
}
