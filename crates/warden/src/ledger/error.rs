//! What can go wrong with a ledger. Whoever gets one of these runs nothing that needed the record.

use std::io;
use std::path::PathBuf;

/// Why the ledger cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another warden writes it.
    #[error("the ledger {path:?} is written by {holder}; stop that one, or give another file")]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// Its place cannot be trusted.
    #[error("{path:?} cannot hold the ledger: {why}")]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        why: String,
    },
    /// An operation on one of its files failed.
    #[error("cannot {what} {path:?}: {source}")]
    Io {
        /// What was tried: `open`, `write`, …
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// Somebody else removed or wrote it while it was open.
    #[error(
        "the ledger {path:?} was changed by somebody else: {what}; restart the warden to look at it"
    )]
    Changed {
        /// The ledger.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// What was written did not reach the disk.
    #[error(
        "what was written to {path:?} did not reach the disk: {why}; it is tried again every second"
    )]
    NotOnDisk {
        /// The ledger.
        path: PathBuf,
        /// What the kernel said.
        why: String,
    },
    /// The disk is too slow.
    #[error("the disk of {path:?} does not keep up: too much waits to be put on it")]
    Behind {
        /// The ledger.
        path: PathBuf,
    },
    /// A record is longer than any line may be.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A record has no form in JSON.
    #[error("a record cannot be written down: {0}")]
    Encode(String),
    /// A filter of a history query is not understood.
    #[error("the filter {name}={value:?} is not understood; {expected}")]
    BadFilter {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl LedgerError {
    pub(super) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
