//! Calls about people, and the users of chats that are theirs.

use super::{Client, ClientError, TIMEOUT};
use crate::people::{
    PairRequest, PairedUser, PairingCode, PeopleList, RedeemRequest, UnpairRequest,
};

impl Client {
    /// `GET /api/people`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn people(&self) -> Result<PeopleList, ClientError> {
        self.get("/api/people".to_owned()).await
    }

    /// `POST /api/pairings`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for a person whom the settings do not name.
    pub async fn pair(&self, body: &PairRequest) -> Result<PairingCode, ClientError> {
        self.post("/api/pairings".to_owned(), body, TIMEOUT).await
    }

    /// `POST /api/pairings/redeem`, by a client that asks [`on behalf`](Client::on_behalf) of the user.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for a code that is none, `TooMany` after several of them, `Conflict` for a user who is
    /// somebody's.
    pub async fn redeem(&self, body: &RedeemRequest) -> Result<PairedUser, ClientError> {
        self.post("/api/pairings/redeem".to_owned(), body, TIMEOUT).await
    }

    /// `POST /api/pairings/revoke`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for a user who is not paired with that person.
    pub async fn unpair(&self, body: &UnpairRequest) -> Result<PairedUser, ClientError> {
        self.post("/api/pairings/revoke".to_owned(), body, TIMEOUT).await
    }
}
