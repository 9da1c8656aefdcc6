//! Channels: the chats and other places by which the warden tells people what waits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/channels`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelList {
    /// In the order of the settings.
    pub channels: Vec<ChannelStatus>,
}

/// Why nobody can answer by a channel or a bridge. The words are these and no others: metrics have them as a label.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It is coming about.
    Starting,
    /// Its settings, its secrets or its file cannot be read, or it has died.
    Broken,
    /// The warden tells it nothing.
    Warden,
    /// The service refuses it: its token, or every place that it is to tell.
    Refused,
    /// The service wants to be left in peace for a while.
    Resting,
    /// The service is not there, or cannot answer.
    Unreachable,
    /// A bridge does not say whether it hears its service.
    Untold,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Broken,
        Self::Warden,
        Self::Refused,
        Self::Resting,
        Self::Unreachable,
        Self::Untold,
    ];

    /// The word, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Broken => "broken",
            Self::Warden => "warden",
            Self::Refused => "refused",
            Self::Resting => "resting",
            Self::Unreachable => "unreachable",
            Self::Untold => "untold",
        }
    }

    /// The same for people, as what is so.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::Starting => "it is coming about",
            Self::Broken => "it cannot be set up, or has died",
            Self::Warden => "the warden tells it nothing",
            Self::Refused => "the service refuses it",
            Self::Resting => "the service wants to be left in peace",
            Self::Unreachable => "the service cannot be reached",
            Self::Untold => "it does not say whether it hears its service",
        }
    }
}

/// A channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// The service: `slack`, `telegram`, `webhook` or `desktop`.
    pub kind: String,
    /// It follows the warden, listens to the service, and what it says there is taken.
    pub connected: bool,
    /// Why not; absent while it is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Trouble>,
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
