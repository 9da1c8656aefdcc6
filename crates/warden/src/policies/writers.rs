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
        "{path:?} belongs to uid {uid}, who could change it; give it to root or to the warden's user \
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
        "{path:?} has mode {mode:04o}, so others than its owner can change it; take the right to write away \
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
pub(crate) fn check(path: &Path) -> Result<(), Writable> {
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

    /// Runs one of these tests by itself, behind `prefix`, and tells whether it held; `None` where that cannot be done.
    fn again(prefix: &[&str], test: &str, scene: &Path) -> Option<bool> {
        let can = std::process::Command::new(prefix[0]).args(&prefix[1..]).arg("true").status();
        if !can.is_ok_and(|status| status.success()) {
            return None;
        }
        let own = std::env::current_exe().unwrap();
        let mut inner = std::process::Command::new(prefix[0]);
        inner.args(&prefix[1..]).arg(own).args(["--exact", "--nocapture"]);
        inner.arg(format!("policies::writers::tests::{test}")).env(SCENE, scene);
        let output = inner.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("1 passed") || !output.status.success(), "{told}");
        Some(output.status.success())
    }

    /// Names the folder of a test that was started once more elsewhere.
    const SCENE: &str = "CLAWRDEN_TEST_SCENE";

    fn inner() -> Option<PathBuf> {
        std::env::var_os(SCENE).map(PathBuf::from)
    }

    #[test]
    fn on_a_mount_that_is_read_only_rights_and_owners_do_not_matter() {
        let name = "on_a_mount_that_is_read_only_rights_and_owners_do_not_matter";
        if let Some(top) = inner() {
            // What leads to the mount is as it was; the link lies outside of it, and it leads in.
            check(&top.join("folder/policy.yaml")).unwrap();
            check(&top.join("links/policy.yaml")).unwrap();
            let error = check(&top.join("links/open.yaml")).unwrap_err();
            assert!(
                matches!(&error, Writable::Mode { path, .. } if path.ends_with("open")),
                "{error}"
            );
            return;
        }
        let (top, [folder, file, links]) = scene();
        mode(&file, 0o666);
        mode(&folder, 0o777);
        if rustix::process::geteuid().is_root() {
            chown(&file, Some(4711), Some(4711)).unwrap();
            mode(&file, 0o666);
        }
        // A link to the closed mount that lies in an open folder is anybody's.
        let open = top.path().join("open");
        fs::create_dir(&open).unwrap();
        symlink(&file, open.join("policy.yaml")).unwrap();
        symlink(open.join("policy.yaml"), links.with_file_name("open.yaml")).unwrap();
        mode(&open, 0o777);
        check(&file).unwrap_err();
        let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
        let flags = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
        let prefix = ["unshare", flags, "sh", "-c", script, folder.to_str().unwrap()];
        assert_ne!(again(&prefix, name, top.path()), Some(false));
    }

    #[test]
    fn in_a_user_namespace_folders_of_users_without_a_number_are_the_hosts_and_files_are_not() {
        let name =
            "in_a_user_namespace_folders_of_users_without_a_number_are_the_hosts_and_files_are_not";
        if let Some(top) = inner() {
            assert!(is_in_user_namespace());
            let uid = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
            // The folder above is the host's root's, who has no number here.
            assert_eq!(uid(&top), overflow_uid());
            check(&top.join("mine/policy.yaml")).unwrap();
            assert_eq!(uid(&top.join("theirs.yaml")), overflow_uid());
            let error = check(&top.join("theirs.yaml")).unwrap_err();
            assert!(matches!(error, Writable::Owner { .. }), "{error}");
            // A folder that others can write stays one.
            let error = check(&top.join("open/policy.yaml")).unwrap_err();
            assert!(matches!(error, Writable::Mode { .. }), "{error}");
            return;
        }
        assert_eq!(is_in_user_namespace(), !is_whole());
        if !rustix::process::geteuid().is_root() || is_in_user_namespace() {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        mode(top.path(), 0o755);
        for folder in ["mine", "open"] {
            fs::create_dir(top.path().join(folder)).unwrap();
            fs::write(top.path().join(folder).join("policy.yaml"), "rules: []").unwrap();
        }
        fs::write(top.path().join("theirs.yaml"), "rules: []").unwrap();
        for mine in ["mine", "mine/policy.yaml", "open/policy.yaml"] {
            chown(top.path().join(mine), Some(4711), Some(4711)).unwrap();
        }
        mode(&top.path().join("open"), 0o777);
        // Where the tests are built another user may not look, so the program is opened before.
        let own = std::env::current_exe().unwrap();
        let copy = top.path().join("tests");
        fs::copy(own, &copy).unwrap();
        let mut inner = std::process::Command::new("setpriv");
        inner.args(["--reuid", "4711", "--regid", "4711", "--clear-groups", "unshare", "-Ur"]);
        inner.arg(&copy).args(["--exact", "--nocapture"]);
        inner.arg(format!("policies::writers::tests::{name}")).env(SCENE, top.path());
        let Ok(output) = inner.current_dir(top.path()).output() else { return };
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
        assert!((output.status.success() && ran) || told.starts_with("unshare: "), "{told}");
        check(&top.path().join("theirs.yaml")).unwrap();
    }

    fn is_whole() -> bool {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        map.split_whitespace().eq(["0", "0", "4294967295"])
    }

    #[test]
    fn links_in_a_circle_are_left_to_the_reader() {
        let (top, _) = scene();
        symlink("b", top.path().join("a")).unwrap();
        symlink("a", top.path().join("b")).unwrap();
        check(&top.path().join("a")).unwrap();
    }
}
