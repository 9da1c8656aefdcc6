//! Who listens to what happens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::channels::Trouble;

/// The query of `GET /api/events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Leave out commands that start and end though nobody was asked about them.
    #[serde(default)]
    pub asked: bool,
    /// Of a bridge to a chat: what it calls itself for as long as it lives, so that its next stream takes the place of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Of a bridge to a chat: people are heard there, and told. Without it nobody counts as somebody who can answer by it.
    #[serde(default)]
    pub hears: bool,
    /// Of a bridge to a chat that does not hear: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Trouble>,
}
