//! Calls about channels.

use super::{Client, ClientError, KILL_TIMEOUT, encoded};
use crate::channels::{ChannelList, ChannelTested};

impl Client {
    /// `GET /api/channels`.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn channels(&self) -> Result<ChannelList, ClientError> {
        self.get("/api/channels".to_owned()).await
    }

    /// `POST /api/channels/{name}/test`.
    ///
    /// # Errors
    /// [`ClientError`]; `NotFound` for none of that name.
    pub async fn test_channel(&self, name: &str) -> Result<ChannelTested, ClientError> {
        let nothing = serde_json::json!({});
        self.post(format!("/api/channels/{}/test", encoded(name)), &nothing, KILL_TIMEOUT).await
    }
}
