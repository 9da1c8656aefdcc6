//! The process calls that neither std nor rustix has: how a process ended, asked from its pidfd, a child that
//! only ends, to try that on, and outliving a limit.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Makes a write beyond the limit on a file's size fail, where it would end this process.
pub(crate) fn outlive_file_size_limit() {
    // SAFETY: ignoring a signal installs no code of ours; no thread relies on its default action.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// How a process ended as `PIDFD_GET_INFO` tells it (Linux 6.15): the raw wait status, or `None` while the process
/// has not been reaped.
///
/// # Errors
/// `ENOTTY` or `EINVAL` from a kernel that does not know the question, `EREMOTE` for a process in a pid namespace
/// that is not below ours, `ESRCH` for one that is gone without a trace.
pub fn pidfd_exit_status(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let info = pidfd_info(pidfd, libc::PIDFD_INFO_EXIT)?;
    Ok(info.map(|info| info.exit_code))
}

/// The number of the cgroup that a process is in, in the second version's hierarchy (Linux 6.13). No other cgroup ever has
/// the same. `None` where the kernel does not tell; that of the topmost one where the hierarchy is not used.
///
/// # Errors
/// As [`pidfd_exit_status`].
pub(crate) fn pidfd_cgroup(pidfd: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let info = pidfd_info(pidfd, libc::PIDFD_INFO_CGROUPID)?;
    Ok(info.map(|info| info.cgroupid))
}

/// What `PIDFD_GET_INFO` tells, where what is wanted is among it.
fn pidfd_info(pidfd: BorrowedFd<'_>, wanted: libc::c_uint) -> io::Result<Option<libc::pidfd_info>> {
    let wanted = u64::from(wanted);
    // SAFETY: `pidfd_info` holds integers only, so all zeroes is a value of it.
    let mut info: libc::pidfd_info = unsafe { mem::zeroed() };
    info.mask = wanted;
    // SAFETY: the request number carries the size of `pidfd_info`, so the kernel reads and writes that much at
    // most, and `info` outlives the call.
    let status = unsafe {
        libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, std::ptr::from_mut(&mut info))
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.mask & wanted != 0).then_some(info))
}

/// Makes a child that ends at once with `code`, and gives its pid. The caller reaps it.
///
/// # Errors
/// When no process can be made.
pub fn fork_and_exit(code: u8) -> io::Result<u32> {
    // SAFETY: the child of this possibly threaded process calls `_exit` and nothing else, which is allowed after
    // `fork` at any moment: it takes no lock and touches no memory.
    let pid = unsafe {
        match libc::fork() {
            0 => libc::_exit(i32::from(code)),
            pid => pid,
        }
    };
    u32::try_from(pid).map_err(|_| io::Error::last_os_error())
}
