//! Namespaces by descriptor: that of a process, and the one that a pid namespace was made in.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `NS_GET_PARENT` of `linux/nsfs.h`: `_IO(0xb7, 0x2)`.
const NS_GET_PARENT: libc::Ioctl = 0xb702;

/// Namespaces of a process, by the kernel's numbers for its pidfd: `PIDFD_GET_…_NAMESPACE` of `linux/pidfd.h`, `_IO(0xff, N)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mount = 3,
    Pid = 5,
    User = 9,
}

/// The namespace of the process behind a pidfd, from Linux 6.11 on.
///
/// # Errors
/// When the kernel cannot tell it, when the process has ended (`ESRCH`), or when we may not look at it (`EACCES`).
pub(crate) fn of(pidfd: BorrowedFd<'_>, kind: Kind) -> io::Result<OwnedFd> {
    // SAFETY: as in `parent`; the kernel wants its argument to be nothing.
    unsafe { opened(libc::ioctl(pidfd.as_raw_fd(), 0xff00 | kind as libc::Ioctl, 0)) }
}

/// The parent of the pid namespace behind a descriptor of /proc/PID/ns/pid.
///
/// # Errors
/// When it is not in or below our own (`EPERM`), or the descriptor is no such namespace.
pub(crate) fn parent(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and this request takes no argument. What it gives is a
    // descriptor.
    unsafe { opened(libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT)) }
}

/// What a call gave that opens a descriptor.
///
/// # Safety
/// Nobody else owns or closes it.
unsafe fn opened(answer: libc::c_int) -> io::Result<OwnedFd> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}
