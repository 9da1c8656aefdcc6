//! Channels: the chats and other places by which the warden tells people what waits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/channels`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelList {
    /// In the order of the settings.
    pub channels: Vec<ChannelStatus>,
}

/// A channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// The service: `slack`, `telegram`, `webhook` or `desktop`.
    pub kind: String,
    /// It follows the warden and listens to the service.
    pub connected: bool,
    /// What failed last, until the same goes well again.
    pub error: Option<String>,
    /// Messages that are to be posted, edited or replied to.
    pub outbox: usize,
    /// Messages that the service took, since the warden started.
    pub sent: u64,
    /// Times that it did not.
    pub failed: u64,
    /// Taps and commands of people that were heard.
    pub heard: u64,
    /// Those that the warden did not take.
    pub refused: u64,
    /// Times that it was started again because it had died.
    pub restarts: u64,
}

/// The answer to `POST /api/channels/{name}/test`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTested {
    /// The channel.
    pub name: String,
    /// What was tried, in order; nothing was tried behind a step that failed.
    pub steps: Vec<ChannelStep>,
}

impl ChannelTested {
    /// Whether all of it went well.
    #[must_use]
    pub fn went_well(&self) -> bool {
        self.steps.iter().all(|step| step.failed.is_none())
    }
}

/// A step of a test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelStep {
    /// What was tried.
    pub what: String,
    /// Why it failed, with the remedy; `None` when it went well.
    pub failed: Option<String>,
}
