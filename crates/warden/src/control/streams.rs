//! `GET /api/events`: what happens, as server-sent events, for as long as the client reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::IntoResponse;
use clawrden_api::{ErrorCode, EventQuery};
use futures_util::stream::unfold;
use tokio::time::timeout;

use super::access::BridgeStream;
use super::actor::Actor;
use super::answer::{Answer, blocking};
use super::reply::Failure;
use super::seats::Seat;
use super::state::Control;
use super::values::of_query;
use crate::approvals::Part;
use crate::events::{Listener, News, Wants};

/// How often something is sent where nothing happens, so that both sides know that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a revoked token or an ended session still hears.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(1);

struct Reading {
    listener: Listener,
    control: Control,
    actor: Arc<Actor>,
    bridge: Option<BridgeStream>,
    checked: Instant,
    is_over: bool,
}

pub(super) async fn events(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    Extension(seat): Extension<Arc<Seat>>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let bad = |message| Failure::new(ErrorCode::BadRequest, message);
    let query: EventQuery = of_query(&uri)?;
    let wants = if query.asked { Wants::Asked } else { Wants::Whole };
    let last = last_heard(&headers);
    let (backend, scope) = (Arc::clone(&control.backend), actor.scope.clone());
    let listener = blocking(move || {
        let events = backend.events();
        let (listener, is_first) = events.listen(scope, last.as_deref(), wants).map_err(|()| {
            Failure::new(ErrorCode::TooMany, "there are enough listeners; close some of them")
        })?;
        if is_first {
            for entry in backend.queue(&Part::whole())?.0 {
                events.know(entry.now.id.to_string(), entry.details.jail());
            }
            for (id, jail) in backend.open_requests() {
                events.know(id, &jail);
            }
            for entry in backend.running()?.entries {
                events.know(entry.id.clone(), &entry.jail);
                // Whether it was is not known by now.
                events.was_asked(entry.id);
            }
        }
        Ok(listener)
    });
    let listener = listener.await?;
    let bridge = control.access.bridge_listens(&actor, query).map_err(bad)?;
    // It stays for long, and takes no seat from those who ask and go.
    seat.stand();
    let checked = Instant::now();
    let reading = Reading { listener, control, actor, bridge, checked, is_over: false };
    let frames = unfold(reading, |mut reading| async move {
        if reading.is_over {
            return None;
        }
        let frames = reading.next().await;
        Some((Ok::<_, Infallible>(frames), reading))
    });
    // A connection that stands is for this one answer, also where the answer is none, as for HEAD.
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CONNECTION, "close")];
    Ok((kind, Body::from_stream(frames)).into_response())
}

/// The id that a client says it heard last. One that is there twice, or is no text, is none that was ever given: whoever
/// sends it has missed something.
fn last_heard(headers: &HeaderMap) -> Option<String> {
    let mut said = headers.get_all("last-event-id").iter();
    let (first, second) = (said.next()?, said.next());
    let text = first.to_str().ok().filter(|_| second.is_none());
    Some(text.unwrap_or_default().to_owned())
}

impl Reading {
    async fn next(&mut self) -> String {
        let news = timeout(HEARTBEAT, self.listener.news()).await;
        if self.checked.elapsed() >= CHECK_EVERY {
            self.checked = Instant::now();
            if !self.control.access.still_holds(&self.actor) {
                self.is_over = true;
                return "event: bye\ndata: {}\n\n".to_owned();
            }
        }
        if let Some(bridge) = &self.bridge {
            self.control.access.bridge_goes_on(bridge);
        }
        match news {
            Ok(News::Frames(frames)) => frames,
            Ok(News::Last(frame)) => {
                self.is_over = true;
                frame
            }
            Err(_) => ": alive\n\n".to_owned(),
        }
    }
}
