//! What each route does: takes its request apart, asks the backend on a thread that may block, and gives its answer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::IntoResponse;
use clawrden_api::{EngineStatus, ErrorBody, History, IndexStatus, LedgerStatus, Scope, Status};

use super::actor::Actor;
use super::answer::{Answer, Nothing, ask, blocking, known, read, with_body};
use super::backend::{Backend, Verdict};
use super::pages::{self, Page};
use super::reply::{Failure, plain, tagged};
use super::state::Control;
use super::values::{command_id, jail_name};
use super::{body, history, once};
use crate::events::UNWRITABLE;

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

pub(super) async fn describe(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || Ok((control.describe)())).await
}

pub(super) async fn status(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
) -> Answer {
    ask(&headers, move || {
        let mut status = control.backend.status()?;
        if !actor.scope.jails.is_empty() {
            bound(&mut status, &actor.scope, &*control.backend)?;
        }
        Ok(status)
    })
    .await
}

/// Leaves of a status what is of the jails of `scope`, and what holds for everybody.
fn bound(status: &mut Status, scope: &Scope, backend: &dyn Backend) -> Result<(), ErrorBody> {
    status.jails.retain(|jail| scope.has_jail(&jail.name));
    status.held.retain(|held| held.jail.as_ref().is_some_and(|jail| scope.has_jail(jail)));
    status.no_approver = backend.no_approver(&|jail| scope.has_jail(jail));
    status.pending = backend.count_waiting(&|jail| scope.has_jail(jail));
    status.running = backend.count_running(&|jail| scope.has_jail(jail));
    // That nothing runs is for everybody; why says where things are.
    let error = status.ledger.error.as_ref().map(|_| UNWRITABLE.to_owned());
    status.ledger = LedgerStatus { error, ..LedgerStatus::default() };
    status.index =
        IndexStatus { state: std::mem::take(&mut status.index.state), ..IndexStatus::default() };
    status.bridges.clear();
    status.people.error = None;
    // The policy is that of their jails too, and is told with each of them.
    status.engine = EngineStatus::default();
    // Their errors may name places of other jails.
    status.channels.clear();
    Ok(())
}

pub(super) async fn queue(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let wanted = pages::wanted(&uri)?;
    let known = known(&headers);
    blocking(move || {
        let has_jail = |jail: &str| actor.scope.has_jail(jail);
        let (entries, more) = control.backend.queue(&wanted.part(&has_jail))?;
        let page = Page::new(entries, more);
        Ok(tagged(&known, page.tag(), || page.body()))
    })
    .await
}

pub(super) async fn read_history(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let mut query = history::query(&uri)?;
    // Part of the question: what is left out of an answer afterwards would show in its length, and in its `next`.
    query.jails.clone_from(&actor.scope.jails);
    ask(&headers, move || {
        if query.jail.as_ref().is_some_and(|jail| !actor.scope.has_jail(jail)) {
            return Ok(History { entries: Vec::new(), next: None });
        }
        control.backend.history(query)
    })
    .await
}

pub(super) async fn approve(
    control: State<Control>,
    actor: Extension<Arc<Actor>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    answer(control, actor, (headers, id), Verdict::Approve, given).await
}

pub(super) async fn deny(
    control: State<Control>,
    actor: Extension<Arc<Actor>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    given: Body,
) -> Answer {
    answer(control, actor, (headers, id), Verdict::Deny, given).await
}

async fn answer(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    (headers, id): (HeaderMap, Result<Path<String>, PathRejection>),
    verdict: Verdict,
    given: Body,
) -> Answer {
    let id = command_id(id)?;
    let given = read(&control, given, body::MAX_BODY).await?;
    let key = once::key(&headers)?;
    blocking(move || {
        let asked = once::asked(&format!("{verdict:?} {id}"), &given);
        let request = body::parse(&given)?;
        let work = || control.backend.answer(&actor, &id, verdict, request);
        let (came, is_replayed) = control.once.answer(&actor, key, asked, work);
        let mut response = came.map_or_else(|body| Failure(body).into_response(), plain);
        if is_replayed {
            response.headers_mut().insert(once::REPLAYED, HeaderValue::from_static("true"));
        }
        Ok(response)
    })
    .await
}

pub(super) async fn kill(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| {
        actor.may_kill(&given)?;
        control.backend.kill(&actor, given)
    })
    .await
}

pub(super) async fn resume(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| {
        actor.may_resume(&given)?;
        control.backend.resume(&actor, given)
    })
    .await
}

pub(super) async fn jails(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
) -> Answer {
    ask(&headers, move || {
        let mut list = control.backend.jails()?;
        if !actor.scope.jails.is_empty() {
            list.jails.retain(|jail| actor.scope.has_jail(&jail.name));
            list.problems.clear();
        }
        Ok(list)
    })
    .await
}

pub(super) async fn jail(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Answer {
    let name = jail_name(name)?;
    actor.may_see(&name)?;
    ask(&headers, move || control.backend.jail(&name)).await
}

pub(super) async fn create_jail(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.create_jail(&actor, given)).await
}

pub(super) async fn delete_jail(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    name: Result<Path<String>, PathRejection>,
) -> Answer {
    let name = jail_name(name)?;
    ask(&HeaderMap::new(), move || control.backend.delete_jail(&actor, &name)).await
}

pub(super) async fn reload_policy(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.reload_policy(&actor)).await
}

pub(super) async fn rebuild_index(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |Nothing {}| control.backend.rebuild_index()).await
}

pub(super) async fn register(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_PRISONER_BODY).await?;
    with_body(given, move |given| control.backend.register_prisoner(&actor, given)).await
}
