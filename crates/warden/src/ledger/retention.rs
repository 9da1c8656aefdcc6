//! Retention: closed segments that are too old or too many are dropped, the oldest first. What is dropped is said, signed
//! and on the disk before anything is removed; what does not hold, or is still owed to somebody, stays.
//!
//! The segment that is written and the one that was closed last stay in any case: there the next warden finds where the
//! chain goes on.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::dropped::{Bound, Dropped};
use super::ends::{first_line, last_line};
use super::error::LedgerError;
use super::id::Id;
use super::line;
use super::options::Keep;
use super::place::{Place, open_to_read, sync_folder};
use super::record::Record;
use super::walk::Walk;
use super::{Ledger, now_ms};
use crate::crash;

/// How the names of recordings end.
pub(crate) const RECORDING_ENDING: &str = ".cast";

/// What came of looking at the oldest segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Retained {
    /// It is dropped. The next may be due as well.
    Dropped(Dropped),
    /// Nothing is due.
    All,
    /// It is due and stays.
    Stays(PathBuf, String),
}

/// The oldest segment, which is due.
pub(super) struct Due {
    first: u64,
    path: PathBuf,
    /// The one behind it.
    next: PathBuf,
    why: Bound,
}

/// What a line says of requests.
#[derive(Deserialize)]
struct About {
    event: String,
    id: Option<Id>,
    entry: Option<Id>,
}

impl Ledger {
    /// Drops the oldest closed segment, if it is due: what it was is recorded, its requests' recordings go, and then its
    /// file. `held` names requests and entries to which something is owed. Reads all of the segment and waits for the
    /// disk: not for an async task.
    ///
    /// # Errors
    /// When a file cannot be read or removed, or the ledger cannot be written.
    pub(crate) fn retain(
        &self,
        keep: &Keep,
        recordings: &Path,
        held: &HashSet<Id>,
    ) -> Result<Retained, LedgerError> {
        let place = &self.shared.place;
        let Some(key) = &self.shared.key else { return Ok(Retained::All) };
        let written = || self.shared.writer().view().bytes;
        let Some(due) = due(place, keep, written)? else { return Ok(Retained::All) };
        let stays = |why: String| Ok(Retained::Stays(due.path.clone(), why));
        let dropped = match statement(place, &due)? {
            Ok(dropped) => dropped.sign(key),
            Err(why) => return stays(why),
        };
        let recorded = recorded(recordings)?;
        let begun = match requests(&due.path, held, &recorded)? {
            Ok(begun) => begun,
            Err(why) => return stays(why),
        };
        let seq = self.append(&[Record::Dropped(dropped.clone())])?;
        self.shared.reaches_disk(seq)?;
        crash::point("drop_said");
        for id in &begun {
            remove(&recordings.join(format!("{id}{RECORDING_ENDING}")))?;
        }
        if !begun.is_empty() {
            sync_folder(recordings)?;
        }
        crash::point("drop_recordings");
        remove(&due.path)?;
        // Before the next is removed: no gap is ever found on the disk.
        sync_folder(place.directory())?;
        crash::point("drop_removed");
        self.shared.wake.up();
        Ok(Retained::Dropped(dropped))
    }
}

/// The oldest segment, if it is to go. `written` tells how many bytes the open one has.
pub(super) fn due(
    place: &Place,
    keep: &Keep,
    written: impl FnOnce() -> u64,
) -> Result<Option<Due>, LedgerError> {
    let segments = place.segments()?;
    let [(first, path), (_, next), ..] = &segments[..] else { return Ok(None) };
    // Behind the list: one that is closed in between would count as both.
    let mut bytes = written();
    for (_, path) in &segments {
        bytes += fs::metadata(path).map_err(LedgerError::io("look at", path))?.len();
    }
    let why = if keep.bytes.is_some_and(|most| bytes > most) {
        Some(Bound::Bytes)
    } else if let Some(age) = keep.age {
        let newest = last_line(path, &open_to_read(path)?)?;
        let newest = newest.and_then(|(_, line)| line::time_ms(&line)).unwrap_or(u64::MAX);
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        (newest.saturating_add(age_ms) <= now_ms()).then_some(Bound::Age)
    } else {
        None
    };
    Ok(why.map(|why| Due { first: *first, path: path.clone(), next: next.clone(), why }))
}

/// What is said of the segment, to be signed; or why it stays. It is read whole: what does not hold is evidence.
fn statement(place: &Place, due: &Due) -> Result<Result<Dropped, String>, LedgerError> {
    let file = open_to_read(&due.path)?;
    let size = file.metadata().map_err(LedgerError::io("look at", &due.path))?.len();
    let mut walk = Walk::default();
    let scan = walk.scan(&due.path, &file, size)?;
    if let Some(broken) = scan.broken {
        return Ok(Err(format!("it does not hold: {broken}")));
    }
    let head = walk.head();
    let Some(seal) = scan.seal.filter(|_| scan.ends_sealed && !scan.torn) else {
        return Ok(Err("it is not sealed".to_owned()));
    };
    let next = first_line(&open_to_read(&due.next)?);
    let follows = next.is_some_and(|line| line::link(&line).prev == Some(head.hash));
    if scan.first != Some(due.first) || !follows {
        return Ok(Err("the segment behind it does not follow from it".to_owned()));
    }
    Ok(Ok(Dropped {
        segment: place.segment_name(due.first),
        first: due.first,
        last: head.seq,
        bytes: size,
        hash: String::from_utf8_lossy(&head.hash).into_owned(),
        before: seal,
        why: due.why,
        at_ms: now_ms(),
        key: String::new(),
        signature: String::new(),
    }))
}

/// The requests that begin in a segment and have a recording; or why the segment stays.
fn requests(
    path: &Path,
    held: &HashSet<Id>,
    recorded: &HashSet<Id>,
) -> Result<Result<Vec<Id>, String>, LedgerError> {
    let mut begun = Vec::new();
    if held.is_empty() && recorded.is_empty() {
        return Ok(Ok(begun));
    }
    let mut lines = BufReader::with_capacity(256 * 1024, open_to_read(path)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(LedgerError::io("read", path))? > 0 {
        let Ok(about) = serde_json::from_slice::<About>(&line) else {
            return Ok(Err("it has a line that is not understood".to_owned()));
        };
        if let Some(id) = about.id.into_iter().chain(about.entry).find(|id| held.contains(id)) {
            return Ok(Err(format!("request {id} waits, runs or has an answer that is kept")));
        }
        if let Some(id) = about.id.filter(|id| about.event == "requested" && recorded.contains(id))
        {
            begun.push(id);
        }
        line.clear();
    }
    Ok(Ok(begun))
}

/// The requests of which there is a recording.
fn recorded(folder: &Path) -> Result<HashSet<Id>, LedgerError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
        entries => entries.map_err(LedgerError::io("list", folder))?,
    };
    let id = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(RECORDING_ENDING)?.parse().ok()
    };
    Ok(entries.flatten().filter_map(id).collect())
}

fn remove(path: &Path) -> Result<(), LedgerError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LedgerError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
