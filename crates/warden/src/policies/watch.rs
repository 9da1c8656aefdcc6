//! Watching the folders of policy files. It says that something may have changed, never what.
//! What happens is said on a thread of its own; who waits for it waits until it has been quiet.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::trail::Trail;

/// How long nothing may have happened before files are read.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// How long a burst may go on before files are read in the middle of it, and how long one that is being written is
/// waited for before that is called an error.
pub(crate) const MOST: Duration = Duration::from_secs(5);

/// Times that folders are looked at again because they changed while watches were set.
const MAX_LOOKS: usize = 8;

/// The sign that something may have changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Arc<Notify>);

impl Changes {
    /// Waits for a change, and then until it has been quiet.
    pub(crate) async fn settled(&self) {
        self.0.notified().await;
        let end = Instant::now() + MOST;
        while Instant::now() < end {
            tokio::select! {
                () = self.0.notified() => {}
                () = sleep(QUIET) => return,
            }
        }
    }

    /// Something may have changed.
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

/// Watches on the folders of one source.
pub(crate) struct Watching {
    paths: Vec<PathBuf>,
    trail: Arc<Mutex<Trail>>,
    watcher: RecommendedWatcher,
}

impl Watching {
    /// Watches what these paths lead to. Blocks, as [`Watching::renew`].
    ///
    /// # Errors
    /// When the kernel gives no watch.
    pub(crate) fn new(paths: Vec<PathBuf>, changes: Changes) -> notify::Result<Self> {
        let trail = Arc::new(Mutex::new(Trail::default()));
        let seen = Arc::clone(&trail);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns = event.map_or(true, |event| {
                let trail = seen.lock().unwrap_or_else(PoisonError::into_inner);
                event.need_rescan() || (matters(event.kind) && any(&trail, &event.paths))
            });
            if concerns {
                changes.tell();
            }
        })?;
        let mut watching = Self { paths, trail, watcher };
        watching.renew();
        Ok(watching)
    }

    /// Watches what the paths lead to by this time. Called before files are read, so that whatever changes after it is
    /// noticed.
    pub(crate) fn renew(&mut self) {
        for _ in 0..MAX_LOOKS {
            let wanted = Trail::of(&self.paths);
            let had = self.lock().clone();
            if wanted == had {
                return;
            }
            for (folder, id) in &had.folders {
                if wanted.folders.get(folder) != Some(id) {
                    // One that is gone took its watch along.
                    let _ = self.watcher.unwatch(folder);
                }
            }
            let fresh: Vec<PathBuf> = wanted
                .folders
                .iter()
                .filter(|(folder, id)| had.folders.get(*folder) != Some(id))
                .map(|(folder, _)| folder.clone())
                .collect();
            *self.lock() = wanted;
            for folder in fresh {
                self.watch(&folder);
            }
        }
    }

    fn watch(&mut self, folder: &Path) {
        if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            let folder = folder.display();
            tracing::warn!(%error, %folder, "a folder of policy files is not watched; `clawrden policy reload` reads them");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn any(trail: &Trail, paths: &[PathBuf]) -> bool {
    paths.iter().any(|path| trail.concerns(path))
}

/// Reading changes nothing, and is what the warden itself does.
fn matters(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
