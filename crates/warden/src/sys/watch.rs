//! Descriptors that the event loop waits for.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use inotify::Inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a pidfd.
///
/// # Errors
/// When the loop cannot take it.
pub(crate) fn pidfd(pidfd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    readable(pidfd)
}

/// Registers an inotify instance.
///
/// # Errors
/// When the loop cannot take it.
pub(crate) fn inotify(inotify: Inotify) -> io::Result<AsyncFd<Inotify>> {
    readable(inotify)
}

/// Registers a listening socket, which must not block.
///
/// # Errors
/// When the loop cannot take it.
pub(crate) fn listener(listener: UnixListener) -> io::Result<AsyncFd<UnixListener>> {
    readable(listener)
}

/// Registers a connection, which must not block, for what comes over it. That there is room to write again is no news: whoever
/// reads what we have sent would wake us with it.
///
/// # Errors
/// When the loop cannot take it.
pub(crate) fn stream(stream: UnixStream) -> io::Result<AsyncFd<UnixStream>> {
    readable(stream)
}

/// Resolves when there is room to write.
///
/// # Errors
/// When the loop cannot wait for that.
pub(crate) async fn room(stream: &UnixStream) -> io::Result<()> {
    let room = watched(stream.try_clone()?, Interest::WRITABLE)?;
    room.writable().await.map(drop)
}

/// What owns one descriptor for as long as it lives, and never another one.
trait Owner: AsRawFd {}
impl Owner for Arc<OwnedFd> {}
impl Owner for Inotify {}
impl Owner for UnixListener {}
impl Owner for UnixStream {}

fn readable<T: Owner>(owner: T) -> io::Result<AsyncFd<T>> {
    watched(owner, Interest::READABLE)
}

fn watched<T: Owner>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the owner that goes into the registration keeps the descriptor open, and the same, for as long as the
    // registration lives; nothing else can close or replace it.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(Into::into)
}
