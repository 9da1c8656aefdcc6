//! What is done when a ledger is opened: what is there is read, what was torn is set aside, and the end is found where
//! the writer goes on.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::about::Opened;
use super::blocks::each_line;
use super::ends::{first_line, last_line};
use super::error::LedgerError;
use super::head::NO_SEAL;
use super::keys::Key;
use super::line::{self, Head, Stamp};
use super::options::Options;
use super::place::{Place, open_to_read, sync_folder};
use super::record::{Record, Recovered};
use super::verify::{self, Broken};
use super::walk::Walk;
use super::writer::{self, Segment, Signer, Start, Writer};

/// Files of closed segments that are kept open until they are put on the disk with the first that is written.
const KEPT_OPEN: usize = 64;

/// What was found when a ledger was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What stood behind the last whole line, and where it lies.
    pub torn: Option<Recovered>,
    /// The first line of the newest file that does not hold. It is left as it is; the chain goes on behind it.
    pub broken: Option<Broken>,
    /// The record that the signed head beside the ledger names, where the ledger does not go so far.
    pub missing: Option<u64>,
}

/// Reads what is there and gives the writer that goes on behind it.
pub(super) fn take_up(
    place: &Place,
    key: Option<Arc<Key>>,
    options: &Options,
) -> Result<(Writer, Recovery), LedgerError> {
    let stamp = Stamp::new(super::now_ms()).of_dry_run(options.dry_run);
    let signed_to = verify::read_head(&place.head()).map_or(0, |head| head.last);
    let behind = unsealed(place, signed_to, &stamp)?;
    let file = place.open_active()?;
    let closed = Closed::newest(place)?;
    let mut walk = Walk::after(closed.head);
    let size = file.metadata().map_err(LedgerError::io("look at", place.active()))?.len();
    let scan = walk.scan(&place.active(), &file, size)?;
    let torn = writer::set_aside(place, &file, scan.bytes, &stamp)?;
    if torn.is_some() {
        file.set_len(scan.bytes).map_err(LedgerError::io("truncate", place.active()))?;
    }
    let torn = together(torn, behind)?;
    let head = walk.head();
    let short = verify::read_head(&place.head()).filter(|signed| signed.last > head.seq);
    let recovery = Recovery { torn, broken: scan.broken, missing: short.map(|h| h.last) };
    let begun = first_line(&file).and_then(|line| line::time_ms(&line));
    let age = Duration::from_millis(begun.map_or(0, |ms| super::now_ms().saturating_sub(ms)));
    let segment = Segment {
        first: scan.first.unwrap_or(head.seq.saturating_add(1)),
        lines: scan.lines,
        bytes: scan.bytes,
        since: Instant::now().checked_sub(age).unwrap_or_else(Instant::now),
    };
    let before = scan.seal.or(closed.seal).unwrap_or_else(|| NO_SEAL.to_owned());
    let signer = key.map(|key| Signer { key, before });
    let start = Start { head, segment, before: unsynced(place, signed_to)? };
    let mut writer = Writer::new(place.clone(), file, start, signer, options);
    if scan.ends_sealed {
        // It was ended between the seal and the fresh file.
        writer.close_segment();
    }
    Ok((writer, recovery))
}

/// What was torn off the end, and what stood in the files behind it, in one file.
fn together(
    torn: Option<Recovered>,
    behind: Option<(PathBuf, u64)>,
) -> Result<Option<Recovered>, LedgerError> {
    let Some((path, bytes)) = behind else { return Ok(torn) };
    let text = |path: &Path| Some(path.to_string_lossy().into_owned());
    let Some(torn) = torn else {
        return Ok(Some(Recovered { torn_bytes: bytes, file: text(&path), broken: None }));
    };
    if let Some(file) = &torn.file {
        let append = || {
            let mut to = File::options().append(true).open(file)?;
            std::io::copy(&mut &File::open(&path)?, &mut to)?;
            to.sync_all()?;
            std::fs::remove_file(&path)
        };
        append().map_err(LedgerError::io("append to", file))?;
    }
    Ok(Some(Recovered { torn_bytes: torn.torn_bytes + bytes, ..torn }))
}

impl Recovery {
    /// What is recorded of it; `None` when there is nothing to tell.
    pub(super) fn record(&self) -> Option<Record> {
        if *self == Self::default() {
            return None;
        }
        let torn = self.torn.clone();
        let mut record = torn.unwrap_or(Recovered { torn_bytes: 0, file: None, broken: None });
        record.broken = self.broken.as_ref().map(ToString::to_string).or(self
            .missing
            .map(|last| format!("records up to {last} were signed for and are missing")));
        Some(Record::Recovered(record))
    }
}

/// How many closed segments, from the oldest on, the signed head covers: a head is signed of what is on the disk. Where the
/// newest one ends its name does not say.
fn covered(segments: &[(u64, PathBuf)], signed_to: u64) -> usize {
    let next = signed_to.saturating_add(1);
    segments.iter().skip(1).take_while(|(first, _)| *first <= next).count()
}

/// The closed segments that may not be on the disk, which the next head covers too.
fn unsynced(place: &Place, signed_to: u64) -> Result<Vec<File>, LedgerError> {
    let segments = place.segments()?;
    let left = segments.get(covered(&segments, signed_to)..).unwrap_or_default();
    let (now, later) = left.split_at(left.len().saturating_sub(KEPT_OPEN));
    for (_, path) in now {
        let synced = open_to_read(path)?.sync_data();
        synced.map_err(LedgerError::io("put on the disk", path))?;
    }
    later.iter().map(|(_, path)| open_to_read(path)).collect()
}

/// Takes back the closing of a segment of which the machine lost the end, its seal included: it is written on. What stands
/// behind it follows from what is lost, and nobody was ever promised that it is on the disk: it is set aside, and the file
/// that holds it is given. Where a signed head says otherwise, somebody has cut it off, and it is left as it is.
fn unsealed(
    place: &Place,
    signed_to: u64,
    stamp: &Stamp,
) -> Result<Option<(PathBuf, u64)>, LedgerError> {
    let segments = place.segments()?;
    let mut lost = None;
    for (at, (first, path)) in segments.iter().enumerate().skip(covered(&segments, signed_to)) {
        if is_unsealed(path, *first, signed_to)? {
            lost = Some(at);
            break;
        }
    }
    let Some(at) = lost else { return Ok(None) };
    let active = place.active();
    let mut behind: Vec<PathBuf> =
        segments[at + 1..].iter().map(|(_, path)| path.clone()).collect();
    behind.extend(active.exists().then(|| active.clone()));
    let mut aside = None;
    for path in behind {
        let bytes = open_to_read(&path)?;
        if bytes.metadata().map_err(LedgerError::io("look at", &path))?.len() > 0 {
            let (mut file, to, before) = match aside.take() {
                Some(aside) => aside,
                None => {
                    let (file, to) = place.torn_file(stamp.text())?;
                    (file, to, 0)
                }
            };
            let copied = std::io::copy(&mut &bytes, &mut file).and_then(|n| {
                file.sync_all()?;
                Ok(n)
            });
            let copied = copied.map_err(LedgerError::io("copy the torn end to", &to))?;
            aside = Some((file, to, before + copied));
        }
        std::fs::remove_file(&path).map_err(LedgerError::io("remove", &path))?;
    }
    let closed = &segments[at].1;
    std::fs::rename(closed, &active).map_err(LedgerError::io("rename", closed))?;
    sync_folder(place.directory())?;
    Ok(aside.map(|(_, path, bytes)| (path, bytes)))
}

/// Whether a closed segment that must have a seal has none, or has no line at all, and no head is signed of what is behind
/// its end. Its name says where it begins.
fn is_unsealed(path: &Path, first: u64, signed_to: u64) -> Result<bool, LedgerError> {
    let file = open_to_read(path)?;
    let last = last_line(path, &file)?;
    if last.is_none() && !has_line(path, &file)? {
        return Ok(signed_to < first);
    }
    let begun = first_line(&file);
    let is_signed = begun
        .as_deref()
        .and_then(line::own)
        .is_some_and(|own| matches!(*own, Record::Opened(Opened { segment: true, .. })));
    let ends_sealed = last.as_ref().is_some_and(|(_, line)| {
        line::own(line).is_some_and(|own| matches!(*own, Record::Sealed(_)))
    });
    let end = last.map_or(0, |(head, _)| head.seq);
    Ok(is_signed && !ends_sealed && signed_to <= end)
}

/// Whether anything in a file has an end.
fn has_line(path: &Path, file: &File) -> Result<bool, LedgerError> {
    let size = file.metadata().map_err(LedgerError::io("look at", path))?.len();
    let mut has_line = false;
    let read = each_line(file, size, |_| {
        has_line = true;
        ControlFlow::Break(())
    });
    read.map_err(LedgerError::io("read", path))?;
    Ok(has_line)
}

/// The segment that was closed last.
#[derive(Default)]
struct Closed {
    head: Option<Head>,
    /// The digest of its seal.
    seal: Option<String>,
}

impl Closed {
    fn newest(place: &Place) -> Result<Self, LedgerError> {
        // One without a line, of which a head is signed, says nothing of where the chain stands.
        for (_, path) in place.segments()?.iter().rev() {
            let file = open_to_read(path)?;
            let Some((head, line)) = last_line(path, &file)? else { continue };
            let seal = match serde_json::from_slice(&line) {
                Ok(Record::Sealed(seal)) => Some(seal.digest()),
                _ => None,
            };
            return Ok(Self { head: Some(head), seal });
        }
        Ok(Self::default())
    }
}
