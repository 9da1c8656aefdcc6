//! What is asked of the warden about people.

use clawrden_api::{ChatUser, ErrorBody, PairedUser, PeopleList, UnpairRequest};

use super::super::actor::Actor;

/// A part of [`Backend`](super::Backend): who people are.
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
