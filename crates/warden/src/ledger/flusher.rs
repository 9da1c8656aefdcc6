//! The thread that puts the ledger on the disk, signs where it stands, and tries again what failed. It alone asks the
//! disk to take something (`fdatasync`). The event loop writes to the page cache; a file system that commits its journal,
//! or has too much that is not written, can let that wait too.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::anchor::Anchors;
use super::bell::Bell;
use super::books::Books;
use super::error::LedgerError;
use super::head::{Anchored, SignedHead};
use super::keys::{Key, write_whole};
use super::line::Stamp;
use super::listener::Listener;
use super::place::{Place, sync_folder};
use super::unsynced::{Batch, Position};
use super::wake::Wake;
use super::writer::Writer;

/// How a file is put on the disk: the seam at which tests let a disk fail.
pub(super) type Sync = Box<dyn Fn(&File) -> io::Result<()> + Send>;

/// What the ledger's threads share.
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) writer: Mutex<Writer>,
    pub(super) bell: Bell,
    /// Wakes who follows when something was written.
    pub(super) wake: Wake,
    /// Who is told when a segment was closed.
    pub(super) closed: OnceLock<Thread>,
    pub(super) books: Arc<Books>,
    /// Who hears of every record.
    pub(super) listener: OnceLock<Box<dyn Listener>>,
    pub(super) anchors: Anchors,
    pub(super) key: Option<Arc<Key>>,
    pub(super) dry_run: bool,
    pub(super) longest: Option<Duration>,
    pub(super) heads: Duration,
    /// How long after a failure it is tried again.
    pub(super) again: Duration,
    pub(super) sync: Mutex<Sync>,
}

impl Shared {
    pub(super) fn heard(&self, what: impl FnOnce(&dyn Listener)) {
        if let Some(listener) = self.listener.get() {
            what(&**listener);
        }
    }

    /// A panic elsewhere while the writer was held does not close the ledger: the writer changes its state only when a
    /// write is done.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a line is on the disk. Blocks.
    pub(super) fn reaches_disk(&self, seq: u64) -> Result<(), LedgerError> {
        let Some(landed) = self.bell.wait_for(seq) else { return Ok(()) };
        let landed = landed.blocking_recv().unwrap_or_else(|_| Err("the ledger is closed".into()));
        landed.map_err(|why| LedgerError::NotOnDisk { path: self.place.active(), why })
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp::new(super::now_ms()).of_dry_run(self.dry_run)
    }
}

/// What the thread knows.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    /// What the disk did not take.
    stuck: Option<Batch>,
    /// Where the ledger stands on the disk, where no head says it.
    unsigned: Option<Position>,
    /// When the next head is due, and when a failure is tried again.
    next_head: Instant,
    again: Option<Instant>,
    head_written: bool,
}

impl Flusher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        // The first one at once: a young ledger can be proved too.
        let next_head = Instant::now();
        Self { shared, stuck: None, unsigned: None, next_head, again: None, head_written: true }
    }

    /// Runs until the ledger is closed, and then once more.
    pub(super) fn run(mut self) {
        loop {
            let head = self.unsigned.is_some().then_some(self.next_head);
            let latest = self.again.or(head);
            let holds = self.again.is_some();
            let woken = self.shared.bell.sleep(self.shared.longest, latest, holds);
            self.flush();
            if holds {
                self.recover();
            } else if woken.trouble {
                self.again.get_or_insert_with(|| Instant::now() + self.shared.again);
            }
            let is_due = woken.closing || Instant::now() >= self.next_head;
            if let Some(position) = self.unsigned.take_if(|_| is_due) {
                self.sign(position);
            }
            if woken.closing {
                break;
            }
        }
        self.shared.anchors.close();
        self.shared.bell.ended();
    }

    /// Puts on the disk what is not there.
    fn flush(&mut self) {
        let fresh = self.shared.writer().batch();
        let (batch, is_again) = match self.stuck.take() {
            Some(mut stuck) => {
                stuck.join(fresh);
                (stuck, true)
            }
            None => (fresh, false),
        };
        if batch.is_empty() {
            return self.shared.bell.landed(batch.position.head.seq);
        }
        let clock = Instant::now();
        match self.put(&batch, is_again) {
            Ok(()) => self.landed(batch, is_again, clock.elapsed()),
            Err(error) => {
                self.shared.books.sync_errors.add(1);
                if !is_again {
                    tracing::error!(%error, "what was recorded did not reach the disk");
                }
                self.shared.writer().fail(&error, &self.shared.stamp());
                self.shared.bell.lost(&error.to_string());
                self.stuck = Some(batch);
                self.again = Some(Instant::now() + self.shared.again);
            }
        }
    }

    fn put(&self, batch: &Batch, is_again: bool) -> Result<(), LedgerError> {
        let place = &self.shared.place;
        let sync = self.shared.sync.lock().unwrap_or_else(PoisonError::into_inner);
        let done = if is_again { batch.rewrite(&*sync) } else { batch.sync(&*sync) };
        done.map_err(LedgerError::io("put on the disk", place.active()))?;
        if batch.names {
            sync_folder(place.directory())?;
        }
        Ok(())
    }

    fn landed(&mut self, batch: Batch, is_again: bool, took: Duration) {
        let shared = Arc::clone(&self.shared);
        shared.books.syncs.add(took);
        if is_again {
            let lines = batch.lines();
            tracing::info!(lines, "what was recorded is on the disk after all");
            shared.writer().heal(lines);
        }
        let writer = shared.writer();
        if writer.error().is_none() {
            shared.books.works();
        }
        drop(writer);
        shared.bell.landed(batch.position.head.seq);
        for seal in &batch.seals {
            shared.books.segments.add(1);
            self.publish(seal);
        }
        if let Some(thread) = shared.closed.get().filter(|_| !batch.seals.is_empty()) {
            thread.unpark();
        }
        if shared.key.is_some() && batch.position.lines > 0 {
            self.unsigned = Some(batch.position);
        }
    }

    /// Tries to write what could not be.
    fn recover(&mut self) {
        let stamp = self.shared.stamp();
        let recovered = self.stuck.is_none() && self.shared.writer().recover(&stamp);
        if recovered {
            self.again = None;
            self.shared.wake.up();
            self.flush();
        } else {
            self.again = Some(Instant::now() + self.shared.again);
        }
    }

    /// Signs where the ledger stands.
    fn sign(&mut self, position: Position) {
        self.next_head = Instant::now() + self.shared.heads;
        let Some(key) = &self.shared.key else { return };
        let head = position.head(super::now_ms()).sign(key);
        self.publish(&head);
    }

    /// Writes a head beside the ledger and gives it to the anchors.
    fn publish(&mut self, head: &SignedHead) {
        let shared = &self.shared;
        shared.books.heads.add(1);
        let anchored = Anchored {
            clawrden_head: 1,
            ledger: shared.place.active().to_string_lossy().into_owned(),
            time: clawrden_api::display::rfc3339(head.at_ms),
            head: head.clone(),
        };
        let Ok(mut text) = serde_json::to_string(&anchored) else { return };
        text.push('\n');
        let written = write_whole(&shared.place.head(), text.as_bytes());
        if let (Err(error), true) = (&written, self.head_written) {
            tracing::warn!(%error, "a signed head could not be written beside the ledger");
        }
        self.head_written = written.is_ok();
        shared.anchors.give(text);
    }
}
