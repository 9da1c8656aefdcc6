//! Routes about channels.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use clawrden_api::{ChannelList, ChannelTested, ErrorBody, ErrorCode};

use super::body;
use super::handlers::{Answer, Nothing, ask, read, with_body};
use super::reply::Failure;
use super::routes::Control;

/// What is asked of the warden about its channels; see [`Backend`](super::Backend).
pub trait Channels {
    /// `GET /api/channels`.
    ///
    /// # Errors
    /// None that a backend has to have.
    fn channels(&self) -> Result<ChannelList, ErrorBody>;

    /// `POST /api/channels/{name}/test`. The name is unchecked. Waits for a service, with a limit.
    ///
    /// # Errors
    /// `NotFound` for none of that name.
    fn test_channel(&self, name: &str) -> Result<ChannelTested, ErrorBody>;
}

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
