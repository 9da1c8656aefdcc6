//! Routes about approvals that are kept.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use clawrden_api::{ErrorBody, GrantList, RevokeReport, RevokeRequest};

use super::actor::Actor;
use super::body;
use super::handlers::{Answer, ask, read, with_body};
use super::routes::Control;
use super::running::command_id;

/// What is asked of the warden about kept approvals; see [`Backend`](super::Backend).
pub trait Grants {
    /// `GET /api/grants`.
    ///
    /// # Errors
    /// When it cannot be told.
    fn grants(&self) -> Result<GrantList, ErrorBody>;

    /// `POST /api/grants/{id}/revoke`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// `NotFound` for an unknown id or a grant that was used, `Ambiguous` for a prefix of several, `LedgerUnavailable`
    /// when it cannot be recorded.
    fn revoke(
        &self,
        actor: &Actor,
        id: &str,
        request: RevokeRequest,
    ) -> Result<RevokeReport, ErrorBody>;
}

pub(super) async fn list(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || control.backend.grants()).await
}

pub(super) async fn revoke(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    id: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    let id = command_id(id)?;
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.revoke(&actor, &id, given)).await
}
