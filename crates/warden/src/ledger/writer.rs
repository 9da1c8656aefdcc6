//! The writing end: where the chain stands, and how lines get behind it in one piece.
//! A failed write leaves no trace in the file; what it leaves against our will is set aside before the next.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::about::{DiskFailed, Opened, SCHEMA};
use super::books::Books;
use super::encoded::{Body, Encoded};
use super::error::LedgerError;
use super::head::NO_SEAL;
use super::keys::Key;
use super::line::{self, Head, Stamp};
use super::options::Options;
use super::place::Place;
use super::record::{Record, Recovered};
use super::unsynced::{Batch, Position, Unsynced};

/// Bytes by which a segment grows before a rotation that failed is tried again.
const ROTATE_AGAIN: u64 = 1024 * 1024;

/// Bytes of records that are kept while they cannot be written.
pub(crate) const MAX_OWED: usize = 4 * 1024 * 1024;

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

/// The writing end of a ledger.
pub(super) struct Writer {
    place: Place,
    path: PathBuf,
    sink: Box<dyn Sink>,
    file: Arc<File>,
    head: Head,
    segment: Segment,
    /// Bytes that are no line may stand behind those of the segment.
    dirty: bool,
    rotate_at: u64,
    segment_bytes: u64,
    segment_age: Option<Duration>,
    signer: Option<Signer>,
    /// The next line is to be the ledger's own first: of its segment, if so.
    opening: Option<bool>,
    unsynced: Unsynced,
    trouble: Option<Trouble>,
    /// Why what was written may not be on the disk. Nothing is written before it is.
    fault: Option<String>,
    books: Arc<Books>,
    buffer: Vec<u8>,
}

/// The segment that is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// The sequence number of its first line, or of the next line if it has none.
    pub(super) first: u64,
    /// How many lines it has.
    pub(super) lines: u64,
    /// How many bytes of it are lines.
    pub(super) bytes: u64,
    /// When its first line was written.
    pub(super) since: Instant,
}

/// What signs, and the digest of the newest seal.
pub(super) struct Signer {
    pub(super) key: Arc<Key>,
    pub(super) before: String,
}

/// What is to be told when the ledger can be written again.
#[derive(Default)]
struct Trouble {
    /// What went wrong last.
    error: String,
    said: DiskFailed,
    /// Records of what has happened, which nobody could be refused.
    owed: Vec<Encoded>,
    owed_bytes: usize,
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
        start: Start,
        signer: Option<Signer>,
        options: &Options,
    ) -> Self {
        let Start { head, segment, before } = start;
        let file = Arc::new(file);
        let before = before.into_iter().map(|file| (Arc::new(file), 0));
        let unsynced = Unsynced::new(before.chain([(Arc::clone(&file), segment.bytes)]));
        let segment_bytes = options.segment_bytes.max(1);
        Self {
            path: place.active(),
            place,
            sink: Box::new(Disk(Arc::clone(&file))),
            file,
            head,
            opening: signer.is_some().then_some(segment.lines == 0),
            segment,
            dirty: false,
            rotate_at: segment_bytes,
            segment_bytes,
            segment_age: options.segment_age,
            signer,
            unsynced,
            trouble: None,
            fault: None,
            books: Arc::default(),
            buffer: Vec::new(),
        }
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// What is counted of it.
    pub(super) fn books(&self) -> Arc<Books> {
        Arc::clone(&self.books)
    }

    pub(super) fn error(&self) -> Option<&str> {
        let trouble = self.trouble.as_ref().map(|trouble| &trouble.error[..]);
        self.fault.as_deref().or(trouble)
    }

    pub(super) fn view(&self) -> View {
        View { file: Arc::clone(&self.file), bytes: self.segment.bytes, first: self.segment.first }
    }

    #[cfg(test)]
    pub(super) fn wrap_sink(&mut self, wrap: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>) {
        let old = std::mem::replace(&mut self.sink, Box::new(Disk(Arc::clone(&self.file))));
        self.sink = wrap(old);
    }

    /// Writes all records in one piece, or none.
    pub(super) fn append(&mut self, records: &Encoded, stamp: &Stamp) -> Result<u64, LedgerError> {
        self.try_append(records, stamp).inspect_err(|error| {
            self.trouble(error, stamp).said.refused += 1;
        })
    }

    /// Writes records of what has happened; if that cannot be, they are kept for when it can.
    pub(super) fn append_or_owe(
        &mut self,
        records: Encoded,
        stamp: &Stamp,
    ) -> Result<u64, LedgerError> {
        self.try_append(&records, stamp).inspect_err(|error| {
            let trouble = self.trouble(error, stamp);
            let (bytes, count) = (records.bytes.len(), records.ends.len() as u64);
            if trouble.owed_bytes + bytes > MAX_OWED {
                trouble.said.lost += count;
            } else {
                trouble.owed_bytes += bytes;
                trouble.said.late += count;
                trouble.owed.push(records);
            }
        })
    }

    /// Tries whether the ledger can be written again, if it could not. True when there is no trouble any more.
    pub(super) fn recover(&mut self, stamp: &Stamp) -> bool {
        if self.trouble.is_none() {
            return true;
        }
        let nothing = Encoded { bytes: Vec::new(), ends: Vec::new() };
        match self.try_append(&nothing, stamp) {
            Ok(_) => true,
            Err(error) => {
                self.trouble(&error, stamp);
                false
            }
        }
    }

    /// The trouble that there is, with this as its newest cause.
    fn trouble(&mut self, error: &LedgerError, stamp: &Stamp) -> &mut Trouble {
        let text = error.to_string();
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            said: DiskFailed { error: text.clone(), since_ms: stamp.ms(), ..DiskFailed::default() },
            ..Trouble::default()
        });
        trouble.error = text;
        trouble
    }

    fn try_append(&mut self, records: &Encoded, stamp: &Stamp) -> Result<u64, LedgerError> {
        if let Some(fault) = &self.fault {
            return Err(LedgerError::NotOnDisk { path: self.path.clone(), why: fault.clone() });
        }
        if self.unsynced.is_full() {
            return Err(LedgerError::Behind { path: self.path.clone() });
        }
        let recovered = if self.dirty { self.clean(stamp)? } else { None };
        self.check()?;
        if self.is_due() {
            self.rotate(stamp)?;
        }
        let mut own = Vec::new();
        own.extend(self.opening.and_then(|segment| self.opened(segment)));
        own.extend(recovered);
        own.extend(self.trouble.as_ref().map(|trouble| Record::DiskFailed(trouble.said.clone())));
        let own = if own.is_empty() { None } else { Some(Encoded::new(&own)?) };
        let owed = self.trouble.take();
        let late = owed.iter().flat_map(|trouble| &trouble.owed);
        let all = own.iter().chain(late).chain([records]).flat_map(Encoded::bodies);
        let written = self.put(all, stamp);
        if written.is_err() {
            self.trouble = owed;
        } else {
            self.opening = None;
        }
        written
    }

    /// Writes lines behind the newest one, all or none.
    fn put<'a>(
        &mut self,
        bodies: impl Iterator<Item = Body<'a>> + Clone,
        stamp: &Stamp,
    ) -> Result<u64, LedgerError> {
        self.buffer.clear();
        let mut head = self.head;
        for body in bodies.clone() {
            head.seq = head.seq.saturating_add(1);
            head.hash = line::assemble(head.seq, stamp, body.text, &head.hash, &mut self.buffer);
        }
        self.write_all()?;
        if self.segment.lines == 0 {
            self.segment.since = Instant::now();
        }
        self.unsynced.add(&self.file, self.segment.bytes, &self.buffer);
        self.segment.lines += head.seq - self.head.seq;
        self.segment.bytes += self.buffer.len() as u64;
        self.books.bytes.add(self.buffer.len() as u64);
        bodies.for_each(|body| self.books.wrote(body.counts_as));
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
            self.dirty = written > 0 && self.sink.truncate(self.segment.bytes).is_err();
            return Err(LedgerError::Io { what: "write", path: self.path.clone(), source });
        }
        Ok(())
    }

    /// Whether the file is the one that was written, and whole.
    pub(super) fn check(&mut self) -> Result<(), LedgerError> {
        let changed = |what| LedgerError::Changed { path: self.path.clone(), what };
        let good = self.segment.bytes;
        match self.sink.size().map_err(LedgerError::io("look at", &self.path))? {
            None => Err(changed("it was removed".to_owned())),
            Some(bytes) if bytes != good => {
                Err(changed(format!("it has {bytes} bytes where {good} were written")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Removes what a failed write left behind, and gives the record of it.
    fn clean(&mut self, stamp: &Stamp) -> Result<Option<Record>, LedgerError> {
        // On a full disk there is no room for a copy. Nothing is lost with it: those records were refused.
        let torn = set_aside(&self.place, &self.file, self.segment.bytes, stamp).ok().flatten();
        if let Err(source) = self.sink.truncate(self.segment.bytes) {
            if let Some(copy) = torn.and_then(|torn| torn.file) {
                let _ = fs::remove_file(copy);
            }
            return Err(LedgerError::Io { what: "truncate", path: self.path.clone(), source });
        }
        self.dirty = false;
        Ok(torn.map(Record::Recovered))
    }

    fn is_due(&self) -> bool {
        let is_old = || self.segment_age.is_some_and(|age| self.segment.since.elapsed() >= age);
        self.segment.bytes >= self.rotate_at || (self.segment.lines > 0 && is_old())
    }

    /// Seals the segment and goes on in a fresh file. Where that cannot be had, the old one grows further.
    fn rotate(&mut self, stamp: &Stamp) -> Result<(), LedgerError> {
        if let Some(signer) = &self.signer {
            let segment = self.place.segment_name(self.segment.first);
            let seal = self.position(segment).head(stamp.ms()).sign(&signer.key);
            let before = seal.digest();
            let record = Encoded::new(&[Record::Sealed(seal.clone())])?;
            self.put(record.bodies(), stamp)?;
            self.unsynced.sealed(seal);
            if let Some(signer) = &mut self.signer {
                signer.before = before;
            }
        }
        self.close_segment();
        Ok(())
    }

    /// Goes on in a fresh file, where it can be had.
    pub(super) fn close_segment(&mut self) {
        match self.place.rotate(self.segment.first) {
            Ok(file) => {
                self.file = Arc::new(file);
                self.sink = Box::new(Disk(Arc::clone(&self.file)));
                let first = self.head.seq + 1;
                self.segment = Segment { first, lines: 0, bytes: 0, since: Instant::now() };
                self.rotate_at = self.segment_bytes;
                self.opening = self.signer.is_some().then_some(true);
                self.unsynced.rotated();
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger is not rotated; it grows on in one file");
                self.rotate_at = self.segment.bytes + ROTATE_AGAIN;
                self.segment.since = Instant::now();
            }
        }
    }

    fn opened(&self, segment: bool) -> Option<Record> {
        let key = self.signer.as_ref()?.key.public().to_string();
        Some(Record::Opened(Opened { schema: SCHEMA, key, segment }))
    }

    fn position(&self, segment: String) -> Position {
        let before = self.signer.as_ref().map_or(NO_SEAL, |signer| &signer.before).to_owned();
        let Segment { first, lines, bytes, .. } = self.segment;
        Position { segment, first, lines, bytes, before, head: self.head }
    }

    /// Takes what was written since the last time, to be put on the disk.
    pub(super) fn batch(&mut self) -> Batch {
        let position = self.position(self.place.active_name());
        self.unsynced.take(position)
    }

    /// Refuses everything from here on: what was written may be lost.
    pub(super) fn fail(&mut self, error: &LedgerError, stamp: &Stamp) {
        self.trouble(error, stamp);
        self.fault = Some(error.to_string());
    }

    /// What was written is on the disk after all, so many lines of it written anew.
    pub(super) fn heal(&mut self, rewritten: u64) {
        self.fault = None;
        if let Some(trouble) = &mut self.trouble {
            trouble.said.rewritten += rewritten;
        }
    }

    pub(super) fn is_unsynced_large(&self) -> bool {
        self.unsynced.is_large()
    }
}

/// Where the writer starts.
pub(super) struct Start {
    pub(super) head: Head,
    pub(super) segment: Segment,
    /// Closed segments that may not be on the disk.
    pub(super) before: Vec<File>,
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
