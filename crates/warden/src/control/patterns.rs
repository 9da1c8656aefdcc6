//! The route that tests a pattern before it is approved.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use clawrden_api::PatternQuery;

use super::actor::Actor;
use super::answer::{Answer, ask};
use super::state::Control;
use super::values::{command_id, of_query};

pub(super) async fn test(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    let id = command_id(id)?;
    let query: PatternQuery = of_query(&uri)?;
    ask(&headers, move || control.backend.test_pattern(&actor, &id, &query.pattern)).await
}
