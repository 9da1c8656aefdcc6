//! Calls about policies.

use super::{Client, ClientError, KILL_TIMEOUT, TIMEOUT, query_string};
use crate::policy::{
    ExplainRequest, Explained, PolicyCheckRequest, PolicyChecked, PolicyInfo, PolicyReloaded,
    PolicySuggestions, RuleAnswer, RuleRequest, SimulateRequest, Simulated, SuggestionAccepted,
    SuggestionsQuery,
};

impl Client {
    /// `GET /api/policy`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn policy(&self) -> Result<PolicyInfo, ClientError> {
        self.get("/api/policy".to_owned()).await
    }

    /// `POST /api/policy/check`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn check_policy(
        &self,
        body: &PolicyCheckRequest,
    ) -> Result<PolicyChecked, ClientError> {
        self.post("/api/policy/check".to_owned(), body, TIMEOUT).await
    }

    /// `POST /api/policy/explain`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for a jail that is not there.
    pub async fn explain(&self, body: &ExplainRequest) -> Result<Explained, ClientError> {
        self.post("/api/policy/explain".to_owned(), body, TIMEOUT).await
    }

    /// `POST /api/policy/simulate`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadPolicy` for a text that does not load, `Conflict` while somebody else simulates.
    pub async fn simulate(&self, body: &SimulateRequest) -> Result<Simulated, ClientError> {
        self.post("/api/policy/simulate".to_owned(), body, KILL_TIMEOUT).await
    }

    /// `GET /api/policy/suggestions`.
    ///
    /// # Errors
    /// [`ClientError`]; `Conflict` while somebody else asks for them.
    pub async fn suggestions(
        &self,
        query: &SuggestionsQuery,
    ) -> Result<PolicySuggestions, ClientError> {
        let query = query_string(query)?;
        self.call_get(format!("/api/policy/suggestions{query}"), KILL_TIMEOUT).await
    }

    /// `POST /api/policy/suggestions`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for a rule that is not suggested by now.
    pub async fn accept_suggestion(
        &self,
        body: &SuggestionAccepted,
    ) -> Result<RuleAnswer, ClientError> {
        self.post("/api/policy/suggestions".to_owned(), body, KILL_TIMEOUT).await
    }

    /// `POST /api/policy/reload`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadPolicy` when the files do not load, and then the policy before stays in force.
    pub async fn reload_policy(&self) -> Result<PolicyReloaded, ClientError> {
        let nothing = serde_json::json!({});
        self.post("/api/policy/reload".to_owned(), &nothing, KILL_TIMEOUT).await
    }

    /// `POST /api/policy/rules`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` and `Ambiguous` are about the id.
    pub async fn add_rule(&self, body: &RuleRequest) -> Result<RuleAnswer, ClientError> {
        self.post("/api/policy/rules".to_owned(), body, KILL_TIMEOUT).await
    }
}
