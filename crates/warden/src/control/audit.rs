//! The routes that prove the ledger; the one that exports it is in `export.rs` beside this.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;

use super::answer::{Answer, Nothing, ask, read, with_body};
use super::body;
use super::state::Control;

pub(super) async fn show(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || Ok(control.backend.proof())).await
}

pub(super) async fn start(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.prove()).await
}
