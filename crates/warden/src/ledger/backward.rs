//! A ledger's lines from the newest to the oldest, over all of its files.
//! It holds one block and one line at a time, and steps over what is no line.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::ends::open_if_kept;
use super::error::LedgerError;
use super::line::MAX_LINE;
use super::place::Place;
use super::writer::View;

/// Bytes that are read at once.
const BLOCK: u64 = 256 * 1024;

/// Lines, newest first.
pub(super) struct Backward {
    older: Vec<PathBuf>,
    path: PathBuf,
    file: Arc<File>,
    /// Where the bytes of `buffer` begin in the file.
    at: u64,
    /// What was read and not given yet: from `at` to the end of the line that comes next.
    buffer: Vec<u8>,
}

impl Backward {
    /// Reads what `view` shows and the closed segments before it.
    pub(super) fn new(place: &Place, view: View) -> Result<Self, LedgerError> {
        let segments = place.segments()?.into_iter();
        // A segment that was closed after the view was taken is the view's own file.
        let older = segments.filter(|&(first, _)| first < view.first).map(|(_, path)| path);
        let older = older.collect();
        Ok(Self {
            older,
            path: place.active(),
            file: view.file,
            at: view.bytes,
            buffer: Vec::new(),
        })
    }

    /// Hands the next older line, its newline left out, to `read`; `None` at the beginning of the ledger.
    pub(super) fn next_line<T>(
        &mut self,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, LedgerError> {
        loop {
            // The last byte is the newline of the line that comes next.
            let end = self.buffer.len().saturating_sub(1);
            if let Some(newline) = self.buffer[..end].iter().rposition(|&b| b == b'\n') {
                let result = read(&self.buffer[newline + 1..end]);
                self.buffer.truncate(newline + 1);
                return Ok(Some(result));
            }
            if self.at > 0 {
                self.fill().map_err(LedgerError::io("read", &self.path))?;
                continue;
            }
            if !self.buffer.is_empty() {
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some(read(&line[..end])));
            }
            let Some(path) = self.older.pop() else { return Ok(None) };
            // What retention drops meanwhile is the oldest: there is nothing behind it.
            let Some(file) = open_if_kept(&path)? else {
                self.older.clear();
                return Ok(None);
            };
            self.at = file.metadata().map_err(LedgerError::io("look at", &path))?.len();
            self.file = Arc::new(file);
            self.path = path;
        }
    }

    /// Puts the block before in front of the buffer. The end of a line that is too long to be one is dropped.
    fn fill(&mut self) -> io::Result<()> {
        let from = self.at.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(self.at - from).unwrap_or(0)];
        self.file.read_exact_at(&mut block, from)?;
        if self.buffer.len() <= MAX_LINE {
            block.append(&mut self.buffer);
        }
        self.at = from;
        self.buffer = block;
        Ok(())
    }
}
