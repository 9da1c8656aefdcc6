//! Bytes as they arrive on a connection, given out as acks, whole control frames, and pieces of stream frames.
//!
//! A stream frame need not have arrived whole to be used, so the room is small and bytes are not copied again. Until more
//! comes than a few short frames it is smaller still: most hear nothing but what to become.

use alloc::vec::Vec;
use core::ops::Range;

use clawrden_protocol::error::ProtocolError;
use clawrden_protocol::frame::{HEAD, is_stream, parse_head};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::sys::fds;

/// Bytes that are held at most. The longest control frame must fit.
pub(crate) const ROOM: usize = 256 * 1024;
/// Bytes that are held before more has come.
const FIRST_ROOM: usize = 512;
/// Bytes of a stream frame from which on it is better not received here at all.
const LONG: usize = 16 * 1024;
/// Room that is made before a receive, by moving what is held to the front.
const WORTH: usize = 128 * 1024;

/// What has arrived.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    from: usize,
    /// The stream frame that is being given out: its type, and how many of its bytes are still to come.
    open: Option<(u8, usize)>,
    /// The last stream frame was long.
    long: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until more has arrived.
    More,
    /// Bytes of a stream frame of this type; say with [`Inbox::took`] how many were used. Empty for an empty frame.
    Stream(u8, Range<usize>),
    /// A whole frame of this type. Its bytes stay until the next receive.
    Frame(u8, Range<usize>),
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(FIRST_ROOM), from: 0, open: None, long: false }
    }

    /// Receives once, at most `max` bytes, into what room there is. `Ok(0)` is the end of the connection.
    ///
    /// # Errors
    /// What the kernel says; `NOBUFS` when there is no room.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        flags: RecvFlags,
        max: usize,
    ) -> Result<usize, Errno> {
        if self.from == self.bytes.len() {
            self.bytes.clear();
            self.from = 0;
        } else if self.from > 0 && self.room() < WORTH {
            cut_front(&mut self.bytes, self.from);
            self.from = 0;
        }
        if self.room() == 0 && self.has_room() {
            self.bytes.reserve(ROOM - self.bytes.len());
        }
        if self.room() == 0 {
            return Err(Errno::NOBUFS);
        }
        loop {
            match fds::receive_append(socket, &mut self.bytes, max, flags) {
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Whether a receive can take bytes.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() - self.from < ROOM
    }

    /// The type of a long stream frame of which bytes are still to come, and how many; `None` when some are here.
    pub(crate) fn coming(&self) -> Option<(u8, usize)> {
        self.open.filter(|_| self.long && self.from == self.bytes.len())
    }

    /// How much to receive: behind a long frame only the head of the next, if the bytes of that can go elsewhere.
    pub(crate) fn portion(&self, elsewhere: bool) -> usize {
        if self.long && elsewhere { HEAD } else { ROOM }
    }

    /// Says that `n` of the bytes that come next were received elsewhere.
    pub(crate) fn passed(&mut self, n: usize) {
        self.open = self.open.map(|(kind, left)| (kind, left - n.min(left))).filter(|o| o.1 > 0);
    }

    /// The next byte, without taking it.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.from).copied()
    }

    /// The next byte on its own.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.from += 1;
        Some(byte)
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`ProtocolError::FrameTooLong`].
    pub(crate) fn next(&mut self) -> Result<Next, ProtocolError> {
        if self.open.is_none() {
            let Some(head) = self.bytes[self.from..].first_chunk::<HEAD>() else {
                return Ok(Next::More);
            };
            let (kind, length) = parse_head(*head)?;
            let Ok(length) = usize::try_from(length) else { return Ok(Next::More) };
            let from = self.from + HEAD;
            if !is_stream(kind) {
                if self.bytes.len() - from < length {
                    return Ok(Next::More);
                }
                self.from = from + length;
                return Ok(Next::Frame(kind, from..self.from));
            }
            self.from = from;
            self.long = length >= LONG;
            if length == 0 {
                return Ok(Next::Stream(kind, from..from));
            }
            self.open = Some((kind, length));
        }
        let Some((kind, left)) = self.open else { return Ok(Next::More) };
        let here = left.min(self.bytes.len() - self.from);
        Ok(if here == 0 { Next::More } else { Next::Stream(kind, self.from..self.from + here) })
    }

    /// Says that `n` bytes of the stream frame that [`Inbox::next`] gave were used.
    pub(crate) fn took(&mut self, n: usize) {
        let Some((_, left)) = self.open else { return };
        let n = n.min(left);
        self.from += n;
        self.passed(n);
    }

    /// The bytes of a range that [`Inbox::next`] gave.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

/// Takes the first `n` bytes away. The standard library's way takes several times the room.
pub(crate) fn cut_front(bytes: &mut Vec<u8>, n: usize) {
    let left = bytes.len() - n;
    bytes.copy_within(n.., 0);
    bytes.truncate(left);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawrden_protocol::ToClient;
    use clawrden_protocol::frame::{STDERR, STDOUT};
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn arrived(inbox: &mut Inbox, bytes: &[u8]) {
        let (ours, theirs) = pair();
        rustix::net::send(&theirs, bytes, SendFlags::empty()).unwrap();
        assert_eq!(inbox.receive(ours.as_fd(), RecvFlags::empty(), ROOM), Ok(bytes.len()));
    }

    #[test]
    fn stream_bytes_are_given_before_their_frame_is_whole() {
        let mut inbox = Inbox::new();
        let mut whole = Vec::new();
        ToClient::Stdout(b"abcdef").encode(&mut whole);
        ToClient::Exit(3).encode(&mut whole);
        arrived(&mut inbox, &whole[..8]);
        let Ok(Next::Stream(STDOUT, range)) = inbox.next() else { panic!() };
        assert_eq!(inbox.bytes(range), b"abc");
        inbox.took(2);
        let Ok(Next::Stream(STDOUT, range)) = inbox.next() else { panic!() };
        assert_eq!(inbox.bytes(range), b"c");
        inbox.took(1);
        assert_eq!(inbox.next(), Ok(Next::More));
        arrived(&mut inbox, &whole[8..]);
        let Ok(Next::Stream(STDOUT, range)) = inbox.next() else { panic!() };
        assert_eq!(inbox.bytes(range), b"def");
        inbox.took(3);
        let Ok(Next::Frame(kind, range)) = inbox.next() else { panic!() };
        assert_eq!(ToClient::parse(kind, inbox.bytes(range)), Ok(ToClient::Exit(3)));
        assert_eq!(inbox.next(), Ok(Next::More));
    }

    #[test]
    fn an_empty_stream_frame_is_given_once() {
        let mut inbox = Inbox::new();
        let mut whole = Vec::new();
        ToClient::Stderr(b"").encode(&mut whole);
        arrived(&mut inbox, &whole);
        assert!(matches!(inbox.next(), Ok(Next::Stream(STDERR, r)) if r.is_empty()));
        assert_eq!(inbox.next(), Ok(Next::More));
    }

    #[test]
    fn a_control_frame_waits_until_it_is_whole() {
        let mut inbox = Inbox::new();
        let mut whole = Vec::new();
        ToClient::Notice("wait").encode(&mut whole);
        for byte in &whole[..whole.len() - 1] {
            arrived(&mut inbox, &[*byte]);
            assert_eq!(inbox.next(), Ok(Next::More));
        }
        arrived(&mut inbox, &whole[whole.len() - 1..]);
        assert!(matches!(inbox.next(), Ok(Next::Frame(..))));
    }

    #[test]
    fn more_than_the_first_room_is_received_until_the_whole_room_is_full() {
        let mut inbox = Inbox::new();
        let text = "x".repeat(60_000);
        let mut whole = Vec::new();
        ToClient::Notice(&text).encode(&mut whole);
        let (ours, theirs) = pair();
        assert_eq!(rustix::net::send(&theirs, &whole, SendFlags::empty()), Ok(whole.len()));
        let receive = |inbox: &mut Inbox| inbox.receive(ours.as_fd(), RecvFlags::empty(), ROOM);
        assert_eq!(receive(&mut inbox), Ok(FIRST_ROOM));
        assert_eq!(inbox.next(), Ok(Next::More));
        assert_eq!(receive(&mut inbox), Ok(whole.len() - FIRST_ROOM));
        let Ok(Next::Frame(kind, range)) = inbox.next() else { panic!() };
        assert_eq!(ToClient::parse(kind, inbox.bytes(range)), Ok(ToClient::Notice(&text)));

        let mut inbox = Inbox::new();
        let writer = std::thread::spawn(move || {
            let frame = [&[kind][..], &u32::MAX.to_be_bytes()].concat();
            // It ends when nobody reads any more.
            let _ = (0..ROOM).try_for_each(|_| crate::socket::send_all(&theirs, &frame));
        });
        while inbox.has_room() {
            receive(&mut inbox).unwrap();
        }
        assert_eq!(inbox.bytes(0..ROOM).len(), ROOM);
        assert_eq!(receive(&mut inbox), Err(Errno::NOBUFS));
        drop(ours);
        writer.join().unwrap();
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_bytes() {
        let mut inbox = Inbox::new();
        arrived(&mut inbox, &[STDOUT, 0xff, 0xff, 0xff, 0xff]);
        assert!(inbox.next().is_err());
    }
}
