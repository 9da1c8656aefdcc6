//! Read leases: the kernel's word that nobody has a file open for writing, and a moment in which nobody can open it so.

use std::fs::File;
use std::os::fd::AsRawFd;

/// `F_SETSIG` of `fcntl(2)`, which the libc crate does not have for every C library.
const F_SETSIG: libc::c_int = 10;

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseError {
    /// The file is open for writing.
    Written,
    /// The kernel gives none here: the file is another user's, or its file system has no leases.
    None,
}

/// A file that nobody writes while this lives. Whoever opens it for writing meanwhile waits for that long.
#[derive(Debug)]
pub(crate) struct Lease(File);

impl Lease {
    /// Takes a lease on a file that is open for reading.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub(crate) fn take(file: File) -> Result<Self, LeaseError> {
        // The signal that tells of a waiting writer would end this process; this one is ignored unless it is caught.
        // SAFETY: the descriptor is open for as long as `file` lives; both calls take an integer and no pointer.
        let taken = unsafe {
            match libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) {
                0 => libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK),
                _ => return Err(LeaseError::None),
            }
        };
        if taken == 0 {
            return Ok(Self(file));
        }
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Err(LeaseError::Written),
            _ => Err(LeaseError::None),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: as above. Another process may hold a copy of the descriptor, so that closing it does not end the lease.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}
