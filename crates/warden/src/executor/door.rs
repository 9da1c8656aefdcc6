//! A socket for one runner alone, which a container's engine starts: the warden listens, the runner connects.
//!
//! Who has connected is told by the kernel, never by what is said.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

use crate::sys::peer::{groups_of, peer_of};

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

    /// The next connection by this user and group, with the groups that it has besides and the root directory that it
    /// sends: by a runner whose process cannot be seen. Others are closed.
    pub(super) async fn unseen_runner(
        &self,
        (uid, gid): (u32, u32),
    ) -> io::Result<(UnixStream, OwnedFd, Vec<u32>)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let peer = peer_of(stream.as_fd())?;
            if peer.known_uid() == Some(uid) && peer.gid == gid {
                let groups = groups_of(stream.as_fd())?;
                let root = root_from(&stream).await?;
                return Ok((stream, root, groups));
            }
            tracing::warn!(uid = peer.uid, "a stranger connected in the place of a runner");
        }
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

/// The descriptor that comes with the first byte.
async fn root_from(stream: &UnixStream) -> io::Result<OwnedFd> {
    loop {
        stream.readable().await?;
        match stream.try_io(Interest::READABLE, || receive_one(stream.as_fd())) {
            Ok(Some(root)) => return Ok(root),
            Ok(None) => return Err(io::Error::other("it did not send its root directory")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn receive_one(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    recvmsg(socket, &mut [io::IoSliceMut::new(&mut byte)], &mut control, flags)?;
    let mut rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok(rights.next().and_then(|mut rights| rights.next()))
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
    async fn of_runners_that_are_not_seen_the_one_of_that_user_tells_its_root() {
        let dir = tempfile::tempdir().unwrap();
        let door = Door::open(&dir.path().join("ghosts"), "a").unwrap();
        let client = std::os::unix::net::UnixStream::connect(door.folder().join(SOCKET)).unwrap();
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let folder = fs::File::open(dir.path()).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let files = [folder.as_fd()];
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&files)));
        let flags = rustix::net::SendFlags::empty();
        rustix::net::sendmsg(&client, &[io::IoSlice::new(&[0])], &mut control, flags).unwrap();
        let (_stream, root, groups) = door.unseen_runner(own).await.unwrap();
        let inode = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_ino;
        assert_eq!(inode(root.as_fd()), inode(folder.as_fd()));
        let mut held: Vec<u32> =
            rustix::process::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        held.sort_unstable();
        assert_eq!(groups, held);
        // Another user's is closed, and one that says nothing is no runner.
        let _other = std::os::unix::net::UnixStream::connect(door.folder().join(SOCKET)).unwrap();
        let stranger = door.unseen_runner((own.0 + 1, own.1));
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(200), stranger).await.is_err()
        );
        drop(std::os::unix::net::UnixStream::connect(door.folder().join(SOCKET)).unwrap());
        assert!(door.unseen_runner(own).await.is_err());
    }

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
