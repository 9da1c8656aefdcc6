//! What is asked of the warden about commands that run or ran.

use std::fs::File;

use clawrden_api::{ErrorBody, RecordingFacts, RunningList, StopReport, StopRequest};
use tokio::sync::watch;

use super::super::actor::Actor;

/// A recording, as the backend gives it.
pub struct Source {
    /// What is known of it.
    pub facts: RecordingFacts,
    /// Its file.
    pub file: File,
    /// How many bytes of whole lines are in it, while it goes on. The sender goes at its end.
    pub progress: Option<watch::Receiver<u64>>,
}

/// A part of [`Backend`](super::Backend).
pub trait Commands {
    /// `GET /api/running`.
    ///
    /// # Errors
    /// When it cannot be told.
    fn running(&self) -> Result<RunningList, ErrorBody>;

    /// How many commands of these jails run. Reads nothing of the kernel, as the list of them does.
    fn count_running(&self, in_jail: &dyn Fn(&str) -> bool) -> usize;

    /// `POST /api/running/{id}/stop`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// `NotFound` for an unknown id, `Ambiguous` for a prefix of several, `Conflict` for one that has ended.
    fn stop(&self, actor: &Actor, id: &str, request: StopRequest) -> Result<StopReport, ErrorBody>;

    /// `GET /api/recordings/{id}`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// `NotFound` for none, `Ambiguous` for a prefix of several.
    fn recording(&self, id: &str) -> Result<Source, ErrorBody>;
}
