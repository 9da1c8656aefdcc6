//! Routes about channels.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use clawrden_api::ErrorCode;

use super::answer::{Answer, Nothing, ask, read, with_body};
use super::body;
use super::reply::Failure;
use super::state::Control;

pub(super) async fn list(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || control.backend.channels()).await
}

pub(super) async fn test(
    State(control): State<Control>,
    name: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    let Path(name) = name.map_err(|error| {
        Failure::new(ErrorCode::BadRequest, format!("the name of the channel: {error}"))
    })?;
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.test_channel(&name)).await
}
