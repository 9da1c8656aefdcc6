//! What warden and runner say to each other over the runner's own socket: `[u8 type][u32 length][payload]`.
//!
//! With the plan come descriptors: the client's connection, the executable and, where the warden opened it, the working
//! directory.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::ProtocolError;
use crate::frame::Status;
use crate::limits::MAX_RUNNER_MESSAGE;
use crate::wire::{Reader, length, put_bytes};

const PLAN: u8 = 1;
const STOP: u8 = 2;
const STARTED: u8 = 3;
const FINISHED: u8 = 4;
const FAILED: u8 = 5;
const IDLE: u8 = 6;

/// The base name of `argv[0]` of a shim that is started as a runner. Its socket to the warden is descriptor 0.
pub const ARGV0: &[u8] = b"clawrden-runner";

/// The argument before the path of the socket that a runner connects to instead.
pub const CONNECT: &[u8] = b"--connect";

/// The same for a runner that first sends its root directory over that socket, with one byte: to a warden that does not
/// see its processes.
pub const CONNECT_OPEN: &[u8] = b"--connect-open";

/// The frozen plan of a supervised run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How the streams travel.
    pub streams: Streams,
    /// Whether the client understands version 2 frames.
    pub version_2: bool,
    /// The user that the tool runs as.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
    /// Its file mode mask.
    pub umask: u32,
    /// Its nice value, -20 to 19.
    pub nice: i32,
    /// Its limits: resource number, soft, hard; `u64::MAX` is none.
    pub limits: Vec<(u32, u64, u64)>,
    /// Signals that it ignores; bit N-1 is signal N.
    pub ignored: u64,
    /// Signals that it blocks.
    pub blocked: u64,
    /// Which of descriptors 0, 1 and 2 were terminals in the client (bits), with the window's rows and columns.
    pub tty: Option<(u8, u16, u16)>,
    /// Milliseconds between the polite signal and SIGKILL.
    pub grace_ms: u32,
    /// Device and inode of the working directory, which must be that of the descriptor that the client sends.
    /// `None`: the working directory was deleted, and the client's descriptor is all there is.
    pub cwd: Option<(u64, u64)>,
    /// Where that working directory lies on the warden's side. The tool goes there by this path, as the user it runs
    /// as, and what the client sends is let go. Empty: the client's descriptor is the way.
    pub place: Vec<u8>,
    /// The path to execute by when the file is a script; then device and inode are compared just before.
    /// Empty: execute by the descriptor alone.
    pub script: Vec<u8>,
    /// The executable stays open in the tool. A script is then executed by its descriptor too, and its interpreter
    /// opens it as `/dev/fd/N`: for one that lies where the user it runs as cannot go.
    pub keep_open: bool,
    /// The warden hears how the tool ended before the client does: the runner may end with its client.
    pub warden_first: bool,
    /// Bytes that may travel out as frames or through the runner's terminal. With more the tree is ended; `u64::MAX`
    /// is no limit.
    pub most_out: u64,
    /// The argument vector.
    pub argv: Vec<Vec<u8>>,
    /// The environment.
    pub env: Vec<Vec<u8>>,
}

/// How a supervised run's streams travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// The client's own descriptors ride along. The warden has told the client so, and that its command is allowed.
    Descriptors,
    /// As frames.
    Frames,
}

/// What the warden tells a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToRunner {
    /// Start.
    Plan(Box<Plan>),
    /// End the whole tree; then tell the client this code and text, unless the tool ends by itself before.
    Stop {
        /// The code that the client exits with.
        code: u8,
        /// Why, in one line.
        text: Vec<u8>,
        /// SIGKILL at once, without a polite signal before.
        now: bool,
    },
}

/// What a runner tells the warden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromRunner {
    /// The tool runs, under this process id.
    Started(u32),
    /// The tool has ended, having written so many bytes that went through frames.
    Finished {
        /// How it ended.
        status: Status,
        /// Bytes of standard output and error that travelled as frames or through the runner's terminal.
        bytes_out: u64,
        /// The client went away, or cancelled, before the tool ended.
        cancelled: bool,
    },
    /// The tool could not be started.
    Failed {
        /// The code that the client was told.
        code: u8,
        /// Why.
        text: Vec<u8>,
    },
    /// Nothing of the run is left, and the runner takes another plan. It ends instead after a run that it had to end.
    Idle,
}

impl ToRunner {
    /// The message as it goes over the socket.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Plan(plan) => {
                let mut payload = Vec::new();
                plan.put(&mut payload);
                framed(&mut out, PLAN, &[&payload]);
            }
            Self::Stop { code, text, now } => {
                framed(&mut out, STOP, &[&[*code, u8::from(*now)], text]);
            }
        }
        out
    }

    /// Reads a message's payload.
    ///
    /// # Errors
    /// [`ProtocolError::BadRunnerMessage`].
    pub fn parse(kind: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut r = Reader::new(payload);
        let message = match kind {
            PLAN => Plan::take(&mut r).filter(|_| r.is_empty()).map(Self::Plan),
            STOP => r.u8().zip(r.u8()).map(|(code, now)| Self::Stop {
                code,
                now: now != 0,
                text: r.rest().to_vec(),
            }),
            _ => None,
        };
        message.ok_or(ProtocolError::BadRunnerMessage("to the runner"))
    }
}

impl FromRunner {
    /// Appends the message as it goes over the socket.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Started(pid) => framed(out, STARTED, &[&pid.to_be_bytes()]),
            Self::Finished { status, bytes_out, cancelled } => {
                let (how, value) = match status {
                    Status::Exited(code) => (0, *code),
                    Status::Killed(signal) => (1, *signal),
                };
                let end = [how, value, u8::from(*cancelled)];
                framed(out, FINISHED, &[&end, &bytes_out.to_be_bytes()]);
            }
            Self::Failed { code, text } => framed(out, FAILED, &[&[*code], text]),
            Self::Idle => framed(out, IDLE, &[]),
        }
    }

    /// Reads a message's payload.
    ///
    /// # Errors
    /// [`ProtocolError::BadRunnerMessage`].
    pub fn parse(kind: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut r = Reader::new(payload);
        let message = match kind {
            STARTED => r.u32().map(Self::Started),
            FINISHED => match (r.u8(), r.u8(), r.u8(), r.u64()) {
                (Some(how @ 0..=1), Some(value), Some(cancelled), Some(bytes_out)) => {
                    let status =
                        if how == 0 { Status::Exited(value) } else { Status::Killed(value) };
                    Some(Self::Finished { status, bytes_out, cancelled: cancelled != 0 })
                }
                _ => None,
            },
            FAILED => r.u8().map(|code| Self::Failed { code, text: r.rest().to_vec() }),
            IDLE => r.is_empty().then_some(Self::Idle),
            _ => None,
        };
        message.ok_or(ProtocolError::BadRunnerMessage("from the runner"))
    }
}

/// The type and the length in the five bytes before a message's payload.
///
/// # Errors
/// [`ProtocolError::BadRunnerMessage`] for a length over [`MAX_RUNNER_MESSAGE`].
pub fn parse_head(head: [u8; 5]) -> Result<(u8, u32), ProtocolError> {
    let [kind, a, b, c, d] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    if length > MAX_RUNNER_MESSAGE {
        return Err(ProtocolError::BadRunnerMessage("its length is over the limit"));
    }
    Ok((kind, length))
}

/// The numbers that every plan has, as words of 32 bits.
const WORDS: usize = 16;

impl Plan {
    fn put(&self, out: &mut Vec<u8>) {
        let (ttys, rows, cols) = self.tty.unwrap_or_default();
        let flags = u8::from(self.streams == Streams::Descriptors)
            | u8::from(self.version_2) << 1
            | u8::from(self.tty.is_some()) << 2
            | u8::from(self.cwd.is_some()) << 3
            | u8::from(self.keep_open) << 4
            | u8::from(self.warden_first) << 5;
        out.extend_from_slice(&[0, 0, flags, ttys]);
        out.extend_from_slice(&rows.to_be_bytes());
        out.extend_from_slice(&cols.to_be_bytes());
        for n in [self.uid, self.gid, self.umask, self.grace_ms] {
            out.extend_from_slice(&n.to_be_bytes());
        }
        let (dev, ino) = self.cwd.unwrap_or_default();
        for n in [self.ignored, self.blocked, dev, ino, self.most_out] {
            out.extend_from_slice(&n.to_be_bytes());
        }
        out.extend_from_slice(&self.nice.to_be_bytes());
        out.extend_from_slice(&length(self.groups.len()).to_be_bytes());
        self.groups.iter().for_each(|g| out.extend_from_slice(&g.to_be_bytes()));
        out.extend_from_slice(&length(self.limits.len()).to_be_bytes());
        for (resource, soft, hard) in &self.limits {
            out.extend_from_slice(&resource.to_be_bytes());
            out.extend_from_slice(&soft.to_be_bytes());
            out.extend_from_slice(&hard.to_be_bytes());
        }
        put_bytes(out, &self.place);
        put_bytes(out, &self.script);
        for list in [&self.argv, &self.env] {
            out.extend_from_slice(&length(list.len()).to_be_bytes());
            list.iter().for_each(|s| put_bytes(out, s));
        }
    }

    fn take(r: &mut Reader<'_>) -> Option<Box<Self>> {
        let [what, size, uid, gid, umask, grace_ms, numbers @ ..] = words::<WORDS>(r)?;
        let [i1, i2, b1, b2, d1, d2, n1, n2, o1, o2] = numbers;
        let nice = r.i32()?;
        let [_, _, flags, ttys] = what.to_be_bytes();
        let [r1, r2, c1, c2] = size.to_be_bytes();
        let (rows, cols) = (u16::from_be_bytes([r1, r2]), u16::from_be_bytes([c1, c2]));
        let groups = list(r, Reader::u32)?;
        let limits = list(r, |r| {
            let [resource, s1, s2, h1, h2] = words(r)?;
            Some((resource, wide(s1, s2), wide(h1, h2)))
        })?;
        let place = r.bytes()?.to_vec();
        let script = r.bytes()?.to_vec();
        let argv = strings(r)?;
        let env = strings(r)?;
        let streams = if flags & 1 == 0 { Streams::Frames } else { Streams::Descriptors };
        Some(Box::new(Self {
            streams,
            version_2: flags & 2 != 0,
            uid,
            gid,
            groups,
            umask,
            nice,
            limits,
            ignored: wide(i1, i2),
            blocked: wide(b1, b2),
            tty: (flags & 4 != 0).then_some((ttys, rows, cols)),
            grace_ms,
            cwd: (flags & 8 != 0).then_some((wide(d1, d2), wide(n1, n2))),
            place,
            script,
            keep_open: flags & 16 != 0,
            warden_first: flags & 32 != 0,
            most_out: wide(o1, o2),
            argv,
            env,
        }))
    }
}

/// So many words of 32 bits: they take less code to read than numbers of several sizes.
fn words<const N: usize>(r: &mut Reader<'_>) -> Option<[u32; N]> {
    let mut all = [0; N];
    for word in &mut all {
        *word = r.u32()?;
    }
    Some(all)
}

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// A count and as many items. Memory grows with the items that are there, not with the count.
fn list<'a, T>(r: &mut Reader<'a>, item: impl Fn(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
    let count = r.u32()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(item(r)?);
    }
    Some(all)
}

fn strings(r: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    list(r, |r| r.bytes().map(<[u8]>::to_vec))
}

fn framed(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.push(kind);
    out.extend_from_slice(&length(parts.iter().map(|part| part.len()).sum()).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn plan() -> Plan {
        Plan {
            streams: Streams::Descriptors,
            version_2: true,
            uid: 1000,
            gid: 100,
            groups: vec![4, 27],
            umask: 0o27,
            nice: -5,
            limits: vec![(7, 1024, u64::MAX)],
            ignored: 1,
            blocked: 2,
            tty: Some((5, 24, 80)),
            grace_ms: 5000,
            cwd: Some((1, 2)),
            place: b"/srv".to_vec(),
            script: b"/usr/bin/npm".to_vec(),
            keep_open: false,
            warden_first: false,
            most_out: 1 << 33,
            argv: vec![b"npm".to_vec(), b"\xff".to_vec()],
            env: vec![b"A=b".to_vec()],
        }
    }

    #[test]
    fn messages_come_back_as_they_went() {
        for message in [
            ToRunner::Plan(Box::new(plan())),
            ToRunner::Plan(Box::new(Plan {
                tty: None,
                cwd: None,
                keep_open: true,
                warden_first: true,
                ..plan()
            })),
            ToRunner::Plan(Box::new(Plan { streams: Streams::Frames, ..plan() })),
            ToRunner::Stop { code: 124, text: b"time".to_vec(), now: false },
        ] {
            let bytes = message.encode();
            let (kind, len) = parse_head(*bytes.first_chunk().unwrap()).unwrap();
            assert_eq!(len as usize, bytes.len() - 5);
            assert_eq!(ToRunner::parse(kind, &bytes[5..]), Ok(message));
        }
        for message in [
            FromRunner::Started(7),
            FromRunner::Finished { status: Status::Killed(9), bytes_out: 1 << 40, cancelled: true },
            FromRunner::Failed { code: 127, text: b"no".to_vec() },
        ] {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            let (_, len) = parse_head(*bytes.first_chunk().unwrap()).unwrap();
            assert_eq!(len as usize, bytes.len() - 5);
            assert_eq!(FromRunner::parse(bytes[0], &bytes[5..]), Ok(message));
        }
    }

    #[test]
    fn a_cut_plan_is_refused_wherever_it_is_cut() {
        let bytes = ToRunner::Plan(Box::new(plan())).encode();
        for cut in 5..bytes.len() {
            assert!(ToRunner::parse(PLAN, &bytes[5..cut]).is_err());
        }
    }
}
