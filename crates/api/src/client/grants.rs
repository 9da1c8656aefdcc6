//! Calls about approvals that are kept.

use super::{Client, ClientError, TIMEOUT, encoded};
use crate::grants::{GrantList, RevokeReport, RevokeRequest};

impl Client {
    /// `GET /api/grants`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn grants(&self) -> Result<GrantList, ClientError> {
        self.get("/api/grants".to_owned()).await
    }

    /// `POST /api/grants/{id}/revoke`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` and `Ambiguous` are about the id.
    pub async fn revoke(
        &self,
        id: &str,
        body: &RevokeRequest,
    ) -> Result<RevokeReport, ClientError> {
        self.post(format!("/api/grants/{}/revoke", encoded(id)), body, TIMEOUT).await
    }
}
