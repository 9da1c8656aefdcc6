//! Connection: finding the warden, asking it, wording its refusals.

use std::path::{Path, PathBuf};

use clawrden_api::{Client, ClientError, ErrorCode};
use clawrden_warden::jails::Places;

use crate::elsewhere;
use crate::failure::{Failure, chain};

/// A client of the control plane, and where it looks.
pub(crate) struct Connection {
    pub(crate) client: Client,
}

impl Connection {
    /// The warden elsewhere that was named, else the control socket that was, else this user's.
    ///
    /// # Errors
    /// [`Failure::Usage`] where this user has no places.
    pub(crate) fn new(control: Option<&Path>) -> Result<Self, Failure> {
        if let Some(client) = elsewhere::client() {
            return Ok(Self { client });
        }
        let path = match control {
            Some(path) => path.to_owned(),
            None => places()?.control_socket(),
        };
        Ok(Self { client: Client::unix(path) })
    }

    /// Words an error of the client.
    pub(crate) fn failure(error: ClientError) -> Failure {
        match error {
            ClientError::Api(body) => {
                let text = format!("{}{}", body.message, hint(body.code));
                match body.code {
                    ErrorCode::BadPolicy | ErrorCode::BadRequest => Failure::Usage(text),
                    _ => Failure::Refused(text),
                }
            }
            other => Failure::Unreachable(other.to_string()),
        }
    }
}

fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotFound => "; `clawrden queue` lists what waits, `clawrden history` what was",
        ErrorCode::Ambiguous => "; give more of its digits",
        ErrorCode::LedgerUnavailable => "; `clawrden status` says which file",
        _ => "",
    }
}

/// Where everything of this user lies.
///
/// # Errors
/// [`Failure::Usage`] when the environment does not tell.
pub(crate) fn places() -> Result<Places, Failure> {
    Places::of_this_user().map_err(|e| Failure::Usage(chain(&e)))
}

/// The intercom socket of the jail that this process is in, or else of the default jail.
///
/// # Errors
/// [`Failure::Usage`] when the environment does not tell.
pub(crate) fn socket() -> Result<PathBuf, Failure> {
    match std::env::var_os("CLAWRDEN_SOCKET") {
        Some(socket) => Ok(PathBuf::from(socket)),
        None => Ok(places()?.default_socket()),
    }
}

/// Runs what a verb asks of the warden, on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(work))
        .map_err(|e| Failure::Refused(format!("the event loop cannot be started: {e}")))
}

/// Asks the warden one thing.
///
/// # Errors
/// As [`Connection::new`], and what came instead of an answer.
pub(crate) fn ask<T>(
    control: Option<&Path>,
    question: impl AsyncFnOnce(&Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let connection = Connection::new(control)?;
    block_on(question(&connection.client))?.map_err(Connection::failure)
}
