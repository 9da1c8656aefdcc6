//! Reading files that others write: only when nobody has one open for writing, and only if none changed meanwhile.
//! The beginning of a policy may be a policy, and one that lacks its last denials.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::sys::lease::{Lease, LeaseError};

/// Files of one source that are held still. More are a source that is not read.
pub(crate) const MAX_FILES: usize = 1024;

/// Why files cannot be read at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unsteady {
    /// A process has it open for writing.
    #[error(
        "{0:?} is being written: a process has it open for writing, so that it may not be whole"
    )]
    Written(PathBuf),
    /// It is another one, or has other content, than when reading began.
    #[error("the policy changed while it was read")]
    Changed,
    /// There are more than [`MAX_FILES`].
    #[error("there are more than {MAX_FILES} policy files")]
    TooMany,
}

/// What shows that a file is the same, and has not been written.
#[derive(PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Device, inode, size, and both times with their nanoseconds; `None` where there is none.
    state: Option<[i128; 5]>,
}

/// Calls `read` while the files at `paths` stand still.
///
/// A lease of the kernel keeps writers out for as long as it takes. Where it gives none (another user's file, a file
/// system without leases) the files' stamps are all that is compared.
///
/// # Errors
/// [`Unsteady`]: what was read is not to be used.
pub(crate) fn steadily<T>(paths: &[PathBuf], read: impl FnOnce() -> T) -> Result<T, Unsteady> {
    let files = files(paths)?;
    let before: Vec<Stamp> = files.iter().map(|path| Stamp::of(path)).collect();
    let mut leases = Vec::new();
    for path in &files {
        match hold(path) {
            Ok(lease) => leases.extend(lease),
            Err(()) => return Err(Unsteady::Written(path.clone())),
        }
    }
    let value = read();
    drop(leases);
    let after: Vec<Stamp> = self::files(paths)?.iter().map(|path| Stamp::of(path)).collect();
    if before == after { Ok(value) } else { Err(Unsteady::Changed) }
}

/// The files themselves; of a folder, the YAML files in it, by name.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Unsteady> {
    let mut all = Vec::new();
    for path in paths {
        match fs::read_dir(path) {
            Ok(entries) => {
                let inside = entries.filter_map(|entry| Some(entry.ok()?.path()));
                let mut inside: Vec<PathBuf> =
                    inside.filter(|path| is_yaml(path)).take(MAX_FILES + 1).collect();
                inside.sort();
                all.extend(inside);
            }
            Err(_) => all.push(path.clone()),
        }
    }
    if all.len() > MAX_FILES { Err(Unsteady::TooMany) } else { Ok(all) }
}

/// Whether a file in a folder of policies is one.
pub(super) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// A lease, where one can be had; an error where somebody writes.
fn hold(path: &Path) -> Result<Option<Lease>, ()> {
    // A pipe would wait for its other end; what is no file is told by whoever loads it.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    if !fs::metadata(path).is_ok_and(|about| about.is_file()) {
        return Ok(None);
    }
    let opened = File::options().read(true).custom_flags(nonblock).open(path);
    let Some(file) = opened.ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file())) else {
        return Ok(None);
    };
    match Lease::take(file) {
        Ok(lease) => Ok(Some(lease)),
        Err(LeaseError::Written) => Err(()),
        Err(LeaseError::None) => Ok(None),
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let state = |about: Metadata| {
            let time =
                |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            [
                i128::from(about.dev()),
                i128::from(about.ino()),
                i128::from(about.size()),
                time(about.mtime(), about.mtime_nsec()),
                time(about.ctime(), about.ctime_nsec()),
            ]
        };
        Self { path: path.to_owned(), state: fs::metadata(path).ok().map(state) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_somebody_writes_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        let mut writer = File::create(&file).unwrap();
        writer.write_all(b"half").unwrap();
        let paths = [file.clone()];
        let read = || fs::read_to_string(&file).unwrap();
        assert_eq!(steadily(&paths, read), Err(Unsteady::Written(file.clone())));
        writer.write_all(b" and half").unwrap();
        drop(writer);
        assert_eq!(steadily(&paths, read).unwrap(), "half and half");
    }

    #[test]
    fn a_file_that_changes_under_the_reader_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        fs::write(&file, "one").unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "two").unwrap();
        let swapped = steadily(std::slice::from_ref(&file), || fs::rename(&other, &file).unwrap());
        assert_eq!(swapped, Err(Unsteady::Changed));
    }

    #[test]
    fn a_file_that_comes_into_a_folder_under_the_reader_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "a").unwrap();
        let paths = [dir.path().to_owned()];
        let came = |name: &str| {
            let path = dir.path().join(name);
            steadily(&paths, move || fs::write(path, "b").unwrap())
        };
        assert_eq!(came("README"), Ok(()));
        assert_eq!(came("b.yaml"), Err(Unsteady::Changed));
    }

    #[test]
    fn what_is_no_file_or_not_there_is_left_to_the_reader() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("absent"), PathBuf::from("/dev/null")];
        assert_eq!(steadily(&paths, || 1), Ok(1));
    }
}
