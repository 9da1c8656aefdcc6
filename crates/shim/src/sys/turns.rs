//! One piece of work after the other in one process: from one to the next goes what is named here, and nothing else.

use core::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use super::fds;
use super::signal::Signals;

/// A flag that a process shares with its children.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag(&'static AtomicBool);

impl Flag {
    /// A flag that is not set.
    pub(crate) fn new() -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the mapping is fresh, stays for good, and is full of zeros, which is a flag that is not set.
        unsafe {
            let page = mmap_anonymous(core::ptr::null_mut(), 1, access, MapFlags::SHARED)?;
            Ok(Self(&*page.cast::<AtomicBool>()))
        }
    }

    pub(crate) fn set(self, value: bool) {
        self.0.store(value, Ordering::Release);
    }

    pub(crate) fn is_set(self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What every turn has. Nothing of it lies on the heap.
pub(crate) struct Kept {
    pub(crate) warden: OwnedFd,
    pub(crate) signals: Signals,
    /// The soft and hard limit of descriptors that the program was started with.
    pub(crate) files: (u64, u64),
    /// The child of this turn is about to execute.
    pub(crate) going: Flag,
}

/// Takes one turn after the other, each with an empty heap and no other descriptors than what is kept and 1 and 2. What a
/// turn has not closed itself it must have forgotten. The program with a libc leaves its heap as it is.
pub(crate) fn take(kept: &Kept, turn: fn(&Kept)) -> ! {
    loop {
        turn(kept);
        let (warden, signals) = (kept.warden.as_raw_fd(), kept.signals.fd().as_raw_fd());
        let (low, high) = (warden.min(signals), warden.max(signals));
        fds::close(0);
        for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, i32::MAX)] {
            fds::close_range(first, last);
        }
        #[cfg(all(feature = "raw", not(test)))]
        // SAFETY: the turn has ended, a plain function keeps nothing, and `kept` holds nothing that lies there.
        unsafe {
            super::heap::forget();
        }
    }
}
