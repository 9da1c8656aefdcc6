//! The file system that is installed into: `/`, or an unpacked image under another folder. Every path is one of that
//! root, and no link in it leads out: not an absolute one, not one with too many `..`.
//!
//! Changes leave the folder that they are made in with the time of change that it had.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps,
};
use rustix::io::Errno;

use super::crash;
use super::error::InstallError;

/// Bytes of a startup file or a manifest that are read.
const MAX_FILE: u64 = 4 * 1024 * 1024;

type Done<T> = Result<T, InstallError>;

/// An opened root.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    /// Whether it is this process's own root, where links cannot lead out.
    is_own: bool,
}

impl Root {
    /// Opens the folder.
    ///
    /// # Errors
    /// [`InstallError::Root`].
    pub(crate) fn open(path: &Path) -> Done<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |errno: Errno| InstallError::Root { path: path.into(), source: errno.into() };
        let fd = fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let place = |stat: &Stat| (stat.st_dev, stat.st_ino);
        let own = fs::stat("/").map_err(failed)?;
        let is_own = place(&fs::fstat(&fd).map_err(failed)?) == place(&own);
        Ok(Self { fd, is_own })
    }

    /// Whether it is this process's own root.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Holds off other installers until the root is dropped.
    ///
    /// # Errors
    /// Those of `flock(2)`; `WouldBlock` when another one is at work.
    pub(crate) fn lock(&self) -> Done<()> {
        fs::flock(&self.fd, fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed("lock", "/", errno))
    }

    /// Opens a path that has no links in it.
    fn direct(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let relative = match path.trim_start_matches('/') {
            "" => ".",
            relative => relative,
        };
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        let flags = flags | OFlags::CLOEXEC;
        match fs::openat2(&self.fd, relative, flags, Mode::empty(), resolve) {
            // Of the own root nothing can lead out.
            Err(Errno::NOSYS | Errno::PERM) if self.is_own => {
                fs::openat(&self.fd, relative, flags | OFlags::NOFOLLOW, Mode::empty())
            }
            other => other,
        }
    }

    fn parent<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
        let (above, name) = split(path);
        Ok((self.direct(above, OFlags::RDONLY | OFlags::DIRECTORY)?, name))
    }

    /// What stands under a path, if anything does.
    ///
    /// # Errors
    /// Any but that it, or a folder above it, is not there.
    pub(crate) fn look(&self, path: &str) -> Done<Option<Stat>> {
        match self.stat(path) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::NOSYS | Errno::PERM) if !self.is_own => Err(InstallError::NoResolve),
            Err(errno) => Err(failed("look at", path, errno)),
        }
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        if split(path).1.is_empty() {
            return fs::fstat(&self.fd);
        }
        let (folder, name) = self.parent(path)?;
        fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The text of a link; `None` for what is none.
    ///
    /// # Errors
    /// Those of looking at it.
    pub(crate) fn read_link(&self, path: &str) -> Result<Option<Vec<u8>>, Errno> {
        let (folder, name) = self.parent(path)?;
        match fs::readlinkat(&folder, name, Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The names in a folder; none when there is no such folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) fn list(&self, path: &str) -> Done<Vec<Vec<u8>>> {
        let folder = match self.direct(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(errno) => return Err(failed("list", path, errno)),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(|errno| failed("list", path, errno))? {
            let entry = entry.map_err(|errno| failed("list", path, errno))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A regular file's content, of which at most `limit` bytes are read.
    ///
    /// # Errors
    /// When it is not there, no regular file, or cannot be read.
    pub(crate) fn read_head(&self, path: &str, limit: u64) -> Done<Vec<u8>> {
        let not = |errno| failed("read", path, errno);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.direct(path, flags).map_err(not)?;
        if !is_file(&fs::fstat(&file).map_err(not)?) {
            return Err(failed("read", path, Errno::INVAL));
        }
        let mut content = Vec::new();
        std::fs::File::from(file).take(limit).read_to_end(&mut content).map_err(|source| {
            InstallError::Failed { operation: "read", path: path.into(), source }
        })?;
        Ok(content)
    }

    /// The whole of a small file.
    ///
    /// # Errors
    /// As [`Self::read_head`], and when it is larger than such files are.
    pub(crate) fn read(&self, path: &str) -> Done<Vec<u8>> {
        let content = self.read_head(path, MAX_FILE + 1)?;
        if content.len() as u64 > MAX_FILE {
            return Err(failed("read", path, Errno::FBIG));
        }
        Ok(content)
    }

    /// Makes a folder, or takes the one that is there.
    ///
    /// # Errors
    /// When something else is there.
    pub(crate) fn make_folder(&self, path: &str, mode: u32) -> Done<()> {
        if self.look(path)?.is_none() {
            self.change("make", path, |folder, name| {
                fs::mkdirat(folder, name, Mode::from_raw_mode(mode))
            })?;
        }
        let not = |errno| failed("make", path, errno);
        let folder = self.direct(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(not)?;
        // The umask may have taken from it.
        if fs::fstat(&folder).map_err(not)?.st_mode & 0o7777 != mode {
            fs::fchmod(&folder, Mode::from_raw_mode(mode)).map_err(not)?;
        }
        Ok(())
    }

    /// Gives a thing another name, in place of what has it.
    ///
    /// # Errors
    /// Those of `rename(2)`.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Done<()> {
        let (target, name) = self.parent(to).map_err(|errno| failed("open", to, errno))?;
        let before = fs::fstat(&target).map_err(|errno| failed("look at", to, errno))?;
        self.change("rename", from, |folder, old| fs::renameat(folder, old, &target, name))?;
        keep_time(&target, &before).map_err(|errno| failed("set the time of", to, errno))
    }

    /// Makes a link.
    ///
    /// # Errors
    /// When something stands there, and those of `symlink(2)`.
    pub(crate) fn link(&self, target: &[u8], path: &str) -> Done<()> {
        self.change("make", path, |folder, name| fs::symlinkat(target, folder, name))
    }

    /// Removes a file or a link; that it is gone already is fine.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    pub(crate) fn remove(&self, path: &str) -> Done<()> {
        match self.look(path)? {
            Some(_) => self.change("remove", path, |folder, name| {
                fs::unlinkat(folder, name, AtFlags::empty())
            }),
            None => Ok(()),
        }
    }

    /// Removes a folder if nothing is in it; whether it is gone.
    ///
    /// # Errors
    /// Those of `rmdir(2)`.
    pub(crate) fn remove_folder(&self, path: &str) -> Done<bool> {
        if self.look(path)?.is_none() {
            return Ok(true);
        }
        if !self.list(path)?.is_empty() {
            return Ok(false);
        }
        self.change("remove", path, |folder, name| fs::unlinkat(folder, name, AtFlags::REMOVEDIR))?;
        Ok(true)
    }

    /// Writes a file under another name and gives it its own when it is whole. `modified` is its time of change.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(
        &self,
        path: &str,
        content: &[u8],
        mode: u32,
        modified: Option<Timespec>,
    ) -> Done<()> {
        let fresh = format!("{path}.new");
        self.remove(&fresh)?;
        self.change("write", &fresh, |folder, name| {
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = fs::openat(folder, name, flags, Mode::from_raw_mode(mode))?;
            write_all(&file, content, 0)?;
            fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            if let Some(time) = modified {
                fs::futimens(&file, &at(time))?;
            }
            fs::fsync(&file)
        })?;
        self.rename(&fresh, path)
    }

    /// Writes `content` at `from` into a file that is there, which ends with it. `modified` is its time of change
    /// afterwards. Owner, mode, and whatever else the file has stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn overwrite(
        &self,
        path: &str,
        from: u64,
        content: &[u8],
        modified: Option<Timespec>,
    ) -> Done<()> {
        crash::point();
        let work = || {
            let file = self.direct(path, OFlags::WRONLY | OFlags::NONBLOCK)?;
            write_all(&file, content, from)?;
            fs::ftruncate(&file, from + content.len() as u64)?;
            if let Some(time) = modified {
                fs::futimens(&file, &at(time))?;
            }
            fs::fsync(&file)
        };
        work().map_err(|errno| failed("write", path, errno))
    }

    /// Makes sure that a folder's entries are on the disk.
    ///
    /// # Errors
    /// Those of `fsync(2)`.
    pub(crate) fn sync(&self, path: &str) -> Done<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = self.direct(path, flags).and_then(fs::fsync);
        folder.map_err(|errno| failed("write", path, errno))
    }

    /// A path by which this process reaches a folder of the root, whatever links are changed meanwhile, for as long as
    /// the descriptor is kept.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn handle(&self, path: &str) -> Done<(OwnedFd, PathBuf)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.direct(path, flags).map_err(|errno| failed("open", path, errno))?;
        let by_proc = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        // Without /proc, in a bare chroot, the path itself is as good: nothing leads out of the own root.
        let is_seen = fs::stat(&by_proc).is_ok();
        Ok((fd, if self.is_own && !is_seen { path.into() } else { by_proc }))
    }

    /// One change in a folder, which keeps its time.
    fn change(
        &self,
        operation: &'static str,
        path: &str,
        change: impl FnOnce(&OwnedFd, &str) -> Result<(), Errno>,
    ) -> Done<()> {
        crash::point();
        let work = || {
            let (folder, name) = self.parent(path)?;
            let before = fs::fstat(&folder)?;
            change(&folder, name)?;
            keep_time(&folder, &before)
        };
        work().map_err(|errno| failed(operation, path, errno))
    }
}

/// Folder and name of an absolute path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", path),
    }
}

/// `folder/name`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// Whether it is a regular file.
pub(crate) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Whether it is a link.
pub(crate) fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// Its time of change.
pub(crate) fn modified(stat: &Stat) -> Timespec {
    Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() }
}

fn at(time: Timespec) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT };
    Timestamps { last_access: omit, last_modification: time }
}

fn keep_time(folder: &OwnedFd, before: &Stat) -> Result<(), Errno> {
    match fs::futimens(folder, &at(modified(before))) {
        // Somebody else's folder that we may write to: its time is all that is lost.
        Err(Errno::PERM | Errno::ACCESS) => Ok(()),
        other => other,
    }
}

fn write_all(file: &OwnedFd, mut content: &[u8], mut from: u64) -> Result<(), Errno> {
    while !content.is_empty() {
        match rustix::io::pwrite(file, content, from) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => {
                content = &content[n..];
                from += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn failed(operation: &'static str, path: &str, errno: Errno) -> InstallError {
    InstallError::Failed { operation, path: path.into(), source: io::Error::from(errno) }
}

/// A path as text, where it can stand in a manifest.
///
/// # Errors
/// [`InstallError::OddPath`].
pub(crate) fn plain(path: &[u8]) -> Done<String> {
    let is_plain =
        |&b: &u8| (b' '..=b'~').contains(&b) && !matches!(b, b'"' | b'\\' | b'\'' | b'|');
    match std::str::from_utf8(path) {
        Ok(text) if path.iter().all(is_plain) => Ok(text.to_owned()),
        _ => Err(InstallError::OddPath(OsStr::from_bytes(path).to_string_lossy().into_owned())),
    }
}
