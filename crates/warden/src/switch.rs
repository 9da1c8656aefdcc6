//! The kill switch: thrown, it stays thrown, also across a restart, until somebody releases it. Its state is a small
//! file that is written before anything is ended. A file that cannot be understood counts as thrown.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use clawrden_api::Stopped;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of the file. A longer one was not written by us and counts as thrown.
pub const MAX_FILE: u64 = 64 * 1024;

/// Bytes of the name of who threw it; the rest is cut off, so that the file stays below [`MAX_FILE`].
pub const MAX_BY: usize = 4096;

/// Why the state could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The switch is thrown in this process, but a restart would not know.
    #[error(
        "the kill switch is thrown, but {path} cannot be written, so a restart would forget it: {source}"
    )]
    NotKept {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It was thrown after its release was said.
    #[error("it was stopped by {by} after this was said; say it again if it is still wanted")]
    Newer {
        /// Who threw it.
        by: String,
    },
    /// The switch stays thrown.
    #[error("the kill switch stays thrown: {path} cannot be written: {source}")]
    NotReleased {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    stopped: Option<Stopped>,
}

/// The kill switch of one warden.
#[derive(Debug)]
pub struct Switch {
    path: PathBuf,
    is_stopped: AtomicBool,
    stopped: Mutex<Option<Stopped>>,
}

impl Switch {
    /// Reads the state that the last warden left. No file means that the switch was never thrown; one that cannot be
    /// read or understood means that it is.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let stopped = match read(path) {
            Ok(stopped) => stopped,
            Err(why) => Some(Stopped {
                since_ms: now_ms(),
                by: format!("the warden: {} cannot be understood: {why}", path.display()),
                paused: false,
            }),
        };
        Self {
            path: path.to_owned(),
            is_stopped: AtomicBool::new(stopped.is_some()),
            stopped: Mutex::new(stopped),
        }
    }

    /// Whether nothing may run. One atomic load.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Since when, by whom and how, while it is thrown.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.lock().clone()
    }

    /// Throws the switch. From the first moment on [`Switch::is_stopped`] says so; when this returns, a restart knows
    /// it too. Only then should anything be ended.
    ///
    /// # Errors
    /// When the file cannot be written. The switch is thrown all the same.
    pub fn throw(&self, mut stopped: Stopped) -> Result<(), SwitchError> {
        self.is_stopped.store(true, Ordering::SeqCst);
        let mut state = self.lock();
        // A release that held the lock may have ended in between.
        self.is_stopped.store(true, Ordering::SeqCst);
        let mut end = stopped.by.len().min(MAX_BY);
        while !stopped.by.is_char_boundary(end) {
            end -= 1;
        }
        stopped.by.truncate(end);
        *state = Some(stopped.clone());
        write_file(&self.path, &Kept { stopped: Some(stopped) })
            .map_err(|source| SwitchError::NotKept { path: self.path.clone(), source })
    }

    /// Releases the switch and gives what it was. `said_ms` is when that was said, in milliseconds since 1970, where that
    /// may be long ago.
    ///
    /// # Errors
    /// When it was thrown after that, or when the file cannot be written. The switch stays thrown.
    pub fn release(&self, said_ms: Option<u64>) -> Result<Option<Stopped>, SwitchError> {
        let mut state = self.lock();
        let Some(stopped) = &*state else { return Ok(None) };
        refuse_if_newer(stopped, said_ms)?;
        write_file(&self.path, &Kept { stopped: None })
            .map_err(|source| SwitchError::NotReleased { path: self.path.clone(), source })?;
        let before = state.take();
        self.is_stopped.store(false, Ordering::SeqCst);
        Ok(before)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stopped>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses to take back a stop that is newer than the word that would: an older word undoes no newer stop.
pub(crate) fn refuse_if_newer(stopped: &Stopped, said_ms: Option<u64>) -> Result<(), SwitchError> {
    match said_ms {
        Some(said_ms) if stopped.since_ms > said_ms => {
            Err(SwitchError::Newer { by: stopped.by.clone() })
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<Option<Stopped>> {
    Ok(read_file::<Kept>(path, MAX_FILE)?.and_then(|kept| kept.stopped))
}

/// Reads a file of ours; `None` where there is none.
pub(crate) fn read_file<T: DeserializeOwned>(path: &Path, limit: u64) -> io::Result<Option<T>> {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::other("it is too long"));
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Puts a file of ours in place, whole or not at all, and on the disk when this returns.
pub(crate) fn write_file(path: &Path, kept: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(kept)?;
    text.push(b'\n');
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let fresh = folder.join(name);
    // What a crash left behind under this name is ours; `create_new` follows no link that is there instead.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn thrown(by: &str) -> Stopped {
        Stopped { since_ms: 7, by: by.to_owned(), paused: true }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switch.json");
        (folder, path)
    }

    #[test]
    fn a_switch_that_was_never_thrown_is_released() {
        let (_folder, path) = place();
        let switch = Switch::open(&path);
        assert!(!switch.is_stopped());
        assert_eq!(switch.release(None).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn a_thrown_switch_stays_thrown_across_a_restart_until_it_is_released() {
        let (_folder, path) = place();
        Switch::open(&path).throw(thrown("uid 0")).unwrap();
        let again = Switch::open(&path);
        assert!(again.is_stopped());
        assert_eq!(again.stopped(), Some(thrown("uid 0")));
        assert_eq!(again.release(None).unwrap(), Some(thrown("uid 0")));
        assert!(!again.is_stopped());
        assert!(!Switch::open(&path).is_stopped());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_was_said_before_it_was_thrown_does_not_release_it() {
        let (_folder, path) = place();
        let switch = Switch::open(&path);
        switch.throw(thrown("uid 0")).unwrap();
        assert!(matches!(switch.release(Some(6)), Err(SwitchError::Newer { by }) if by == "uid 0"));
        assert!(switch.is_stopped() && Switch::open(&path).is_stopped());
        assert_eq!(switch.release(Some(7)).unwrap(), Some(thrown("uid 0")));
        assert_eq!(switch.release(Some(1)).unwrap(), None, "there is nothing to release");
    }

    #[test]
    fn what_cannot_be_understood_counts_as_thrown() {
        let (_folder, path) = place();
        let long = vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1];
        let odd: [&[u8]; 8] =
            [b"", b"{", b"null", b"{}x", b"{\"stopped\":1}", b"{\"halted\":null}", b"\xff", &long];
        for content in odd {
            fs::write(&path, content).unwrap();
            let switch = Switch::open(&path);
            assert!(switch.is_stopped(), "{:?}", String::from_utf8_lossy(content).trim());
            assert!(switch.stopped().unwrap().by.contains("cannot be understood"));
            assert!(switch.release(None).unwrap().is_some());
            assert!(!Switch::open(&path).is_stopped());
        }
    }

    #[test]
    fn a_folder_or_a_link_in_its_place_counts_as_thrown() {
        let (folder, path) = place();
        fs::create_dir(&path).unwrap();
        assert!(Switch::open(&path).is_stopped());
        assert!(Switch::open(&path).release(None).is_err());
        fs::remove_dir(&path).unwrap();
        let target = folder.path().join("released");
        fs::write(&target, "{\"stopped\":null}").unwrap();
        symlink(&target, &path).unwrap();
        assert!(Switch::open(&path).is_stopped());
    }

    #[test]
    fn a_switch_that_cannot_be_kept_is_thrown_all_the_same() {
        let (folder, path) = place();
        let switch = Switch::open(&path);
        drop(folder);
        assert!(matches!(switch.throw(thrown("uid 0")), Err(SwitchError::NotKept { .. })));
        assert!(switch.is_stopped());
        assert!(matches!(switch.release(None), Err(SwitchError::NotReleased { .. })));
        assert!(switch.is_stopped());
    }

    #[test]
    fn a_link_under_the_temporary_name_is_not_followed() {
        let (folder, path) = place();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, folder.path().join("switch.json.new")).unwrap();
        Switch::open(&path).throw(thrown("uid 0")).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(Switch::open(&path).is_stopped());
    }

    #[test]
    fn a_long_name_does_not_make_the_file_unreadable() {
        let (_folder, path) = place();
        Switch::open(&path).throw(thrown(&"é\u{1}".repeat(100_000))).unwrap();
        let by = Switch::open(&path).stopped().unwrap().by;
        assert!(by.len() <= MAX_BY && by.starts_with("é\u{1}"));
    }
}
