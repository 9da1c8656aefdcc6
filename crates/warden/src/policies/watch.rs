//! Watching the folders of policy files, and the files. It says that something may have changed, never what.
//! Who waits for it waits until it has been quiet.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::trail::{Place, Trail};
use crate::sys::watch;

/// How long nothing may have happened before files are read.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// How long a burst may go on before files are read in the middle of it, and how long one that is being written is
/// waited for before that is called an error.
pub(crate) const MOST: Duration = Duration::from_secs(5);

/// Times that folders are looked at again because they changed while watches were set.
const MAX_LOOKS: usize = 8;

/// Bytes of events that are read at once: room for some dozens.
const ROOM: usize = 4096;

/// What happens in a folder and matters. Not that a file is opened or read: every program that starts does so in /etc.
/// Nor each write: a ledger may lie beside the policy.
const IN_FOLDERS: WatchMask = WatchMask::CREATE
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE)
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ONLYDIR);

/// What happens to a policy file, also while it is held open.
const TO_FILES: WatchMask = WatchMask::MODIFY.union(WatchMask::ATTRIB);

/// The sign that something may have changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Arc<Sign>);

#[derive(Debug, Default)]
struct Sign {
    given: Notify,
    heard: AtomicBool,
}

impl Changes {
    /// Whether somebody watches who would give it.
    pub(crate) fn are_heard(&self) -> bool {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// Waits for a change, and then until it has been quiet.
    pub(crate) async fn settled(&self) {
        self.0.given.notified().await;
        let end = Instant::now() + MOST;
        while Instant::now() < end {
            tokio::select! {
                () = self.0.given.notified() => {}
                () = sleep(QUIET) => return,
            }
        }
    }

    /// Something may have changed.
    pub(crate) fn tell(&self) {
        self.0.given.notify_one();
    }
}

/// Watches on the folders and files of one source.
pub(crate) struct Watching {
    paths: Vec<PathBuf>,
    watches: Watches,
    seen: Arc<Mutex<Seen>>,
    hearing: AbortHandle,
}

/// What is watched.
#[derive(Debug, Default)]
struct Seen {
    trail: Trail,
    descriptors: HashMap<WatchDescriptor, PathBuf>,
}

impl Watching {
    /// Watches what these paths lead to. Blocks, as [`Watching::renew`]; on a thread of an event loop, which hears.
    ///
    /// # Errors
    /// When the kernel gives no watch.
    pub(crate) fn new(paths: Vec<PathBuf>, changes: Changes) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let watches = inotify.watches();
        let seen = Arc::default();
        changes.0.heard.store(true, Ordering::Relaxed);
        let hearing = tokio::spawn(hear(watch::inotify(inotify)?, Arc::clone(&seen), changes));
        let mut watching = Self { paths, watches, seen, hearing: hearing.abort_handle() };
        watching.renew();
        Ok(watching)
    }

    /// Watches what the paths lead to by this time. Called before files are read, so that whatever changes after it is
    /// noticed.
    pub(crate) fn renew(&mut self) {
        for _ in 0..MAX_LOOKS {
            let wanted = Trail::of(&self.paths);
            let had = {
                let mut seen = self.seen();
                std::mem::replace(&mut seen.trail, wanted.clone())
            };
            if wanted == had {
                return;
            }
            let is_left = |path: &PathBuf| wanted.places.get(path) != had.places.get(path);
            let left: Vec<WatchDescriptor> = {
                let mut seen = self.seen();
                let left = seen.descriptors.extract_if(|_, path| is_left(path));
                left.map(|(descriptor, _)| descriptor).collect()
            };
            for descriptor in left {
                // What is gone took its watch along.
                let _ = self.watches.remove(descriptor);
            }
            for (path, place) in &wanted.places {
                if had.places.get(path) != Some(place) {
                    self.watch(path, *place);
                }
            }
        }
    }

    fn watch(&mut self, path: &Path, place: Place) {
        let mask = if place.is_folder { IN_FOLDERS } else { TO_FILES };
        match self.watches.add(path, mask) {
            Ok(descriptor) => {
                self.seen().descriptors.insert(descriptor, path.to_owned());
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%error, %path, "a place of policy files is not watched; `clawrden policy reload` reads them");
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hearing.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells of what concerns the files, for as long as they are watched.
async fn hear(mut inotify: AsyncFd<Inotify>, seen: Arc<Mutex<Seen>>, changes: Changes) {
    let mut buffer = [0; ROOM];
    loop {
        let read = match inotify.readable_mut().await {
            Ok(mut ready) => ready.try_io(|inotify| inotify.get_mut().read_events(&mut buffer)),
            Err(error) => Ok(Err(error)),
        };
        match read {
            Ok(Ok(mut events)) => {
                let seen = lock(&seen);
                if events.any(|event| seen.is_concerned(&event)) {
                    changes.tell();
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the policy's files are watched no longer: `clawrden policy reload` reads them");
                changes.0.heard.store(false, Ordering::Relaxed);
                return;
            }
            Err(_not_yet) => {}
        }
    }
}

impl Seen {
    fn is_concerned(&self, event: &Event<&OsStr>) -> bool {
        // Of what was lost nobody knows; and what is forgotten was let go, or is gone.
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return true;
        }
        let Some(place) = self.descriptors.get(&event.wd) else { return false };
        match event.name {
            Some(name) => self.trail.concerns(&place.join(name)),
            None => self.trail.concerns(place),
        }
    }
}
