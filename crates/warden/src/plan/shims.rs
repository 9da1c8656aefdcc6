//! The folder of shims on the PATH of a handed-off tool, so that whatever that starts is governed too.

use std::io;

use super::root::{Depth, Root};
use super::tool::DEFAULT_PATH;
use crate::jails::Jail;

/// Where it is in a prisoner of an image of its own.
pub(crate) const SHIMS: &[u8] = b"/clawrden/bin";

/// The folder of this jail's shims, as it is called on the warden's side.
pub(super) fn folder(jail: &Jail) -> Option<&[u8]> {
    jail.bin.as_ref().map(|bin| bin.as_os_str().as_encoded_bytes())
}

/// The folder that a caller's PATH has lost, as it is called in this root, the caller's own. None, where there is one on
/// PATH, or none that the caller could see.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when the depth does not suffice.
pub(super) fn lost(
    root: &Root,
    jail: Option<&[u8]>,
    path: Option<&[u8]>,
    depth: Depth,
) -> io::Result<Option<Vec<u8>>> {
    let entries = path.unwrap_or_default().split(|&byte| byte == b':');
    let names = |folder: &[u8]| entries.clone().any(|entry| entry == folder);
    if jail.is_some_and(names) {
        return Ok(None);
    }
    if root.is_own() {
        return Ok(jail.map(<[u8]>::to_vec));
    }
    // Elsewhere it may be mounted by the same name, be part of an image, or not be at all; a name alone governs nothing.
    let is_there = |folder: &[u8]| match root.lookup(folder, depth) {
        Ok(opened) => Ok(opened.is_directory()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
        Err(_) => Ok(false),
    };
    let of_image = is_there(SHIMS)?;
    if of_image && names(SHIMS) {
        return Ok(None);
    }
    Ok(match jail {
        Some(jail) if is_there(jail)? => Some(jail.to_vec()),
        _ => of_image.then(|| SHIMS.to_vec()),
    })
}

/// `PATH=…` with this folder in front of the caller's.
pub(super) fn in_front(folder: &[u8], path: Option<&[u8]>) -> Vec<u8> {
    // Without a PATH there is another one, which one that is set takes the place of.
    [b"PATH=", folder, b":", path.unwrap_or(DEFAULT_PATH)].concat()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_shims_come_back_onto_a_path_that_lost_them() {
        let own = Root::own().unwrap();
        let lost = |path| lost(&own, Some(b"/shims"), path, Depth::Cached).unwrap();
        assert_eq!(lost(Some(b"/bin:/shims")), None);
        for path in [Some(&b"/bin"[..]), Some(b""), None, Some(b"/clawrden/bin")] {
            assert_eq!(lost(path).unwrap(), b"/shims", "{path:?}");
        }
        assert_eq!(in_front(b"/shims", Some(b"/bin")), b"PATH=/shims:/bin");
        assert_eq!(in_front(b"/shims", None), b"PATH=/shims:/bin:/usr/bin");
        assert_eq!(in_front(b"/shims", Some(b"")), b"PATH=/shims:", "the working directory");
    }

    #[test]
    fn in_another_root_they_are_those_that_can_be_seen_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path()).unwrap();
        let lost = |path| lost(&root, Some(b"/jails/dev/bin"), Some(path), Depth::Full).unwrap();
        assert_eq!(lost(b"/bin"), None, "neither is there");
        fs::create_dir_all(dir.path().join("clawrden/bin")).unwrap();
        assert_eq!(lost(b"/bin").unwrap(), SHIMS);
        assert_eq!(lost(b"/bin:/clawrden/bin"), None);
        fs::create_dir_all(dir.path().join("jails/dev/bin")).unwrap();
        assert_eq!(lost(b"/bin").unwrap(), b"/jails/dev/bin");
        assert_eq!(lost(b"/jails/dev/bin:/bin"), None);
        fs::remove_dir(dir.path().join("clawrden/bin")).unwrap();
        assert_eq!(lost(b"/clawrden/bin:/bin").unwrap(), b"/jails/dev/bin", "a name alone");
    }
}
