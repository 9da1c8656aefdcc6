//! Records of who may use the control plane, and of who tried to.

use serde::{Deserialize, Serialize};

use super::Caller;

/// Payload of [`Record::ControlRefused`](super::Record::ControlRefused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRefused {
    /// Who tried.
    pub peer: Caller,
    /// Why it was refused.
    pub why: String,
}

/// Payload of [`Record::TokenCreated`](super::Record::TokenCreated).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// The token's id; what opens is nowhere.
    pub token: String,
    /// Whose it is.
    pub name: String,
    /// What its owner may do.
    pub role: clawrden_api::Role,
    /// For which jails alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jails: Vec<String>,
    /// For which rules alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// For whose users a bridge asks by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks_for: Option<clawrden_api::ChatService>,
    /// Until when, in milliseconds since the epoch.
    pub expires_ms: u64,
    /// On whose word.
    pub by: String,
}

/// Payload of [`Record::AccessRevoked`](super::Record::AccessRevoked).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRevoked {
    /// The token or the session.
    pub revoked: String,
    /// On whose word.
    pub by: String,
}

/// Payload of [`Record::SessionOpened`](super::Record::SessionOpened).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The session's id; what opens is nowhere.
    pub session: String,
    /// Whose it is.
    pub who: String,
    /// What they may do.
    pub role: clawrden_api::Role,
    /// From where.
    pub from: String,
    /// Until when, in milliseconds since the epoch.
    pub expires_ms: u64,
}

/// Payload of [`Record::PeopleLoaded`](super::Record::PeopleLoaded).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleLoaded {
    /// The file.
    pub source: String,
    /// How many people it names.
    pub people: u64,
    /// How many groups.
    pub groups: u64,
}

/// Payload of [`Record::PeopleRefused`](super::Record::PeopleRefused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleRefused {
    /// The file.
    pub source: String,
    /// What is wrong with it.
    pub error: String,
}

/// Payload of [`Record::Paired`](super::Record::Paired) and [`Record::Unpaired`](super::Record::Unpaired).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    /// The person.
    pub person: String,
    /// The user, such as `slack:T012ABC/U345DEF`.
    pub user: String,
    /// On whose word: who made the code, or took it back.
    pub by: String,
}

/// Payload of [`Record::PairingOffered`](super::Record::PairingOffered). What the code is, is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingOffered {
    /// The person.
    pub person: String,
    /// For users of this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<clawrden_api::ChatService>,
    /// Until when it can be used, in milliseconds since the epoch.
    pub expires_ms: u64,
    /// Who made it.
    pub by: String,
}
