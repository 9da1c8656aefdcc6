//! The kill switch: thrown, taken back, and what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::CallerContainer;

/// The kill switch, thrown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stopped {
    /// Since when.
    pub since_ms: u64,
    /// Who threw it.
    pub by: String,
    /// Frozen rather than ended.
    pub paused: bool,
}

/// A jail or a container that is stopped alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The jail, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// The container, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<CallerContainer>,
    /// Since when, by whom and how.
    pub stopped: Stopped,
}

/// The body of `POST /api/kill`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// Freeze rather than end.
    #[serde(default)]
    pub pause: bool,
    /// Why, for the record.
    #[serde(default)]
    pub reason: Option<String>,
    /// This jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_.-]{0,62}$")]
    pub jail: Option<String>,
    /// This container alone: its name, its id or the start of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// The body of `POST /api/resume`. Without a jail or a container it takes back what was said of everything, and leaves
/// alone what is stopped by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// This jail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_.-]{0,62}$")]
    pub jail: Option<String>,
    /// This container: its name, its id or the start of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// When it was said, in milliseconds since 1970, where that may be a while ago: what was stopped after that stays stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_ms: Option<u64>,
}

/// The answer to `POST /api/kill` and `POST /api/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KillReport {
    /// Processes that were ended, frozen or thawed, those of containers not counted.
    pub processes: usize,
    /// Containers that were ended, frozen or thawed.
    #[serde(default)]
    pub containers: usize,
    /// Whether what it is about is stopped now.
    pub stopped: Option<Stopped>,
    /// What could not be done, one sentence each.
    pub problems: Vec<String>,
}
