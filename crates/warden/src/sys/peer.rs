//! Who is at the other end of a Unix socket, as the kernel says. Nothing that the peer sent is looked at.

use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags};

/// What the kernel shows for an id that our user namespace has no name for, where it cannot be read.
const DEFAULT_OVERFLOW_UID: u32 = 65534;

/// The peer's ids, as they were when it connected.
#[derive(Debug)]
pub struct PeerCred {
    /// Effective user id, raw: it may be the overflow id, see [`PeerCred::known_uid`].
    pub uid: u32,
    /// Effective group id, raw.
    pub gid: u32,
    /// Process id in our pid namespace; `None` when the process cannot be seen from here.
    pub pid: Option<u32>,
    /// The process itself. `None` when it has ended and been reaped, or cannot be pinned.
    pub pidfd: Option<OwnedFd>,
    /// Whether `pidfd` was made from the socket; if not, it was opened by number and may be a later process.
    pub pidfd_exact: bool,
}

impl PeerCred {
    /// The user id, or `None` for the overflow id, which is nobody we know.
    #[must_use]
    pub fn known_uid(&self) -> Option<u32> {
        (self.uid != overflow_uid()).then_some(self.uid)
    }
}

/// The id that stands for every user without a name in our user namespace.
#[must_use]
pub fn overflow_uid() -> u32 {
    static ID: OnceLock<u32> = OnceLock::new();
    *ID.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/overflowuid")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_OVERFLOW_UID)
    })
}

/// Asks the kernel for the peer of a connected Unix socket. For a listening socket's own end of a connection these
/// are the ids at the time of `listen`.
///
/// # Errors
/// When the descriptor is no connected Unix socket.
pub fn peer_of(socket: BorrowedFd<'_>) -> io::Result<PeerCred> {
    let cred: libc::ucred = socket_option(socket, libc::SO_PEERCRED)?;
    let pid = u32::try_from(cred.pid).ok().filter(|&pid| pid != 0);
    let (pidfd, pidfd_exact) = match peer_pidfd(socket) {
        Ok(pidfd) => (Some(pidfd), true),
        Err(error) if is_unsupported(&error) => {
            (pid.and_then(|pid| open_by_number(pid).ok()), false)
        }
        Err(_) => (None, false),
    };
    Ok(PeerCred { uid: cred.uid, gid: cred.gid, pid, pidfd, pidfd_exact })
}

/// The supplementary groups that the process behind a connected Unix socket had when it connected, as they are called here.
///
/// # Errors
/// When the descriptor is no connected Unix socket, or there are more than the kernel lets a process have.
pub fn groups_of(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    const MOST: usize = 65_536;
    let mut groups = vec![0_u32; MOST];
    let mut length =
        libc::socklen_t::try_from(size_of_val(&groups[..])).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of the room behind the pointer.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(usize::try_from(length).map_err(io::Error::other)? / size_of::<u32>());
    Ok(groups)
}

/// Whether this kernel gives a pidfd for a socket's peer (`SO_PEERPIDFD`, Linux 6.5).
#[must_use]
pub fn has_peer_pidfd() -> bool {
    std::os::unix::net::UnixStream::pair()
        .is_ok_and(|(one, _other)| peer_pidfd(one.as_fd()).is_ok())
}

fn peer_pidfd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let raw: libc::c_int = socket_option(socket, libc::SO_PEERPIDFD)?;
    if raw < 0 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // SAFETY: a successful SO_PEERPIDFD installs a descriptor for us alone; nobody else owns or closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::ENOSYS))
}

fn open_by_number(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// A plain value that `getsockopt` fills.
trait Plain: Copy {}
impl Plain for libc::ucred {}
impl Plain for libc::c_int {}

fn socket_option<T: Plain>(socket: BorrowedFd<'_>, name: libc::c_int) -> io::Result<T> {
    let mut value = mem::MaybeUninit::<T>::zeroed();
    let wanted = mem::size_of::<T>();
    let mut length = libc::socklen_t::try_from(wanted).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`; both outlive the call.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    if usize::try_from(length) != Ok(wanted) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `T` is one of the two integer-only types above, for which every bit pattern is a value.
    Ok(unsafe { value.assume_init() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_peer_of_our_own_pair_is_ourselves() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = peer_of(one.as_fd()).unwrap();
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        assert_eq!(peer.pidfd_exact, has_peer_pidfd());
        assert!(peer.pidfd.is_some());
    }

    #[test]
    fn a_file_has_no_peer() {
        let file = fs::File::open("/dev/null").unwrap();
        assert_eq!(peer_of(file.as_fd()).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
    }

    #[test]
    fn the_overflow_uid_is_nobody_we_know() {
        let mut peer =
            PeerCred { uid: overflow_uid(), gid: 0, pid: Some(1), pidfd: None, pidfd_exact: false };
        assert_eq!(peer.known_uid(), None);
        peer.uid = 0;
        assert_eq!(peer.known_uid(), Some(0));
    }
}
