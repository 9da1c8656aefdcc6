//! Files that lie beside another one and are named after it.

use std::path::{Path, PathBuf};

/// The file beside `path` whose name is that one's and goes on by `end`.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}
