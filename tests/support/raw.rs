//! Bytes on the intercom, as a client sends them that is no friend: written from `docs/protocol.md` alone.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How long a read may take. Longer is a failure of the test.
const READ: Duration = Duration::from_secs(30);

/// A connection to an intercom.
pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(READ)).unwrap();
    stream.set_write_timeout(Some(READ)).unwrap();
    stream
}

/// Puts the length before a request.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

/// A version 2 request, whole, with an id of its own. The first argument names the tool, too.
pub fn request(cwd: &Path, argv: &[&str], env: &[String]) -> Vec<u8> {
    static MADE: AtomicU64 = AtomicU64::new(1);
    let header = format!(
        "{{\"v\":2,\"id\":\"{:032x}\",\"argc\":{},\"envc\":{}}}\0",
        MADE.fetch_add(1, Ordering::Relaxed),
        argv.len(),
        env.len()
    );
    let mut body = header.into_bytes();
    let strings = [argv[0].as_bytes(), cwd.as_os_str().as_bytes()];
    let all = strings.into_iter().chain(argv.iter().map(|arg| arg.as_bytes()));
    for string in all.chain(env.iter().map(String::as_bytes)) {
        body.extend_from_slice(string);
        body.push(0);
    }
    framed(&body)
}

/// The environment of a plain version 2 request: the tests' own PATH.
pub fn path() -> Vec<String> {
    vec![format!("PATH={}", std::env::var("PATH").unwrap())]
}

/// What came back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub acks: Vec<u8>,
    /// Type and payload.
    pub frames: Vec<(u8, Vec<u8>)>,
}

impl Said {
    /// The text of the last frame, if there is one.
    pub fn text(&self) -> String {
        let last = self.frames.last().map(|(_, payload)| &payload[..]).unwrap_or_default();
        String::from_utf8_lossy(last).into_owned()
    }
}

/// Reads the next ack, notices before it passed over. `None` when the connection ends.
pub fn ack(stream: &mut UnixStream) -> Option<u8> {
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            ack @ 0..16 => return Some(ack),
            kind => frame_of(stream, kind)?,
        };
    }
}

/// Reads the next frame. `None` when the connection ends.
pub fn frame(stream: &mut UnixStream) -> Option<(u8, Vec<u8>)> {
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    frame_of(stream, kind[0])
}

fn frame_of(stream: &mut UnixStream, kind: u8) -> Option<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((kind, payload))
}

/// Reads everything to the end of the connection.
pub fn finish(stream: &mut UnixStream) -> Said {
    let mut said = Said::default();
    while let Some(ack) = ack(stream) {
        said.acks.push(ack);
        if ack != 2 {
            break;
        }
    }
    while let Some(frame) = frame(stream) {
        said.frames.push(frame);
    }
    said
}

/// Sends a request and reads everything that comes back.
pub fn ask(socket: &Path, request: &[u8]) -> Said {
    let mut stream = connect(socket);
    stream.write_all(request).unwrap();
    finish(&mut stream)
}

/// Sends descriptors 0, 1 and 2 of this process, and `cwd` as the working directory.
pub fn send_descriptors(stream: &UnixStream, cwd: BorrowedFd<'_>) {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let files = [null.as_fd(), null.as_fd(), null.as_fd(), cwd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
    let frame = [20, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    let sent = sendmsg(stream, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL);
    assert_eq!(sent.unwrap(), frame.len());
}
