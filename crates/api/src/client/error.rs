//! Why a call has no answer, or a bad one.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;

use super::remote;
use crate::error::ErrorBody;

/// Characters of an answer that is no JSON, shown in the error.
const SHOWN: usize = 200;

/// Why a call has no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no warden can be reached at {path:?}: {source}; {}", remedy(source))]
    Unreachable {
        /// The control socket.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The warden says no.
    #[error("{}", .0.message)]
    Api(ErrorBody),
    /// What came is no answer of this API.
    #[error("the warden's answer is not understood: {0}; is it of another version?")]
    Protocol(String),
    /// The warden closed the connection before its answer was whole: it is going down, was killed, or could not go on.
    /// Whether the call was carried out is unknown.
    #[error(
        "the warden at {path:?} broke off: it is going down, has ended, or could not go on (its log tells); try again in a moment"
    )]
    BrokenOff {
        /// The control socket.
        path: PathBuf,
    },
    /// The warden took the call and did not answer in time. Whether it was carried out is unknown.
    #[error("the warden at {path:?} did not answer within {} s; `clawrden status` tells how it is", after.as_secs())]
    TimedOut {
        /// The control socket.
        path: PathBuf,
        /// How long it had.
        after: Duration,
    },
}

fn remedy(source: &io::Error) -> &'static str {
    if let Some(remedy) = remote::remedy(source) {
        return remedy;
    }
    match source.kind() {
        io::ErrorKind::NotFound => {
            "no warden serves this user yet: start one with `clawrden run -- CMD` or `clawrden warden`"
        }
        io::ErrorKind::ConnectionRefused => {
            "the warden that made this socket has ended: start one with `clawrden run -- CMD` or `clawrden warden`"
        }
        io::ErrorKind::PermissionDenied => {
            "only the warden's own user and root may: use `sudo`, or the socket of a warden of yours"
        }
        _ => "see `clawrden status` and the warden's own log",
    }
}

/// What an answer says that is no success.
pub(super) fn refusal(status: StatusCode, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(body) => ClientError::Api(body),
        Err(_) => {
            let text = String::from_utf8_lossy(bytes);
            let shown: String = text.chars().take(SHOWN).collect();
            ClientError::Protocol(format!("status {} with {shown:?}", status.as_u16()))
        }
    }
}

/// What it means that no answer came from the warden at `path`, or only a part of one.
pub(super) fn cut_off(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> ClientError {
    let error = error.into();
    if error.downcast_ref().is_some_and(broke_off) {
        return ClientError::BrokenOff { path: path.to_owned() };
    }
    protocol(&*error)
}

/// Whether the other side closed the connection before it had said everything.
fn broke_off(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let closed = source.is_some_and(|source| {
        matches!(
            source.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        )
    });
    closed || error.is_closed() || error.is_canceled() || error.is_incomplete_message()
}

pub(super) fn protocol(error: impl Error) -> ClientError {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    ClientError::Protocol(text)
}
