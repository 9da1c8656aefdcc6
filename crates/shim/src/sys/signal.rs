//! Signals: masks, dispositions, a descriptor to read them from, and dying of one.

use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{self, Errno};

use super::{arch, call, int};

pub(crate) const HUP: u8 = 1;
pub(crate) const INT: u8 = 2;
pub(crate) const QUIT: u8 = 3;
pub(crate) const KILL: u8 = 9;
pub(crate) const USR1: u8 = 10;
pub(crate) const USR2: u8 = 12;
pub(crate) const PIPE: u8 = 13;
pub(crate) const TERM: u8 = 15;
pub(crate) const CHLD: u8 = 17;
pub(crate) const CONT: u8 = 18;
pub(crate) const STOP: u8 = 19;
pub(crate) const TSTP: u8 = 20;
pub(crate) const TTIN: u8 = 21;
pub(crate) const TTOU: u8 = 22;
pub(crate) const WINCH: u8 = 28;
/// The highest signal number.
pub(crate) const LAST: u8 = 64;

/// Signals that a shim passes on to its tool: those that a person or a shell sends.
pub(crate) const PASSED: [u8; 9] = [HUP, INT, QUIT, USR1, USR2, TERM, CONT, TSTP, WINCH];
/// Signals that are meant to end the tool.
pub(crate) const ENDING: u64 = set(&[HUP, INT, QUIT, TERM]);

/// Bytes of a signal set in the kernel.
const SET: usize = 8;
const SIG_IGN: usize = 1;

/// The set of these signals; bit N-1 is signal N.
pub(crate) const fn set(signals: &[u8]) -> u64 {
    let mut set = 0;
    let mut i = 0;
    while i < signals.len() {
        set |= bit(signals[i]);
        i += 1;
    }
    set
}

/// The bit of one signal; none for a number that is no signal's.
pub(crate) const fn bit(signal: u8) -> u64 {
    if signal == 0 || signal > LAST { 0 } else { 1 << (signal - 1) }
}

/// Sets which signals are blocked and gives which were.
pub(crate) fn set_blocked(mask: u64) -> u64 {
    const SIG_SETMASK: usize = 2;
    let mut old = 0u64;
    // SAFETY: the kernel reads and writes sets of the size given, which both variables have.
    let _ = unsafe {
        let (new, old) = (&raw const mask as usize, &raw mut old as usize);
        call(arch::nr::RT_SIGPROCMASK, [SIG_SETMASK, new, old, SET, 0, 0])
    };
    old
}

/// The kernel's `sigaction` without a handler of ours: its order differs by architecture, its size does not
/// exceed this, and all but the first word is 0.
type Action = [usize; 4];

/// Whether the signal is ignored.
pub(crate) fn is_ignored(signal: u8) -> bool {
    let mut action: Action = [0; 4];
    // SAFETY: the kernel writes a sigaction, for which there is room.
    let done = unsafe {
        let out = action.as_mut_ptr() as usize;
        call(arch::nr::RT_SIGACTION, [usize::from(signal), 0, out, SET, 0, 0])
    };
    done.is_ok() && action[0] == SIG_IGN
}

/// Lets the signal be ignored, or have its default action.
pub(crate) fn set_ignored(signal: u8, ignored: bool) {
    let action: Action = [if ignored { SIG_IGN } else { 0 }, 0, 0, 0];
    // SAFETY: the kernel reads a sigaction, which names no handler.
    let _ = unsafe {
        let new = action.as_ptr() as usize;
        call(arch::nr::RT_SIGACTION, [usize::from(signal), new, 0, SET, 0, 0])
    };
}

/// A signal that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) signal: u8,
    /// A process sent it, not the kernel and not a terminal.
    pub(crate) by_process: bool,
}

/// A descriptor that gives the signals of a set, which must be blocked.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Takes the signals of `set`.
    pub(crate) fn of(set: u64) -> Result<Self, Errno> {
        const CLOEXEC_NONBLOCK: usize = 0o2_000_000 | 0o4000;
        // SAFETY: the kernel reads a set; the descriptor that it gives is nobody else's.
        unsafe {
            let new = &raw const set as usize;
            let fd = call(arch::nr::SIGNALFD4, [int(-1), new, SET, CLOEXEC_NONBLOCK, 0, 0])?;
            let fd = OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1));
            above_standard(fd).map(Self)
        }
    }

    /// The next signal, if one has come.
    pub(crate) fn next(&self) -> Option<Received> {
        let mut info = [0u8; 128];
        let n = io::retry_on_intr(|| io::read(&self.0, &mut info)).ok()?;
        let code = info.get(8..12)?.first_chunk().copied().map(i32::from_ne_bytes)?;
        (n == info.len()).then_some(Received { signal: info[0], by_process: code <= 0 })
    }

    /// The descriptor, to wait on.
    pub(crate) fn fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Moves a descriptor out of the way of 0, 1 and 2, which a caller may have closed.
pub(crate) fn above_standard(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { io::fcntl_dupfd_cloexec(&fd, 3) }
}

/// Sends a signal to a process, to a process group (`-group`) or to our own group (0).
pub(crate) fn kill(target: i32, signal: u8) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    unsafe { call(arch::nr::KILL, [int(target), usize::from(signal), 0, 0, 0, 0]) }.map(drop)
}

/// Gives this process the default action of a signal: it ends, or stops and comes back here when it goes on.
pub(crate) fn act(signal: u8) {
    set_ignored(signal, false);
    let _ = kill(rustix::process::getpid().as_raw_nonzero().get(), signal);
    let before = set_blocked(!bit(signal));
    set_blocked(before);
}
