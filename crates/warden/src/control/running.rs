//! Routes about what runs.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use clawrden_api::{ErrorBody, ErrorCode, RunningList, StopReport, StopRequest};

use super::actor::Actor;
use super::body;
use super::handlers::{Answer, ask, read, request_id, with_body};
use super::recordings::Source;
use super::reply::Failure;
use super::routes::Control;

/// What is asked of the warden about running commands; see [`Backend`](super::Backend).
pub trait Commands {
    /// `GET /api/running`.
    ///
    /// # Errors
    /// When it cannot be told.
    fn running(&self) -> Result<RunningList, ErrorBody>;

    /// How many commands of these jails run. Reads nothing of the kernel, as the list of them does.
    fn count_running(&self, in_jail: &dyn Fn(&str) -> bool) -> usize;

    /// `POST /api/running/{id}/stop`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// `NotFound` for an unknown id, `Ambiguous` for a prefix of several, `Conflict` for one that has ended.
    fn stop(&self, actor: &Actor, id: &str, request: StopRequest) -> Result<StopReport, ErrorBody>;

    /// `GET /api/recordings/{id}`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// `NotFound` for none, `Ambiguous` for a prefix of several.
    fn recording(&self, id: &str) -> Result<Source, ErrorBody>;
}

pub(super) async fn list(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
) -> Answer {
    ask(&headers, move || {
        let mut list = control.backend.running()?;
        list.entries.retain(|entry| actor.scope.has_jail(&entry.jail));
        Ok(list)
    })
    .await
}

pub(super) async fn stop(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    id: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    let id = command_id(id)?;
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.stop(&actor, &id, given)).await
}

/// The id in a path.
pub(super) fn command_id(id: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    let Path(id) =
        id.map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the id: {error}")))?;
    request_id(&id)
}
