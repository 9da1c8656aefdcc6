//! From the table of routes to answers: who asks is found out, their role is looked at, and every answer gets what all
//! of them have.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use clawrden_api::{ChatService, ErrorCode, Role};
use tracing::Instrument;

use super::access::{Visitor, only_reads};
use super::actor::Actor;
use super::answer::blocking;
use super::paths::{LIVENESS, SESSION};
use super::peer::{Peer, Refusal};
use super::reply::{self, Failure};
use super::seats::Seat;
use super::state::Control;
use super::table::{Least, ROUTES};
use super::values::shown;
use crate::dashboard;

/// Where the web page is: it is the same for everybody and holds nothing of anybody's.
const PAGES: [&str; 2] = ["/", "/login"];
const FILES: &str = "/ui/{*file}";

/// At which end of the warden a connection came in, and from whom.
#[derive(Clone)]
pub(super) enum From {
    Socket(Arc<Peer>),
    Tcp(Visitor),
    /// The warden's own bridge, by a socket that nobody else gets through.
    Bridge(ChatService, Arc<Peer>),
}

/// What admission looks at: whom to ask, who it is, and where it sits.
#[derive(Clone)]
struct Admission {
    control: Control,
    from: From,
    seat: Arc<Seat>,
}

/// All routes, without admission: see [`for_one`].
pub(super) fn router(control: Control) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let mut handler = (route.handler)();
        if let Least::Role(role) = route.least {
            let needed = (role, route.keeps_scope());
            handler = handler.route_layer(from_fn_with_state(needed, require));
        }
        router = router.route(route.path, handler);
    }
    for page in PAGES {
        router = router.route(page, dashboard::start());
    }
    router
        .route(FILES, dashboard::file())
        .fallback(async |uri: Uri| {
            Failure::new(ErrorCode::NotFound, format!("there is no route {:?}", shown(uri.path())))
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let message = format!("{:?} does not take {method}", shown(uri.path()));
            Failure::new(ErrorCode::MethodNotAllowed, message)
        })
        .with_state(control)
}

/// The routes for one connection. Every request is admitted anew: the peer may have ended, or become a prisoner; a token
/// may have been revoked.
pub(super) fn for_one(router: Router, control: Control, from: From, seat: Arc<Seat>) -> Router {
    let admission = Admission { control, from, seat };
    router.layer(from_fn_with_state(admission, admit)).layer(from_fn(conduct))
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
        if only_reads(&method) {
            tracing::debug!(%method, ?path, status, took_ms = took, "answered");
        } else {
            tracing::info!(%method, ?path, status, took_ms = took, "answered");
        }
    });
    reply::finish(response, &id)
}

async fn admit(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    let Admission { control, from, seat } = admission;
    if let From::Tcp(visitor) = &from
        && !visitor.is_near
    {
        let asked = format!("{} {}", request.method(), shown(request.uri().path()));
        let (visitor, Control { access, backend, .. }) = (visitor.clone(), control.clone());
        // From a network that prisoners are on nothing is reached, neither the page nor liveness.
        let outside = move || access.not_a_prisoner(&visitor, &*backend, &asked);
        if let Err(failure) = blocking(outside).await {
            seat.hear_stranger();
            return failure.into_response();
        }
    }
    let path = request.uri().path();
    if path == LIVENESS {
        return next.run(request).await;
    }
    let is_login = path == SESSION && request.method() == Method::POST;
    let is_page =
        only_reads(request.method()) && (PAGES.contains(&path) || path.starts_with("/ui/"));
    let (mut parts, body) = request.into_parts();
    let admitted = match &from {
        From::Socket(peer) => of_socket(&control, peer, &parts).await.map(Some),
        From::Bridge(service, peer) => of_bridge(&control, *service, peer, &parts).await.map(Some),
        From::Tcp(visitor) => {
            parts.extensions.insert(visitor.clone());
            match control.access.is_called(&parts) {
                Err(failure) => Err(failure),
                Ok(()) if is_page => Ok(None),
                Ok(()) if is_login => {
                    // Before its body is waited for: a prisoner gets no further.
                    let (asked, visitor) = (format!("POST {SESSION}"), visitor.clone());
                    let Control { access, backend, .. } = control;
                    let outside = move || access.not_a_prisoner(&visitor, &*backend, &asked);
                    blocking(outside).await.map(|()| None)
                }
                Ok(()) => {
                    let (head, visitor) = (parts.clone(), visitor.clone());
                    let Control { access, backend, .. } = control;
                    let admitted = move || {
                        let actor = access.admit(&head, &visitor, &*backend)?;
                        access.on_behalf(actor, &head, &*backend)
                    };
                    blocking(admitted).await.map(Some)
                }
            }
        }
    };
    match admitted {
        Ok(Some(actor)) => {
            parts.extensions.insert(Arc::new(actor));
            parts.extensions.insert(Arc::clone(&seat));
            let serving = seat.serve();
            serving.until_given(next.run(Request::from_parts(parts, body)).await)
        }
        // Who may be anybody keeps nobody out.
        Ok(None) => {
            seat.hear_stranger();
            next.run(Request::from_parts(parts, body)).await
        }
        Err(failure) => {
            seat.hear_stranger();
            failure.into_response()
        }
    }
}

async fn of_socket(control: &Control, peer: &Arc<Peer>, parts: &Parts) -> Result<Actor, Failure> {
    let asked = format!("{} {}", parts.method, shown(parts.uri.path()));
    let (peer, control, head) = (Arc::clone(peer), control.clone(), parts.clone());
    let admitted = move || match peer.admit(|pid| control.backend.prisoner_of(pid)) {
        Ok(()) => control.access.on_behalf(Actor::of_peer(&peer), &head, &*control.backend),
        Err(why) => {
            control.access.refused(&peer, &*control.backend, &asked, &why);
            Err(Failure::new(ErrorCode::Forbidden, why.to_string()))
        }
    };
    blocking(admitted).await
}

async fn of_bridge(
    control: &Control,
    service: ChatService,
    peer: &Arc<Peer>,
    parts: &Parts,
) -> Result<Actor, Failure> {
    let (peer, control, head) = (Arc::clone(peer), control.clone(), parts.clone());
    let admitted = move || {
        if !peer.is_this_process() {
            let why = Refusal::NotTheBridge(service.as_str());
            let asked = format!("{} {}", head.method, shown(head.uri.path()));
            control.access.refused(&peer, &*control.backend, &asked, &why);
            return Err(Failure::new(ErrorCode::Forbidden, why.to_string()));
        }
        let actor = Actor { from: Some(peer.place()), ..Actor::of_bridge(service) };
        control.access.on_behalf(actor, &head, &*control.backend)
    };
    blocking(admitted).await
}

/// Lets through who has the role. Nobody has one whom admission did not name.
async fn require(
    State((least, keeps_scope)): State<(Role, bool)>,
    actor: Option<Extension<Arc<Actor>>>,
    request: Request,
    next: Next,
) -> Response {
    match actor {
        Some(Extension(actor)) if !keeps_scope && !actor.scope.jails.is_empty() => {
            let text = format!("this is not for {}, who is bounded to some jails", actor.who);
            Failure::new(ErrorCode::Forbidden, text).into_response()
        }
        Some(Extension(actor)) if actor.role >= least => next.run(request).await,
        Some(Extension(actor)) => {
            let text = format!("this needs the role {least}, and {} has {}", actor.who, actor.role);
            Failure::new(ErrorCode::Forbidden, text).into_response()
        }
        None => Failure::new(ErrorCode::Unauthorized, "who asks is not known").into_response(),
    }
}
