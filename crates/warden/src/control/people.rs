//! The routes of people, and of the users of chats that are theirs.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;

use super::actor::Actor;
use super::answer::{Answer, ask, read, with_body};
use super::state::Control;

/// Bytes of a body that names a person, a user or a code.
const MAX_BODY: usize = 4096;

pub(super) async fn list(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || control.backend.people()).await
}

pub(super) async fn pair(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, MAX_BODY).await?;
    with_body(given, move |given| control.access.pair(&actor, given, &*control.backend)).await
}

pub(super) async fn redeem(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, MAX_BODY).await?;
    with_body(given, move |given| control.access.redeem(&actor, &given, &*control.backend)).await
}

pub(super) async fn revoke(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, MAX_BODY).await?;
    with_body(given, move |given| control.backend.unbind(&actor, given)).await
}
