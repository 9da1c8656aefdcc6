//! A ledger's lines from the oldest to the newest, over all of its files, from where a reader stopped before.
//! It says whether the files are still those that it stopped in, and steps over what is no line.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ends::open_if_kept;
use super::error::LedgerError;
use super::id::hex_into;
use super::line::MAX_LINE;
use super::place::Place;
use super::writer::View;

/// Bytes that are read at once: more than the longest line.
const BLOCK: usize = MAX_LINE + 64 * 1024;

/// Bytes before a mark that say which file it is in.
const WITNESS: u64 = 4096;

/// How far a reader came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The sequence number of the file's first line; 0: nothing is read.
    pub(crate) segment: u64,
    /// Bytes of it that were read, up to the end of a line.
    pub(crate) offset: u64,
    /// SHA-256 in hex of the bytes before it: another ledger has others.
    pub(crate) witness: String,
}

/// How a step of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more.
    More,
    /// That was all.
    End,
    /// The files are not those that the mark is in.
    Lost,
}

/// A file to read: the sequence number of its first line, and as far as it is lines.
struct Segment {
    first: u64,
    file: Arc<File>,
    bytes: u64,
}

/// Hands whole lines behind `mark` to `read`, their newlines left out, and moves the mark: at most `budget` bytes and
/// one block more.
pub(super) fn step(
    place: &Place,
    view: &View,
    mark: &mut Mark,
    budget: usize,
    mut read: impl FnMut(&[u8]),
) -> Result<Step, LedgerError> {
    let Some(mut segment) = at(place, view, mark.segment)? else { return Ok(Step::Lost) };
    let mut offset = if mark.segment == 0 { 0 } else { mark.offset };
    if offset > segment.bytes {
        return Ok(Step::Lost);
    }
    let mut left = budget;
    let mut block = Vec::new();
    loop {
        let want = usize::try_from(segment.bytes - offset).unwrap_or(BLOCK).min(BLOCK);
        block.resize(want, 0);
        segment
            .file
            .read_exact_at(&mut block, offset)
            .map_err(LedgerError::io("read", place.active()))?;
        let end = match block.iter().rposition(|&b| b == b'\n') {
            Some(last) => {
                block[..last].split(|&b| b == b'\n').for_each(&mut read);
                last + 1
            }
            // Longer than any line, or the torn end of a closed file.
            None => block.len(),
        };
        offset += end as u64;
        left = left.saturating_sub(end);
        let failed = LedgerError::io("read", place.active());
        // A mark stands behind a line: only there it can be known again.
        if left == 0 && offset > 0 {
            mark_at(mark, &segment, offset).map_err(failed)?;
            return Ok(Step::More);
        }
        if offset == segment.bytes {
            match after(place, view, segment.first)? {
                Some(next) if next.bytes > 0 => (segment, offset) = (next, 0),
                _ => {
                    mark_at(mark, &segment, offset).map_err(failed)?;
                    return Ok(Step::End);
                }
            }
        }
    }
}

/// Whether the bytes before the mark are those that were read.
pub(super) fn is_known(place: &Place, view: &View, mark: &Mark) -> Result<bool, LedgerError> {
    if mark.segment == 0 {
        return Ok(true);
    }
    let Some(segment) = at(place, view, mark.segment)? else { return Ok(false) };
    if mark.offset > segment.bytes {
        return Ok(false);
    }
    let found = witness(&segment.file, mark.offset);
    Ok(found.map_err(LedgerError::io("read", place.active()))? == mark.witness)
}

/// Bytes of lines in all files, and before the mark.
pub(super) fn sizes(place: &Place, view: &View, mark: &Mark) -> Result<(u64, u64), LedgerError> {
    let (mut all, mut read) = (view.bytes, 0);
    for (first, path) in place.segments()?.into_iter().filter(|&(first, _)| first < view.first) {
        // One that retention has dropped meanwhile has none.
        let bytes = std::fs::metadata(&path).map_or(0, |about| about.len());
        all += bytes;
        if first < mark.segment {
            read += bytes;
        }
    }
    Ok((all, read + mark.offset))
}

/// The file that begins with line `first`; for 0 the oldest.
fn at(place: &Place, view: &View, first: u64) -> Result<Option<Segment>, LedgerError> {
    if first == view.first {
        return Ok(Some(active(view)));
    }
    let mut closed = place.segments()?.into_iter().filter(|&(begin, _)| begin < view.first);
    match closed.find(|&(begin, _)| first == 0 || begin == first) {
        Some((begin, path)) => match open(begin, &path)? {
            // Retention has dropped it meanwhile: another one is the oldest.
            None if first == 0 => at(place, view, 0),
            found => Ok(found),
        },
        None if first == 0 => Ok(Some(active(view))),
        None => Ok(None),
    }
}

/// The file behind the one that begins with line `first`.
fn after(place: &Place, view: &View, first: u64) -> Result<Option<Segment>, LedgerError> {
    if first == view.first {
        return Ok(None);
    }
    let closed = place.segments()?.into_iter();
    match closed.filter(|&(begin, _)| begin < view.first).find(|&(begin, _)| begin > first) {
        Some((begin, path)) => match open(begin, &path)? {
            None => after(place, view, begin),
            found => Ok(found),
        },
        None => Ok(Some(active(view))),
    }
}

fn active(view: &View) -> Segment {
    Segment { first: view.first, file: Arc::clone(&view.file), bytes: view.bytes }
}

fn open(first: u64, path: &std::path::Path) -> Result<Option<Segment>, LedgerError> {
    let Some(file) = open_if_kept(path)? else { return Ok(None) };
    let bytes = file.metadata().map_err(LedgerError::io("look at", path))?.len();
    Ok(Some(Segment { first, file: Arc::new(file), bytes }))
}

fn mark_at(mark: &mut Mark, segment: &Segment, offset: u64) -> io::Result<()> {
    if offset > 0 && (mark.segment, mark.offset) != (segment.first, offset) {
        let witness = witness(&segment.file, offset)?;
        *mark = Mark { segment: segment.first, offset, witness };
    }
    Ok(())
}

fn witness(file: &File, offset: u64) -> io::Result<String> {
    let from = offset.saturating_sub(WITNESS);
    let mut bytes = vec![0; usize::try_from(offset - from).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    let mut hex = [0; 64];
    hex_into(&Sha256::digest(&bytes), &mut hex);
    Ok(String::from_utf8_lossy(&hex).into_owned())
}
