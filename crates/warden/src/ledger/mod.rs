//! Ledger: the append-only, hash-chained record of everything that was asked, decided and done.
//!
//! A record is in the file before what it announces is done; if it cannot be written, that is not done. Nothing that
//! is written is ever changed or silently repaired: damage is set aside or left in place, and reported.

mod about;
mod anchor;
mod argv;
mod backward;
mod bell;
mod blocks;
mod books;
mod dropped;
mod encoded;
mod ends;
mod error;
mod export;
mod filter;
mod flusher;
mod forward;
mod head;
mod history;
mod id;
mod keys;
mod line;
mod lines;
mod listener;
mod opening;
mod options;
mod place;
mod record;
mod recorded;
mod retention;
mod schema;
mod unsynced;
mod verify;
mod wake;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::MutexGuard;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clawrden_api::{History, HistoryQuery, LedgerStatus};

pub use about::{DiskFailed, Opened, SCHEMA};
pub use argv::{Argv, Fold, MAX_ARGV};
pub use dropped::{Bound, Dropped};
pub use error::LedgerError;
pub use export::{Export, Which};
pub(crate) use filter::{Filter, Who, ids, line, texts, tool};
pub(crate) use forward::{Mark, Step};
pub use head::{Anchored, SignedHead};
pub use history::{DEFAULT_LIMIT, MAX_LIMIT, MAX_PARTS};
pub(crate) use history::{Read, Seen};
pub use id::{BadId, Id};
pub(crate) use id::{RequestId, hex_into};
pub use keys::{BadKey, PublicKey};
pub use line::MAX_LINE;
pub use lines::{Found, Lines};
pub(crate) use listener::Listener;
pub use opening::Recovery;
pub use options::{Anchor, Durability, Keep, Options, Promise};
pub use record::*;
pub(crate) use retention::{RECORDING_ENDING, Retained};
pub use schema::SCHEMA_JSON;
pub use verify::{
    Broken, Damage, Proof, Summary, VerifyError, files_of, heads_in, verify, verify_by,
};
#[cfg(test)]
pub(crate) use writer::MAX_OWED;

use anchor::Anchors;
use bell::Bell;
use books::Books;
use encoded::Encoded;
use flusher::{Flusher, Shared};
use keys::Key;
use place::Place;
use wake::Wake;
use writer::Writer;

/// How long somebody waits for the disk.
const DISK_WITHIN: Duration = Duration::from_secs(30);

/// How long a ledger that is closed waits for the disk.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// An open ledger. One process has it at a time; any thread may append.
pub struct Ledger {
    path: PathBuf,
    shared: Arc<Shared>,
    durability: Durability,
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
    /// [`LedgerError::InUse`] when another process has it, [`LedgerError::Refused`] when its place or its key cannot be
    /// trusted, [`LedgerError::Io`] for the rest.
    pub fn open(path: &Path, options: &Options) -> Result<(Self, Recovery), LedgerError> {
        let place = Place::new(path)?;
        place.prepare()?;
        let lock = place.lock()?;
        let key = options.signed.then(|| Key::of(place.directory())).transpose()?.map(Arc::new);
        let (writer, recovery) = opening::take_up(&place, key.clone(), options)?;
        let path = place.active();
        let shared = Arc::new(Shared {
            place,
            books: writer.books(),
            writer: Mutex::new(writer),
            listener: OnceLock::new(),
            bell: Bell::default(),
            wake: Wake::default(),
            closed: OnceLock::new(),
            anchors: Anchors::start(options.anchors.clone())
                .map_err(LedgerError::io("start a thread for", &path))?,
            longest: options.durability.longest().or(key.is_some().then_some(options.heads)),
            key,
            dry_run: options.dry_run,
            heads: options.heads,
            again: options.again,
            sync: Mutex::new(Box::new(File::sync_data)),
        });
        let flusher = Flusher::new(Arc::clone(&shared));
        thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || flusher.run())
            .map_err(LedgerError::io("start a thread for", &path))?;
        let durability = options.durability;
        let ledger = Self { path, shared, durability, _lock: lock };
        if let Some(record) = recovery.record() {
            ledger.append(&[record])?;
        }
        Ok((ledger, recovery))
    }

    /// Writes records, all of them or none, and gives the sequence number of the last.
    ///
    /// It blocks for one write to the page cache. When it returns, the records survive the death of this process; when
    /// they survive the machine's, [`Ledger::on_disk`] tells.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing is written, and what was to be recorded must not be done. The next call tries again.
    pub fn append(&self, records: &[Record]) -> Result<u64, LedgerError> {
        let began = Instant::now();
        let encoded = Encoded::new(records)?;
        let stamp = self.shared.stamp();
        let written = self.write(|writer| writer.append(&encoded, &stamp));
        if written.is_ok() {
            self.shared.books.took(began.elapsed());
            self.shared.heard(|listener| listener.recorded(records));
        }
        written
    }

    /// Writes records of what has happened and cannot be refused any more. While they cannot be written, they are kept
    /// and written before anything else.
    ///
    /// # Errors
    /// [`LedgerError`]: they are not written yet.
    pub fn record(&self, records: &[Record]) -> Result<u64, LedgerError> {
        let began = Instant::now();
        let encoded = Encoded::new(records)?;
        let stamp = self.shared.stamp();
        let written = self.write(|writer| writer.append_or_owe(encoded, &stamp));
        if written.is_ok() {
            self.shared.books.took(began.elapsed());
        }
        // It has happened, written or not.
        self.shared.heard(|listener| listener.recorded(records));
        written
    }

    fn write(
        &self,
        append: impl FnOnce(&mut Writer) -> Result<u64, LedgerError>,
    ) -> Result<u64, LedgerError> {
        let Shared { bell, books, .. } = &*self.shared;
        let mut writer = self.shared.writer();
        let done = append(&mut writer);
        let is_large = writer.is_unsynced_large();
        drop(writer);
        match &done {
            Ok(_) => {
                bell.wrote(is_large);
                self.shared.wake.up();
            }
            Err(error) => {
                books.failed();
                bell.trouble();
                self.shared.heard(|listener| listener.alarm(&error.to_string()));
            }
        }
        done
    }

    /// Waits until the line of this number, and so all before it, is on the disk. Many who wait share one write.
    ///
    /// # Errors
    /// [`LedgerError::NotOnDisk`] when the disk did not take it, or did not in good time: what it announces must not be
    /// done.
    pub async fn on_disk(&self, seq: u64) -> Result<(), LedgerError> {
        let Some(landed) = self.shared.bell.wait_for(seq) else { return Ok(()) };
        self.shared.books.awaited.add(1);
        let why = match tokio::time::timeout(DISK_WITHIN, landed).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(why))) => why,
            Ok(Err(_)) => "the ledger is closed".to_owned(),
            Err(_) => {
                let why = format!("the disk did not answer within {} s", DISK_WITHIN.as_secs());
                self.shared.books.failed();
                self.shared.heard(|listener| listener.alarm(&why));
                why
            }
        };
        Err(LedgerError::NotOnDisk { path: self.path.clone(), why })
    }

    /// Waits as the durability says that commands with and without authority wait before they start.
    ///
    /// # Errors
    /// As [`Ledger::on_disk`].
    pub async fn promised(&self, seq: u64, has_authority: bool) -> Result<(), LedgerError> {
        let Durability { authority, harmless } = self.durability;
        let promise = if has_authority { authority } else { harmless };
        match promise {
            Promise::BeforeStart => self.on_disk(seq).await,
            Promise::Within(_) | Promise::Never => Ok(()),
        }
    }

    /// Puts everything on the disk and signs where the ledger ends. What is written later is refused or lost; a disk
    /// that hangs is not waited for. Blocks, so it is not for an async task.
    pub fn close(&self) {
        self.shared.bell.close(CLOSE_WITHIN);
    }

    /// What is counted of it.
    pub(crate) fn books(&self) -> &Books {
        &self.shared.books
    }

    /// Times that an anchor did not take a head.
    pub(crate) fn anchor_errors(&self) -> u64 {
        self.shared.anchors.errors()
    }

    /// Why nothing can be written, as far as can be told without writing. Looks at the file, so it may block.
    pub(crate) fn fault(&self) -> Option<String> {
        let mut writer = self.shared.writer();
        let known = writer.error().map(str::to_owned);
        known.or_else(|| writer.check().err().map(|error| error.to_string()))
    }

    /// What `status` shows.
    #[must_use]
    pub fn status(&self) -> LedgerStatus {
        let writer = self.shared.writer();
        let (sequence, error) = (writer.head().seq, writer.error().map(str::to_owned));
        drop(writer);
        LedgerStatus {
            path: self.path.to_string_lossy().into_owned(),
            sequence,
            error,
            on_disk: self.shared.bell.synced(),
            anchor_error: self.shared.anchors.error(),
        }
    }

    /// Tells this one, and no other, of every record from here on.
    pub(crate) fn tell(&self, listener: impl Listener + 'static) {
        let _ = self.shared.listener.set(Box::new(listener));
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
        let view = self.shared.writer().view();
        history::search(&self.shared.place, view, query)
    }

    /// What the end of a request says of its recording. Reads files and may take long: not for an async task.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn recorded(&self, id: Id) -> Result<Option<Recorded>, LedgerError> {
        let view = self.shared.writer().view();
        recorded::find(&self.shared.place, view, id)
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
        let view = self.shared.writer().view();
        forward::step(&self.shared.place, &view, mark, budget, read)
    }

    /// The sequence number of the first line of the oldest file that is left.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn oldest(&self) -> Result<u64, LedgerError> {
        let view = self.shared.writer().view();
        let closed = self.shared.place.segments()?.into_iter().next();
        Ok(closed.map_or(view.first, |(first, _)| first.min(view.first)))
    }

    /// Whether `mark` was made in this ledger.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn knows(&self, mark: &Mark) -> Result<bool, LedgerError> {
        let view = self.shared.writer().view();
        forward::is_known(&self.shared.place, &view, mark)
    }

    /// Unparks this thread, and no other, whenever a segment was closed and is on the disk.
    pub(crate) fn tell_of_closed(&self, thread: Thread) {
        let _ = self.shared.closed.set(thread);
    }

    /// What wakes the one thread that follows when something was written.
    pub(crate) fn wake(&self) -> &Wake {
        &self.shared.wake
    }

    /// The newest record's sequence number; 0 for none.
    pub(crate) fn sequence(&self) -> u64 {
        self.shared.writer().head().seq
    }

    /// Bytes of the whole ledger, and of those that are before `mark`.
    ///
    /// # Errors
    /// When a file cannot be looked at.
    pub(crate) fn sizes(&self, mark: &Mark) -> Result<(u64, u64), LedgerError> {
        let view = self.shared.writer().view();
        forward::sizes(&self.shared.place, &view, mark)
    }

    /// The file beside the ledger whose name goes on by `end`.
    pub(crate) fn beside(&self, end: &str) -> PathBuf {
        crate::beside::beside(&self.path, end)
    }

    #[cfg(test)]
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared.writer()
    }
}

/// What was written is put on the disk and signed; a disk that hangs is not waited for.
impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
