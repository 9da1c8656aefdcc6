//! Who people are, and how a user of a chat becomes one of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chat::{ChatService, ChatUser};

/// `GET /api/people`: who answers, by the names that policies know them by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleList {
    /// By name.
    pub people: Vec<PersonInfo>,
    /// Groups of them, by name.
    pub groups: Vec<GroupInfo>,
    /// Users who were paired with somebody and are nobody's by now: the settings do not name that person any more, or say
    /// that the user is another's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<PairedUser>,
}

/// A person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonInfo {
    /// The name.
    pub name: String,
    /// What they come by, as the settings say: `uid:1000`, `token:alice`, `slack:T012ABC/U345DEF`.
    pub doors: Vec<String>,
    /// Users of chats that were paired with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paired: Vec<PairedUser>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupInfo {
    /// The name.
    pub name: String,
    /// Its members: people, and doors that are nobody's else.
    pub members: Vec<String>,
}

/// A user of a chat who was paired with a person by a one-time code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairedUser {
    /// The person.
    pub person: String,
    /// The user.
    pub user: ChatUser,
    /// Since when.
    pub since_ms: u64,
    /// On whose word: who made the code.
    pub by: String,
}

/// The body of `POST /api/pairings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairRequest {
    /// Whom the user is going to be: a person of the settings.
    pub person: String,
    /// For users of this service alone; absent: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ChatService>,
}

/// The answer to it. Nobody can be told the code again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairingCode {
    /// What the person says in the chat, once.
    pub code: String,
    /// Whom they are then.
    pub person: String,
    /// For users of this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ChatService>,
    /// Until when it can be used.
    pub expires_ms: u64,
}

impl std::fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairingCode").field("person", &self.person).finish_non_exhaustive()
    }
}

/// The body of `POST /api/pairings/redeem`, by a bridge for the user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemRequest {
    /// What the user said. Case, hyphens and spaces do not matter.
    pub code: String,
}

impl std::fmt::Debug for RedeemRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedeemRequest").finish_non_exhaustive()
    }
}

/// The body of `POST /api/pairings/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpairRequest {
    /// The person.
    pub person: String,
    /// The user who is theirs no more.
    pub user: ChatUser,
}

/// How the people are, in a status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleStatus {
    /// People that the settings name.
    pub people: usize,
    /// Groups.
    pub groups: usize,
    /// Users of chats that are paired with one of them.
    pub paired: usize,
    /// Since when it is so.
    pub since_ms: u64,
    /// Why what the settings say by now is not in force, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
