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
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clawrden_policy::Recording;
use tokio::sync::watch;

use crate::ledger::{Id, RECORDING_ENDING, RequestId};
use cast::{Cast, Header};

pub(crate) use find::{Found, Missing};
pub(crate) use redact::Secrets;
pub(crate) use relay::{Ready, Relay};
pub(crate) use tap::Way;

/// The folder, beside the ledger.
const FOLDER: &str = "recordings";

/// Bytes that must be left for the ledger, which lies on the same disk, when every recording has grown to its bound.
const RESERVE: u64 = 64 * 1024 * 1024;

/// Bytes that the file of a recording has less of, of which nothing but its header was written.
const HEADER: u64 = 4 * 1024;

/// How far a recording has come: bytes of whole lines that are in its file. The sender goes when it has ended.
pub(crate) type Progress = watch::Receiver<u64>;

/// All recordings of a warden.
#[derive(Debug)]
pub(crate) struct Recordings {
    folder: PathBuf,
    live: Mutex<HashMap<RequestId, Live>>,
}

/// A recording that goes on.
#[derive(Debug)]
struct Live {
    progress: Progress,
    /// Bytes that it may have.
    most: u64,
}

impl Live {
    fn goes_on(&self) -> bool {
        self.progress.has_changed().is_ok()
    }

    /// Bytes that it may still grow by.
    fn left(&self) -> u64 {
        self.most.saturating_sub(*self.progress.borrow())
    }
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
        self.folder.join(format!("{}{RECORDING_ENDING}", Id(id)))
    }

    fn live(&self) -> MutexGuard<'_, HashMap<RequestId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a recording. Blocks.
    ///
    /// # Errors
    /// When its file cannot be made, or it and those that go on could fill the disk.
    pub(crate) fn begin(&self, subject: &Subject) -> io::Result<Begun> {
        let made = DirBuilder::new().mode(0o700).create(&self.folder);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.has_room(subject.wanted.bytes)?;
        let path = self.path(subject.id);
        let file = match create(&path) {
            // A crash came before its intent was recorded, and the request has come back.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_unused(&path) => {
                std::fs::remove_file(&path)?;
                create(&path)?
            }
            made => made?,
        };
        let keyboard = subject.tty.is_some_and(|(bits, ..)| bits & 1 != 0);
        match Cast::begin(file, &Header::of(subject), subject.wanted, &subject.secrets) {
            Ok((cast, progress)) => {
                let mut live = self.live();
                // What has ended is not looked at any more.
                live.retain(|_, live| live.goes_on());
                live.insert(subject.id, Live { progress, most: subject.wanted.bytes });
                Ok(Begun { cast, path, keyboard })
            }
            Err(error) => {
                // There is nothing in it.
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Refuses one of so many bytes that the disk may not take.
    fn has_room(&self, bytes: u64) -> io::Result<()> {
        // Where the kernel cannot tell, writing shows.
        let Ok(about) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = about.f_bavail.saturating_mul(about.f_frsize);
        let live = self.live();
        let others = live.values().filter(|live| live.goes_on()).map(Live::left);
        let needed = others.fold(bytes.saturating_add(RESERVE), u64::saturating_add);
        if free >= needed {
            return Ok(());
        }
        let text = format!(
            "recordings that go on could need {needed} bytes of the disk, and {free} are free; make room or lower \
             `record_bytes`"
        );
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }

    /// How far the recording of this command has come, while it goes on.
    pub(crate) fn progress(&self, id: RequestId) -> Option<Progress> {
        let live = self.live();
        live.get(&id).filter(|live| live.goes_on()).map(|live| live.progress.clone())
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

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Whether nothing but a header is in it, or a part of one: its command has shown nothing.
fn is_unused(path: &Path) -> bool {
    let read = || {
        let mut text = Vec::new();
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        file.take(HEADER).read_to_end(&mut text)?;
        io::Result::Ok(text)
    };
    read().is_ok_and(|text| {
        (text.len() as u64) < HEADER && !text.strip_suffix(b"\n").unwrap_or(&text).contains(&b'\n')
    })
}

/// Makes what is in a folder's file known to the disk. Blocks.
fn sync(path: &Path, file: &File) -> io::Result<()> {
    file.sync_all()?;
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use clawrden_policy::Recorded as What;

    use super::*;

    fn subject(bytes: u64) -> Subject {
        Subject {
            id: [7; 16],
            jail: "dev".to_owned(),
            title: "sh".to_owned(),
            tty: None,
            wanted: Recording { what: What::Output, bytes },
            secrets: Secrets::default(),
        }
    }

    #[test]
    fn a_recording_that_could_leave_the_ledger_no_room_is_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let recordings = Recordings::beside(&dir.path().join("ledger.jsonl"));
        let about = rustix::fs::statvfs(dir.path()).unwrap();
        let all = about.f_bavail * about.f_frsize;
        let error = recordings.begin(&subject(all)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("`record_bytes`"), "{error}");
        assert_eq!(std::fs::read_dir(recordings.folder()).unwrap().count(), 0);
        // What goes on counts with all that it may become.
        let begun = recordings.begin(&subject(4096)).unwrap();
        recordings.live().get_mut(&[7; 16]).unwrap().most = all;
        let other = Subject { id: [8; 16], ..subject(4096) };
        assert!(recordings.begin(&other).is_err());
        begun.discard();
        recordings.begin(&other).unwrap();
    }

    #[test]
    fn what_a_crash_left_before_the_intent_is_in_nobodys_way_and_a_recording_is_never_written_over()
    {
        let dir = tempfile::tempdir().unwrap();
        let recordings = Recordings::beside(&dir.path().join("ledger.jsonl"));
        // A crash leaves all that was written.
        let first = recordings.begin(&subject(1 << 20)).unwrap();
        let path = first.path.clone();
        drop(first);
        let header = std::fs::read(&path).unwrap();
        std::fs::write(&path, &header[..header.len() / 2]).unwrap();
        drop(recordings.begin(&subject(1 << 20)).unwrap());
        drop(recordings.begin(&subject(1 << 20)).unwrap());
        std::fs::write(&path, [&header[..], b"[0.1, \"o\", \"a\"]\n"].concat()).unwrap();
        let error = recordings.begin(&subject(1 << 20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
