//! The warden's own bridges: people are told of what waits by the channels of `notify:`, and answer there. Each has a
//! thread with an event loop of its own, comes to the control API by a socket like any bridge, and holds no more power
//! than one. Whatever becomes of a channel, the warden goes on.

mod channel;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clawrden_api::{ChannelStatus, ChannelStep, ChannelTested};
use clawrden_bridge::channel::Channel;
use clawrden_bridge::standing::Standing;
use tokio::sync::{mpsc, watch};

use channel::Life;

/// How long a test may take, so that whoever asks for it hears what came of it.
const TEST_TIMEOUT: Duration = Duration::from_secs(50);

/// Tests that wait at once.
const MAX_TESTS: usize = 4;

/// Asks a channel to try its whole way.
type Test = std::sync::mpsc::SyncSender<Vec<ChannelStep>>;

/// All channels.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    channels: Vec<Running>,
}

/// A channel that runs.
#[derive(Debug)]
struct Running {
    name: String,
    kind: &'static str,
    standing: Standing,
    restarts: Arc<std::sync::atomic::AtomicU64>,
    tests: mpsc::Sender<Test>,
}

/// Why a channel is not tested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untested {
    /// There is none.
    #[error("there is no channel {0:?}; `clawrden notify` lists them")]
    None(String),
    /// It is busy, or does not come to an end.
    #[error(
        "the channel {0:?} does not come to test its way; its thread may hang, or several tests are under way"
    )]
    Busy(String),
}

impl Notifier {
    /// Starts a thread for a channel, which comes to the control API by the socket `door`, keeps what it remembers in
    /// `state`, and ends when `closing` says so.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start(
        &mut self,
        channel: Channel,
        (door, state): (PathBuf, PathBuf),
        closing: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let (tests, to_test) = mpsc::channel(MAX_TESTS);
        let (standing, restarts) = (Standing::default(), Arc::default());
        let running = Running {
            name: channel.name.clone(),
            kind: channel.kind.as_str(),
            standing: standing.clone(),
            restarts: Arc::clone(&restarts),
            tests,
        };
        let life = Life { channel, door, state, standing, restarts, closing };
        std::thread::Builder::new()
            .name(format!("notify-{}", running.name))
            .spawn(move || life.live(to_test))?;
        self.channels.push(running);
        Ok(())
    }

    /// How they are.
    pub(crate) fn status(&self) -> Vec<ChannelStatus> {
        self.channels.iter().map(Running::status).collect()
    }

    /// Has a channel try its whole way. Waits for it.
    ///
    /// # Errors
    /// [`Untested`].
    pub(crate) fn test(&self, name: &str) -> Result<ChannelTested, Untested> {
        let shown = || name.chars().take(64).collect::<String>();
        let running = self.channels.iter().find(|running| running.name == name);
        let running = running.ok_or_else(|| Untested::None(shown()))?;
        let (tells, told) = std::sync::mpsc::sync_channel(1);
        running.tests.try_send(tells).map_err(|_| Untested::Busy(shown()))?;
        let steps = told.recv_timeout(TEST_TIMEOUT).map_err(|_| Untested::Busy(shown()))?;
        Ok(ChannelTested { name: name.to_owned(), steps })
    }
}

impl Running {
    fn status(&self) -> ChannelStatus {
        let state = self.standing.state();
        ChannelStatus {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            connected: state.reason().is_none(),
            reason: state.reason(),
            error: state.error,
            outbox: state.outbox,
            sent: state.sent,
            failed: state.failed,
            heard: state.heard,
            refused: state.refused,
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }
}
