//! The routes of people, and of the users of chats that are theirs.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use clawrden_api::{ChatUser, ErrorBody, PairedUser, PeopleList, UnpairRequest};

use super::actor::Actor;
use super::handlers::{Answer, ask, read, with_body};
use super::routes::Control;

/// Bytes of a body that names a person, a user or a code.
const MAX_BODY: usize = 4096;

/// Who people are. Every method is called on a thread that may block.
pub trait Folk {
    /// Whose user of a chat this is; `None` for nobody's.
    fn person_of(&self, user: &ChatUser) -> Option<String>;

    /// `GET /api/people`.
    ///
    /// # Errors
    /// When they cannot be told.
    fn people(&self) -> Result<PeopleList, ErrorBody>;

    /// Whether a user of a chat may become this person.
    ///
    /// # Errors
    /// `NotFound` for nobody of this name.
    fn may_pair(&self, person: &str) -> Result<(), ErrorBody>;

    /// Binds a user to a person, on the word of who made the code. It is recorded before it holds.
    ///
    /// # Errors
    /// `NotFound` for nobody of this name, `Conflict` for a user who is somebody's, or at the bound, `LedgerUnavailable`
    /// when it cannot be recorded.
    fn bind(&self, person: &str, user: &ChatUser, by: &str) -> Result<PairedUser, ErrorBody>;

    /// `POST /api/pairings/revoke`. It holds no more, kept or not.
    ///
    /// # Errors
    /// `NotFound` for a user who is not paired with that person, `Conflict` for one of the settings.
    fn unbind(&self, actor: &Actor, request: UnpairRequest) -> Result<PairedUser, ErrorBody>;
}

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
