//! The route that tests a pattern before it is approved.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Uri};
use clawrden_api::{ErrorBody, ErrorCode, PatternQuery, PatternTested};

use super::actor::Actor;
use super::handlers::{Answer, ask};
use super::history::cause;
use super::reply::Failure;
use super::routes::Control;
use super::running::command_id;

/// What is asked of the warden about patterns; see [`Backend`](super::Backend).
pub trait Patterns {
    /// `GET /api/queue/{id}/pattern`. `id` has 4 to 32 small hex digits. Whether the actor's scope has the request's jail and
    /// rule is looked at here. Reads a part of the history; may take some seconds.
    ///
    /// # Errors
    /// As for an answer to the request.
    fn test_pattern(
        &self,
        actor: &Actor,
        id: &str,
        pattern: &str,
    ) -> Result<PatternTested, ErrorBody>;
}

pub(super) async fn test(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    let id = command_id(id)?;
    let Query(query) = Query::<PatternQuery>::try_from_uri(&uri).map_err(|rejection| {
        let text = format!("the query is not understood: {}", cause(&rejection));
        Failure::new(ErrorCode::BadRequest, text)
    })?;
    ask(&headers, move || control.backend.test_pattern(&actor, &id, &query.pattern)).await
}
