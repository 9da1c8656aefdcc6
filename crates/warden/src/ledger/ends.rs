//! The ends of a segment: its file opened, its first line and its last.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::error::LedgerError;
use super::line::{self, Head, MAX_LINE};
use super::place::open_to_read;

/// Opens a segment to read it; `None` where it is gone, as retention drops it while others read.
pub(super) fn open_if_kept(path: &Path) -> Result<Option<File>, LedgerError> {
    match open_to_read(path) {
        Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// The first line of a file, or what there is of it.
pub(super) fn first_line(file: &File) -> Option<Vec<u8>> {
    // The ledger's own first line is short; of another one the time is all that is wanted.
    let mut start = vec![0; 1024];
    let n = file.read_at(&mut start, 0).ok()?;
    start.truncate(n);
    start.truncate(start.iter().position(|&b| b == b'\n').unwrap_or(n));
    Some(start)
}

/// The sequence number and hash of the last whole line of `file`, and the line; `None` if it has none.
pub(super) fn last_line(path: &Path, file: &File) -> Result<Option<(Head, Vec<u8>)>, LedgerError> {
    let read_error = LedgerError::io("read", path);
    let tail = || -> io::Result<Vec<u8>> {
        let size = file.metadata()?.len();
        let from = size.saturating_sub(2 * (MAX_LINE as u64 + 1));
        let mut tail = vec![0; usize::try_from(size - from).unwrap_or(0)];
        file.read_exact_at(&mut tail, from)?;
        Ok(tail)
    };
    let tail = tail().map_err(read_error)?;
    let Some(end) = tail.iter().rposition(|&b| b == b'\n') else { return Ok(None) };
    let start = tail[..end].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let line = &tail[start..end];
    let link = line::link(line);
    Ok(link.seq.map(|seq| (Head { seq, hash: link.hash }, line.to_vec())))
}
