//! The writing end: where the chain stands, and how lines get behind it in one piece.
//! A failed write leaves no trace in the file; what it leaves against our will is set aside before the next.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::LedgerError;
use super::line::{self, Hex, MAX_LINE, Stamp};
use super::place::Place;
use super::record::{Record, Recovered};

/// Bytes by which a segment grows before a rotation that failed is tried again.
const ROTATE_AGAIN: u64 = 1024 * 1024;

/// Bytes of the assembling buffer that are kept between appends.
const KEPT_BUFFER: usize = 256 * 1024;

/// What the writer does to its file: the seam at which tests let a disk fail.
pub(super) trait Sink: Send {
    /// Appends what it can of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file off behind `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// How long the file is; `None` if it has no name any more.
    fn size(&mut self) -> io::Result<Option<u64>>;
}

/// The real file.
pub(super) struct Disk(pub(super) Arc<File>);

impl Sink for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&mut self) -> io::Result<Option<u64>> {
        let about = self.0.metadata()?;
        Ok((about.nlink() > 0).then_some(about.len()))
    }
}

/// Where the chain stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The newest line's sequence number; 0 for none.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) hash: Hex,
}

/// Records in JSON, ready to be given their places.
pub(super) struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    pub(super) fn new(records: &[Record]) -> Result<Self, LedgerError> {
        let mut bytes = Vec::with_capacity(512 * records.len());
        let mut ends = Vec::with_capacity(records.len());
        for record in records {
            let start = bytes.len();
            line::encode(record, &mut bytes).map_err(|e| LedgerError::Encode(e.to_string()))?;
            // The parts of a line around the record take less than 512 bytes.
            let long = bytes.len() - start;
            if long > MAX_LINE - 512 {
                return Err(LedgerError::TooLong { bytes: long, limit: MAX_LINE - 512 });
            }
            ends.push(bytes.len());
        }
        Ok(Self { bytes, ends })
    }

    fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, &to)| &self.bytes[from..to])
    }
}

/// The writing end of a ledger.
pub(super) struct Writer {
    place: Place,
    path: PathBuf,
    sink: Box<dyn Sink>,
    file: Arc<File>,
    head: Head,
    first: u64,
    good: u64,
    /// Bytes that are no line may stand behind `good`.
    dirty: bool,
    rotate_at: u64,
    segment_bytes: u64,
    error: Option<String>,
    buffer: Vec<u8>,
}

/// What a reader needs to see the ledger as it is at this moment.
pub(super) struct View {
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
    pub(super) first: u64,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        file: File,
        head: Head,
        start: Start,
        segment_bytes: u64,
    ) -> Self {
        let file = Arc::new(file);
        Self {
            path: place.active(),
            place,
            sink: Box::new(Disk(Arc::clone(&file))),
            file,
            head,
            first: start.first,
            good: start.good,
            dirty: false,
            rotate_at: segment_bytes,
            segment_bytes,
            error: None,
            buffer: Vec::new(),
        }
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(super) fn view(&self) -> View {
        View { file: Arc::clone(&self.file), bytes: self.good, first: self.first }
    }

    #[cfg(test)]
    pub(super) fn wrap_sink(&mut self, wrap: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>) {
        let old = std::mem::replace(&mut self.sink, Box::new(Disk(Arc::clone(&self.file))));
        self.sink = wrap(old);
    }

    /// Writes all records in one piece, or none.
    pub(super) fn append(&mut self, records: &Encoded, stamp: &Stamp) -> Result<u64, LedgerError> {
        let done = self.try_append(records, stamp);
        self.error = done.as_ref().err().map(ToString::to_string);
        done
    }

    fn try_append(&mut self, records: &Encoded, stamp: &Stamp) -> Result<u64, LedgerError> {
        let recovered = if self.dirty { self.clean(stamp)? } else { None };
        self.check()?;
        if self.good >= self.rotate_at {
            self.rotate();
        }
        self.buffer.clear();
        let mut head = self.head;
        let extra = recovered.as_ref().into_iter().flat_map(Encoded::bodies);
        for body in extra.chain(records.bodies()) {
            head.seq = head.seq.saturating_add(1);
            head.hash = line::assemble(head.seq, stamp, body, &head.hash, &mut self.buffer);
        }
        self.write_all()?;
        self.good += self.buffer.len() as u64;
        self.head = head;
        self.dirty = false;
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(head.seq)
    }

    fn write_all(&mut self) -> Result<(), LedgerError> {
        let mut written = 0;
        while written < self.buffer.len() {
            let source = match self.sink.write(&self.buffer[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    written += n;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            self.dirty = written > 0 && self.sink.truncate(self.good).is_err();
            return Err(LedgerError::Io { what: "write", path: self.path.clone(), source });
        }
        Ok(())
    }

    /// Whether the file is the one that was written, and whole.
    pub(super) fn check(&mut self) -> Result<(), LedgerError> {
        let changed = |what| LedgerError::Changed { path: self.path.clone(), what };
        match self.sink.size().map_err(LedgerError::io("look at", &self.path))? {
            None => Err(changed("it was removed".to_owned())),
            Some(bytes) if bytes != self.good => {
                Err(changed(format!("it has {bytes} bytes where {} were written", self.good)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Removes what a failed write left behind, with a record of it.
    fn clean(&mut self, stamp: &Stamp) -> Result<Option<Encoded>, LedgerError> {
        // On a full disk there is no room for a copy. Nothing is lost with it: those records were refused.
        let torn = set_aside(&self.place, &self.file, self.good, stamp).ok().flatten();
        if let Err(source) = self.sink.truncate(self.good) {
            if let Some(copy) = torn.and_then(|torn| torn.file) {
                let _ = fs::remove_file(copy);
            }
            return Err(LedgerError::Io { what: "truncate", path: self.path.clone(), source });
        }
        self.dirty = false;
        torn.map(|torn| Encoded::new(&[Record::Recovered(torn)])).transpose()
    }

    /// Goes on in a fresh file. Where that cannot be had, the old one grows further.
    fn rotate(&mut self) {
        match self.place.rotate(self.first) {
            Ok(file) => {
                self.file = Arc::new(file);
                self.sink = Box::new(Disk(Arc::clone(&self.file)));
                self.first = self.head.seq + 1;
                self.good = 0;
                self.rotate_at = self.segment_bytes;
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger is not rotated; it grows on in one file");
                self.rotate_at = self.good + ROTATE_AGAIN;
            }
        }
    }
}

/// Where in the active file the writer starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// The sequence number of the file's first line, or of the next line if it is empty.
    pub(super) first: u64,
    /// How many bytes of it are lines.
    pub(super) good: u64,
}

/// Copies what stands behind `good` bytes of `file` into a file of its own. The bytes are not removed yet.
pub(super) fn set_aside(
    place: &Place,
    file: &File,
    good: u64,
    stamp: &Stamp,
) -> Result<Option<Recovered>, LedgerError> {
    let path = place.active();
    let size = file.metadata().map_err(LedgerError::io("look at", &path))?.len();
    if size <= good {
        return Ok(None);
    }
    let (mut torn, torn_path) = place.torn_file(stamp.text())?;
    if let Err(error) = copy_tail(file, good..size, &mut torn) {
        let _ = fs::remove_file(&torn_path);
        return Err(LedgerError::Io {
            what: "copy the torn end to",
            path: torn_path,
            source: error,
        });
    }
    Ok(Some(Recovered {
        torn_bytes: size - good,
        file: Some(torn_path.to_string_lossy().into_owned()),
        broken: None,
    }))
}

fn copy_tail(file: &File, mut bytes: Range<u64>, copy: &mut File) -> io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    while !bytes.is_empty() {
        let want = usize::try_from(bytes.end - bytes.start).unwrap_or(chunk.len()).min(chunk.len());
        file.read_exact_at(&mut chunk[..want], bytes.start)?;
        copy.write_all(&chunk[..want])?;
        bytes.start += want as u64;
    }
    Ok(())
}
