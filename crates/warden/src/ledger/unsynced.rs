//! What was written and is not known to be on the disk. A copy is kept: when the disk fails to take it, the kernel may
//! have dropped its own.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::head::SignedHead;
use super::line::Head;

/// Bytes that are put on the disk at once, however long they might wait.
const LARGE: usize = 8 * 1024 * 1024;

/// Bytes beyond which nothing more is written.
const FULL: usize = 64 * 1024 * 1024;

/// What was written since it was last taken.
pub(super) struct Unsynced {
    pieces: Vec<Piece>,
    bytes: usize,
    /// Names in the folder have changed.
    names: bool,
    seals: Vec<SignedHead>,
}

/// Bytes of one file.
struct Piece {
    file: Arc<File>,
    at: u64,
    bytes: Vec<u8>,
}

/// Where the ledger stands behind a batch.
#[derive(Clone)]
pub(super) struct Position {
    pub(super) segment: String,
    pub(super) first: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) before: String,
    pub(super) head: Head,
}

/// What is put on the disk together.
pub(super) struct Batch {
    pieces: Vec<Piece>,
    /// Whether names in the folder have changed.
    pub(super) names: bool,
    /// Seals that were written.
    pub(super) seals: Vec<SignedHead>,
    pub(super) position: Position,
}

impl Unsynced {
    /// Begins with the files that a warden before may have left, whose ends nobody has seen on the disk.
    pub(super) fn new(files: impl IntoIterator<Item = (Arc<File>, u64)>) -> Self {
        let left = files.into_iter().map(|(file, at)| Piece { file, at, bytes: Vec::new() });
        // The file itself may be fresh.
        Self { pieces: left.collect(), bytes: 0, names: true, seals: Vec::new() }
    }

    pub(super) fn add(&mut self, file: &Arc<File>, at: u64, bytes: &[u8]) {
        self.bytes += bytes.len();
        match self.pieces.last_mut() {
            Some(last) if Arc::ptr_eq(&last.file, file) && last.end() == at => {
                last.bytes.extend_from_slice(bytes);
            }
            _ => self.pieces.push(Piece { file: Arc::clone(file), at, bytes: bytes.to_vec() }),
        }
    }

    pub(super) fn sealed(&mut self, seal: SignedHead) {
        self.seals.push(seal);
    }

    pub(super) fn rotated(&mut self) {
        self.names = true;
    }

    pub(super) fn is_large(&self) -> bool {
        self.bytes >= LARGE
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    pub(super) fn take(&mut self, position: Position) -> Batch {
        self.bytes = 0;
        let (names, seals) = (std::mem::take(&mut self.names), std::mem::take(&mut self.seals));
        Batch { pieces: std::mem::take(&mut self.pieces), names, seals, position }
    }
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    /// Writes the same bytes to the same place again: the kernel has forgotten that they are not on the disk.
    fn rewrite(&self) -> io::Result<()> {
        // What was opened to append writes at the end wherever it is told to.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = File::options().write(true).open(path)?;
        file.write_all_at(&self.bytes, self.at)?;
        file.sync_data()
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && !self.names
    }

    /// How many lines it has.
    pub(super) fn lines(&self) -> u64 {
        let lines = |piece: &Piece| memchr::memchr_iter(b'\n', &piece.bytes).count() as u64;
        self.pieces.iter().map(lines).sum()
    }

    /// Puts it on the disk, by a way that tests can let fail.
    pub(super) fn sync(&self, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
        self.pieces.iter().try_for_each(|piece| sync(&piece.file))
    }

    /// Writes all of it again, and puts it on the disk.
    pub(super) fn rewrite(&self, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
        self.pieces.iter().try_for_each(Piece::rewrite)?;
        self.sync(sync)
    }

    /// Takes a later batch behind itself.
    pub(super) fn join(&mut self, later: Self) {
        self.pieces.extend(later.pieces);
        self.names |= later.names;
        self.seals.extend(later.seals);
        self.position = later.position;
    }
}

impl Position {
    /// What is to be signed of it.
    pub(super) fn head(self, at_ms: u64) -> SignedHead {
        SignedHead {
            segment: self.segment,
            first: self.first,
            last: self.head.seq,
            lines: self.lines,
            bytes: self.bytes,
            hash: String::from_utf8_lossy(&self.head.hash).into_owned(),
            before: self.before,
            at_ms,
            key: String::new(),
            signature: String::new(),
        }
    }
}
