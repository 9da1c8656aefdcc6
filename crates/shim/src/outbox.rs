//! Bytes that wait to be sent on a connection. Whoever fills it waits until it is empty before reading more, so that
//! it holds one piece of a stream and a few control frames at most.

use alloc::rc::Rc;
use alloc::vec::Vec;

use clawrden_protocol::frame::HEAD;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::pipe::SpliceFlags;

use crate::sys::fds;

/// Bytes of a stream that are read at a time.
const PIECE: usize = 128 * 1024;
/// Bytes of control frames beyond which those that can be spared are not queued.
const FULL: usize = PIECE + 16 * 1024;

/// What waits to be sent.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// The rest of the last frame of `bytes`: it goes from the pipe to the connection without passing through here.
    through: Option<Through>,
    /// Frames behind that rest.
    later: Vec<u8>,
}

/// Bytes of a frame that lie in a pipe.
#[derive(Debug)]
struct Through {
    /// Nobody else reads from it, so that the bytes that were counted in it stay there.
    pipe: Rc<OwnedFd>,
    left: usize,
}

/// The head of a stream frame of a length.
pub(crate) type StreamHead = fn(u32) -> [u8; HEAD];

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), sent: 0, through: None, later: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.through.is_none()
    }

    /// Adds a frame by its `encode`.
    pub(crate) fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(if self.through.is_some() { &mut self.later } else { &mut self.bytes });
    }

    /// As [`Outbox::put`], for a frame that may be lost when the other side takes nothing.
    pub(crate) fn put_spare(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.len() - self.sent + self.later.len() < FULL {
            self.put(encode);
        }
    }

    /// Adds a stream frame of the `n` bytes that lie in `pipe`, which nobody else may read from. Only for an empty
    /// outbox; at most [`MAX_STREAM_FRAME`] bytes.
    pub(crate) fn pass(&mut self, pipe: &Rc<OwnedFd>, head: StreamHead, n: usize) {
        self.bytes.extend_from_slice(&head(u32::try_from(n).unwrap_or_default()));
        self.through = Some(Through { pipe: Rc::clone(pipe), left: n });
    }

    /// Reads once from `fd` and adds what came as one stream frame; at most `max` bytes. `Ok(0)` is the end of `fd`,
    /// and adds nothing.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn read(
        &mut self,
        fd: BorrowedFd<'_>,
        head: StreamHead,
        max: usize,
    ) -> Result<usize, Errno> {
        let at = self.bytes.len();
        self.bytes.reserve(HEAD + PIECE);
        self.bytes.extend_from_slice(&[0; HEAD]);
        let read = fds::read_append(fd, &mut self.bytes, max.min(PIECE));
        match read {
            Ok(n) if n > 0 => {
                let head = head(u32::try_from(n).unwrap_or_default());
                self.bytes[at..at + HEAD].copy_from_slice(&head);
            }
            _ => self.bytes.truncate(at),
        }
        read
    }

    /// Sends what the connection takes without waiting. Gives whether all has gone.
    ///
    /// # Errors
    /// What the kernel says: the other side has gone.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        loop {
            let sent = if self.sent < self.bytes.len() {
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                rustix::net::send(socket, &self.bytes[self.sent..], flags).map(|n| self.sent += n)
            } else if let Some(through) = &mut self.through {
                through.send(socket)
            } else {
                self.bytes.clear();
                self.sent = 0;
                return Ok(true);
            };
            match sent {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.sent == self.bytes.len() && self.through.as_ref().is_some_and(|t| t.left == 0) {
                self.through = None;
                self.bytes.clear();
                self.sent = 0;
                self.bytes.append(&mut self.later);
            }
        }
    }
}

impl Through {
    fn send(&mut self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(&*self.pipe, None, socket, None, self.left, flags)? {
            // The bytes were there when they were counted, and are nobody else's.
            0 => Err(Errno::IO),
            n => {
                self.left -= n.min(self.left);
                Ok(())
            }
        }
    }
}
