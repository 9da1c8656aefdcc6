//! Routes about what runs.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::actor::Actor;
use super::answer::{Answer, ask, read, with_body};
use super::body;
use super::state::Control;
use super::values::command_id;

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
