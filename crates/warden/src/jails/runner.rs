//! The runner that supervised commands start under: the shim's program in a file that nobody can change while it is
//! used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;

use super::shim_binary::SHIM;

/// The file's name where it has to lie in the state folder.
const FILE: &str = "clawrden-runner";

/// Why there is no runner.
#[derive(Debug, thiserror::Error)]
#[error("cannot provide the runner {path}: {source}")]
pub struct RunnerError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// The runner's program, open for executing.
#[derive(Debug)]
pub struct RunnerFile {
    handle: OwnedFd,
    path: PathBuf,
    is_sealed: bool,
}

impl RunnerFile {
    /// A sealed file in memory, or where the kernel does not let such a file be executed, one in the state folder,
    /// which must be ours alone.
    ///
    /// # Errors
    /// When neither can be had.
    pub fn provide(state: &Path) -> Result<Self, RunnerError> {
        Self::sealed().or_else(|_| Self::in_folder(state))
    }

    /// Only the file in memory.
    ///
    /// # Errors
    /// When the kernel has none, or does not let it be executed.
    pub fn sealed() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let handle = match rustix::fs::memfd_create(FILE, flags | MemfdFlags::EXEC) {
            // Before Linux 6.3 there is no such flag, and every such file can be executed.
            Err(Errno::INVAL) => rustix::fs::memfd_create(FILE, flags)?,
            made => made?,
        };
        let mut file = File::from(handle);
        file.write_all(SHIM)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        rustix::fs::access(&path, rustix::fs::Access::EXEC_OK)?;
        Ok(Self { handle: file.into(), path, is_sealed: true })
    }

    /// Only the file in the state folder.
    ///
    /// # Errors
    /// When it cannot be written, or is not what was written.
    pub fn in_folder(state: &Path) -> Result<Self, RunnerError> {
        let path = state.join(FILE);
        let opened = write_file(&path).and_then(|()| open_checked(&path));
        match opened {
            Ok(handle) => Ok(Self { handle, path, is_sealed: false }),
            Err(source) => Err(RunnerError { path, source }),
        }
    }

    /// The descriptor, closed on exec, for `execveat`. A child that has changed its uid can use nothing else: it may
    /// not look into its own `/proc/self/fd`.
    #[must_use]
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// A path for this process and for children that keep its descriptors until they execute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is the file in memory, which nobody can change.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }
}

fn write_file(path: &Path) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&fresh)?;
    file.write_all(SHIM)?;
    // Others than its owner execute it too, and the umask may have said otherwise.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o755))?;
    drop(file);
    fs::rename(&fresh, path)
}

fn open_checked(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    let mut content = Vec::with_capacity(SHIM.len());
    let limit = SHIM.len() as u64 + 1;
    Read::by_ref(&mut file).take(limit).read_to_end(&mut content)?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw() && content == SHIM;
    if is_ours { Ok(file.into()) } else { Err(io::Error::other("it is not what was written")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_file_in_memory_holds_the_shim_and_cannot_be_changed() {
        let runner = RunnerFile::sealed().unwrap();
        assert!(runner.is_sealed());
        assert_eq!(fs::read(runner.path()).unwrap(), SHIM);
        let opened = OpenOptions::new().write(true).open(runner.path());
        assert!(opened.and_then(|mut file| file.write_all(b"x")).is_err());
        assert!(rustix::fs::ftruncate(runner.handle(), 0).is_err());
    }

    #[test]
    fn the_file_in_the_state_folder_replaces_what_was_there() {
        let state = tempfile::tempdir().unwrap();
        let victim = state.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, state.path().join(FILE)).unwrap();
        for _ in 0..2 {
            let runner = RunnerFile::in_folder(state.path()).unwrap();
            assert!(!runner.is_sealed());
            assert_eq!(fs::read(runner.path()).unwrap(), SHIM);
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    }

    #[test]
    fn without_a_state_folder_there_is_only_the_file_in_memory() {
        let missing = Path::new("/nonexistent/clawrden");
        assert!(RunnerFile::in_folder(missing).is_err());
        assert!(RunnerFile::provide(missing).unwrap().is_sealed());
    }
}
