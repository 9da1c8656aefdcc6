//! Who could write a policy file: it is read only where that is root or the warden's own user, from the root folder down
//! over every link. What others could have put there is nobody's policy, whatever it says.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use crate::sys::peer::overflow_uid;
use crate::sys::users::is_alone_in;

/// Links that are followed, as many as the kernel does.
const MAX_LINKS: usize = 40;

/// Why a policy file is not read.
#[derive(Debug, Error)]
pub enum Writable {
    /// It, or what leads to it, is another user's.
    #[error(
        "{path:?} belongs to uid {uid}, who could change the policy; give it to root or to the warden's user \
         (uid {wanted}), or mount it read-only"
    )]
    Owner {
        /// The file, folder or link.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose it may be, beside root.
        wanted: u32,
    },
    /// Others can write it.
    #[error(
        "{path:?} has mode {mode:04o}, so others than its owner can change the policy; take the right to write away \
         (`chmod go-w`)"
    )]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It cannot be looked at.
    #[error("cannot tell who can write {path:?}: {source}")]
    Unseen {
        /// The file, folder or link.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Looks at everything that leads to `path`, and at itself. What is not there is left to whoever reads it.
///
/// # Errors
/// [`Writable`].
pub(super) fn check(path: &Path) -> Result<(), Writable> {
    let unseen = |path: &Path, source| Writable::Unseen { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(|error| unseen(path, error))?;
    let mut here = PathBuf::from("/");
    let mut left = words(&absolute);
    let mut links = 0;
    let top = std::fs::symlink_metadata(&here).map_err(|error| unseen(&here, error))?;
    let mut found = step(&here, &top);
    while let Some(word) = left.pop_front() {
        if word == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&word);
        let about = match std::fs::symlink_metadata(&next) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unseen(&next, error)),
        };
        found = found.and_then(|()| step(&next, &about));
        if !about.is_symlink() {
            here = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return found;
        }
        let target = std::fs::read_link(&next).map_err(|error| unseen(&next, error))?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        let mut before = words(&target);
        before.append(&mut left);
        left = before;
    }
    found
}

fn words(path: &Path) -> VecDeque<OsString> {
    let word = |part: Component<'_>| match part {
        Component::Normal(word) => Some(word.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(word).collect()
}

fn step(path: &Path, about: &Metadata) -> Result<(), Writable> {
    let own = rustix::process::geteuid().as_raw();
    let is_link = about.is_symlink();
    let is_trusted = |uid: u32| uid == own || uid == 0;
    // Where users of the host have no number here, the host's own folders are nobody's.
    let is_hosts = !about.is_file() && about.uid() == overflow_uid() && is_in_user_namespace();
    if !is_trusted(about.uid()) && !is_hosts && !is_read_only(path, is_link) {
        return Err(Writable::Owner { path: path.to_owned(), uid: about.uid(), wanted: own });
    }
    let mode = about.mode() & 0o7777;
    // A link has no mode of its own; in a folder with the sticky bit nobody touches what is another's.
    if is_link || (about.is_dir() && mode & 0o1000 != 0) || mode & 0o022 == 0 {
        return Ok(());
    }
    // Many systems give each user a group of its own, and a umask that lets it write.
    let is_private = mode & 0o002 == 0 && is_alone_in(about.uid(), about.gid()) && !has_acl(path);
    if is_private || is_read_only(path, false) {
        return Ok(());
    }
    Err(Writable::Mode { path: path.to_owned(), mode })
}

/// Whether an access control list gives others what the mode does not show.
fn has_acl(path: &Path) -> bool {
    let mut none: [u8; 0] = [];
    let size = rustix::fs::getxattr(path, c"system.posix_acl_access", &mut none);
    !matches!(size, Ok(0) | Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP))
}

/// Nobody writes through a mount that is read-only, as those of config maps are.
fn is_read_only(path: &Path, is_link: bool) -> bool {
    let held = if is_link { path.parent().unwrap_or(path) } else { path };
    rustix::fs::statvfs(held)
        .is_ok_and(|about| about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn is_in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut fields = map.split_whitespace();
    let whole = [fields.next(), fields.next(), fields.next()];
    whole != [Some("0"), Some("0"), Some("4294967295")]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A folder, a file in it, and a link to it elsewhere.
    fn scene() -> (tempfile::TempDir, [PathBuf; 3]) {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("folder");
        let links = top.path().join("links");
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&links).unwrap();
        let file = folder.join("policy.yaml");
        fs::write(&file, "rules: []").unwrap();
        let link = links.join("policy.yaml");
        symlink(&file, &link).unwrap();
        for (path, bits) in [(&folder, 0o755), (&links, 0o755), (&file, 0o644)] {
            mode(path, bits);
        }
        (top, [folder, file, link])
    }

    #[test]
    fn what_its_owner_alone_can_write_is_read() {
        let (_top, [_, file, link]) = scene();
        check(&file).unwrap();
        check(&link).unwrap();
        mode(&file, 0o400);
        check(&link).unwrap();
        check(&file.with_file_name("absent.yaml")).unwrap();
    }

    #[test]
    fn what_everybody_can_write_or_replace_is_not() {
        let (_top, [folder, file, link]) = scene();
        let links = link.parent().unwrap();
        for (step, open, closed) in [
            (file.as_path(), 0o646, 0o644),
            (folder.as_path(), 0o757, 0o755),
            (links, 0o777, 0o755),
        ] {
            mode(step, open);
            let error = check(&link).unwrap_err();
            assert!(matches!(&error, Writable::Mode { path, .. } if path == step), "{error}");
            mode(step, closed);
            check(&link).unwrap();
        }
        mode(&folder, 0o1777);
        check(&link).unwrap();
    }

    #[test]
    fn a_group_of_ones_own_may_write_and_no_other_group() {
        let (_top, [folder, file, _]) = scene();
        mode(&file, 0o664);
        mode(&folder, 0o775);
        let (uid, gid) = (fs::metadata(&file).unwrap().uid(), fs::metadata(&file).unwrap().gid());
        assert_eq!(check(&file).is_ok(), is_alone_in(uid, gid));
        if rustix::process::geteuid().is_root() {
            check(&file).unwrap();
            chown(&file, None, Some(4711)).unwrap();
            mode(&file, 0o664);
            assert!(matches!(check(&file), Err(Writable::Mode { mode: 0o664, .. })));
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_not_read() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (_top, [folder, file, link]) = scene();
        for step in [&file, &folder] {
            chown(step, Some(4711), None).unwrap();
            let error = check(&link).unwrap_err();
            assert!(matches!(&error, Writable::Owner { path, uid: 4711, .. } if path == step));
            chown(step, Some(0), None).unwrap();
        }
        std::os::unix::fs::lchown(&link, Some(4711), None).unwrap();
        assert!(matches!(check(&link), Err(Writable::Owner { path, .. }) if path == link));
    }

    #[test]
    fn links_in_a_circle_are_left_to_the_reader() {
        let (top, _) = scene();
        symlink("b", top.path().join("a")).unwrap();
        symlink("a", top.path().join("b")).unwrap();
        check(&top.path().join("a")).unwrap();
    }
}
