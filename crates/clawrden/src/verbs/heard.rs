//! What the warden answers over the intercom to a client that starts nothing: one that waits, or only asks.

use std::io::{ErrorKind, Read};

use clawrden_protocol::limits::{EXIT_UNREACHABLE, MAX_CONTROL_FRAME};
use clawrden_protocol::{Ack, ProtocolError, ToClient};

use crate::failure::Failure;

/// The answer. Its texts are the warden's and the approver's, not made harmless yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The policy or a person says yes.
    Approved,
    /// No, with the reason and the rule.
    Denied(String),
    /// Nobody has answered in the time that the jail lets a caller wait.
    StillWaiting(String),
    /// It came to no decision; one of our exit codes.
    Failed {
        /// The code.
        code: u8,
        /// Why.
        text: String,
    },
    /// Something else altogether.
    Odd,
}

/// Reads acks and frames until one of them is the answer. Notices on the way go to `notice`.
///
/// Until a deciding ack has come, a byte of 0 to 2 where a message begins is an ack: the frames that may come before
/// it have types from 32 upward.
///
/// # Errors
/// When the warden goes away, or says what cannot be understood.
pub(crate) fn answer(from: &mut impl Read, mut notice: impl FnMut(&str)) -> Result<Heard, Failure> {
    let mut ack = Ack::Pending;
    loop {
        let [first] = exactly(from)?;
        if ack == Ack::Pending && first <= Ack::Pending as u8 {
            ack = Ack::try_from(first).map_err(|e| malformed(&e))?;
            continue;
        }
        let length = u32::from_be_bytes(exactly(from)?);
        if length > MAX_CONTROL_FRAME {
            return Err(malformed(&ProtocolError::FrameTooLong { kind: first, length }));
        }
        let mut payload = Vec::new();
        let read = from.take(u64::from(length)).read_to_end(&mut payload).map_err(|e| gone(&e))?;
        if u32::try_from(read) != Ok(length) {
            return Err(gone(&ErrorKind::UnexpectedEof.into()));
        }
        match ToClient::parse(first, &payload).map_err(|e| malformed(&e))? {
            ToClient::Notice(text) => notice(text),
            frame => return Ok(meaning(ack, frame)),
        }
    }
}

fn meaning(ack: Ack, frame: ToClient<'_>) -> Heard {
    match frame {
        ToClient::StillWaiting(text) => Heard::StillWaiting(text.to_owned()),
        ToClient::Failure { code, text } => Heard::Failed { code, text: text.to_owned() },
        ToClient::Denial { rule: "", reason } => Heard::Denied(reason.to_owned()),
        ToClient::Denial { rule, reason } => Heard::Denied(format!("{reason} ({rule})")),
        ToClient::Exit(0) if ack == Ack::Allowed => Heard::Approved,
        _ => Heard::Odd,
    }
}

fn exactly<const N: usize>(from: &mut impl Read) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|e| gone(&e))?;
    Ok(bytes)
}

fn gone(error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => error.to_string(),
    };
    Failure::Unreachable(format!("the warden has not answered: {why}; try again, nothing was lost"))
}

fn malformed(error: &ProtocolError) -> Failure {
    Failure::Code {
        code: EXIT_UNREACHABLE,
        text: format!("the warden's answer is not understood: {error}"),
    }
}
