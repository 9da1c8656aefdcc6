//! Why a call to the engine has no answer.

use std::time::Duration;

use thiserror::Error;

/// Characters of the engine's own words that are passed on.
const LONGEST_MESSAGE: usize = 500;

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A process that is started in a container.
    Exec,
    /// The engine itself.
    Engine,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Exec => "exec",
            Self::Engine => "engine",
        })
    }
}

/// Why a call to the engine has no answer. Texts of the engine are cut, never trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    /// None is to be used.
    #[error("no container engine is used; start the warden with --engine unix:///run/docker.sock")]
    Unwanted,
    /// There is none, or it went away in the middle of the call.
    #[error(
        "no container engine answers at {address}: {why}; start it, or name another with --engine"
    )]
    Absent {
        /// Where it was looked for.
        address: String,
        /// The cause.
        why: String,
    },
    /// The warden may not use its socket.
    #[error("the container engine at {address} may not be used by the warden: {why}")]
    Forbidden {
        /// Its socket.
        address: String,
        /// The cause.
        why: String,
    },
    /// It speaks no version of the API that we do.
    #[error(
        "the container engine at {address} speaks API {api}, and {oldest} is the oldest that serves; update it"
    )]
    TooOld {
        /// Its socket.
        address: String,
        /// The newest that it speaks.
        api: String,
        /// The oldest that we speak.
        oldest: String,
    },
    /// What was named is not there.
    #[error("there is no {kind} `{name}`: {message}")]
    NotFound {
        /// What it would be.
        kind: Kind,
        /// How it was named.
        name: String,
        /// What the engine says; another thing may be missing than the one named, such as a network.
        message: String,
    },
    /// It is in another state than the call needs: paused already, not running, in use.
    #[error("the {kind} `{name}` is not in a state for that: {message}")]
    Conflict {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// What the engine says.
        message: String,
    },
    /// The engine says no, or failed at it.
    #[error("the container engine refused ({status}): {message}")]
    Refused {
        /// The HTTP status; 200 where the refusal came in the middle of an answer.
        status: u16,
        /// What it says.
        message: String,
    },
    /// No answer in time. Whether it was carried out is unknown.
    #[error("the container engine did not answer within {} s to {call}", after.as_secs())]
    TimedOut {
        /// The call.
        call: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// Its answer is not understood.
    #[error("the container engine's answer to {call} is not understood: {why}")]
    Unreadable {
        /// The call.
        call: &'static str,
        /// The cause.
        why: String,
    },
    /// The name cannot be one.
    #[error("`{name}` cannot be the name of a {kind}")]
    BadName {
        /// What it would be.
        kind: Kind,
        /// The name.
        name: String,
    },
}

impl EngineError {
    /// Whether no engine can be used at all, so that everything without it goes on.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::Unwanted | Self::Absent { .. } | Self::Forbidden { .. } | Self::TooOld { .. }
        )
    }

    /// Whether what was named is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// The engine's words, on one line and not too many of them.
pub(super) fn cut(message: &str) -> String {
    let line = message.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_says_is_cut_and_has_no_control_characters() {
        assert_eq!(cut("a\n\u{1b}[31mb"), "a  [31mb");
        assert_eq!(cut(&"x".repeat(2000)).len(), LONGEST_MESSAGE);
    }
}
