//! The index's file: made, opened, led on with the ledger's lines, and searched.
//!
//! It holds nothing that the ledger has not. Whoever finds it damaged, of another form or of another ledger deletes it
//! and makes it anew.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clawrden_api::{History, HistoryEntry, HistoryQuery};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use rustc_hash::FxHashMap;

use super::bits::{BLOCK, block_of};
use super::blocks;
use super::recent::Recent;
use super::rows::{self, signed};
use super::terms::condition;
use crate::ledger::{
    DEFAULT_LIMIT, Filter, Id, Ledger, LedgerError, MAX_LIMIT, Mark, Read, Seen, Step, ids,
};

/// The form of the file; one of another form is made anew.
const FORM: &str = "4";

/// Bytes of the ledger that are taken in at once.
const BUDGET: usize = 1024 * 1024;

/// Bytes of a page: as many that the posting of a common term needs no second one.
const PAGE: u32 = 8192;

/// Kilobytes that SQLite keeps of the file in memory.
const CACHE: u32 = 1024;

/// The same while it is built.
const BUILD_CACHE: u32 = 8 * 1024;

/// Why the index is of no use at the moment.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its file cannot be had.
    #[error("cannot {what} the index {path:?}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        source: std::io::Error,
    },
    /// SQLite has a complaint.
    #[error("the index cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It is not one of this ledger, or of another form.
    #[error("the index is {0}")]
    Foreign(&'static str),
}

/// An open index.
pub(super) struct Store {
    db: Connection,
    mark: Mark,
    /// The newest record that is in it.
    sequence: u64,
    /// Blocks before this one have their postings.
    sealed: u64,
    /// Requests before this one are forgotten.
    oldest: u64,
    /// Where the ledger begins. Requests before it are no history any more, forgotten or not.
    floor: u64,
    /// Where requests are found by their id while there is no index on ids.
    recent: Option<Recent>,
}

impl Store {
    /// Opens the index at `path` if it is one of this ledger.
    pub(super) fn open(path: &Path, ledger: &Ledger) -> Result<Self, IndexError> {
        let db = connect(path, false)?;
        let form: Option<String> = about(&db, "form").unwrap_or(None);
        if form.as_deref() != Some(FORM) {
            return Err(IndexError::Foreign("of another version"));
        }
        let mark: Option<Mark> =
            about(&db, "mark")?.and_then(|text| serde_json::from_str(&text).ok());
        let mark = mark.ok_or(IndexError::Foreign("not whole"))?;
        if !ledger.knows(&mark)? {
            return Err(IndexError::Foreign("that of another ledger"));
        }
        let number = |name| -> rusqlite::Result<u64> {
            Ok(about(&db, name)?.and_then(|text| text.parse().ok()).unwrap_or(0))
        };
        let (sequence, sealed) = (number("sequence")?, number("sealed")?);
        let oldest = number("oldest")?;
        let mut store = Self { db, mark, sequence, sealed, oldest, floor: oldest, recent: None };
        store.has_all_of(ledger)?;
        Ok(store)
    }

    /// Makes an empty index at `path`, to be led on and then [`Store::finish`]ed.
    pub(super) fn create(path: &Path, ledger: &Ledger) -> Result<Self, IndexError> {
        remove(path);
        let db = connect(path, true)?;
        db.execute_batch(&format!(
            "{}; {}; CREATE TABLE about(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
            rows::TABLE,
            blocks::TABLES
        ))?;
        let recent = Some(Recent::default());
        let oldest = ledger.oldest()?;
        let mark = Mark::default();
        Ok(Self { db, mark, sequence: 0, sealed: 0, oldest, floor: oldest, recent })
    }

    /// Ends the building of the file at `path`. What is then opened is led on in small steps.
    pub(super) fn finish(mut self, path: &Path) -> Result<(), IndexError> {
        self.db.execute_batch("CREATE INDEX requests_id ON requests(id)")?;
        self.tell("form", FORM)?;
        self.tell("oldest", &self.oldest.to_string())?;
        // Of a ledger that has nothing yet, nothing was told.
        self.tell("mark", &serde_json::to_string(&self.mark).unwrap_or_default())?;
        self.recent = None;
        self.db.close().map_err(|(_, error)| error)?;
        let written = fs::File::open(path).and_then(|built| built.sync_all());
        written.map_err(|source| IndexError::File { what: "write", path: path.to_owned(), source })
    }

    /// Whether it holds what the ledger holds. Of files that are there no more nothing is shown from here on.
    pub(super) fn has_all_of(&mut self, ledger: &Ledger) -> Result<(), IndexError> {
        let oldest = ledger.oldest()?;
        if oldest < self.oldest {
            return Err(IndexError::Foreign("without files that have come back"));
        }
        self.floor = oldest;
        Ok(())
    }

    /// Takes out requests that are no history any more: one step of bounded length. Gives whether there are more.
    pub(super) fn forget(&mut self) -> Result<bool, IndexError> {
        if self.oldest >= self.floor {
            return Ok(false);
        }
        let to = self.floor.min((block_of(self.oldest) + 1) * BLOCK);
        let block = signed(block_of(to));
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let taken = || -> rusqlite::Result<()> {
            self.db.execute("DELETE FROM requests WHERE seq < ?1", params![signed(to)])?;
            self.db.execute("DELETE FROM postings WHERE block < ?1", params![block])?;
            self.db.execute("DELETE FROM blocks WHERE block < ?1", params![block])?;
            self.tell("oldest", &to.to_string())
        };
        let taken = taken();
        let ended = self.db.execute_batch(if taken.is_ok() { "COMMIT" } else { "ROLLBACK" });
        taken?;
        ended?;
        self.oldest = to;
        Ok(to < self.floor)
    }

    /// Where the ledger begins.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    /// Gives back what SQLite keeps in memory for the next step.
    pub(super) fn shrink(&self) {
        self.db.flush_prepared_statement_cache();
        // What it cannot give back it keeps.
        let _ = self.db.execute_batch("PRAGMA shrink_memory");
    }

    /// The newest record that is in it.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How far it came in the ledger.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Takes in what comes next in the ledger: one step of bounded length.
    pub(super) fn lead_on(&mut self, ledger: &Ledger) -> Result<Step, IndexError> {
        let mut mark = self.mark.clone();
        let mut lines = Batch::default();
        let step = ledger.read_on(&mut mark, BUDGET, |line| lines.take(line))?;
        if step == Step::Lost {
            return Err(IndexError::Foreign("that of another ledger"));
        }
        if mark == self.mark {
            return Ok(step);
        }
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let written = self.write(lines, &mark);
        let ended = self.db.execute_batch(if written.is_ok() { "COMMIT" } else { "ROLLBACK" });
        let (sequence, sealed) = written?;
        ended?;
        (self.mark, self.sequence, self.sealed) = (mark, sequence, sealed);
        Ok(step)
    }

    fn write(&mut self, batch: Batch, mark: &Mark) -> rusqlite::Result<(u64, u64)> {
        let Batch { begun, later, newest, places: _ } = batch;
        let sequence = self.sequence.max(newest);
        for (id, entry) in begun.into_values() {
            rows::put(&self.db, &id.0, &entry)?;
            self.remember(id, &entry);
        }
        for (id, line) in later {
            let Some(seq) = self.find(id)? else { continue };
            let Some(before) = rows::get(&self.db, seq, (0, u64::MAX))? else { continue };
            let Ok(seen) = serde_json::from_slice::<Seen<'_>>(&line) else { continue };
            let mut after = before.clone();
            seen.add_to(&mut after, Read::Forward);
            rows::put(&self.db, &id.0, &after)?;
            self.remember(id, &after);
            if block_of(seq) < self.sealed {
                blocks::amend(&self.db, &before, &after)?;
            }
        }
        let current = block_of(sequence);
        // Between two blocks with requests there may be any number without.
        let sql = "SELECT DISTINCT seq / ?1 FROM requests WHERE seq >= ?2 AND seq < ?3";
        let range = params![signed(BLOCK), signed(self.sealed * BLOCK), signed(current * BLOCK)];
        if self.sealed < current {
            let mut statement = self.db.prepare_cached(sql)?;
            let found = statement.query_map(range, |row| row.get::<_, i64>(0))?;
            let ripe: Vec<i64> = found.collect::<Result<_, _>>()?;
            for block in ripe {
                blocks::seal(&self.db, block.cast_unsigned())?;
            }
        }
        let sealed = self.sealed.max(current);
        self.tell("mark", &serde_json::to_string(mark).unwrap_or_default())?;
        self.tell("sequence", &sequence.to_string())?;
        self.tell("sealed", &sealed.to_string())?;
        Ok((sequence, sealed))
    }

    fn remember(&mut self, id: Id, entry: &HistoryEntry) {
        if let Some(recent) = &mut self.recent {
            let denied = entry.decision.as_deref() == Some("deny") && !entry.started;
            let is_over = denied || entry.exit_source.is_some() || entry.error.is_some();
            recent.put(id, entry.sequence, is_over);
        }
    }

    /// The newest request of this id.
    fn find(&self, id: Id) -> rusqlite::Result<Option<u64>> {
        if let Some(recent) = &self.recent {
            return Ok(recent.find(id));
        }
        let sql = "SELECT max(seq) FROM requests WHERE id = ?1";
        let found: Option<i64> =
            self.db.prepare_cached(sql)?.query_row(params![id.0], |row| row.get(0))?;
        Ok(found.map(i64::cast_unsigned))
    }

    fn tell(&self, name: &str, value: &str) -> rusqlite::Result<()> {
        let mut statement =
            self.db.prepare_cached("INSERT OR REPLACE INTO about VALUES (?1, ?2)")?;
        statement.execute(params![name, value])?;
        Ok(())
    }

    /// One page.
    pub(super) fn search(&self, query: &HistoryQuery) -> Result<History, IndexError> {
        let filter = Filter::new(query)?;
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        // One more than asked for says whether there is a next page.
        let mut entries = self.matching(&filter, limit + 1)?;
        let next = (entries.len() > limit).then(|| entries[limit - 1].sequence);
        entries.truncate(limit);
        Ok(History { entries, next })
    }

    /// How often exactly this command was approved in its jail before, counted up to `most`.
    pub(super) fn approvals(
        &self,
        jail: &str,
        argv: &[String],
        most: usize,
    ) -> Result<usize, IndexError> {
        let query =
            HistoryQuery { outcome: Some("approved".to_owned()), ..HistoryQuery::default() };
        let mut filter = Filter::new(&query)?;
        filter.same = Some((jail, argv));
        Ok(self.matching(&filter, most)?.len())
    }

    /// The same of requests whose ids are these, which are looked up.
    fn between(
        &self,
        first: Id,
        last: Id,
        filter: &Filter<'_>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, IndexError> {
        let sql = format!(
            "SELECT {} FROM requests INDEXED BY requests_id WHERE id BETWEEN ?1 AND ?2 AND seq >= ?3 AND seq < ?4 \
             ORDER BY seq DESC",
            rows::COLUMNS
        );
        let end = filter.query.cursor.unwrap_or(u64::MAX);
        let mut statement = self.db.prepare_cached(&sql)?;
        let values = params![first.0, last.0, signed(self.floor), signed(end)];
        let mut found = statement.query(values)?;
        let mut entries = Vec::new();
        while let Some(row) = found.next()?.filter(|_| entries.len() < limit) {
            let entry = rows::from_row(row)?;
            if filter.fits(&entry) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The newest requests that fit, at most so many.
    fn matching(&self, filter: &Filter<'_>, limit: usize) -> Result<Vec<HistoryEntry>, IndexError> {
        let query = filter.query;
        if let Some((first, last)) = query.id.as_deref().and_then(ids) {
            return self.between(first, last, filter, limit);
        }
        let times = (query.since_ms.unwrap_or(0), query.until_ms.unwrap_or(u64::MAX));
        let end = query.cursor.unwrap_or(u64::MAX);
        let mut entries = Vec::new();
        // What has no postings yet is little, and is looked at row by row.
        let sql = format!(
            "SELECT {} FROM requests WHERE seq >= ?1 AND seq < ?2 AND time_ms BETWEEN ?3 AND ?4 \
             AND (?5 IS NULL OR outcome = ?5) ORDER BY seq DESC",
            rows::COLUMNS
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let sealed_end = self.sealed.saturating_mul(BLOCK).max(self.floor);
        // Each request that asks a person looks for approvals here, of which there are few: a row that is read costs far
        // more than one that is passed over.
        let values = params![
            signed(sealed_end),
            signed(end),
            signed(times.0),
            signed(times.1),
            query.outcome
        ];
        let mut found = statement.query(values)?;
        while let Some(row) = found.next()? {
            let entry = rows::from_row(row)?;
            if filter.fits(&entry) {
                entries.push(entry);
                if entries.len() == limit {
                    return Ok(entries);
                }
            }
        }
        let mut clause = condition(filter);
        let last = block_of(end).saturating_add(1).min(self.sealed);
        for block in blocks::within(&self.db, block_of(self.floor)..last, times)? {
            let bits = blocks::matching(&self.db, block, &mut clause)?;
            for place in bits.descending() {
                let seq = block * BLOCK + u64::from(place);
                if seq >= end || seq < self.floor {
                    continue;
                }
                let entry = rows::get(&self.db, seq, times)?;
                if let Some(entry) = entry.filter(|entry| filter.fits(entry)) {
                    entries.push(entry);
                    if entries.len() == limit {
                        return Ok(entries);
                    }
                }
            }
        }
        Ok(entries)
    }
}

/// Lines of the ledger, taken together so that a request that is soon over is written once.
#[derive(Default)]
struct Batch {
    /// Requests that begin here, by sequence number.
    begun: BTreeMap<u64, (Id, HistoryEntry)>,
    /// Their sequence numbers, by id.
    places: FxHashMap<Id, u64>,
    /// What is said of requests that began before: whole lines, in the order of the ledger.
    later: Vec<(Id, Vec<u8>)>,
    newest: u64,
}

impl Batch {
    fn take(&mut self, line: &[u8]) {
        // What is no record of a request, or damaged, is for `verify` to name.
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else { return };
        // Beyond this SQLite knows no numbers; no ledger ever comes there.
        if i64::try_from(seen.seq).is_err() {
            return;
        }
        self.newest = self.newest.max(seen.seq);
        let Some(id) = seen.id else { return };
        if seen.begins() {
            let mut entry = HistoryEntry { id: id.to_string(), ..HistoryEntry::default() };
            let seq = seen.seq;
            seen.begin(&mut entry);
            self.begun.insert(seq, (id, entry));
            self.places.insert(id, seq);
            return;
        }
        let begun = self.places.get(&id).and_then(|seq| self.begun.get_mut(seq));
        match begun {
            Some((_, entry)) => seen.add_to(entry, Read::Forward),
            None => self.later.push((id, line.to_vec())),
        }
    }
}

/// Removes an index with what SQLite keeps beside it. What cannot be removed is in the way of the next step, which says
/// so.
pub(super) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}

/// Puts an index that was built in the place of the one before, which nobody has open.
pub(super) fn replace(built: &Path, path: &Path) -> Result<(), IndexError> {
    remove(path);
    let file = |source| IndexError::File { what: "rename", path: built.to_owned(), source };
    fs::rename(built, path).map_err(file)
}

/// Opens the file for this process alone; never through a link.
fn connect(path: &Path, build: bool) -> Result<Connection, IndexError> {
    let file = |source| IndexError::File { what: "open", path: path.to_owned(), source };
    if build {
        let mut options = OpenOptions::new();
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
        options.write(true).create_new(true).mode(0o600).custom_flags(flags);
        options.open(path).map_err(file)?;
    } else {
        fs::symlink_metadata(path).map_err(file)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(std::time::Duration::ZERO)?;
    db.set_prepared_statement_cache_capacity(24);
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    if build {
        // Half an index is thrown away: nothing of it needs to survive.
        db.pragma_update(None, "page_size", PAGE)?;
        db.pragma_update(None, "journal_mode", "OFF")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.pragma_update(None, "cache_size", -i64::from(BUILD_CACHE))?;
    } else {
        db.pragma_update(None, "journal_mode", "WAL")?;
        // A crash of the machine may lose the newest steps, which are taken again, and damages nothing.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "cache_size", -i64::from(CACHE))?;
        db.pragma_update(None, "wal_autocheckpoint", 512)?;
        db.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
    }
    Ok(db)
}

fn about(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM about WHERE name = ?1";
    db.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()
}
