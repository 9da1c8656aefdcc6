//! Index: a SQLite file beside the ledger that makes history fast. The ledger is the truth; the index may be deleted at
//! any time and is made again from it.
//!
//! A thread of its own follows the ledger. No request waits for it, and where it is behind, absent or of no use, history
//! is read from the ledger itself.

mod bits;
mod blocks;
mod overview;
mod recent;
mod rows;
mod store;
mod terms;

#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clawrden_api::{History, HistoryQuery, IndexStatus};

use crate::ledger::{Ledger, LedgerError, Step};
use crate::sys::memory;
use store::Store;

pub use overview::{Stretch, waiting};
pub use store::IndexError;

/// How long records are gathered before they are taken in.
const GATHER: Duration = Duration::from_millis(300);

/// How long nothing is recorded until the process counts as idle.
const QUIET: Duration = Duration::from_secs(10);

/// How long it is left alone after it failed.
const AGAIN: Duration = Duration::from_secs(60);

/// Steps that a query takes to catch up before it reads the ledger itself: about a megabyte each.
const STEPS: usize = 4;

/// Bytes that must be free where the ledger lies: room is for the ledger first.
const ROOM: u64 = 64 * 1024 * 1024;

/// Nice: the index can wait, requests cannot.
const NICE: i32 = 5;

/// The index of one ledger.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    store: Mutex<Option<Store>>,
    told: Mutex<Told>,
    /// Somebody wants it made anew.
    is_unwanted: AtomicBool,
    is_closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Told {
    percent: Option<u8>,
    error: Option<String>,
    /// The newest record that is in it, while it is ready.
    sequence: Option<u64>,
}

/// The thread that follows the ledger.
#[derive(Debug)]
pub(crate) struct Follower {
    index: Arc<Index>,
    ledger: Arc<Ledger>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("sequence", &self.sequence()).finish_non_exhaustive()
    }
}

impl Index {
    /// The index of `ledger`, which nothing is known of yet.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        Self {
            path: ledger.beside(".index"),
            store: Mutex::default(),
            told: Mutex::default(),
            is_unwanted: AtomicBool::default(),
            is_closing: AtomicBool::default(),
        }
    }

    /// What `status` shows.
    #[must_use]
    pub fn status(&self) -> IndexStatus {
        let told = self.told();
        let state = match (told.percent, told.sequence) {
            (Some(_), _) => "building",
            (None, Some(_)) => "ready",
            (None, None) => "off",
        };
        IndexStatus {
            path: self.path.to_string_lossy().into_owned(),
            state: state.to_owned(),
            sequence: told.sequence.unwrap_or(0),
            percent: told.percent,
            error: told.error.clone(),
        }
    }

    /// One page of history, from the index where it is up to date or can be at once, else from the ledger. Reads files:
    /// not for an async task.
    ///
    /// # Errors
    /// [`LedgerError::BadFilter`] for a filter that is not understood, else what reading the ledger gives.
    pub fn history(&self, ledger: &Ledger, query: &HistoryQuery) -> Result<History, LedgerError> {
        match self.ask(ledger, |store| store.search(query)) {
            Some(Ok(history)) => Ok(history),
            Some(Err(IndexError::Ledger(error @ LedgerError::BadFilter { .. }))) => Err(error),
            Some(Err(_)) | None => ledger.history(query),
        }
    }

    /// How often exactly this command was approved in this jail before, counted up to `most`, as far as the index has come;
    /// `None` where it cannot tell at once. It waits for nobody, but reads a file.
    #[must_use]
    pub fn approvals(&self, jail: &str, argv: &[String], most: usize) -> Option<usize> {
        let place = self.store.try_lock().ok()?;
        place.as_ref()?.approvals(jail, argv, most).ok()
    }

    /// Asks the index after it has caught up; `None` if it cannot within a few steps.
    fn ask<T>(
        &self,
        ledger: &Ledger,
        question: impl FnOnce(&Store) -> Result<T, IndexError>,
    ) -> Option<Result<T, IndexError>> {
        let mut place = self.store();
        let store = place.as_mut()?;
        let caught_up = (0..STEPS).find_map(|_| match store.lead_on(ledger) {
            Ok(Step::More) => None,
            Ok(Step::End) => Some(Ok(())),
            Ok(Step::Lost) => Some(Err(IndexError::Foreign("that of another ledger"))),
            Err(error) => Some(Err(error)),
        });
        let answer = match caught_up? {
            Ok(()) => store.has_all_of(ledger).and_then(|()| question(store)),
            Err(error) => Err(error),
        };
        if let Err(error @ (IndexError::Database(_) | IndexError::Foreign(_))) = &answer {
            self.give_up(&mut place, error);
        }
        Some(answer)
    }

    /// Has it made anew, in the background.
    pub fn rebuild(&self, ledger: &Ledger) {
        *self.store() = None;
        *self.told() = Told { percent: Some(0), ..Told::default() };
        self.is_unwanted.store(true, Ordering::SeqCst);
        ledger.wake().up();
    }

    /// Makes it anew, at once. `progress` hears how many bytes of how many are read.
    ///
    /// # Errors
    /// [`IndexError`]; the index before, if there was one, is as it was.
    pub fn build(
        &self,
        ledger: &Ledger,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), IndexError> {
        let building = ledger.beside(".index.building");
        let built = self.build_at(ledger, &building, &mut progress);
        if built.is_err() {
            store::remove(&building);
        }
        built
    }

    fn build_at(
        &self,
        ledger: &Ledger,
        building: &Path,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<(), IndexError> {
        self.is_unwanted.store(false, Ordering::SeqCst);
        let mut store = Store::create(building, ledger)?;
        loop {
            let step = store.lead_on(ledger)?;
            let (all, read) = ledger.sizes(store.mark())?;
            progress(read, all);
            if step == Step::End {
                break;
            }
            if self.is_closing.load(Ordering::SeqCst) {
                return Err(IndexError::Foreign("not whole: the warden goes down"));
            }
            has_room(&self.path)?;
        }
        store.finish(building)?;
        let mut place = self.store();
        *place = None;
        store::replace(building, &self.path)?;
        *place = Some(Store::open(&self.path, ledger)?);
        Ok(())
    }

    fn give_up(&self, place: &mut Option<Store>, error: &IndexError) {
        tracing::warn!(%error, "history is read from the ledger until its index is of use again");
        *place = None;
        *self.told() = Told { error: Some(error.to_string()), ..Told::default() };
    }

    fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leads the index on until it has everything. Opens or makes it first, where that is needed.
    fn keep(&self, ledger: &Ledger) -> Result<(), IndexError> {
        has_room(&self.path)?;
        self.provide(ledger)?;
        loop {
            let mut place = self.store();
            let Some(store) = place.as_mut() else { return Ok(()) };
            let step = store.lead_on(ledger)?;
            let forgets = store.forget()?;
            if self.is_unwanted.load(Ordering::SeqCst) {
                return Ok(());
            }
            *self.told() = Told { sequence: Some(store.sequence()), ..Told::default() };
            if (step != Step::More && !forgets) || self.is_closing.load(Ordering::SeqCst) {
                return Ok(());
            }
            // A query that waits comes first.
            drop(place);
            thread::yield_now();
        }
    }

    fn provide(&self, ledger: &Ledger) -> Result<(), IndexError> {
        if self.is_unwanted.load(Ordering::SeqCst) {
            return self.build_and_tell(ledger, None);
        }
        let why = {
            let mut place = self.store();
            let is_there =
                std::fs::symlink_metadata(&self.path).is_ok_and(|about| about.ino() != 0);
            match place.as_mut().filter(|_| is_there).map(|store| store.has_all_of(ledger)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) if is_for_now(&error) => return Err(error),
                // Below it is found out once more.
                Some(Err(_)) | None => {}
            }
            // Deleted while it was open: it is made anew, as if it had never been.
            *place = None;
            match is_there.then(|| Store::open(&self.path, ledger)) {
                Some(Ok(store)) => {
                    *place = Some(store);
                    return Ok(());
                }
                Some(Err(error)) if is_for_now(&error) => return Err(error),
                Some(Err(error)) => Some(error.to_string()),
                None => None,
            }
        };
        self.build_and_tell(ledger, why)
    }

    fn build_and_tell(&self, ledger: &Ledger, why: Option<String>) -> Result<(), IndexError> {
        let began = Instant::now();
        if let Some(why) = &why {
            tracing::warn!(why, "the ledger's index is made anew");
        }
        *self.told() = Told { percent: Some(0), error: why, sequence: None };
        self.build(ledger, |read, all| {
            let percent = read.saturating_mul(100).checked_div(all).unwrap_or(100);
            self.told().percent = u8::try_from(percent.min(99)).ok();
        })?;
        memory::trim();
        tracing::info!(ms = began.elapsed().as_millis(), "the ledger's index is built");
        Ok(())
    }

    fn follow(&self, ledger: &Ledger) {
        // Refused, it is as quick as everything else.
        let _ = rustix::process::setpriority_process(None, NICE);
        while !self.is_closing.load(Ordering::SeqCst) {
            let kept = self.keep(ledger);
            if self.is_closing.load(Ordering::SeqCst) {
                return;
            }
            if let Err(error) = kept {
                self.give_up(&mut self.store(), &error);
                thread::park_timeout(AGAIN);
                continue;
            }
            let has_work = || {
                let sequence = self.store().as_ref().map(Store::sequence);
                sequence != Some(ledger.sequence())
                    || self.is_unwanted.load(Ordering::SeqCst)
                    || self.is_closing.load(Ordering::SeqCst)
            };
            ledger.wake().sleep(has_work, QUIET, || self.rest());
            if !self.is_closing.load(Ordering::SeqCst) {
                thread::park_timeout(GATHER);
            }
        }
    }

    /// Nothing has happened for a while: the process gives back what it has in memory for what happens often.
    fn rest(&self) {
        if let Some(store) = self.store().as_ref() {
            store.shrink();
        }
        memory::trim();
        memory::forget_program();
    }
}

impl Follower {
    /// Starts the thread. Where none can be had, history is read from the ledger.
    pub(crate) fn start(index: &Arc<Index>, ledger: &Arc<Ledger>) -> Self {
        let (index, ledger) = (Arc::clone(index), Arc::clone(ledger));
        index.told().percent = Some(0);
        let thread = {
            let (index, ledger) = (Arc::clone(&index), Arc::clone(&ledger));
            let follow = move || index.follow(&ledger);
            thread::Builder::new().name("index".to_owned()).spawn(follow)
        };
        let thread = thread.inspect_err(|error| {
            tracing::warn!(%error, "history is read from the ledger: no thread for its index");
            index.told().percent = None;
        });
        Self { index, ledger, thread: thread.ok() }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.index.is_closing.store(true, Ordering::SeqCst);
        self.ledger.wake().up();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends after the step that it is in; a panic of its own was its last word.
            let _ = thread.join();
        }
    }
}

/// Whether the index itself may be all right.
fn is_for_now(error: &IndexError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error {
        IndexError::Database(error) => !matches!(
            error.sqlite_error_code(),
            None | Some(DatabaseCorrupt | NotADatabase | Unknown)
        ),
        IndexError::Foreign(_) => false,
        IndexError::File { .. } | IndexError::Ledger(_) => true,
    }
}

fn has_room(path: &Path) -> Result<(), IndexError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Where the kernel cannot tell, writing shows.
    let Ok(about) = rustix::fs::statvfs(folder.unwrap_or(Path::new("."))) else { return Ok(()) };
    if about.f_bavail.saturating_mul(about.f_frsize) < ROOM {
        let source = std::io::ErrorKind::StorageFull.into();
        return Err(IndexError::File { what: "write", path: path.to_owned(), source });
    }
    Ok(())
}
