//! Frames: what goes over the intercom once a request is made, one typed message each.

use alloc::vec::Vec;

use crate::error::ProtocolError;
use crate::limits::{MAX_CONTROL_FRAME, MAX_STREAM_FRAME};
use crate::wire::{Reader, length};

/// The type of a standard output frame, for whoever reads streams piece by piece.
pub const STDOUT: u8 = 1;
/// The type of a standard error frame.
pub const STDERR: u8 = 2;
const EXIT: u8 = 3;
const CANCEL: u8 = 4;
/// The type of a standard input frame.
pub const STDIN: u8 = 16;
const STDIN_END: u8 = 17;
const WINDOW_SIZE: u8 = 18;
const SIGNAL: u8 = 19;
const DESCRIPTORS: u8 = 20;
const EXITED: u8 = 21;
const SIGNAL_GROUP: u8 = 22;
const EXIT_BY_SIGNAL: u8 = 32;
const HANDOFF: u8 = 33;
const NOTICE: u8 = 34;
const DENIAL: u8 = 35;
const STILL_WAITING: u8 = 36;
const WANT_DESCRIPTORS: u8 = 37;
const STOPPED: u8 = 38;
const FAILURE: u8 = 39;
const RECONNECT: u8 = 40;

/// The bytes of a frame before its payload: type and length.
pub const HEAD: usize = 5;

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromClient<'a> {
    /// End the command (version 1).
    Cancel,
    /// Bytes for the tool's standard input.
    Stdin(&'a [u8]),
    /// Standard input has ended.
    StdinEnd,
    /// The window has this size.
    WindowSize {
        /// Rows.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// Give the tool alone this signal, by its Linux number. `SIGPIPE` says that standard output has lost its reader: the
    /// tool's is closed, so that it finds out by itself.
    Signal(u8),
    /// Give the tool and what it has started in its process group this signal, as a terminal does.
    SignalGroup(u8),
    /// As many descriptors come with this frame as control data; the numbers they had in the client, in order, each
    /// as `u32`. The working directory follows last, without a number.
    Descriptors(Numbers<'a>),
    /// The tool that was handed off has ended, says the client that waited for it.
    Exited(Status),
}

/// What the warden, or a runner for it, sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToClient<'a> {
    /// Bytes of the tool's standard output. An empty one says that the client may read its standard input, and make
    /// its terminal raw if it has one.
    Stdout(&'a [u8]),
    /// Bytes of the tool's standard error.
    Stderr(&'a [u8]),
    /// The tool has exited with this code. The last frame.
    Exit(u8),
    /// The tool was killed by this signal. The last frame.
    ExitBySignal(u8),
    /// Execute the tool yourself. The last frame.
    Handoff(Handoff<'a>),
    /// One line for the person or agent who waits.
    Notice(&'a str),
    /// Why the command does not run. Follows the ack.
    Denial {
        /// The rule that said so, such as `policy.yaml:12`; empty when no rule did.
        rule: &'a str,
        /// What the rule's author, or the approver, wants the agent to know.
        reason: &'a str,
    },
    /// A person has not answered in the time that a caller can wait. The last frame.
    StillWaiting(&'a str),
    /// Send your descriptors.
    WantDescriptors,
    /// The tool was stopped by this signal; stop as well, and send `SIGCONT` when you go on.
    Stopped(u8),
    /// Should this connection break while you wait, look for the warden for so many seconds.
    Reconnect(u16),
    /// The command ended by our doing, or could not start. The last frame.
    Failure {
        /// The code to exit with.
        code: u8,
        /// One line that says why.
        text: &'a str,
    },
}

/// How a process ended, in the words of `wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
}

/// The frozen plan of a command that the client executes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handoff<'a> {
    /// Execute in a child, wait for it, and send [`FromClient::Exited`]: the kernel will not tell the warden.
    pub report: bool,
    /// Give the tool `path` as its `argv[0]`: it looks for itself by that name, and PATH would lead it to a shim.
    pub by_path: bool,
    /// The file to execute, as a path in the client's root.
    pub path: &'a [u8],
    /// `NAME=value` entries that replace or join the environment.
    pub set: Strings<'a>,
}

/// Strings that a NUL ends, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    /// Takes `bytes`, which must be empty or end with NUL.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.is_empty() || bytes.ends_with(&[0])).then_some(Self(bytes))
    }

    /// The strings without their NULs.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split_inclusive(|&b| b == 0).map(|s| s.strip_suffix(&[0]).unwrap_or(s))
    }
}

/// Descriptor numbers, four bytes each. None by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// Takes `bytes`, which must be a multiple of four long.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(4).then_some(Self(bytes))
    }

    /// The numbers in order.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'a> {
        self.0.chunks_exact(4).map(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]))
    }
}

impl<'a> FromClient<'a> {
    /// Reads a frame's payload.
    ///
    /// # Errors
    /// A type that clients do not send, or a payload not of its shape.
    pub fn parse(kind: u8, payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut r = Reader::new(payload);
        let frame = match kind {
            CANCEL => Some(Self::Cancel),
            STDIN => return Ok(Self::Stdin(payload)),
            STDIN_END => Some(Self::StdinEnd),
            WINDOW_SIZE => r.u16().zip(r.u16()).map(|(rows, cols)| Self::WindowSize { rows, cols }),
            SIGNAL => r.u8().map(Self::Signal),
            SIGNAL_GROUP => r.u8().map(Self::SignalGroup),
            DESCRIPTORS => return Numbers::new(payload).map(Self::Descriptors).ok_or(shape(kind)),
            EXITED => match (r.u8(), r.u8()) {
                (Some(0), Some(code)) => Some(Self::Exited(Status::Exited(code))),
                (Some(1), Some(signal)) => Some(Self::Exited(Status::Killed(signal))),
                _ => None,
            },
            other => return Err(ProtocolError::UnknownFrame(other)),
        };
        frame.filter(|_| r.is_empty()).ok_or(shape(kind))
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Cancel => put(out, CANCEL, &[]),
            Self::Stdin(bytes) => put(out, STDIN, &[bytes]),
            Self::StdinEnd => put(out, STDIN_END, &[]),
            Self::WindowSize { rows, cols } => {
                put(out, WINDOW_SIZE, &[&rows.to_be_bytes(), &cols.to_be_bytes()]);
            }
            Self::Signal(signal) => put(out, SIGNAL, &[&[signal]]),
            Self::SignalGroup(signal) => put(out, SIGNAL_GROUP, &[&[signal]]),
            Self::Descriptors(numbers) => put(out, DESCRIPTORS, &[numbers.0]),
            Self::Exited(Status::Exited(code)) => put(out, EXITED, &[&[0, code]]),
            Self::Exited(Status::Killed(signal)) => put(out, EXITED, &[&[1, signal]]),
        }
    }
}

impl<'a> ToClient<'a> {
    /// Reads a frame's payload.
    ///
    /// # Errors
    /// A type that the warden does not send, or a payload not of its shape.
    pub fn parse(kind: u8, payload: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut r = Reader::new(payload);
        let frame = match kind {
            STDOUT => return Ok(Self::Stdout(payload)),
            STDERR => return Ok(Self::Stderr(payload)),
            NOTICE => return text(kind, payload).map(Self::Notice),
            STILL_WAITING => return text(kind, payload).map(Self::StillWaiting),
            DENIAL => {
                let rule = text(kind, r.until_nul().ok_or(shape(kind))?)?;
                return Ok(Self::Denial { rule, reason: text(kind, r.rest())? });
            }
            FAILURE => {
                let code = r.u8().ok_or(shape(kind))?;
                return Ok(Self::Failure { code, text: text(kind, r.rest())? });
            }
            HANDOFF => {
                // What an unknown flag asks for would not be done.
                let flags = r.u8().filter(|flags| flags & !3 == 0).ok_or(shape(kind))?;
                let path = r.until_nul().ok_or(shape(kind))?;
                let set = Strings::new(r.rest()).ok_or(shape(kind))?;
                let (report, by_path) = (flags & 1 != 0, flags & 2 != 0);
                return Ok(Self::Handoff(Handoff { report, by_path, path, set }));
            }
            EXIT => r.u8().map(Self::Exit),
            EXIT_BY_SIGNAL => r.u8().map(Self::ExitBySignal),
            WANT_DESCRIPTORS => Some(Self::WantDescriptors),
            STOPPED => r.u8().map(Self::Stopped),
            RECONNECT => r.u16().map(Self::Reconnect),
            other => return Err(ProtocolError::UnknownFrame(other)),
        };
        frame.filter(|_| r.is_empty()).ok_or(shape(kind))
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Stdout(bytes) => put(out, STDOUT, &[bytes]),
            Self::Stderr(bytes) => put(out, STDERR, &[bytes]),
            Self::Exit(code) => put(out, EXIT, &[&[code]]),
            Self::ExitBySignal(signal) => put(out, EXIT_BY_SIGNAL, &[&[signal]]),
            Self::Handoff(Handoff { report, by_path, path, set }) => {
                let flags = u8::from(report) | u8::from(by_path) << 1;
                put(out, HANDOFF, &[&[flags], path, &[0], set.0]);
            }
            Self::Notice(text) => put(out, NOTICE, &[text.as_bytes()]),
            Self::Denial { rule, reason } => {
                put(out, DENIAL, &[rule.as_bytes(), &[0], reason.as_bytes()]);
            }
            Self::StillWaiting(text) => put(out, STILL_WAITING, &[text.as_bytes()]),
            Self::WantDescriptors => put(out, WANT_DESCRIPTORS, &[]),
            Self::Stopped(signal) => put(out, STOPPED, &[&[signal]]),
            Self::Reconnect(seconds) => put(out, RECONNECT, &[&seconds.to_be_bytes()]),
            Self::Failure { code, text } => put(out, FAILURE, &[&[code], text.as_bytes()]),
        }
    }
}

fn put(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let total = parts.iter().map(|p| p.len()).sum();
    out.extend_from_slice(&head(kind, length(total)));
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn head(kind: u8, length: u32) -> [u8; HEAD] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind, a, b, c, d]
}

/// The head of a standard output frame of `length` bytes, for whoever writes the bytes themselves from elsewhere.
#[must_use]
pub fn stdout_head(length: u32) -> [u8; HEAD] {
    head(STDOUT, length)
}

/// The head of a standard error frame of `length` bytes.
#[must_use]
pub fn stderr_head(length: u32) -> [u8; HEAD] {
    head(STDERR, length)
}

/// The head of a standard input frame of `length` bytes.
#[must_use]
pub fn stdin_head(length: u32) -> [u8; HEAD] {
    head(STDIN, length)
}

fn text(kind: u8, bytes: &[u8]) -> Result<&str, ProtocolError> {
    core::str::from_utf8(bytes)
        .map_err(|_| ProtocolError::BadFrame { kind, problem: "its text is not UTF-8" })
}

fn shape(kind: u8) -> ProtocolError {
    ProtocolError::BadFrame { kind, problem: "its length or content is not of its type" }
}

fn limit(kind: u8) -> u32 {
    if is_stream(kind) { MAX_STREAM_FRAME } else { MAX_CONTROL_FRAME }
}

/// Whether frames of this type carry a piece of a stream, which may be used before all of it has arrived.
#[must_use]
pub fn is_stream(kind: u8) -> bool {
    matches!(kind, STDIN | STDOUT | STDERR)
}

/// The type and the length in the bytes before a frame's payload.
///
/// # Errors
/// [`ProtocolError::FrameTooLong`] for a length over the limit of the type.
pub fn parse_head(head: [u8; HEAD]) -> Result<(u8, u32), ProtocolError> {
    let [kind, a, b, c, d] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    if length > limit(kind) {
        return Err(ProtocolError::FrameTooLong { kind, length });
    }
    Ok((kind, length))
}

/// Bytes as they arrive, given back as whole frames.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), taken: 0 }
    }

    /// Adds bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, as type and payload; `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`ProtocolError::FrameTooLong`], before any of the payload is waited for.
    pub fn next_frame(&mut self) -> Result<Option<(u8, &[u8])>, ProtocolError> {
        let rest = &self.bytes[self.taken..];
        let Some(head) = rest.first_chunk::<HEAD>() else { return Ok(None) };
        let (kind, length) = parse_head(*head)?;
        let Ok(size) = usize::try_from(length) else { return Ok(None) };
        let from = self.taken + HEAD;
        if self.bytes.len() - from < size {
            return Ok(None);
        }
        self.taken = from + size;
        Ok(Some((kind, &self.bytes[from..from + size])))
    }

    /// The next byte on its own, for the acks that come before frames.
    pub fn next_byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.taken).copied()?;
        self.taken += 1;
        Some(byte)
    }

    /// The next byte without taking it.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.taken).copied()
    }

    /// Whether every byte was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

/// Whether a byte that comes while a version 2 request is pending starts a frame; else it is the second ack.
#[must_use]
pub fn starts_frame(byte: u8) -> bool {
    byte > 15
}

#[cfg(test)]
mod tests;
