//! The routes of tokens and sessions.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use clawrden_api::{ErrorCode, Session};

use super::access::Visitor;
use super::actor::Actor;
use super::answer::{Answer, Nothing, ask, blocking, read, with_body};
use super::body;
use super::reply::{Failure, plain};
use super::state::Control;

/// Bytes of a body that opens something: a secret and little more.
const MAX_BODY: usize = 4096;

pub(super) async fn tokens(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || Ok(control.access.list())).await
}

pub(super) async fn create_token(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |request| control.access.create_token(&actor, request, &*control.backend))
        .await
}

pub(super) async fn revoke(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let Path(id) =
        id.map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the id: {error}")))?;
    blocking(move || Ok(plain(control.access.revoke(&actor, &id, &*control.backend)?))).await
}

pub(super) async fn link(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.access.link(&actor)).await
}

/// The one route that nobody needs to be known for: what the body says is looked at.
pub(super) async fn log_in(
    State(control): State<Control>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
    given: Body,
) -> Answer {
    let Some(Extension(visitor)) = visitor else {
        let text = "the Unix socket knows who asks; sessions are for the web page";
        return Err(Failure::new(ErrorCode::Conflict, text));
    };
    // A form of another page cannot say this.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_none_or(|kind| kind.split(';').next() != Some("application/json")) {
        return Err(Failure::new(ErrorCode::BadRequest, "the body must be application/json"));
    }
    let given = read(&control, given, MAX_BODY).await?;
    blocking(move || {
        let given = body::parse(&given)?;
        let (session, cookie) = control.access.log_in(given, &visitor, &*control.backend)?;
        Ok(with_cookie(plain(session), &cookie))
    })
    .await
}

pub(super) async fn session(Extension(actor): Extension<Arc<Actor>>, headers: HeaderMap) -> Answer {
    let Actor { who, role, scope, speaks_for, .. } = (*actor).clone();
    let session = Session { who, role, scope, csrf: None, expires_ms: None, speaks_for };
    ask(&headers, move || Ok(session)).await
}

pub(super) async fn log_out(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    visitor: Option<Extension<Visitor>>,
) -> Answer {
    if actor.session.is_none() {
        return Err(Failure::new(ErrorCode::Conflict, "this is no session"));
    }
    let is_secure = visitor.is_some_and(|Extension(visitor)| visitor.is_secure);
    let (ended, cookie) = control.access.log_out(&actor, is_secure);
    Ok(with_cookie(plain(ended), &cookie))
}

pub(super) async fn config(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || {
        let mut config = control.backend.config()?;
        if let Some((url, fingerprint)) = control.access.place() {
            config.api = Some(url.to_owned());
            config.api_fingerprint = fingerprint.map(str::to_owned);
        }
        config.api_hosts = control.access.hosts().to_vec();
        Ok(config)
    })
    .await
}

fn with_cookie(response: Response, cookie: &str) -> Response {
    ([(header::SET_COOKIE, cookie.to_owned())], response).into_response()
}
