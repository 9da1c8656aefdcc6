//! A plan with its files opened again, on its way to the runner.

use clawrden_protocol::runner::{Plan as RunnerPlan, Streams};

use super::{limits, record};
use crate::decision::Approved;
use crate::plan::Opened;

/// A plan with its files opened again, found unchanged.
pub(super) struct Prepared {
    pub(super) plan: RunnerPlan,
    pub(super) tool: Opened,
    pub(super) cwd: Option<Opened>,
    pub(super) stripped: Vec<String>,
}

impl Prepared {
    /// Lets the streams of a run that is recorded, or limited in its output, travel as frames.
    pub(super) fn fitted(mut self, approved: &Approved) -> Result<Self, String> {
        if !record::by_frames(approved) {
            return Ok(self);
        }
        self.plan.streams = Streams::Frames;
        self.plan.most_out = limits::most_out(approved).unwrap_or(u64::MAX);
        if self.cwd.is_none() && self.plan.place.is_empty() {
            return Err("the working directory does not exist, and a command whose output is recorded or limited needs one"
                .to_owned());
        }
        Ok(self)
    }
}
