//! Calls about approvals that are kept.

use super::{Client, ClientError, TIMEOUT, encoded};
use crate::grants::{GrantList, PatternQuery, PatternTested, RevokeReport, RevokeRequest};

impl Client {
    /// `GET /api/grants`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn grants(&self) -> Result<GrantList, ClientError> {
        self.get("/api/grants".to_owned()).await
    }

    /// `GET /api/queue/{id}/pattern`; `id` may be a prefix.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` and `Ambiguous` are about the id.
    pub async fn test_pattern(
        &self,
        id: &str,
        query: &PatternQuery,
    ) -> Result<PatternTested, ClientError> {
        let pattern = encoded(&query.pattern);
        self.get(format!("/api/queue/{}/pattern?pattern={pattern}", encoded(id))).await
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
