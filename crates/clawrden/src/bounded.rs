//! Reading files of whoever names them, within bounds.

use std::io::{self, Read};
use std::path::Path;

/// The text of a regular file of at most `limit` bytes.
///
/// # Errors
/// What the system says, or that it is longer or no UTF-8.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<String> {
    // Before opening: a pipe would make us wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let read =
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= limit) {
        return Ok(text);
    }
    Err(io::Error::other(format!("it is longer than {limit} bytes")))
}
