//! Ledger: the append-only, hash-chained record of everything that was asked, decided and done.
//!
//! A record is in the file before what it announces is done; if it cannot be written, that is not done. Nothing that
//! is written is ever changed or silently repaired: damage is set aside or left in place, and reported.

mod argv;
mod backward;
mod error;
mod filter;
mod forward;
mod history;
mod id;
mod line;
mod place;
mod record;
mod recorded;
mod verify;
mod wake;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clawrden_api::{History, HistoryQuery, LedgerStatus};

pub use argv::{Argv, Fold, MAX_ARGV};
pub use error::LedgerError;
pub(crate) use filter::{Filter, Who, line, texts, tool};
pub(crate) use forward::{Mark, Step};
pub use history::{DEFAULT_LIMIT, MAX_LIMIT, MAX_PARTS};
pub(crate) use history::{Read, Seen};
pub(crate) use id::hex_into;
pub use id::{BadId, Id};
pub use line::MAX_LINE;
pub use record::*;
pub use verify::{Broken, Summary, VerifyError, verify};

use crate::events::Events;
use crate::metrics::Books;
use line::Stamp;
use place::{Place, open_to_read};
use verify::{Walk, last_line};
use wake::Wake;
use writer::{Encoded, Start, Writer};

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// A file with at least so many bytes is closed, and the ledger goes on in a fresh one.
    pub segment_bytes: u64,
    /// Every line says that it was written in a dry run.
    pub dry_run: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, dry_run: false }
    }
}

/// What was found when a ledger was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What stood behind the last whole line, and where it lies.
    pub torn: Option<Recovered>,
    /// The first line of the newest file that does not hold. It is left as it is; the chain goes on behind it.
    pub broken: Option<Broken>,
}

/// An open ledger. One process has it at a time; any thread may append.
pub struct Ledger {
    path: PathBuf,
    dry_run: bool,
    place: Place,
    writer: Mutex<Writer>,
    events: Events,
    /// Wakes who follows when something was written.
    wake: Wake,
    books: Books,
    /// Held for as long as the ledger is open.
    _lock: File,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger at `path`, makes it where it is absent, and takes it for this process alone.
    ///
    /// The newest file is read and its chain checked. A last line without its end is moved into a file beside it. Both
    /// that and a chain that does not hold are reported, and recorded in the ledger itself.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] when another process has it, [`LedgerError::Refused`] when its place cannot be trusted,
    /// [`LedgerError::Io`] for the rest.
    pub fn open(path: &Path, options: &Options) -> Result<(Self, Recovery), LedgerError> {
        let place = Place::new(path)?;
        place.prepare()?;
        let lock = place.lock()?;
        let file = place.open_active()?;
        let mut walk = Walk::after(newest_closed(&place)?);
        let scan = walk.scan(&place.active(), &file)?;
        let stamp = Stamp::new(now_ms()).of_dry_run(options.dry_run);
        let torn = writer::set_aside(&place, &file, scan.bytes, &stamp)?;
        if torn.is_some() {
            file.set_len(scan.bytes).map_err(LedgerError::io("truncate", place.active()))?;
        }
        let recovery = Recovery { torn, broken: scan.broken };
        let head = walk.head();
        let first = scan.first.unwrap_or(head.seq.saturating_add(1));
        let start = Start { first, good: scan.bytes };
        let path = place.active();
        let writer = Writer::new(place.clone(), file, head, start, options.segment_bytes.max(1));
        let dry_run = options.dry_run;
        let ledger = Self {
            path,
            dry_run,
            place,
            writer: Mutex::new(writer),
            events: Events::default(),
            wake: Wake::default(),
            books: Books::default(),
            _lock: lock,
        };
        if let Some(record) = recovery.record() {
            ledger.append(&[record])?;
        }
        Ok((ledger, recovery))
    }

    /// Writes records, all of them or none, and gives the sequence number of the last.
    ///
    /// It blocks for one write to the page cache. When it returns, the records survive the death of this process.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing is written, and what was to be recorded must not be done. The next call tries again.
    pub fn append(&self, records: &[Record]) -> Result<u64, LedgerError> {
        let began = Instant::now();
        let written = Encoded::new(records).and_then(|encoded| {
            let stamp = Stamp::new(now_ms()).of_dry_run(self.dry_run);
            self.writer().append(&encoded, &stamp)
        });
        match &written {
            Ok(_) => {
                self.wake.up();
                self.books.wrote(records, began.elapsed());
                self.events.recorded(records);
            }
            Err(error) => {
                self.books.failed();
                self.events.alarm(&error.to_string());
            }
        }
        written
    }

    /// What is counted of it.
    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// Why nothing can be written, as far as can be told without writing. Looks at the file, so it may block.
    pub(crate) fn fault(&self) -> Option<String> {
        let mut writer = self.writer();
        let known = writer.error().map(str::to_owned);
        known.or_else(|| writer.check().err().map(|error| error.to_string()))
    }

    /// What `status` shows.
    #[must_use]
    pub fn status(&self) -> LedgerStatus {
        let writer = self.writer();
        LedgerStatus {
            path: self.path.to_string_lossy().into_owned(),
            sequence: writer.head().seq,
            error: writer.error().map(str::to_owned),
        }
    }

    /// What is written, for who listens.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One page of requests, newest first. Reads files and may take long: not for an async task.
    ///
    /// # Errors
    /// [`LedgerError::BadFilter`] for a filter that is not understood, else what reading gives.
    pub fn history(&self, query: &HistoryQuery) -> Result<History, LedgerError> {
        let view = self.writer().view();
        history::search(&self.place, view, query)
    }

    /// What the end of a request says of its recording. Reads files and may take long: not for an async task.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn recorded(&self, id: Id) -> Result<Option<Recorded>, LedgerError> {
        let view = self.writer().view();
        recorded::find(&self.place, view, id)
    }

    /// Hands whole lines behind `mark` to `read`, oldest first, and moves the mark: about `budget` bytes.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn read_on(
        &self,
        mark: &mut Mark,
        budget: usize,
        read: impl FnMut(&[u8]),
    ) -> Result<Step, LedgerError> {
        let view = self.writer().view();
        forward::step(&self.place, &view, mark, budget, read)
    }

    /// Whether `mark` was made in this ledger.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn knows(&self, mark: &Mark) -> Result<bool, LedgerError> {
        let view = self.writer().view();
        forward::is_known(&self.place, &view, mark)
    }

    /// What wakes the one thread that follows when something was written.
    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// The newest record's sequence number; 0 for none.
    pub(crate) fn sequence(&self) -> u64 {
        self.writer().head().seq
    }

    /// Bytes of the whole ledger, and of those that are before `mark`.
    ///
    /// # Errors
    /// When a file cannot be looked at.
    pub(crate) fn sizes(&self, mark: &Mark) -> Result<(u64, u64), LedgerError> {
        let view = self.writer().view();
        forward::sizes(&self.place, &view, mark)
    }

    /// The file beside the ledger that ends in `.suffix`.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        PathBuf::from(name)
    }

    /// A panic elsewhere while the writer was held does not close the ledger: the writer changes its state only when a
    /// write is done.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recovery {
    fn record(&self) -> Option<Record> {
        if self.torn.is_none() && self.broken.is_none() {
            return None;
        }
        let torn = self.torn.clone();
        let mut record = torn.unwrap_or(Recovered { torn_bytes: 0, file: None, broken: None });
        record.broken = self.broken.as_ref().map(ToString::to_string);
        Some(Record::Recovered(record))
    }
}

fn newest_closed(place: &Place) -> Result<Option<writer::Head>, LedgerError> {
    match place.segments()?.pop() {
        Some((_, path)) => last_line(&path, &open_to_read(&path)?),
        None => Ok(None),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
