//! How a handler comes to its answer: the body is read, and the backend is asked on a thread that may block.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use axum::response::Response;
use clawrden_api::{ErrorBody, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::body;
use super::reply::{Failure, json, plain, tag_of, tagged};
use super::state::Control;

/// The body of a route that takes no values.
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) type Answer = Result<Response, Failure>;

pub(super) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Failure> + Send + 'static,
) -> Result<R, Failure> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a control request failed");
            Err(Failure::new(ErrorCode::Internal, "the warden failed; its log says more"))
        }
    }
}

pub(super) async fn read(control: &Control, given: Body, limit: usize) -> Result<Vec<u8>, Failure> {
    body::read(given, limit, control.body_deadline).await
}

/// Understands the body and asks the backend, both on a thread that may block: a body can be of megabytes.
pub(super) async fn with_body<T, R, E>(
    given: Vec<u8>,
    question: impl FnOnce(T) -> Result<R, E> + Send + 'static,
) -> Answer
where
    T: DeserializeOwned,
    R: Serialize + Send + 'static,
    E: Into<Failure>,
{
    blocking(move || Ok(plain(question(body::parse(&given)?).map_err(Into::into)?))).await
}

/// Asks the backend and writes its answer, both on a thread that may block.
pub(super) async fn ask<R: Serialize + Send + 'static>(
    headers: &HeaderMap,
    question: impl FnOnce() -> Result<R, ErrorBody> + Send + 'static,
) -> Answer {
    let known = known(headers);
    blocking(move || {
        let told = json(&question()?)?;
        Ok(tagged(&known, tag_of(&told), || Body::from(told)))
    })
    .await
}

/// Of what was asked, what the client has.
pub(super) fn known(headers: &HeaderMap) -> HeaderMap {
    headers.get(IF_NONE_MATCH).cloned().map(|value| (IF_NONE_MATCH, value)).into_iter().collect()
}
