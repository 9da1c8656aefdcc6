//! What is asked of the warden about its channels.

use clawrden_api::{ChannelList, ChannelTested, ErrorBody};

/// A part of [`Backend`](super::Backend).
pub trait Channels {
    /// `GET /api/channels`.
    ///
    /// # Errors
    /// None that a backend has to have.
    fn channels(&self) -> Result<ChannelList, ErrorBody>;

    /// `POST /api/channels/{name}/test`. The name is unchecked. Waits for a service, with a limit.
    ///
    /// # Errors
    /// `NotFound` for none of that name.
    fn test_channel(&self, name: &str) -> Result<ChannelTested, ErrorBody>;
}
