//! Links of shims: each names the shim that lies beside it. Some file systems (overlayfs, and any that is mounted read-only with
//! `relatime`) follow no link without waiting, so what a link says is remembered.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::fs::readlinkat;

use super::root::{Depth, FileId, Opened, Root};

/// Links that are remembered; beyond it all are forgotten and read again.
const MOST: usize = 4096;

/// What links say, by the link itself: what one says never changes.
#[derive(Debug, Default)]
pub(super) struct Beside(Mutex<HashMap<FileId, Vec<u8>>>);

impl Beside {
    /// What the link at `path` leads to, as far as that is remembered and at hand.
    pub(super) fn follow(&self, root: &Root, path: &[u8]) -> Option<Opened> {
        let link = root.link_at(path, Depth::Cached).ok()?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = [folder(path)?, known.get(&link.id)?].concat();
        drop(known);
        let opened = root.lookup(&beside, Depth::Cached).ok()?;
        // What it leads to has another path than the link.
        opened.is_direct().then(|| opened.by_a_link())
    }

    /// Remembers what the link at `path` says, where that is the name of a file beside it. May wait for the file system.
    pub(super) fn learn(&self, root: &Root, path: &[u8]) {
        let Ok((link, name)) = read(root, path) else { return };
        if name.contains(&b'/') || name == b"." || name == b".." {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(link, name);
    }
}

fn read(root: &Root, path: &[u8]) -> io::Result<(FileId, Vec<u8>)> {
    let link = root.link_at(path, Depth::Full)?;
    Ok((link.id, readlinkat(&link.fd, "", Vec::new())?.into_bytes()))
}

/// The folder of an absolute path, with its slash.
fn folder(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|&byte| byte == b'/').map(|at| &path[..=at])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_what_lies_beside_it_is_followed_once_it_was_read_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("shim"), "").unwrap();
        fs::create_dir(at("sub")).unwrap();
        symlink("shim", at("git")).unwrap();
        symlink(at("shim"), at("far")).unwrap();
        symlink("../shim", at("sub/up")).unwrap();
        symlink("..", at("above")).unwrap();
        symlink("git", at("twice")).unwrap();
        let (root, beside) = (Root::own().unwrap(), Beside::default());
        let path = |name: &str| at(name).as_os_str().as_bytes().to_vec();
        let id = |name: &str| root.lookup(&path(name), Depth::Full).unwrap().id;
        let names = ["git", "far", "sub/up", "above", "twice", "shim", "none"];
        for name in names {
            assert!(beside.follow(&root, &path(name)).is_none(), "{name}");
            beside.learn(&root, &path(name));
        }
        for name in names {
            let found = beside.follow(&root, &path(name));
            assert_eq!(found.as_ref().map(|found| found.id), (name == "git").then(|| id("shim")));
            let real = found.and_then(|found| root.path_of(&found, &path(name)));
            assert_eq!(real, (name == "git").then(|| path("shim")), "{name}");
        }
        // Another link of that name is another one.
        fs::remove_file(at("git")).unwrap();
        symlink("sub", at("git")).unwrap();
        assert!(beside.follow(&root, &path("git")).is_none());
    }
}
