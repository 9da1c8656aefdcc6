//! Waiting for several descriptors at once, without a heap: these loops run for as long as tools do.

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::thread::sched_yield;

use super::{arch, call, now_us};

/// There is something to read.
pub(crate) const IN: i16 = 1;
/// There is room to write.
pub(crate) const OUT: i16 = 4;
/// Something is wrong with it; always reported.
pub(crate) const ERROR: i16 = 8;
/// The other side has gone; always reported.
pub(crate) const HANG_UP: i16 = 16;

/// Microseconds for which what comes soon is waited for awake: short commands end within it.
const AWAKE: u64 = 1000;
/// Microseconds between two looks after which somebody else needs the processor.
const BUSY: u64 = 50;

/// The most that anything here waits for.
const MOST: usize = 10;

#[repr(C)]
#[derive(Clone, Copy)]
struct Wait {
    fd: i32,
    events: i16,
    found: i16,
}

/// What is waited for, and after [`Waits::wait`] what was found.
pub(crate) struct Waits {
    waits: [Wait; MOST],
    count: usize,
}

/// One descriptor that is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Key(usize);

impl Waits {
    pub(crate) fn new() -> Self {
        Self { waits: [Wait { fd: -1, events: 0, found: 0 }; MOST], count: 0 }
    }

    /// Adds a descriptor; the descriptor must be open until after the wait, or nothing is found for it.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'_>, events: i16) -> Key {
        let key = Key(self.count);
        if let Some(wait) = self.waits.get_mut(self.count) {
            *wait = Wait { fd: fd.as_raw_fd(), events, found: 0 };
            self.count += 1;
        }
        key
    }

    /// Waits, at most so many milliseconds, and gives how many were found. A signal may end it early.
    pub(crate) fn wait(&mut self, most_ms: Option<u64>) -> usize {
        let time = most_ms.map(|ms| [ms / 1000, ms % 1000 * 1_000_000]);
        // SAFETY: the kernel writes the `found` of `count` waits, of which there are as many, and reads one time.
        let done = unsafe {
            let time = time.as_ref().map_or(0, |t| t.as_ptr() as usize);
            let waits = self.waits.as_mut_ptr() as usize;
            call(arch::nr::PPOLL, [waits, self.count, time, 0, 0, 0])
        };
        done.unwrap_or_else(|_| {
            for wait in &mut self.waits {
                wait.found = 0;
            }
            0
        })
    }

    /// Whether something comes soon. This is waited for awake, as to be woken takes as long as many an answer; the processor
    /// is anybody's meanwhile, and whoever wants it for long has it.
    pub(crate) fn come_soon(&mut self) -> bool {
        let start = now_us();
        let mut before = start;
        while self.wait(Some(0)) == 0 {
            let now = now_us();
            if now - start > AWAKE || now - before > BUSY {
                return false;
            }
            before = now;
            sched_yield();
        }
        true
    }

    /// Whether any of `events` was found. A descriptor that is not open counts as an error.
    pub(crate) fn found(&self, key: Key, events: i16) -> bool {
        const NOT_OPEN: i16 = 32;
        let events = if events & ERROR == 0 { events } else { events | NOT_OPEN };
        self.waits.get(key.0).is_some_and(|wait| wait.found & events != 0)
    }

    /// Whether anything at all was found.
    pub(crate) fn any(&self, key: Key) -> bool {
        self.waits.get(key.0).is_some_and(|wait| wait.found != 0)
    }
}

/// Whether a descriptor takes bytes, or never will again.
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut waits = Waits::new();
    let key = waits.add(fd, OUT);
    waits.wait(Some(0));
    waits.any(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
    use std::time::{Duration, Instant};

    #[test]
    fn what_does_not_come_soon_is_not_waited_for_awake() {
        let start = Instant::now();
        let mut waits = Waits::new();
        assert!(!waits.come_soon());
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn what_comes_at_once_and_what_comes_late_is_waited_for() {
        // Within the time awake, and long after it.
        for late in [Duration::ZERO, Duration::from_micros(50), Duration::from_millis(20)] {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                    .unwrap();
            let start = Instant::now();
            let sender = std::thread::spawn(move || {
                std::thread::sleep(late);
                send(&theirs, b"x", SendFlags::empty()).unwrap();
                theirs
            });
            let mut waits = Waits::new();
            let key = waits.add(ours.as_fd(), IN);
            if !waits.come_soon() {
                waits.wait(None);
            }
            assert!(waits.found(key, IN) && start.elapsed() >= late);
            sender.join().unwrap();
        }
    }
}
