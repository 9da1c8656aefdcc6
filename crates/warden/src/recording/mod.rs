//! Recordings: what a command shows, and perhaps what is typed into it, as it happens, in a file that any asciicast
//! player takes. The streams of a recorded run pass through a thread of its own here; what cannot be recorded is not
//! run, and what is recorded is in the file before the caller sees it.

mod cast;
mod echo;
mod find;
mod frames;
mod redact;
mod relay;
mod tap;
mod text;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clawrden_policy::Recording;
use tokio::sync::watch;

use crate::ledger::Id;
use crate::plan::RequestId;
use cast::{Cast, Header};

pub(crate) use find::{Found, Missing};
pub(crate) use redact::Secrets;
pub(crate) use relay::{Ready, Relay, Way};

/// The folder, beside the ledger.
const FOLDER: &str = "recordings";

/// How the names of recordings end.
const ENDING: &str = ".cast";

/// How far a recording has come: bytes of whole lines that are in its file. The sender goes when it has ended.
pub(crate) type Progress = watch::Receiver<u64>;

/// All recordings of a warden.
#[derive(Debug)]
pub(crate) struct Recordings {
    folder: PathBuf,
    live: Mutex<HashMap<RequestId, Progress>>,
}

/// What a recording is of.
pub(crate) struct Subject {
    /// The request.
    pub(crate) id: RequestId,
    /// Its jail.
    pub(crate) jail: String,
    /// The tool's name.
    pub(crate) title: String,
    /// Which standard descriptors are a terminal (bits), with the window's rows and columns.
    pub(crate) tty: Option<(u8, u16, u16)>,
    /// What is recorded, and how much.
    pub(crate) wanted: Recording,
    /// What must not get into it.
    pub(crate) secrets: Secrets,
}

/// A recording that has been begun, before its command.
#[derive(Debug)]
pub(crate) struct Begun {
    cast: Cast,
    path: PathBuf,
    keyboard: bool,
}

impl Recordings {
    /// Those that lie beside this ledger.
    pub(crate) fn beside(ledger: &Path) -> Self {
        Self { folder: ledger.with_file_name(FOLDER), live: Mutex::default() }
    }

    /// Where they lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, id: RequestId) -> PathBuf {
        self.folder.join(format!("{}{ENDING}", Id(id)))
    }

    fn live(&self) -> MutexGuard<'_, HashMap<RequestId, Progress>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a recording. Blocks.
    ///
    /// # Errors
    /// When its file cannot be made, or is there already: an id is its client's word.
    pub(crate) fn begin(&self, subject: &Subject) -> io::Result<Begun> {
        let made = DirBuilder::new().mode(0o700).create(&self.folder);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = self.path(subject.id);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)?;
        let keyboard = subject.tty.is_some_and(|(bits, ..)| bits & 1 != 0);
        match Cast::begin(file, &Header::of(subject), subject.wanted, &subject.secrets) {
            Ok((cast, progress)) => {
                let mut live = self.live();
                // What has ended is not looked at any more.
                live.retain(|_, progress| progress.has_changed().is_ok());
                live.insert(subject.id, progress);
                Ok(Begun { cast, path, keyboard })
            }
            Err(error) => {
                // There is nothing in it.
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// How far the recording of this command has come, while it goes on.
    pub(crate) fn progress(&self, id: RequestId) -> Option<Progress> {
        let live = self.live();
        live.get(&id).filter(|progress| progress.has_changed().is_ok()).cloned()
    }
}

impl Begun {
    /// Removes it: its command does not run. Blocks.
    pub(crate) fn discard(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "an empty recording stays");
        }
    }
}

/// Makes what is in a folder's file known to the disk. Blocks.
fn sync(path: &Path, file: &File) -> io::Result<()> {
    file.sync_all()?;
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder)?.sync_all()
}
