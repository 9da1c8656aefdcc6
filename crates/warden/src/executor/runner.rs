//! Starting a runner and talking to it. The warden gives it the client's connection and the plan, and never sees the
//! streams.

use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use clawrden_protocol::ProtocolError;
use clawrden_protocol::runner::{FromRunner, Plan, ToRunner, parse_head};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::pool::{Idle, LeafSlot};
use crate::process::Identity;
use crate::sys::watch;

/// Bytes of messages that are read at once. Most are shorter, and come two at a time.
const PIECE: usize = 256;

/// A runner that is at work.
pub(super) struct Runner {
    socket: AsyncFd<UnixStream>,
    holder: Holder,
    incoming: Vec<u8>,
    /// It was told to end its tree, and so ends itself.
    stopped: bool,
}

/// Who has started a runner, and reaps it.
enum Holder {
    /// We have.
    Warden(std::process::Child, LeafSlot),
    /// The container's engine has; its pid here, where it can be seen.
    Engine(Option<u32>),
}

/// Why a runner did not start, or went silent.
#[derive(Debug, Error)]
pub(super) enum RunnerError {
    /// The process could not be made.
    #[error("the runner could not be started: {0}")]
    Spawn(#[source] io::Error),
    /// What records it cannot be had.
    #[error("what records it cannot be started: {0}; nothing ran")]
    Relay(#[source] io::Error),
    /// Its socket failed.
    #[error("the runner cannot be talked to: {0}")]
    Socket(#[from] io::Error),
    /// It said what it does not say.
    #[error("the runner is not one of ours: {0}")]
    Protocol(#[from] ProtocolError),
}

impl Runner {
    /// Gives work to a runner.
    pub(super) fn new(idle: Idle) -> Result<Self, RunnerError> {
        let Idle { socket, process, leaf } = idle;
        Ok(Self {
            socket: watch::stream(socket)?,
            holder: Holder::Warden(process, leaf),
            incoming: Vec::new(),
            stopped: false,
        })
    }

    /// The runner that has connected, as process `pid` of a container where that can be seen.
    ///
    /// # Errors
    /// When the event loop cannot watch it.
    pub(super) fn connected(
        socket: tokio::net::UnixStream,
        pid: Option<u32>,
    ) -> Result<Self, RunnerError> {
        let socket = watch::stream(socket.into_std()?)?;
        Ok(Self { socket, holder: Holder::Engine(pid), incoming: Vec::new(), stopped: false })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match &self.holder {
            Holder::Warden(process, _) => Some(process.id()),
            Holder::Engine(pid) => *pid,
        }
    }

    /// Its process, where it can be seen and is still there.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.pid().and_then(|pid| Identity::of(pid).ok())
    }

    /// Its cgroup, where it may have one of ours.
    pub(super) fn leaf(&self) -> Option<&LeafSlot> {
        match &self.holder {
            Holder::Warden(_, leaf) => Some(leaf),
            Holder::Engine(_) => None,
        }
    }

    /// Gives it its plan and the files that go with it; from here on it starts the tool.
    pub(super) async fn start(
        &mut self,
        plan: Plan,
        files: &[BorrowedFd<'_>],
    ) -> Result<(), RunnerError> {
        self.send(&ToRunner::Plan(Box::new(plan)).encode(), files).await
    }

    /// Sends all of it; the descriptors go with the first bytes. One that waits has taken all that it was sent, so that there
    /// is room mostly.
    async fn send(
        &self,
        mut bytes: &[u8],
        mut files: &[BorrowedFd<'_>],
    ) -> Result<(), RunnerError> {
        let socket = self.socket.get_ref();
        while !bytes.is_empty() {
            match send_with(socket.as_fd(), bytes, files) {
                Ok(sent) => (bytes, files) = (&bytes[sent..], &[]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => watch::room(socket).await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Tells it to end the tree, and what to tell the client.
    pub(super) async fn stop(
        &mut self,
        code: u8,
        text: &str,
        now: bool,
    ) -> Result<(), RunnerError> {
        let text = text.as_bytes().to_vec();
        self.stopped = true;
        self.send(&ToRunner::Stop { code, text, now }.encode(), &[]).await
    }

    /// Takes its exit status, once it has closed its socket. It leaves no zombie behind.
    pub(super) async fn reap(self) {
        drop(self.socket);
        let Holder::Warden(mut process, _) = self.holder else { return };
        let waited = tokio::task::spawn_blocking(move || process.wait()).await;
        if let Ok(Err(error)) = waited {
            tracing::warn!(%error, "a runner's status could not be taken");
        }
    }

    /// Whether it may have another run: nothing that it was told could end that one.
    pub(super) fn is_reusable(&self) -> bool {
        !self.stopped && self.incoming.is_empty()
    }

    /// Whether something is here already that it has said since.
    pub(super) fn has_said_more(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// The runner, once it has said that it is idle; `None` for one that is not ours to use again, which ends.
    pub(super) fn into_idle(self) -> Option<Idle> {
        let Holder::Warden(process, leaf) = self.holder else { return None };
        Some(Idle { socket: self.socket.into_inner(), process, leaf })
    }

    /// Its next message; `None` when it has ended. Cancel-safe: bytes that were read are kept.
    pub(super) async fn next(&mut self) -> Result<Option<FromRunner>, RunnerError> {
        loop {
            if let Some(head) = self.incoming.first_chunk::<5>() {
                let (kind, length) = parse_head(*head)?;
                let end = 5 + usize::try_from(length).unwrap_or(usize::MAX - 5);
                if let Some(payload) = self.incoming.get(5..end) {
                    let message = FromRunner::parse(kind, payload)?;
                    self.incoming.drain(..end);
                    return Ok(Some(message));
                }
            }
            let mut piece = [0; PIECE];
            let read = |mut socket: &UnixStream| socket.read(&mut piece);
            let length = self.socket.async_io(Interest::READABLE, read).await?;
            if length == 0 {
                return Ok(None);
            }
            self.incoming.extend_from_slice(&piece[..length]);
        }
    }
}

fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(socket, &[io::IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}
