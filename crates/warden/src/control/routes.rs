//! From the table of routes to answers: who asks is found out, their role is looked at, and every answer gets what all
//! of them have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use clawrden_api::{ErrorCode, Role};
use tracing::Instrument;

use super::actor::Actor;
use super::backend::Backend;
use super::peer::Peer;
use super::reply::{self, Failure};
use super::seats::Seat;
use super::table::{LIVENESS, Least, ROUTES};

#[derive(Clone)]
pub(super) struct Control {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) body_deadline: Duration,
}

/// Bytes of a path that are repeated in messages and records.
const MAX_SHOWN: usize = 200;

/// What admission looks at: whom to ask, who it is, and where it sits.
type Admission = (Arc<dyn Backend>, Arc<Peer>, Arc<Seat>);

/// All routes, without admission: see [`for_peer`].
pub(super) fn router(control: Control) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let mut handler = (route.handler)();
        if let Least::Role(role) = route.least {
            handler = handler.route_layer(from_fn_with_state(role, require));
        }
        router = router.route(route.path, handler);
    }
    router
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
    router.layer(from_fn_with_state((backend, peer, seat), admit)).layer(from_fn(conduct))
}

/// Gives a request its id, and its answer what all answers have.
async fn conduct(request: Request, next: Next) -> Response {
    let id = reply::request_id();
    let span = tracing::info_span!("control", request = id);
    let (method, path) = (request.method().clone(), shown(request.uri().path()).to_owned());
    let begin = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), begin.elapsed().as_millis());
    span.in_scope(|| {
        if matches!(method, Method::GET | Method::HEAD) {
            tracing::debug!(%method, ?path, status, took_ms = took, "answered");
        } else {
            tracing::info!(%method, ?path, status, took_ms = took, "answered");
        }
    });
    reply::finish(response, &id)
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
    let admitted = blocking(move || match peer.admit(&*backend) {
        Ok(()) => Ok(Actor::of_peer(&peer)),
        Err(why) => {
            backend.refused(&peer, &asked, &why);
            Err(Failure::new(ErrorCode::Forbidden, why.to_string()))
        }
    });
    match admitted.await {
        Ok(actor) => {
            request.extensions_mut().insert(Arc::new(actor));
            let _serving = seat.serve();
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

/// Lets through who has the role. Nobody has one whom admission did not name.
async fn require(
    State(least): State<Role>,
    actor: Option<Extension<Arc<Actor>>>,
    request: Request,
    next: Next,
) -> Response {
    match actor {
        Some(Extension(actor)) if actor.role >= least => next.run(request).await,
        Some(Extension(actor)) => {
            let text = format!("this needs the role {least}, and {} has {}", actor.who, actor.role);
            Failure::new(ErrorCode::Forbidden, text).into_response()
        }
        None => Failure::new(ErrorCode::Unauthorized, "who asks is not known").into_response(),
    }
}

/// The beginning of what a client wrote.
pub(super) fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_SHOWN)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

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
