//! The routes. Each takes its request apart, asks the backend on a thread that may block, and gives its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use clawrden_api::{ErrorBody, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backend::{Backend, Verdict};
use super::peer::Peer;
use super::reply::Failure;
use super::seats::Seat;
use super::{body, history};

/// The route that answers everybody: the warden lives.
const LIVENESS: &str = "/healthz";

/// Digits of a request's id, and of the shortest prefix that stands for one.
const ID_DIGITS: std::ops::RangeInclusive<usize> = 4..=32;

#[derive(Clone)]
pub(super) struct Control {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) body_deadline: Duration,
}

/// Bytes of a path that are repeated in messages and records.
const MAX_SHOWN: usize = 200;

/// The body of a route that takes no values.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

type Answer = Result<Response, Failure>;

/// What admission looks at: whom to ask, who it is, and where it sits.
type Admission = (Arc<dyn Backend>, Arc<Peer>, Arc<Seat>);

/// All routes, without admission: see [`for_peer`].
pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route(LIVENESS, get(async || "ok\n"))
        .route("/api/status", get(status))
        .route("/api/queue", get(queue))
        .route("/api/queue/{id}/approve", post(approve))
        .route("/api/queue/{id}/deny", post(deny))
        .route("/api/history", get(read_history))
        .route("/api/index/rebuild", post(rebuild_index))
        .route("/api/kill", post(kill))
        .route("/api/resume", post(resume))
        .route("/api/jails", get(jails).post(create_jail))
        .route("/api/jails/{name}", get(jail).delete(delete_jail))
        .route("/api/policy/reload", post(reload_policy))
        .route("/api/prisoners", post(register))
        .fallback(async |uri: Uri| {
            Failure::new(ErrorCode::NotFound, format!("there is no route {:?}", shown(uri.path())))
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let message = format!("{:?} does not take {method}", shown(uri.path()));
            Failure::new(ErrorCode::MethodNotAllowed, message)
        })
        .with_state(control)
}

/// The routes for one connection. Every request is admitted anew: the peer may have ended, or become a prisoner.
pub(super) fn for_peer(
    router: Router,
    backend: Arc<dyn Backend>,
    peer: Arc<Peer>,
    seat: Arc<Seat>,
) -> Router {
    router.layer(from_fn_with_state((backend, peer, seat), admit))
}

async fn admit(
    State((backend, peer, seat)): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.uri().path() == LIVENESS {
        return next.run(request).await;
    }
    let asked = format!("{} {}", request.method(), shown(request.uri().path()));
    let admitted = {
        let peer = Arc::clone(&peer);
        blocking(move || {
            peer.admit(&*backend).map_err(|why| {
                backend.refused(&peer, &asked, &why);
                Failure::new(ErrorCode::Forbidden, why.to_string())
            })
        })
    };
    match admitted.await {
        Ok(()) => {
            request.extensions_mut().insert(peer);
            let _serving = seat.serve();
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn status(State(control): State<Control>) -> Answer {
    ask(move || control.backend.status()).await
}

async fn queue(State(control): State<Control>) -> Answer {
    ask(move || control.backend.queue()).await
}

async fn read_history(State(control): State<Control>, uri: Uri) -> Answer {
    let query = history::query(&uri)?;
    ask(move || control.backend.history(query)).await
}

async fn approve(
    control: State<Control>,
    peer: Extension<Arc<Peer>>,
    id: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    answer(control, peer, id, Verdict::Approve, given).await
}

async fn deny(
    control: State<Control>,
    peer: Extension<Arc<Peer>>,
    id: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    answer(control, peer, id, Verdict::Deny, given).await
}

async fn answer(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    id: Result<Path<String>, PathRejection>,
    verdict: Verdict,
    given: Body,
) -> Answer {
    let Path(id) =
        id.map_err(|error| Failure::new(ErrorCode::BadRequest, format!("the id: {error}")))?;
    let given = read(&control, given, body::MAX_BODY).await?;
    let id = request_id(&id)?;
    with_body(given, move |given| control.backend.answer(&peer, &id, verdict, given)).await
}

async fn kill(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.kill(&peer, given)).await
}

async fn resume(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.resume(&peer, given)).await
}

async fn jails(State(control): State<Control>) -> Answer {
    ask(move || control.backend.jails()).await
}

async fn jail(State(control): State<Control>, name: Result<Path<String>, PathRejection>) -> Answer {
    let name = jail_name(name)?;
    ask(move || control.backend.jail(&name)).await
}

async fn create_jail(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.create_jail(&peer, given)).await
}

async fn delete_jail(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    name: Result<Path<String>, PathRejection>,
) -> Answer {
    let name = jail_name(name)?;
    ask(move || control.backend.delete_jail(&peer, &name)).await
}

fn jail_name(name: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    let name = name.map_err(|error| {
        Failure::new(ErrorCode::BadRequest, format!("the name of the jail: {error}"))
    });
    Ok(name?.0)
}

async fn reload_policy(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.reload_policy(&peer)).await
}

async fn rebuild_index(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.rebuild_index()).await
}

async fn register(
    State(control): State<Control>,
    Extension(peer): Extension<Arc<Peer>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_PRISONER_BODY).await?;
    with_body(given, move |given| control.backend.register_prisoner(&peer, given)).await
}

/// The beginning of what a client wrote.
fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_SHOWN)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// A whole id or a prefix of one, in small letters.
fn request_id(given: &str) -> Result<String, Failure> {
    if !given.bytes().all(|b| b.is_ascii_hexdigit()) || given.len() > *ID_DIGITS.end() {
        return Err(Failure::new(
            ErrorCode::NotFound,
            format!("there is no request {:?}", shown(given)),
        ));
    }
    if given.len() < *ID_DIGITS.start() {
        let message = format!("{given:?} is too short; give {} digits or more", ID_DIGITS.start());
        return Err(Failure::new(ErrorCode::BadRequest, message));
    }
    Ok(given.to_ascii_lowercase())
}

async fn read(control: &Control, given: Body, limit: usize) -> Result<Vec<u8>, Failure> {
    body::read(given, limit, control.body_deadline).await
}

/// Understands the body and asks the backend, both on a thread that may block: a body can be of megabytes.
async fn with_body<T, R>(
    given: Vec<u8>,
    question: impl FnOnce(T) -> Result<R, ErrorBody> + Send + 'static,
) -> Answer
where
    T: DeserializeOwned,
    R: Serialize + Send + 'static,
{
    let told = blocking(move || Ok(question(body::parse(&given)?)?)).await?;
    Ok(Json(told).into_response())
}

async fn ask<R: Serialize + Send + 'static>(
    question: impl FnOnce() -> Result<R, ErrorBody> + Send + 'static,
) -> Answer {
    let told = blocking(move || Ok(question()?)).await?;
    Ok(Json(told).into_response())
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Failure> + Send + 'static,
) -> Result<R, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a control request failed");
            Err(Failure::new(ErrorCode::Internal, "the warden failed; its log says more"))
        }
    }
}
