//! How a verb fails: the exit code that programs read and the sentence that people read.

use std::process::ExitCode;

/// Exit code: refused, not found, or answered before.
pub(crate) const REFUSED: u8 = 1;
/// Exit code: the command line, or a file that it names, is wrong.
pub(crate) const USAGE: u8 = 2;
/// Exit code: the warden cannot be reached.
pub(crate) const UNREACHABLE: u8 = 3;

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The warden, or the system, said no.
    #[error("{0}")]
    Refused(String),
    /// The command line or a file that it names is wrong.
    #[error("{0}")]
    Usage(String),
    /// The warden is not there.
    #[error("{0}")]
    Unreachable(String),
    /// An exit code with a meaning of its own, after which there may be nothing left to say.
    #[error("{text}")]
    Code {
        /// The code to exit with.
        code: u8,
        /// The sentence; empty when it has been said.
        text: String,
    },
}

/// What a verb gives back: the code of a success that is not always 0.
pub(crate) type Outcome = Result<ExitCode, Failure>;

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => REFUSED,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Code { code, .. } => *code,
        }
    }

    /// Says it on standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let text = self.to_string();
        if !text.is_empty() {
            eprintln!("clawrden: {text}");
        }
        ExitCode::from(self.code())
    }
}

/// Done, with nothing more to say.
pub(crate) fn done() -> Outcome {
    Ok(ExitCode::SUCCESS)
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
