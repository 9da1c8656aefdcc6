//! The first byte of an answer.

use crate::error::ProtocolError;

/// What the warden says first about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ack {
    /// The command runs; frames follow.
    Allowed = 0,
    /// The command does not run.
    Denied = 1,
    /// A person is asked; another ack follows.
    Pending = 2,
}

impl TryFrom<u8> for Ack {
    type Error = ProtocolError;

    fn try_from(byte: u8) -> Result<Self, ProtocolError> {
        match byte {
            0 => Ok(Self::Allowed),
            1 => Ok(Self::Denied),
            2 => Ok(Self::Pending),
            other => Err(ProtocolError::UnknownAck(other)),
        }
    }
}
