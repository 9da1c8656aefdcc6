//! Files that the warden alone reads and writes.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Whether the file is there; if it is, it is a regular one of our own that nobody else may read or write.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(path: &Path) -> Result<bool, String> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.to_string()),
        Ok(found) if !found.is_file() => Err("it is no regular file".to_owned()),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            Err("others may read or write it (chmod 600)".to_owned())
        }
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
            Err(format!("it belongs to uid {}", found.uid()))
        }
        Ok(_) => Ok(true),
    }
}
