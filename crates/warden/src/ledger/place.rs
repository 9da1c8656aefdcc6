//! Where a ledger lies: its directory, its lock, its files and their names.
//! Nothing is opened through a symbolic link, and nothing that others may write is trusted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use super::error::LedgerError;
use crate::lock::{self, NotOurs};

/// Files and sockets of ours are for their owner only.
const MODE: u32 = 0o600;
/// So are directories.
const DIRECTORY_MODE: u32 = 0o700;

/// The paths of one ledger.
#[derive(Debug, Clone)]
pub(super) struct Place {
    directory: PathBuf,
    stem: String,
    extension: String,
}

impl Place {
    pub(super) fn new(path: &Path) -> Result<Self, LedgerError> {
        let refused =
            |why: &str| LedgerError::Refused { path: path.to_owned(), why: why.to_owned() };
        let name = path.file_name().and_then(|n| n.to_str());
        let name =
            name.ok_or_else(|| refused("it names no file; give one such as ledger.jsonl"))?;
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
            _ => (name, String::new()),
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { directory, stem: stem.to_owned(), extension })
    }

    /// The file that is written.
    pub(super) fn active(&self) -> PathBuf {
        self.directory.join(self.active_name())
    }

    /// Its name.
    pub(super) fn active_name(&self) -> String {
        format!("{}{}", self.stem, self.extension)
    }

    /// The folder that holds all of it.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file beside it that holds the newest signed head.
    pub(super) fn head(&self) -> PathBuf {
        self.directory.join(format!("{}{}.head", self.stem, self.extension))
    }

    /// The file that a segment has when it is closed.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.directory.join(self.segment_name(first))
    }

    /// Its name.
    pub(super) fn segment_name(&self, first: u64) -> String {
        format!("{}-{first:012}{}", self.stem, self.extension)
    }

    /// The closed segments with the sequence number of their first line, oldest first.
    pub(super) fn segments(&self) -> Result<Vec<(u64, PathBuf)>, LedgerError> {
        let listed = || -> io::Result<Vec<(u64, PathBuf)>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                let entry = entry?;
                if let Some(first) = entry.file_name().to_str().and_then(|n| self.first_of(n)) {
                    found.push((first, entry.path()));
                }
            }
            found.sort_unstable();
            Ok(found)
        };
        listed().map_err(LedgerError::io("list", &self.directory))
    }

    fn first_of(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.stem)?.strip_prefix('-')?;
        let digits = digits.strip_suffix(&self.extension)?;
        let is_number = digits.len() >= 12 && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    }

    /// Makes the directory where it is absent, and refuses one in which others could replace the ledger.
    pub(super) fn prepare(&self) -> Result<(), LedgerError> {
        let path = &self.directory;
        let named = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty());
        let made: Vec<&Path> = named.take_while(|folder| !folder.exists()).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)
            .map_err(LedgerError::io("make", path))?;
        // A ledger whose folder's name is lost with the machine's power is lost.
        for folder in made {
            sync_folder(folder.parent().unwrap_or(Path::new("/")))?;
        }
        // Made by somebody else just before, perhaps; who may not open what it lies in has not made it.
        let _ = path.parent().map(sync_folder);
        let about = fs::metadata(path).map_err(LedgerError::io("look at", path))?;
        if about.uid() != 0 && about.uid() != rustix::process::geteuid().as_raw() {
            let why = format!("it belongs to user {}, who could replace it", about.uid());
            return Err(LedgerError::Refused { path: path.clone(), why });
        }
        let others_may_write = about.mode() & 0o022 != 0;
        let is_sticky = about.mode() & 0o1000 != 0;
        if others_may_write && !is_sticky {
            let why = format!(
                "others may write there; `chmod go-w` it (mode {:o})",
                about.mode() & 0o7777
            );
            return Err(LedgerError::Refused { path: path.clone(), why });
        }
        Ok(())
    }

    /// The file that a warden locks while it writes.
    fn lock_file(&self) -> PathBuf {
        self.directory.join(format!("{}{}.lock", self.stem, self.extension))
    }

    /// Whether a warden on this machine seems to write the ledger. Taking the lock to find out could keep one from
    /// starting.
    pub(super) fn is_written(&self) -> bool {
        let Ok(about) = fs::metadata(self.lock_file()) else { return false };
        let inode = format!(":{} ", about.ino());
        let locks = fs::read_to_string("/proc/locks");
        locks.is_ok_and(|locks| locks.lines().any(|lock| lock.contains(&inode)))
    }

    /// Takes the lock that one warden holds, for as long as the file is kept.
    pub(super) fn lock(&self) -> Result<File, LedgerError> {
        let path = self.lock_file();
        let mut file = open_own(&path, OpenOptions::new().read(true).write(true).create(true))?;
        match lock::take(&file) {
            Ok(()) => {}
            Err(NotOurs::Held(pid)) => {
                let holder = pid
                    .map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                return Err(LedgerError::InUse { path: self.active(), holder });
            }
            Err(NotOurs::Failed(source)) => {
                return Err(LedgerError::Io { what: "lock", path, source });
            }
        }
        // Only a help for people: a full disk must not keep the warden from starting and saying so.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(file)
    }

    /// Opens the file that is written, and makes it where it is absent.
    pub(super) fn open_active(&self) -> Result<File, LedgerError> {
        open_own(&self.active(), OpenOptions::new().read(true).append(true).create(true))
    }

    /// Closes the segment that begins with line `first` and makes a fresh file to write.
    pub(super) fn rotate(&self, first: u64) -> Result<File, LedgerError> {
        let (active, closed) = (self.active(), self.segment(first));
        if fs::symlink_metadata(&closed).is_ok() {
            let why = "it is in the way of a closed segment; move it".to_owned();
            return Err(LedgerError::Refused { path: closed, why });
        }
        fs::rename(&active, &closed).map_err(LedgerError::io("rename", &active))?;
        open_own(&active, OpenOptions::new().read(true).append(true).create_new(true)).inspect_err(
            |_| {
                // Back to one file under its own name; if even that fails, the open file is written on.
                let _ = fs::rename(&closed, &active);
            },
        )
    }

    /// Makes a file beside the ledger that takes what is torn off its end.
    pub(super) fn torn_file(&self, time: &str) -> Result<(File, PathBuf), LedgerError> {
        let time: String = time.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut attempt = 0u32;
        loop {
            let again = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let name = format!("{}{}.torn-{time}{again}", self.stem, self.extension);
            let path = self.directory.join(name);
            match open_own(&path, OpenOptions::new().write(true).create_new(true)) {
                Ok(file) => return Ok((file, path)),
                Err(LedgerError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Opens a regular file of ours, never through a link and never waiting for a pipe's other end.
pub(super) fn open_own(path: &Path, options: &mut OpenOptions) -> Result<File, LedgerError> {
    let refused = |why: &str| LedgerError::Refused { path: path.to_owned(), why: why.to_owned() };
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = options.mode(MODE).custom_flags(flags).open(path).map_err(|source| {
        if source.raw_os_error() == Some(libc::ELOOP) {
            return refused("it is a symbolic link; give the file itself");
        }
        LedgerError::Io { what: "open", path: path.to_owned(), source }
    })?;
    let about = file.metadata().map_err(LedgerError::io("look at", path))?;
    if !about.is_file() {
        return Err(refused("it is no regular file"));
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    if about.nlink() > 1 {
        return Err(refused("it has a second name (a hard link); give a file of its own"));
    }
    if about.mode() & 0o7777 != MODE {
        file.set_permissions(fs::Permissions::from_mode(MODE))
            .map_err(LedgerError::io("close to others", path))?;
    }
    Ok(file)
}

/// Opens a ledger's file to read it.
pub(super) fn open_to_read(path: &Path) -> Result<File, LedgerError> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(LedgerError::io("open", path))
}

/// Puts the names in a folder on the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(LedgerError::io("put on the disk", path))
}
