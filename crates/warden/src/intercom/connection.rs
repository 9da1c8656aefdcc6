//! A client's connection. The event loop hears of it only when something has to be waited for: most requests are there when
//! they are read, and most answers fit into the socket.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener as Listener, UnixStream as Unwatched};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, accept_with};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};

use crate::sys::watch;

/// Where clients come in.
pub(crate) struct Door(AsyncFd<Listener>);

impl Door {
    /// # Errors
    /// When the event loop cannot watch it.
    pub(crate) fn new(listener: UnixListener) -> io::Result<Self> {
        Ok(Self(watch::listener(listener.into_std()?)?))
    }

    /// The next client. May be given up and called again.
    ///
    /// # Errors
    /// Whatever the kernel says, mostly that descriptors or memory run out.
    pub(crate) async fn next(&self) -> io::Result<Connection> {
        let accept = |listener: &Listener| {
            // The kernel makes a socket before it sees that nobody is there: to look first takes a tenth of that.
            if !has_somebody(listener) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            Ok(Connection::Unwatched(accept_with(listener, flags)?.into()))
        };
        self.0.async_io(Interest::READABLE, accept).await
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) enum Connection {
    /// Never blocks.
    Unwatched(Unwatched),
    /// By the event loop.
    Watched(UnixStream),
    /// Neither could be had: it is closed.
    Lost,
}

impl Connection {
    /// Reads what is there, or waits for something. 0 is the end. May be given up and called again.
    pub(super) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Self::Unwatched(stream) = self {
            match at_once(|| stream.read(into)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
        self.watched()?.read(into).await
    }

    /// Reads by the event loop, which gives others their turn: for whoever may go on sending for ever.
    pub(super) async fn wait_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.watched()?.read(into).await
    }

    /// Writes as much as there is room for, or waits for room. May be given up and called again.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Unwatched(stream) = self {
            match at_once(|| stream.write(bytes)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
        self.watched()?.write(bytes).await
    }

    /// Writes all of `left`, which begins with what is not written yet at any moment.
    pub(super) async fn write_all(&mut self, left: &mut &[u8]) -> io::Result<()> {
        while !left.is_empty() {
            match self.write(left).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => *left = left.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// The same connection, watched by the event loop.
    fn watched(&mut self) -> io::Result<&mut UnixStream> {
        if let Self::Unwatched(_) = self
            && let Self::Unwatched(stream) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Watched(UnixStream::from_std(stream)?);
        }
        match self {
            Self::Watched(stream) => Ok(stream),
            Self::Unwatched(_) | Self::Lost => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// The connection itself, not watched any more.
    pub(super) fn into_fd(self) -> io::Result<OwnedFd> {
        match self {
            Self::Unwatched(stream) => Ok(stream.into()),
            Self::Watched(stream) => Ok(stream.into_std()?.into()),
            Self::Lost => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Its descriptor.
    pub(crate) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        match self {
            Self::Unwatched(stream) => Ok(stream.as_fd()),
            Self::Watched(stream) => Ok(stream.as_fd()),
            Self::Lost => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self::Watched(stream)
    }
}

/// Whether a client waits at the door. What cannot be told is for the kernel to say.
fn has_somebody(listener: &Listener) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())) != Ok(0)
}

/// What a call gives that no signal cut short.
fn at_once(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, Unwatched) {
        let (ours, theirs) = Unwatched::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Connection::Unwatched(ours), theirs)
    }

    #[tokio::test]
    async fn what_is_there_is_read_and_what_fits_is_written_without_the_event_loop() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"here").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(ours.read(&mut bytes).await.unwrap(), 4);
        ours.write_all(&mut &b"and there"[..]).await.unwrap();
        assert_eq!(theirs.read(&mut [0; 16]).unwrap(), 9);
        assert!(matches!(ours, Connection::Unwatched(_)));
        drop(theirs);
        assert_eq!(ours.read(&mut bytes).await.unwrap(), 0);
        assert!(matches!(ours, Connection::Unwatched(_)));
    }

    #[tokio::test]
    async fn what_comes_later_and_what_does_not_fit_is_waited_for() {
        let (mut ours, mut theirs) = pair();
        let late = tokio::task::spawn_blocking(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            theirs.write_all(b"late").unwrap();
            let mut all = vec![0; 4 << 20];
            theirs.read_exact(&mut all).unwrap();
            all
        });
        let mut bytes = [0; 8];
        assert_eq!(ours.read(&mut bytes).await.unwrap(), 4);
        assert!(matches!(ours, Connection::Watched(_)));
        let all: Vec<u8> = (0..4 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
        ours.write_all(&mut &all[..]).await.unwrap();
        assert!(late.await.unwrap() == all);
    }
}
