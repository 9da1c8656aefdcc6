//! The caller's terminal, while a supervised tool has one of its own: raw in the foreground, as it was in every other
//! case and on every way out.

use rustix::fd::BorrowedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sys::fds;
use crate::sys::modes::Modes;

/// The terminal that is read and whose modes are changed.
pub(crate) struct Terminal {
    fd: BorrowedFd<'static>,
    /// Standard output is none, so that others of a pipeline show theirs on it.
    shared: bool,
    /// Its modes before it was made raw.
    before: Option<Modes>,
}

/// Whether the descriptor of this number is a terminal.
pub(crate) fn is_terminal(number: i32) -> bool {
    rustix::termios::tcgetwinsize(fds::numbered(number)).is_ok()
}

impl Terminal {
    /// The first of descriptors 0, 1 and 2 that is a terminal and can be read.
    pub(crate) fn find() -> Option<Self> {
        let number = (0..3).find(|&number| is_terminal(number) && can_read(number))?;
        Some(Self { fd: fds::numbered(number), shared: !is_terminal(1), before: None })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'static> {
        self.fd
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> Option<(u16, u16)> {
        rustix::termios::tcgetwinsize(self.fd).ok().map(|size| (size.ws_row, size.ws_col))
    }

    /// Whether it is ours to read and change.
    fn is_foreground(&self) -> bool {
        match rustix::termios::tcgetpgrp(self.fd) {
            Ok(group) => group == rustix::process::getpgrp(),
            // A terminal that controls nobody here is anybody's.
            Err(error) => error == Errno::NOTTY,
        }
    }

    /// Makes it raw in the foreground, and forgets that it was in the background, where whoever has it sets its modes.
    /// Gives whether it may be read.
    pub(crate) fn refresh(&mut self) -> bool {
        if !self.is_foreground() {
            self.before = None;
            return false;
        }
        if self.before.is_none() {
            let Ok(modes) = Modes::of(self.fd) else { return false };
            if modes.raw(self.shared).set(self.fd).is_err() {
                return false;
            }
            self.before = Some(modes);
        }
        true
    }

    /// Whether it is raw by our doing.
    pub(crate) fn is_raw(&self) -> bool {
        self.before.is_some()
    }

    /// Makes it as it was.
    pub(crate) fn restore(&mut self) {
        if let Some(modes) = self.before.take().filter(|_| self.is_foreground()) {
            let _ = modes.set(self.fd);
        }
    }
}

fn can_read(number: i32) -> bool {
    rustix::fs::fcntl_getfl(fds::numbered(number))
        .is_ok_and(|flags| flags & OFlags::RWMODE != OFlags::WRONLY)
}
