//! Where the queue and its answers lie while no warden runs: a SQLite file beside the ledger, for its owner alone.
//!
//! A change is in the file before it is done in memory, all of it or nothing, and survives the death of the warden from
//! then on. Nothing that is read here permits anything by itself: every request that comes back is judged again.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use thiserror::Error;

use crate::beside::beside;
use crate::ledger::Id;
use crate::process::boot_id;

/// How the rows are written; a file of another version is set aside.
const VERSION: i32 = 1;

/// Says that the file is of this kind: "CLAP".
const APPLICATION: i32 = 0x434c_4150;

/// Commits after which the write-ahead log is brought into the file.
const CHECKPOINT_EVERY: u32 = 512;

/// Bytes of a log that is brought into the file when it is opened: of a warden that was killed before it came to that.
const LONG: u64 = 4 * 1024 * 1024;

const MODE: u32 = 0o600;

/// Why what waits and what was answered cannot be kept.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Its place cannot be trusted.
    #[error("{path} cannot hold the approvals: {why}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, and what helps.
        why: String,
    },
    /// The system says no.
    #[error("the approvals cannot be kept in {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database says no.
    #[error("the approvals cannot be kept: {0}")]
    Database(#[from] rusqlite::Error),
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// An open entry.
    Entry = 1,
    /// One who waits in an entry, or did.
    Caller = 2,
    /// An approval that nothing was started with.
    Grant = 3,
    /// A denial that the next identical request gets.
    Denial = 4,
    /// The denial of an entry some of whose callers have not been told yet: those whose rows are still there.
    Untold = 5,
    /// An entry that was answered.
    Past = 6,
    /// A grant for more than one run.
    Repeating = 7,
}

/// A change of one row.
#[derive(Debug)]
pub(super) enum Change {
    Put(Kind, Vec<u8>, String),
    Remove(Kind, Vec<u8>),
    /// All rows whose keys begin with these bytes.
    RemoveBelow(Kind, Id),
}

/// A row as it was kept.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: u8,
    pub(super) key: Vec<u8>,
    pub(super) text: String,
}

/// The open file.
pub(super) struct Store {
    connection: Connection,
    /// The thread that brings the log into the file, which waits for the disk, and what wakes it.
    checkpoint: Option<(SyncSender<()>, JoinHandle<()>)>,
    commits: u32,
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some((wake, thread)) = self.checkpoint.take() {
            drop(wake);
            // Whoever opens the file next has it alone.
            let _ = thread.join();
        }
    }
}

/// What a file held when it was opened.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) rows: Vec<Row>,
    /// It was last used in this boot of the kernel: processes and clocks are those that it knew.
    pub(super) same_boot: bool,
    /// It could not be understood, and lies there by now.
    pub(super) aside: Option<PathBuf>,
}

impl Store {
    /// Opens the file, or makes it. One that is damaged or of another version is set aside: what it held is asked anew.
    pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
        claim(path)?;
        let path = resolved(path)?;
        match Self::read(&path) {
            Err(StoreError::Database(error)) if is_damage(&error) => {
                let aside = set_aside(&path)?;
                tracing::warn!(%error, "the kept approvals cannot be understood");
                claim(&path)?;
                Ok(Opened { aside: Some(aside), ..Self::read(&path)? })
            }
            other => other,
        }
    }

    fn read(path: &Path) -> Result<Opened, StoreError> {
        let connection = connect(path, Syncs::Never)?;
        let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let application: i32 =
            connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if (version, application) == (0, 0) {
            connection.execute_batch(&format!(
                "BEGIN; PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION};
                 CREATE TABLE boot (id TEXT NOT NULL);
                 CREATE TABLE kept (kind INTEGER NOT NULL, key BLOB NOT NULL, text TEXT NOT NULL,
                                    PRIMARY KEY (kind, key));
                 COMMIT;"
            ))?;
        } else if (version, application) != (VERSION, APPLICATION) {
            return Err(rusqlite::Error::InvalidQuery.into());
        }
        let boot = boot_id();
        let last: Option<String> = connection
            .query_row("SELECT id FROM boot", [], |row| row.get(0))
            .map(Some)
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(None),
                other => Err(other),
            })?;
        let mut rows = Vec::new();
        {
            let mut all = connection.prepare("SELECT kind, key, text FROM kept ORDER BY rowid")?;
            let mut all = all.query([])?;
            while let Some(row) = all.next()? {
                rows.push(Row { kind: row.get(0)?, key: row.get(1)?, text: row.get(2)? });
            }
        }
        let (sender, wake) = sync_channel(1);
        let second = connect(path, Syncs::AtCheckpoints)?;
        // However often one is killed, the next one does it.
        if fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > LONG) {
            shorten(&second, "TRUNCATE");
        }
        let thread = std::thread::Builder::new()
            .name("approvals".to_owned())
            .spawn(move || keep_short(&second, &wake))
            .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        let same_boot = boot.is_some() && boot == last.as_deref();
        let store = Self { connection, checkpoint: Some((sender, thread)), commits: 0 };
        Ok(Opened { store, rows, same_boot, aside: None })
    }

    /// Says that from here on the file is of this boot. Once what it held from another one is dealt with.
    pub(super) fn adopt(&mut self) -> Result<(), StoreError> {
        let boot = boot_id().unwrap_or_default();
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM boot", [])?;
        transaction.execute("INSERT INTO boot (id) VALUES (?1)", params![boot])?;
        Ok(transaction.commit()?)
    }

    /// Makes all of these changes, or none.
    pub(super) fn write<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        for change in changes {
            match change {
                Change::Put(kind, key, text) => transaction
                    .prepare_cached(
                        "INSERT INTO kept (kind, key, text) VALUES (?1, ?2, ?3)
                         ON CONFLICT (kind, key) DO UPDATE SET text = excluded.text",
                    )?
                    .execute(params![*kind as u8, key, text])?,
                Change::Remove(kind, key) => transaction
                    .prepare_cached("DELETE FROM kept WHERE kind = ?1 AND key = ?2")?
                    .execute(params![*kind as u8, key])?,
                Change::RemoveBelow(kind, Id(first)) => {
                    let last = [&first[..], &[0xff; 17]].concat();
                    transaction
                        .prepare_cached(
                            "DELETE FROM kept WHERE kind = ?1 AND key >= ?2 AND key <= ?3",
                        )?
                        .execute(params![*kind as u8, &first[..], last])?
                }
            };
        }
        transaction.commit()?;
        self.commits += 1;
        if self.commits.is_multiple_of(CHECKPOINT_EVERY)
            && let Some((wake, _)) = &self.checkpoint
        {
            // Full: it has been woken already.
            let _ = wake.try_send(());
        }
        Ok(())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Whether a connection waits for the disk.
#[derive(Debug, Clone, Copy)]
enum Syncs {
    /// What it writes survives the death of the warden, as the kernel has it. A loss of power may take or damage it; then
    /// the boot is another one, and no approval is taken from the file.
    Never,
    /// When it brings the log into the file.
    AtCheckpoints,
}

/// The log is not brought into the file by whoever writes: that waits for the disk. Nor does it wait for another process
/// that has the file: what cannot be written at once is refused.
fn connect(path: &Path, syncs: Syncs) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    let synchronous = match syncs {
        Syncs::Never => "OFF",
        Syncs::AtCheckpoints => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;",
    ))?;
    Ok(connection)
}

fn keep_short(connection: &Connection, wake: &Receiver<()>) {
    while wake.recv().is_ok() {
        // One that did not come to its end is followed by another.
        shorten(connection, "PASSIVE");
    }
}

/// Brings the log into the file.
fn shorten(connection: &Connection, how: &str) {
    let sql = format!("PRAGMA wal_checkpoint({how})");
    if let Err(error) = connection.query_row(&sql, [], |_| Ok(())) {
        tracing::warn!(%error, "the approvals' log stays long");
    }
}

/// Opens or makes the file, and refuses one that others may have written.
pub(super) fn claim(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { path: path.to_owned(), source };
    let refused = |why: &str| StoreError::Refused { path: path.to_owned(), why: why.to_owned() };
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(MODE).custom_flags(flags);
    let file = options.open(path).map_err(|source| match source.raw_os_error() {
        Some(libc::ELOOP) => refused("it is a symbolic link; move it away"),
        _ => failed(source),
    })?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(refused("it is no regular file; move it away"));
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it belongs to another user; move it away"));
    }
    if about.nlink() > 1 {
        return Err(refused("it has a second name (a hard link); move it away"));
    }
    if about.mode() & 0o7777 != MODE {
        file.set_permissions(fs::Permissions::from_mode(MODE)).map_err(failed)?;
    }
    Ok(())
}

/// The path with its folder free of links, as no link is followed to it later.
fn resolved(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().map_err(failed)?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown
        ),
        rusqlite::Error::InvalidQuery
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

/// Moves the file and its log out of the way, and says where the file went.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::Io { path: path.to_owned(), source };
    let with = |end: &str| beside(path, end);
    let free = (1..).map(|n| format!(".broken-{n}")).find(|end| !with(end).exists());
    let end = free.unwrap_or_default();
    fs::rename(path, with(&end)).map_err(failed)?;
    for part in ["-wal", "-shm"] {
        match fs::rename(with(part), with(&[&end, part].concat())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(with(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(path: &Path) -> Vec<(u8, Vec<u8>, String)> {
        let opened = Store::open(path).unwrap();
        assert_eq!(opened.aside, None);
        opened.rows.into_iter().map(|row| (row.kind, row.key, row.text)).collect()
    }

    #[test]
    fn the_long_log_of_a_warden_that_was_killed_is_brought_in_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("approvals");
        let text = "x".repeat(1024 * 1024);
        for life in 1..=3 {
            let mut store = Store::open(&path).unwrap().store;
            let log = || fs::metadata(beside(&path, "-wal")).unwrap().len();
            assert!(life == 1 || log() == 0, "{} bytes in life {life}", log());
            for n in 0..5 {
                store.write(&[Change::Put(Kind::Entry, vec![life, n], text.clone())]).unwrap();
            }
            assert!(log() > LONG);
            // As by a kill: nothing of it is closed.
            std::mem::forget(store);
        }
        assert_eq!(rows(&path).len(), 15);
    }

    #[test]
    fn what_is_written_is_there_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approvals");
        let mut store = Store::open(&path).unwrap().store;
        let put = |key: &[u8], text: &str| Change::Put(Kind::Entry, key.to_vec(), text.to_owned());
        store.write(&[put(b"a", "1"), put(b"b", "2")]).unwrap();
        store.write(&[put(b"a", "3"), Change::Remove(Kind::Entry, b"b".to_vec())]).unwrap();
        let below = |last: u8| [&[7; 16][..], &[last; 16]].concat();
        store
            .write(&[
                Change::Put(Kind::Caller, below(0), String::new()),
                Change::Put(Kind::Caller, below(0xff), String::new()),
                Change::Put(Kind::Caller, vec![8; 32], "other".to_owned()),
            ])
            .unwrap();
        store.write(&[Change::RemoveBelow(Kind::Caller, Id([7; 16]))]).unwrap();
        drop(store);
        let expected = [(1, b"a".to_vec(), "3".to_owned()), (2, vec![8; 32], "other".to_owned())];
        assert_eq!(rows(&path), expected);
        for entry in fs::read_dir(dir.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o7777, 0o600);
        }
    }

    #[test]
    fn a_boot_is_known_again_once_it_was_adopted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approvals");
        let mut opened = Store::open(&path).unwrap();
        assert!(!opened.same_boot);
        opened.store.adopt().unwrap();
        drop(opened);
        assert!(Store::open(&path).unwrap().same_boot);
        let connection = Connection::open(&path).unwrap();
        connection.execute("UPDATE boot SET id = 'another'", []).unwrap();
        assert!(!Store::open(&path).unwrap().same_boot);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_a_fresh_one_serves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approvals");
        let torn = {
            drop(Store::open(&path).unwrap());
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(bytes.len() - 4096);
            bytes.iter_mut().skip(100).for_each(|byte| *byte ^= 0x55);
            bytes
        };
        for (n, text) in [torn, vec![0xa5; 9000]].into_iter().enumerate() {
            fs::write(&path, &text).unwrap();
            let mut opened = Store::open(&path).unwrap();
            let aside = opened.aside.unwrap();
            assert_eq!(fs::read(&aside).unwrap(), text, "{n}");
            opened.store.write(&[Change::Put(Kind::Past, vec![1], "x".to_owned())]).unwrap();
            drop(opened.store);
            assert_eq!(rows(&path).len(), 1);
        }
    }

    #[test]
    fn a_file_of_a_later_version_is_not_misread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approvals");
        drop(Store::open(&path).unwrap());
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        assert!(Store::open(&path).unwrap().aside.is_some());
    }

    #[test]
    fn links_and_other_kinds_of_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approvals");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Refused { .. })));
        assert!(!dir.path().join("elsewhere").exists());
        fs::remove_file(&path).unwrap();
        fs::write(dir.path().join("other"), "").unwrap();
        fs::hard_link(dir.path().join("other"), &path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Refused { .. })));
    }
}
