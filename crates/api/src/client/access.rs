//! Calls about who may use the API.

use hyper::Method;

use super::{Client, ClientError, TIMEOUT, encoded};
use crate::access::{ConfigInfo, LoginLink, Revoked, Session, TokenList, TokenMade, TokenRequest};

impl Client {
    /// `GET /api/tokens`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        self.get("/api/tokens".to_owned()).await
    }

    /// `POST /api/tokens`.
    ///
    /// # Errors
    /// [`ClientError`]; `BadRequest` is about what was asked for.
    pub async fn create_token(&self, body: &TokenRequest) -> Result<TokenMade, ClientError> {
        self.post("/api/tokens".to_owned(), body, TIMEOUT).await
    }

    /// `DELETE /api/tokens/{id}`, of a token or a session.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for none of that id.
    pub async fn revoke_access(&self, id: &str) -> Result<Revoked, ClientError> {
        self.call(Method::DELETE, format!("/api/tokens/{}", encoded(id)), Vec::new(), TIMEOUT).await
    }

    /// `POST /api/login-links`.
    ///
    /// # Errors
    /// [`ClientError`]; `Conflict` when no web page is served.
    pub async fn login_link(&self) -> Result<LoginLink, ClientError> {
        self.post("/api/login-links".to_owned(), &serde_json::json!({}), TIMEOUT).await
    }

    /// `GET /api/session`: who the warden takes us for.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn session(&self) -> Result<Session, ClientError> {
        self.get("/api/session".to_owned()).await
    }

    /// `GET /api/config`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn config(&self) -> Result<ConfigInfo, ClientError> {
        self.get("/api/config".to_owned()).await
    }
}
