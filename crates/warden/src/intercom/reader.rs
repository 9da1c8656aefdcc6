//! Reading one request: never more memory than was really sent, never longer than the deadline.

use std::io;

use clawrden_protocol::limits::REQUEST_DEADLINE;
use clawrden_protocol::{ProtocolError, Request, request::check_length};
use thiserror::Error;

use super::connection::Connection;
use super::gate::{Closing, FREE_BYTES, Pass};

/// The most that is read at once, and that memory grows by.
const STEP: usize = 64 * 1024;

/// Why a request could not be read. The connection is closed.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The client closed it before the last byte.
    #[error("the client went away in the middle of its request")]
    Cut,
    /// The deadline passed.
    #[error("the request was not complete after {} s", REQUEST_DEADLINE.as_secs())]
    TooSlow,
    /// Others needed the room.
    #[error("closed to make room for other clients")]
    Evicted,
    /// The bytes are not a request.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The socket failed.
    #[error("reading the request: {0}")]
    Io(#[from] io::Error),
}

/// Reads a request.
pub(crate) async fn read_request(
    connection: &mut Connection,
    pass: &Pass,
) -> Result<Request, ReadError> {
    let bytes = tokio::select! {
        biased;
        bytes = read_bytes(connection, pass) => bytes?,
        why = pass.closing() => return Err(match why {
            Closing::Evicted => ReadError::Evicted,
            Closing::Late => ReadError::TooSlow,
        }),
    };
    pass.read(bytes.len());
    Ok(Request::parse(bytes)?)
}

async fn read_bytes(connection: &mut Connection, pass: &Pass) -> Result<Vec<u8>, ReadError> {
    let mut head = [0; 4];
    exactly(connection, &mut head).await?;
    let length = check_length(u32::from_be_bytes(head))?;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let from = bytes.len();
        // The free bytes first, so that whatever goes beyond them was asked for.
        let step = if from < FREE_BYTES { FREE_BYTES - from } else { STEP }.min(length - from);
        if from >= FREE_BYTES && !pass.take(step).await {
            return Err(ReadError::Evicted);
        }
        bytes.resize(from + step, 0);
        exactly(connection, &mut bytes[from..]).await?;
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

async fn exactly(connection: &mut Connection, into: &mut [u8]) -> Result<(), ReadError> {
    let mut have = 0;
    while have < into.len() {
        match connection.read(&mut into[have..]).await? {
            0 => return Err(ReadError::Cut),
            n => have += n,
        }
    }
    Ok(())
}
