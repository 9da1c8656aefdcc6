//! How a ledger is kept: when segments are closed, what is on the disk when, and who else learns where it stands.

use std::path::PathBuf;
use std::time::Duration;

/// How much of a ledger is kept; without a bound, all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// A segment goes when its newest record is so old.
    pub age: Option<Duration>,
    /// The oldest segments go while all files together have more bytes.
    pub bytes: Option<u64>,
}

impl Keep {
    /// Whether anything is ever dropped.
    #[must_use]
    pub fn drops(&self) -> bool {
        *self != Self::default()
    }
}

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// A file with at least so many bytes is closed, and the ledger goes on in a fresh one.
    pub segment_bytes: u64,
    /// A file whose first line is so old is closed too; `None` for never.
    pub segment_age: Option<Duration>,
    /// How much of it is kept.
    pub keep: Keep,
    /// Every line says that it was written in a dry run.
    pub dry_run: bool,
    /// What is on the disk when.
    pub durability: Durability,
    /// Closed segments are sealed, and the open one has its heads signed.
    pub signed: bool,
    /// How long a head of the open segment is the newest, while the ledger grows.
    pub heads: Duration,
    /// Who is told every signed head.
    pub anchors: Vec<Anchor>,
    /// How long after a failure of the disk it is tried again.
    pub again: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            segment_age: None,
            keep: Keep::default(),
            dry_run: false,
            durability: Durability::default(),
            signed: true,
            heads: Duration::from_secs(60),
            anchors: Vec::new(),
            again: Duration::from_secs(1),
        }
    }
}

/// What is on the disk when. The intent is written before the start in any case, and survives the warden; this is about
/// what survives the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durability {
    /// For commands that carry authority.
    pub authority: Promise,
    /// For all others, and for whatever else is recorded.
    pub harmless: Promise,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            authority: Promise::BeforeStart,
            harmless: Promise::Within(Duration::from_millis(50)),
        }
    }
}

/// When a record is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Before what it announces is done.
    BeforeStart,
    /// So long after it was written.
    Within(Duration),
    /// When the kernel likes, or much has come together.
    Never,
}

impl Durability {
    /// How long anything may wait for the disk.
    pub(super) fn longest(&self) -> Option<Duration> {
        let time = |promise| match promise {
            Promise::BeforeStart => Some(Duration::ZERO),
            Promise::Within(time) => Some(time),
            Promise::Never => None,
        };
        // What announces nothing, such as an end, waits as harmless commands do; it has nobody to hold up.
        match (time(self.harmless), time(self.authority)) {
            (Some(a), Some(b)) if b.is_zero() => Some(a),
            (Some(a), Some(b)) => Some(a.min(b)),
            (Some(a), None) => Some(a),
            (None, Some(b)) if !b.is_zero() => Some(b),
            (None, _) => None,
        }
    }
}

/// Where signed heads are kept that the ledger's writer cannot take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// Appended to a file, a line each.
    File(PathBuf),
    /// Given to a command on its standard input. It is run as the warden, without a shell.
    Command(Vec<String>),
    /// Sent to the system's log, by its socket.
    Syslog(PathBuf),
}
