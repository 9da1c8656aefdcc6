//! Every `unsafe` of this crate, and every syscall that rustix has no function for.
//!
//! What it gives outward is safe to call; nothing here decides anything.

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod arch;
#[cfg(all(feature = "raw", not(test)))]
mod bare;
pub(crate) mod child;
pub(crate) mod fds;
#[cfg(all(feature = "raw", not(test)))]
mod heap;
pub(crate) mod modes;
mod note;
pub(crate) mod process;
pub(crate) mod signal;
#[cfg(all(feature = "raw", not(test)))]
mod stack;
pub(crate) mod start;
pub(crate) mod turns;
pub(crate) mod waits;

use alloc::vec::Vec;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// The longest path that the kernel gives.
const PATH_MAX: usize = 4096;

/// Makes a syscall.
///
/// # Safety
/// As for [`arch::syscall`].
unsafe fn call(number: usize, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    usable(unsafe { arch::syscall(number, args) })
}

/// The kernel's answer, told apart.
fn usable(answer: isize) -> Result<usize, Errno> {
    match usize::try_from(answer) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno::from_raw_os_error(i32::try_from(-answer).unwrap_or_default())),
    }
}

/// A C `int` as it goes into a register.
fn int(n: i32) -> usize {
    isize::try_from(n).unwrap_or_default().cast_unsigned()
}

/// Milliseconds on the clock that only goes forward.
pub(crate) fn now_ms() -> u64 {
    now_us() / 1000
}

/// Microseconds on it.
fn now_us() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes two 64-bit values, which is what `time` has.
    let _ = unsafe {
        call(arch::nr::CLOCK_GETTIME, [CLOCK_MONOTONIC, time.as_mut_ptr() as usize, 0, 0, 0, 0])
    };
    time[0] * 1_000_000 + time[1] / 1000
}

/// Whether the other side of a connection has taken all that was sent, as far as can be told.
pub(crate) fn is_taken(socket: BorrowedFd<'_>) -> bool {
    const SIOCOUTQ: usize = 0x5411;
    let mut left = 0i32;
    // SAFETY: the kernel writes an int, which `left` is.
    let asked = unsafe {
        let out = &raw mut left as usize;
        call(arch::nr::IOCTL, [int(socket.as_raw_fd()), SIOCOUTQ, out, 0, 0, 0])
    };
    asked.is_err() || left == 0
}

/// The working directory's path; `None` when it has no path or one that is too long.
pub(crate) fn working_directory() -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(PATH_MAX);
    // SAFETY: the kernel writes at most as many bytes as it is told, which is what there is room for, and tells how many
    // those were, the NUL at the end among them.
    unsafe {
        let n = call(arch::nr::GETCWD, [path.as_mut_ptr() as usize, PATH_MAX, 0, 0, 0, 0]);
        path.set_len(n.ok()?.checked_sub(1)?);
    }
    path.shrink_to_fit();
    // The kernel says "(unreachable)" before a path outside of the root.
    path.starts_with(b"/").then_some(path)
}
