//! A terminal's modes, as the kernel has them.

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

use super::{arch, call, int};

const TCGETS: usize = 0x5401;
const TCSETS: usize = 0x5402;

/// The kernel's `termios`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Modes {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    line: u8,
    characters: [u8; 19],
}

impl Modes {
    /// The modes of a terminal.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn of(terminal: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut modes = Self::default();
        // SAFETY: the kernel writes a termios, which `modes` is.
        unsafe {
            let out = &raw mut modes as usize;
            call(arch::nr::IOCTL, [int(terminal.as_raw_fd()), TCGETS, out, 0, 0, 0])?;
        }
        Ok(modes)
    }

    /// Sets the modes at once.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set(&self, terminal: BorrowedFd<'_>) -> Result<(), Errno> {
        // SAFETY: the kernel reads a termios, which this is.
        unsafe {
            let new = &raw const *self as usize;
            call(arch::nr::IOCTL, [int(terminal.as_raw_fd()), TCSETS, new, 0, 0, 0]).map(drop)
        }
    }

    /// These modes without anything that the terminal does by itself, as `cfmakeraw` has it; when it is `shared` with
    /// others, they keep their line ends and their signals.
    pub(crate) fn raw(mut self, shared: bool) -> Self {
        const SIZE: u32 = 0o60;
        const PARITY: u32 = 0o400;
        // Break, parity and line end conversion, and flow control by characters.
        self.input &= !(0o1 | 0o2 | 0o10 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000);
        self.control = self.control & !(SIZE | PARITY) | SIZE;
        // Echo, lines and the extensions.
        self.local &= !(0o10 | 0o100 | 0o2 | 0o100_000);
        if !shared {
            // Output conversion, and signals by keys.
            self.output &= !0o1;
            self.local &= !0o1;
        }
        // A read waits for one byte, and for no time.
        (self.characters[5], self.characters[6]) = (0, 1);
        self
    }
}
