//! The channels by which people are told, as the warden starts them and tells of them.

use std::path::PathBuf;
use std::sync::Arc;

use clawrden_api::{ChannelList, ChannelTested, ErrorBody, ErrorCode};
use clawrden_bridge::channel::Channel;
use tokio::sync::watch;

use super::Warden;
use super::control::Control;
use super::refused;
use super::surfaces::said;
use crate::beside::beside;
use crate::control::{Backend, Channels, serve_bridge};
use crate::notify::{Notifier, Untested};
use crate::sockets::{Bound, bind_private};

/// The folder of the sockets by which they come, and of what they remember.
const FOLDER: &str = "bridges";

/// Nobody but the warden's user enters it.
const FOLDER_MODE: u32 = 0o700;

/// The mode of their sockets.
const DOOR_MODE: u32 = 0o600;

impl Warden {
    /// Starts the channels of the settings. One that cannot be started is told in the log; the warden goes on.
    pub(super) fn start_channels(
        self: &Arc<Self>,
        channels: Vec<Channel>,
        backend: &Arc<dyn Backend>,
        closing: &watch::Receiver<bool>,
    ) -> Vec<Bound> {
        let control = self.config.control.clone();
        let control = control.unwrap_or_else(|| self.places.control_socket());
        let mut notify = Notifier::default();
        let mut doors = Vec::new();
        for channel in channels {
            let name = channel.name.clone();
            if !channel.answers() {
                // It only reads, and must not be taken for a way by which somebody answers.
                let started = notify.start(
                    channel,
                    (control.clone(), self.channels_state()),
                    closing.clone(),
                );
                if let Err(error) = started {
                    tracing::error!(%error, name, "a channel cannot be started");
                }
                continue;
            }
            let started = self.channel_door(&name).and_then(|door| {
                let listener = door.listener().try_clone()?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                let service = channel.kind.speaks_for();
                let shutdown = said(closing.clone());
                let (backend, access) = (Arc::clone(backend), Arc::clone(&self.access));
                tokio::spawn(serve_bridge(listener, service, backend, access, shutdown));
                let places = (door.path().to_owned(), self.channels_state());
                notify.start(channel, places, closing.clone())?;
                Ok(door)
            });
            match started {
                Ok(door) => doors.push(door),
                Err(error) => tracing::error!(%error, name, "a channel cannot be started"),
            }
        }
        // It is set by nobody else.
        let _ = self.notify.set(notify);
        doors
    }

    fn channel_door(&self, name: &str) -> std::io::Result<Bound> {
        use std::os::unix::fs::DirBuilderExt as _;
        let folder = self.places.run().join(FOLDER);
        std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder)?;
        let door = bind_private(&folder.join(format!("{name}.sock")), DOOR_MODE);
        door.map_err(std::io::Error::other)
    }

    /// Where channels keep what they remember: beside the ledger, where that was told a place of its own.
    fn channels_state(&self) -> PathBuf {
        match &self.config.audit {
            Some(audit) => beside(audit, ".bridges"),
            None => self.places.state().join(FOLDER),
        }
    }

    /// How the channels are.
    pub(super) fn channel_list(&self) -> ChannelList {
        let channels = self.notify.get().map(Notifier::status).unwrap_or_default();
        ChannelList { channels }
    }
}

impl Channels for Control {
    fn channels(&self) -> Result<ChannelList, ErrorBody> {
        Ok(self.0.channel_list())
    }

    fn test_channel(&self, name: &str) -> Result<ChannelTested, ErrorBody> {
        let tested = match self.0.notify.get() {
            Some(notify) => notify.test(name),
            None => Notifier::default().test(name),
        };
        tested.map_err(|error| {
            let code = match error {
                Untested::None(_) => ErrorCode::NotFound,
                Untested::Busy(_) => ErrorCode::TooMany,
            };
            refused(code, error.to_string())
        })
    }
}
