//! A person's yes to one entry, and what several of them come to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::scope::{MAX_SCOPE, Scope};
use crate::people::Doors;

/// A person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// What the person came by.
    pub doors: Doors,
    /// As people and the ledger call them.
    pub who: String,
    /// Through what.
    pub channel: String,
    /// From where.
    #[serde(default)]
    pub from: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When, in milliseconds since the epoch.
    pub when_ms: u64,
    /// How long it had waited then, in milliseconds: later, others may answer.
    pub waited_ms: u64,
    /// For what it is good.
    pub scope: Scope,
    /// It is for what the command starts as well.
    #[serde(default)]
    pub and_what_it_starts: bool,
    /// It is for every command that this pattern takes.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// The narrowest of the scopes: one run before a session, and a session before a time.
pub(super) fn narrowest(votes: &[Vote]) -> Scope {
    let rank = |scope: &Scope| match scope {
        Scope::Once => (0, Duration::ZERO),
        Scope::Session => (1, Duration::ZERO),
        Scope::Time(time) => (2, *time),
    };
    votes.iter().map(|vote| vote.scope).min_by_key(rank).unwrap_or_default()
}

/// From where the last of them came.
pub(super) fn from(votes: &[Vote]) -> Option<&str> {
    votes.last()?.from.as_deref()
}

/// How long all of them let it hold.
pub(super) fn longest(votes: &[Vote]) -> Duration {
    let times = votes.iter().filter_map(|vote| match vote.scope {
        Scope::Time(time) => Some(time),
        Scope::Once | Scope::Session => None,
    });
    times.min().unwrap_or(MAX_SCOPE)
}
