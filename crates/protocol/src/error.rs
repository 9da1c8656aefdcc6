//! What can be wrong with bytes that came over the intercom.

use core::fmt;

/// A message that is not of the protocol. Whoever reads one closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolError {
    /// The length that a request announced is over its limit.
    RequestTooLong {
        /// The length announced.
        length: u32,
        /// The limit.
        limit: u32,
    },
    /// The JSON part of a request does not parse or lacks a field.
    BadHeader(alloc::string::String),
    /// A request carries fields of both versions.
    MixedVersions(&'static str),
    /// The version is one that this side does not speak.
    UnknownVersion(u64),
    /// The strings after the JSON part are not those that it counts.
    BadBody(&'static str),
    /// The first byte of an answer is no ack.
    UnknownAck(u8),
    /// A frame type that this side does not accept.
    UnknownFrame(u8),
    /// A frame's length is over the limit of its type.
    FrameTooLong {
        /// The frame's type.
        kind: u8,
        /// The length announced.
        length: u32,
    },
    /// A frame's payload is not of its type's shape.
    BadFrame {
        /// The frame's type.
        kind: u8,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A message between warden and runner is cut short or malformed.
    BadRunnerMessage(&'static str),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestTooLong { length, limit } => {
                write!(f, "a request of {length} bytes is over the limit of {limit}")
            }
            Self::BadHeader(problem) => write!(f, "the request's header does not parse: {problem}"),
            Self::MixedVersions(field) => {
                write!(f, "a version 1 request carries `{field}`, a field of version 2")
            }
            Self::UnknownVersion(v) => {
                write!(f, "version {v} of the protocol is not known here; 1 and 2 are")
            }
            Self::BadBody(problem) => write!(f, "the request's strings are wrong: {problem}"),
            Self::UnknownAck(byte) => write!(f, "{byte} is no ack; 0, 1 and 2 are"),
            Self::UnknownFrame(kind) => write!(f, "a frame of type {kind} is not accepted here"),
            Self::FrameTooLong { kind, length } => {
                write!(f, "a frame of type {kind} announces {length} bytes, over its limit")
            }
            Self::BadFrame { kind, problem } => {
                write!(f, "a frame of type {kind} is malformed: {problem}")
            }
            Self::BadRunnerMessage(problem) => {
                write!(f, "a message between warden and runner is malformed: {problem}")
            }
        }
    }
}

impl core::error::Error for ProtocolError {}
