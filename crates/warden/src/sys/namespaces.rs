//! The namespace that a pid namespace was made in.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `NS_GET_PARENT` of `linux/nsfs.h`: `_IO(0xb7, 0x2)`.
const NS_GET_PARENT: libc::Ioctl = 0xb702;

/// The parent of the pid namespace behind a descriptor of /proc/PID/ns/pid.
///
/// # Errors
/// When it is not in or below our own (`EPERM`), or the descriptor is no such namespace.
pub(crate) fn parent(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and this request takes no argument.
    let raw = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel installed a descriptor for us alone; nobody else owns or closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
