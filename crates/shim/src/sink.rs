//! Where a tool's output goes: a descriptor of the caller's, written without ever waiting for its reader, and without
//! changing the flags that the caller shares with us.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::say::decimal;
use crate::sys::fds;
use crate::sys::process::c_string;
use crate::sys::waits::is_writable;
use crate::terminal::is_terminal;

/// Bytes that a pipe takes at once when it takes any.
const PIPE_TAKES: usize = 4096;
/// Bytes that a terminal takes at once when it takes any.
const TERMINAL_TAKES: usize = 256;

/// A descriptor that output goes to.
pub(crate) struct Sink {
    fd: BorrowedFd<'static>,
    way: Way,
    is_pipe: bool,
}

enum Way {
    /// A file: a write never waits for anybody.
    Plain,
    /// Opened once more, without waiting.
    Own(OwnedFd),
    /// A socket.
    Socket,
    /// Not to be opened again: asked before each write, which is then of at most so many bytes.
    Careful(usize),
    /// Nobody reads it any more, or it is closed.
    Gone,
}

impl Sink {
    /// The descriptor of this number.
    pub(crate) fn new(number: i32) -> Self {
        let fd = fds::numbered(number);
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let way = match kind {
            Err(_) => Way::Gone,
            Ok(FileType::Socket) => Way::Socket,
            Ok(FileType::Fifo) => reopen(number).map_or(Way::Careful(PIPE_TAKES), Way::Own),
            Ok(FileType::CharacterDevice) if is_terminal(number) => {
                reopen(number).map_or(Way::Careful(TERMINAL_TAKES), Way::Own)
            }
            Ok(_) => Way::Plain,
        };
        Self { fd, way, is_pipe: kind == Ok(FileType::Fifo) }
    }

    /// The descriptor to wait for.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Own(own) => own.as_fd(),
            _ => self.fd,
        }
    }

    /// The pipe behind it, when that is one to which bytes can go without passing through here.
    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Own(own) if self.is_pipe => Some(own.as_fd()),
            _ => None,
        }
    }

    /// Whether it takes anything.
    pub(crate) fn takes(&self) -> bool {
        is_writable(self.fd())
    }

    /// Writes what is taken. `Ok(0)` is never given for bytes that are there; `EAGAIN` says that nothing is taken yet.
    /// What goes nowhere counts as written.
    ///
    /// # Errors
    /// `EAGAIN`, and once only what the kernel says when the reader has gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        loop {
            let written = match &self.way {
                Way::Gone => return Ok(bytes.len()),
                Way::Plain => rustix::io::write(self.fd, bytes),
                Way::Own(own) => rustix::io::write(own, bytes),
                Way::Socket => {
                    rustix::net::send(self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
                }
                Way::Careful(most) => {
                    if !is_writable(self.fd) {
                        return Err(Errno::AGAIN);
                    }
                    rustix::io::write(self.fd, &bytes[..bytes.len().min(*most)])
                }
            };
            match written {
                Err(Errno::INTR) => {}
                Err(error) if error != Errno::AGAIN => {
                    self.way = Way::Gone;
                    return Err(error);
                }
                other => return other,
            }
        }
    }
}

fn reopen(number: i32) -> Option<OwnedFd> {
    let path = ["/proc/self/fd/", &decimal(number)].concat();
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&*c_string(path.as_bytes()), flags, Mode::empty()).ok()?;
    if fd.as_raw_fd() > 2 { Some(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3).ok() }
}
