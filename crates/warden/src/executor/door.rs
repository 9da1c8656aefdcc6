//! A socket for one runner alone, which a container's engine starts: the warden listens, the runner connects.
//!
//! Who has connected is told by the kernel, never by what is said.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::sys::peer::peer_of;

/// The socket's name in its folder.
pub(super) const SOCKET: &str = "runner.sock";

/// A folder with a socket in it. Both go with it.
pub(super) struct Door {
    folder: PathBuf,
    listener: UnixListener,
}

impl Door {
    /// Makes `name` in `above`, which is made too where it is not there, and closed to others.
    pub(super) fn open(above: &Path, name: &str) -> io::Result<Self> {
        let above_made = DirBuilder::new().mode(0o700).create(above);
        if let Err(error) = above_made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let folder = above.join(name);
        DirBuilder::new().mode(0o711).create(&folder)?;
        // The umask may have said otherwise; the folder above keeps others out.
        let opened = fs::set_permissions(&folder, Permissions::from_mode(0o711)).and_then(|()| {
            let socket = folder.join(SOCKET);
            let listener = UnixListener::bind(&socket)?;
            fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
            Ok(listener)
        });
        match opened {
            Ok(listener) => Ok(Self { folder, listener }),
            Err(error) => {
                // It is empty, or holds the socket that was just made.
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The next connection, whoever it is by, and the pid of its process here.
    pub(super) async fn next(&self) -> io::Result<(UnixStream, u32)> {
        self.runner(|_| true).await
    }

    /// The next connection by a process that `is_it` takes for the runner, and its pid here. Others are closed.
    pub(super) async fn runner(
        &self,
        is_it: impl Fn(u32) -> bool,
    ) -> io::Result<(UnixStream, u32)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = peer_of(stream.as_fd())?;
            let Some(pid) = peer.pid else {
                return Err(io::Error::other(
                    "its processes cannot be seen from here; run the warden in the host's pid namespace (`pid: host`)",
                ));
            };
            if is_it(pid) {
                return Ok((stream, pid));
            }
            tracing::warn!(pid, "a stranger connected in the place of a runner");
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // What is left is in the way of nobody; the next start of the warden clears the folder above.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_runner_is_let_in_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let above = dir.path().join("ghosts");
        let door = Door::open(&above, "a").unwrap();
        assert_eq!(fs::metadata(&above).unwrap().permissions().mode() & 0o777, 0o700);
        let path = door.folder().join(SOCKET);
        let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let _second = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let asked = std::cell::Cell::new(0);
        let (_, pid) = door
            .runner(|_| {
                asked.set(asked.get() + 1);
                asked.get() == 2
            })
            .await
            .unwrap();
        assert_eq!((pid, asked.get()), (std::process::id(), 2));
        assert!(Door::open(&above, "a").is_err(), "a folder of somebody else's");
        drop(door);
        assert_eq!(fs::read_dir(&above).unwrap().count(), 0);
    }
}
