//! The terminal that a supervised tool gets in the place of its caller's.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// Both ends of a terminal. The tool's end is kept open, so that the terminal lives on while nobody has it open.
pub(super) struct Pty {
    pub(super) ours: OwnedFd,
    pub(super) tools: OwnedFd,
}

impl Pty {
    /// Makes a terminal that belongs to `uid` and controls this session.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn new(uid: u32, rows: u16, cols: u16) -> Result<Self, Errno> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&ours)?;
        let tools = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
        if rustix::process::geteuid().is_root() {
            rustix::fs::fchown(&tools, Some(Uid::from_raw(uid)), None)?;
        }
        rustix::process::ioctl_tiocsctty(&tools)?;
        rustix::fs::fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
        let pty = Self { ours, tools };
        pty.resize(rows, cols);
        Ok(pty)
    }

    /// Gives the window its size; the kernel tells the foreground by SIGWINCH.
    pub(super) fn resize(&self, rows: u16, cols: u16) {
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        let _ = rustix::termios::tcsetwinsize(self.ours.as_fd(), size);
    }

    /// The process group in the foreground.
    pub(super) fn foreground(&self) -> Option<Pid> {
        rustix::termios::tcgetpgrp(&self.tools).ok()
    }
}
