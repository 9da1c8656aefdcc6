//! The verbs, one file each, and what they share: finding the warden, asking it, wording its refusals.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clawrden_api::{Client, ClientError, ErrorCode};
use clawrden_warden::jails::Places;

use crate::failure::{Failure, Outcome};

pub(crate) mod answer;
pub(crate) mod approvals;
pub(crate) mod approve;
pub(crate) mod attach;
pub(crate) mod audit;
pub(crate) mod bridge;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dashboard;
pub(crate) mod deny;
pub(crate) mod elsewhere;
pub(crate) mod follow;
pub(crate) mod grants;
pub(crate) mod harden;
pub(crate) mod health;
pub(crate) mod heard;
pub(crate) mod history;
pub(crate) mod hook;
pub(crate) mod install;
pub(crate) mod jails;
pub(crate) mod kill;
pub(crate) mod metrics;
pub(crate) mod notify;
pub(crate) mod openapi;
pub(crate) mod overview;
pub(crate) mod people;
pub(crate) mod policy;
pub(crate) mod ps;
pub(crate) mod queue;
pub(crate) mod replay;
pub(crate) mod resume;
pub(crate) mod shims;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod token;
pub(crate) mod uninstall;
pub(crate) mod wait;
pub(crate) mod warden;
pub(crate) mod watch;
pub(crate) mod whoami;

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

/// An error with its causes, said once each.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
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

/// Done, with nothing more to say.
pub(crate) fn done() -> Outcome {
    Ok(ExitCode::SUCCESS)
}

/// The text of a regular file of at most `limit` bytes.
///
/// # Errors
/// What the system says, or that it is longer or no UTF-8.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<String> {
    // Before opening: a pipe would make us wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let read =
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= limit) {
        return Ok(text);
    }
    Err(io::Error::other(format!("it is longer than {limit} bytes")))
}
