//! Calls about what runs.

use super::{Client, ClientError, KILL_TIMEOUT, encoded};
use crate::running::{RunningList, StopReport, StopRequest};

impl Client {
    /// `GET /api/running`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn running(&self) -> Result<RunningList, ClientError> {
        self.get("/api/running".to_owned()).await
    }

    /// `POST /api/running/{id}/stop`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound`, `Conflict` and `Ambiguous` are about the id.
    pub async fn stop(&self, id: &str, body: &StopRequest) -> Result<StopReport, ClientError> {
        self.post(format!("/api/running/{}/stop", encoded(id)), body, KILL_TIMEOUT).await
    }
}
