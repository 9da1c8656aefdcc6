//! The routes that prove the ledger.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use clawrden_api::{ErrorBody, LedgerProof};

use super::body;
use super::handlers::{Answer, Nothing, ask, read, with_body};
use super::routes::Control;

/// What is asked of the warden about its ledger's proof; see [`Backend`](super::Backend).
pub trait Auditing {
    /// `GET /api/audit/verify`.
    fn proof(&self) -> LedgerProof;

    /// `POST /api/audit/verify`. It goes on beside everything else.
    ///
    /// # Errors
    /// `Conflict` while one is under way.
    fn prove(&self) -> Result<LedgerProof, ErrorBody>;
}

pub(super) async fn show(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || Ok(control.backend.proof())).await
}

pub(super) async fn start(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.prove()).await
}
