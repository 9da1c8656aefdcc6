//! Folders that nobody else can put anything into. Nothing is followed, nothing that belongs to another user is used,
//! and every step is taken from the descriptor of the one before.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, Stat};

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It belongs to somebody else.
    #[error("{path} belongs to uid {uid}; it must belong to uid {wanted}")]
    ForeignOwner {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Who should own it.
        wanted: u32,
    },
    /// Others can put things into it.
    #[error(
        "{path} has mode {mode:o}, so others can put things into it; take that right away and look what is in it"
    )]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A link or a file stands there.
    #[error("{0} is no folder, or a link to one; remove it")]
    NoFolder(PathBuf),
    /// A step failed.
    #[error("cannot {operation} {path}: {source}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Opens `top` and makes the folders below it one in the other, each with its mode. `top` itself is a place that the
/// system or the user has chosen: links on the way to it are followed, it is made if it is missing (mode 0700), and it
/// may belong to root.
///
/// # Errors
/// When one of them is a link, belongs to somebody else, or can be written by others.
pub fn make(top: &Path, below: &[(&str, u32)]) -> Result<OwnedFd, FolderError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| FolderError::Failed { operation, path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(top).map_err(failed("make", top))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = rustix::fs::open(top, flags, Mode::empty())
        .map_err(|errno| failed("open", top)(errno.into()))?;
    check_top(top, &look(&folder, top)?)?;
    let mut path = top.to_owned();
    for &(name, mode) in below {
        path.push(name);
        folder = enter(&folder, OsStr::new(name), &path, mode)?;
    }
    Ok(folder)
}

fn enter(above: &OwnedFd, name: &OsStr, path: &Path, mode: u32) -> Result<OwnedFd, FolderError> {
    let failed = |operation| {
        move |errno: rustix::io::Errno| FolderError::Failed {
            operation,
            path: path.to_owned(),
            source: errno.into(),
        }
    };
    match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(failed("make")(errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match rustix::fs::openat(above, name, flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return Err(FolderError::NoFolder(path.to_owned()));
        }
        Err(errno) => return Err(failed("open")(errno)),
    };
    let found = look(&folder, path)?;
    let uid = rustix::process::geteuid().as_raw();
    if found.st_uid != uid {
        return Err(FolderError::ForeignOwner {
            path: path.to_owned(),
            uid: found.st_uid,
            wanted: uid,
        });
    }
    let has = found.st_mode & 0o7777;
    // What others could have put into it cannot be told from ours.
    if has & 0o022 != 0 {
        return Err(FolderError::Writable { path: path.to_owned(), mode: has });
    }
    // The umask may have taken bits away that prisoners under other uids need; an older folder may be too open.
    if has != mode {
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))
            .map_err(failed("set the mode of"))?;
    }
    Ok(folder)
}

fn check_top(path: &Path, found: &Stat) -> Result<(), FolderError> {
    let uid = rustix::process::geteuid().as_raw();
    if found.st_uid != uid && found.st_uid != 0 {
        return Err(FolderError::ForeignOwner {
            path: path.to_owned(),
            uid: found.st_uid,
            wanted: uid,
        });
    }
    let mode = found.st_mode & 0o7777;
    // Where every user has a group of its own, of the same number, its homes are often writable by that group.
    let by_group = mode & 0o020 != 0 && found.st_gid != uid;
    // In a folder with the sticky bit others can make things, but not touch ours.
    let is_sticky = mode & 0o1000 != 0;
    if (by_group || mode & 0o002 != 0) && !is_sticky {
        return Err(FolderError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

fn look(folder: &OwnedFd, path: &Path) -> Result<Stat, FolderError> {
    rustix::fs::fstat(folder).map_err(|errno| FolderError::Failed {
        operation: "look at",
        path: path.to_owned(),
        source: errno.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn folders_are_made_with_their_modes_and_made_again_without_harm() {
        let top = tempfile::tempdir().unwrap();
        let missing = top.path().join("x/y");
        for _ in 0..2 {
            make(&missing, &[("a", 0o755), ("b", 0o700)]).unwrap();
            assert_eq!(mode(&missing), 0o700);
            assert_eq!(mode(&missing.join("a")), 0o755);
            assert_eq!(mode(&missing.join("a/b")), 0o700);
        }
    }

    #[test]
    fn a_folder_that_is_too_open_to_read_is_closed() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("a")).unwrap();
        fs::set_permissions(top.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
        make(top.path(), &[("a", 0o700)]).unwrap();
        assert_eq!(mode(&top.path().join("a")), 0o700);
    }

    #[test]
    fn a_link_in_place_of_a_folder_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), top.path().join("a")).unwrap();
        assert!(matches!(make(top.path(), &[("a", 0o700)]), Err(FolderError::NoFolder(_))));
        assert!(matches!(
            make(top.path(), &[("a", 0o700), ("b", 0o700)]),
            Err(FolderError::NoFolder(_))
        ));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        fs::write(top.path().join("f"), "").unwrap();
        assert!(matches!(make(top.path(), &[("f", 0o700)]), Err(FolderError::NoFolder(_))));
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("a")).unwrap();
        for open in [0o770, 0o707, 0o1777] {
            fs::set_permissions(top.path().join("a"), fs::Permissions::from_mode(open)).unwrap();
            let refused = make(top.path(), &[("a", 0o700)]);
            assert!(matches!(refused, Err(FolderError::Writable { .. })), "{open:o}");
        }
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o707)).unwrap();
        assert!(matches!(make(top.path(), &[]), Err(FolderError::Writable { .. })));
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o1707)).unwrap();
        assert!(make(top.path(), &[]).is_ok());
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("a")).unwrap();
        chown(top.path().join("a"), Some(4711), None).unwrap();
        assert!(matches!(make(top.path(), &[("a", 0o700)]), Err(FolderError::ForeignOwner { .. })));
        assert!(matches!(make(&top.path().join("a"), &[]), Err(FolderError::ForeignOwner { .. })));
    }
}
