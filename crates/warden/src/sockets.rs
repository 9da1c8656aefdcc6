//! Listening on a Unix socket that nobody else listens on: one holder at a time, held by a lock for life. The socket
//! comes into place with its final mode, a stale one is replaced, a living one never, and none that is not ours is
//! removed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::lock::{self, NotOurs};
use crate::sys;

/// Connections that the kernel keeps until they are accepted; further ones wait in `connect`. The kernel caps it at
/// `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// How often a lock file that vanishes under our hands is tried again.
const LOCK_TRIES: u32 = 16;

/// Why we do not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does.
    #[error("{path} is held by {}; stop that one first", holder(*pid))]
    Held {
        /// The socket.
        path: PathBuf,
        /// Who holds it, where that is known.
        pid: Option<u32>,
    },
    /// What is there is no socket of this user.
    #[error("{path} is {what}; remove it if nobody needs it")]
    Foreign {
        /// The socket's path, or that of its lock.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// The path cannot be one of a socket.
    #[error("{0:?} has no file name and no folder, so it cannot be a socket")]
    BadPath(PathBuf),
    /// A step failed.
    #[error("cannot {operation} {path}: {source}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("pid {pid}"))
}

/// A listening socket and the right to it. Dropping it removes the socket, if it is still ours, and then gives up the
/// lock.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
    device: u64,
    inode: u64,
    lock: File,
}

impl Bound {
    /// The listener, in non-blocking mode.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Whether whoever looks for it there finds it.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.is_in_place() {
            // Failing leaves a stale socket, which the next holder replaces.
            let _left = fs::remove_file(&self.path);
        }
        // The lock file itself stays: whoever waits for it may have it open already.
        let _unnamed = self.lock.set_len(0);
    }
}

/// Listens on `path` with the given mode. The folder must exist and belong to people who may replace the socket.
///
/// # Errors
/// When somebody else listens there, something else stands there, or a step fails.
pub fn bind_private(path: &Path, mode: u32) -> Result<Bound, BindError> {
    let (folder, name) = split(path)?;
    let lock = take_lock(path)?;
    refuse_the_living(path)?;

    // A socket's mode is made by bind from the umask, which belongs to the whole process, so the mode is set after it:
    // in a folder that nobody else can enter, before the socket has its place.
    let failed = |operation| {
        move |source: io::Error| BindError::Failed { operation, path: path.to_owned(), source }
    };
    let private = Private::make(folder, name).map_err(failed("make a private folder beside"))?;
    let listener = private.listen().map_err(failed("listen on"))?;
    rustix::fs::chmodat(
        &private.handle,
        SOCKET,
        Mode::from_raw_mode(mode & 0o777),
        AtFlags::empty(),
    )
    .map_err(|errno| failed("set the mode of")(errno.into()))?;
    let made = rustix::fs::statat(&private.handle, SOCKET, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| failed("look at")(errno.into()))?;
    rustix::fs::renameat(&private.handle, SOCKET, rustix::fs::CWD, path)
        .map_err(|errno| failed("put into place")(errno.into()))?;
    Ok(Bound { listener, path: path.to_owned(), device: made.st_dev, inode: made.st_ino, lock })
}

/// The socket's name inside its private folder.
const SOCKET: &str = "s";

/// A folder of mode 0700 beside the socket, removed with all that is in it.
struct Private {
    path: PathBuf,
    handle: OwnedFd,
}

impl Private {
    fn make(folder: &Path, name: &OsStr) -> io::Result<Self> {
        // The lock is held, so a folder of this name is what a crashed holder left.
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(".new");
        let path = folder.join(hidden);
        if let Ok(handle) = Self::open(&path) {
            drop(Self { path: path.clone(), handle });
        }
        rustix::fs::mkdir(&path, Mode::RWXU)?;
        let handle = Self::open(&path)?;
        let made = rustix::fs::fstat(&handle)?;
        let private = Self { path, handle };
        if made.st_uid != rustix::process::geteuid().as_raw() || made.st_mode & 0o077 != 0 {
            return Err(io::Error::other("the folder that was just made is not ours alone"));
        }
        Ok(private)
    }

    fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        rustix::fs::open(path, flags, Mode::empty())
    }

    fn listen(&self) -> io::Result<UnixListener> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        // By descriptor, because an address holds 107 bytes and a path may be longer.
        let address = format!("/proc/self/fd/{}/{SOCKET}", self.handle.as_raw_fd());
        rustix::net::bind(&socket, &SocketAddrUnix::new(address)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(UnixListener::from(socket))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // The socket is there only when a later step failed; the folder is found again by the next holder.
        let _moved = rustix::fs::unlinkat(&self.handle, SOCKET, AtFlags::empty());
        let _left = fs::remove_dir(&self.path);
    }
}

fn split(path: &Path) -> Result<(&Path, &OsStr), BindError> {
    let bad = || BindError::BadPath(path.to_owned());
    let name = path.file_name().ok_or_else(bad)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), name))
}

/// Takes `<path>.lock` and writes our number into it. The kernel gives it up when the process ends, however it ends.
fn take_lock(path: &Path) -> Result<File, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let failed = |operation| {
        let path = lock_path.clone();
        move |source: io::Error| BindError::Failed { operation, path, source }
    };
    for _ in 0..LOCK_TRIES {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&lock_path);
        let mut file = opened.map_err(failed("open"))?;
        let found = file.metadata().map_err(failed("look at"))?;
        if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(BindError::Foreign { path: lock_path, what: "no lock file of ours" });
        }
        match lock::take(&file) {
            Ok(()) => {}
            Err(NotOurs::Held(pid)) => return Err(BindError::Held { path: path.to_owned(), pid }),
            Err(NotOurs::Failed(error)) => return Err(failed("lock")(error)),
        }
        // Somebody may have removed the file between open and lock; then this lock keeps nobody out.
        let is_in_place = fs::symlink_metadata(&lock_path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (found.dev(), found.ino()));
        if !is_in_place {
            continue;
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed("write"))?;
        return Ok(file);
    }
    Err(failed("keep")(io::Error::other("it is removed again and again")))
}

/// Nobody who follows the rules listens here, for we have the lock; this finds those who do not.
fn refuse_the_living(path: &Path) -> Result<(), BindError> {
    let foreign = |what| Err(BindError::Foreign { path: path.to_owned(), what });
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(BindError::Failed { operation: "look at", path: path.to_owned(), source });
        }
    };
    if !found.file_type().is_socket() {
        return foreign("no socket");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return foreign("a socket of another user");
    }
    // One that was killed lets go of its lock before it lets go of its socket.
    let held = lock::free_of_the_dying(|| match try_connect(path) {
        Ok(stream) => Some(sys::peer::peer_of(stream.as_fd()).ok().and_then(|peer| peer.pid)),
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => None,
        // What cannot be told, such as a full backlog, counts as living.
        Err(_) => Some(None),
    });
    match held {
        Some(pid) => Err(BindError::Held { path: path.to_owned(), pid }),
        None => Ok(()),
    }
}

/// Connects without waiting, also by a path that is longer than an address.
fn try_connect(path: &Path) -> io::Result<UnixStream> {
    let held =
        rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let address = format!("/proc/self/fd/{}", held.as_raw_fd());
    rustix::net::connect(&socket, &SocketAddrUnix::new(address)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests;
