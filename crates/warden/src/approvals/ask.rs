//! What is asked of a person, and by whom.

use std::sync::Arc;
use std::time::Duration;

use super::approval::Bequest;
use super::details::Details;
use super::key::CallerKey;
use super::scope::Life;
use super::wants::Wants;
use crate::again::Case;
use crate::ledger::Id;
use crate::plan::Identity;

/// A request that the policy wants a person to answer.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What makes it the same question as another.
    pub identity: Identity,
    /// The request's id.
    pub id: Id,
    /// What the client calls it, by which it finds its place again; `None` for one that cannot come back.
    pub client: Option<Id>,
    /// The process that asks.
    pub key: CallerKey,
    /// Whose life a session would be; `None` where the kernel does not say.
    pub life: Option<Life>,
    /// The same without its words, for an answer to a pattern; `None` where there cannot be one.
    pub frame: Option<Identity>,
    /// Entries whose answer was for a pattern that takes it.
    pub by_pattern: Vec<Id>,
    /// What a command that started it hands down to it.
    pub inherits: Option<Arc<Bequest>>,
    /// What a person is shown.
    pub details: Details,
    /// For judging it again before it is approved.
    pub(crate) case: Option<Arc<Case>>,
    /// Whose yes it takes.
    pub wants: Wants,
    /// Why nobody who may answer can, where that is so and it is not to wait for them.
    pub nobody: Option<String>,
    /// How long a person has, counted from the first request that opened the entry.
    pub timeout: Duration,
}
