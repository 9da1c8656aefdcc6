//! The routes that prove the ledger; the one that exports it is in `export.rs` beside this.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use clawrden_api::{ErrorBody, ExportQuery, LedgerProof};

use super::body;
use super::handlers::{Answer, Nothing, ask, read, with_body};
use super::routes::Control;
use crate::ledger::Export;

/// What is asked of the warden about its ledger; see [`Backend`](super::Backend).
pub trait Auditing {
    /// `GET /api/audit/verify`.
    fn proof(&self) -> LedgerProof;

    /// `POST /api/audit/verify`. It goes on beside everything else.
    ///
    /// # Errors
    /// `Conflict` while one is under way.
    fn prove(&self) -> Result<LedgerProof, ErrorBody>;

    /// `GET /api/audit/export`. The query's values are in range. It begins with what there is at this moment.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn export(&self, query: ExportQuery) -> Result<Export, ErrorBody>;
}

pub(super) async fn show(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || Ok(control.backend.proof())).await
}

pub(super) async fn start(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.prove()).await
}
