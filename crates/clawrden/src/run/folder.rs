//! The folder that one `clawrden run` has for its generated files: private, named after its process, removed with it.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

/// The part of a run's folder name before its process id.
const PREFIX: &str = "clawrden-run-";

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// It cannot be made.
    #[error(
        "the folder {path:?} for the generated shell files cannot be made; is its parent yours?"
    )]
    Make { path: PathBuf, source: io::Error },
    /// A file in it cannot be written.
    #[error("the generated file {path:?} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    /// A startup file of the system cannot be read.
    #[error("the system's {path:?} cannot be read")]
    Read { path: PathBuf, source: io::Error },
}

/// A folder with mode 0700, removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder under `base`, and removes those of runs that are dead.
    ///
    /// Its path ends up in variables that shells expand a second time (`BASH_ENV`, `ENV`), so a `base` with anything
    /// but plain characters is passed over for the system's folder for temporary files.
    ///
    /// # Errors
    /// [`FolderError::Make`].
    pub(crate) fn make(base: &Path) -> Result<Self, FolderError> {
        let base = if is_plain(base) { base.to_owned() } else { temporary() };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Make { path, source }
        };
        private().recursive(true).create(&base).map_err(failed(&base))?;
        sweep(&base);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let mode = std::fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(&prefix).permissions(mode).tempdir_in(&base);
        Ok(Self { path: made.map_err(failed(&base))?.keep() })
    }

    /// A part of it, under a name of its own. It is there once something is written into it.
    pub(crate) fn part(&self, name: &str) -> Part {
        Part { path: self.path.join(name) }
    }
}

/// A folder in the folder.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
}

impl Part {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folders on the way to a file in it.
    ///
    /// # Errors
    /// Those of the system, and a path that is elsewhere.
    pub(crate) fn make_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if parent.starts_with(&self.path) => {
                private().recursive(true).create(parent)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Writes a file into it, with the folders on its way.
    ///
    /// # Errors
    /// [`FolderError::Write`].
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, FolderError> {
        let path = self.path.join(name);
        let write = || {
            self.make_parent(&path)?;
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::Write::write_all(&mut file, content)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(FolderError::Write { path, source }),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is swept by the next run.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn private() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

fn is_plain(path: &Path) -> bool {
    let plain = |&b: &u8| b.is_ascii_alphanumeric() || b"/._-+".contains(&b);
    path.is_absolute() && path.as_os_str().as_encoded_bytes().iter().all(plain)
}

fn temporary() -> PathBuf {
    let dir = std::env::temp_dir();
    if is_plain(&dir) { dir } else { PathBuf::from("/tmp") }
}

/// Removes the folders of runs whose process is gone.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(pid, _)| Pid::from_raw(pid.parse().ok()?));
        let Some(pid) = pid else { continue };
        if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            // Another run may sweep at the same time, and another user's is not ours to remove.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_and_files_are_for_their_owner_alone_and_go_away() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make(&base.path().join("deep/er")).unwrap();
        let path = folder.path.clone();
        let part = folder.part("live");
        let file = part.write("zsh/.zshenv", b"x").unwrap();
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        assert!(part.write("zsh/.zshenv", b"again").is_err());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_base_that_a_shell_would_expand_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        for odd in ["a b", "$(touch x)", "`x`", "a'b", "a\"b", "a:b"] {
            let base = base.path().join(odd);
            let folder = Folder::make(&base).unwrap();
            assert!(!folder.path.starts_with(&base), "{odd}");
            assert!(is_plain(&folder.path));
        }
    }

    #[test]
    fn folders_of_dead_runs_are_swept_and_those_of_living_ones_stay() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join(format!("clawrden-run-{}-abc", i32::MAX));
        let other = base.path().join("jails");
        std::fs::create_dir(&dead).unwrap();
        std::fs::create_dir(&other).unwrap();
        let first = Folder::make(base.path()).unwrap();
        let _second = Folder::make(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(other.exists() && first.path.exists());
    }
}
