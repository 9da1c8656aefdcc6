//! A request as a row: every field a column, so that other tools can read it too.

use std::sync::LazyLock;

use clawrden_api::{Caller, CallerContainer, HistoryEntry};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// All columns, in the order of [`from_row`] and [`put`].
pub(super) const COLUMNS: &str = "seq, time_ms, id, jail, uid, gid, pid, prisoner, container_id, container_name, \
     container_image, argv, cwd, decision, rule, reason, outcome, approver, answer, kept_answer, executor, run_as, \
     started, exit_code, signal, exit_source, duration_ms, timed_out, error, answered_from";

/// The table of [`COLUMNS`].
pub(super) const TABLE: &str = "CREATE TABLE requests(seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, \
     id BLOB NOT NULL, jail TEXT NOT NULL, uid INTEGER, gid INTEGER, pid INTEGER, prisoner TEXT, container_id TEXT, \
     container_name TEXT, container_image TEXT, argv TEXT NOT NULL, cwd TEXT, decision TEXT, rule TEXT, reason TEXT, \
     outcome TEXT, approver TEXT, answer TEXT, kept_answer INTEGER NOT NULL, executor TEXT, run_as TEXT, \
     started INTEGER NOT NULL, exit_code INTEGER, signal INTEGER, exit_source TEXT, duration_ms INTEGER, \
     timed_out INTEGER NOT NULL, error TEXT, answered_from TEXT) STRICT";

/// As SQLite can keep it: what is larger is the largest.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a row of [`COLUMNS`].
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<HistoryEntry> {
    let id: [u8; 16] = row.get(2)?;
    let argv: String = row.get(11)?;
    let container: Option<String> = row.get(8)?;
    let container = match container {
        Some(id) => Some(CallerContainer {
            id,
            name: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
            image: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(HistoryEntry {
        sequence: row.get::<_, i64>(0)?.cast_unsigned(),
        time_ms: row.get::<_, i64>(1)?.cast_unsigned(),
        id: crate::ledger::Id(id).to_string(),
        jail: row.get(3)?,
        caller: Caller {
            uid: row.get(4)?,
            gid: row.get(5)?,
            pid: row.get(6)?,
            prisoner: row.get(7)?,
            container,
        },
        // Only what `put` wrote stands there.
        argv: serde_json::from_str(&argv).unwrap_or_default(),
        cwd: row.get(12)?,
        decision: row.get(13)?,
        rule: row.get(14)?,
        reason: row.get(15)?,
        outcome: row.get(16)?,
        approver: row.get(17)?,
        answer: row.get(18)?,
        kept_answer: row.get(19)?,
        executor: row.get(20)?,
        run_as: row.get(21)?,
        started: row.get(22)?,
        exit_code: row.get(23)?,
        signal: row.get(24)?,
        exit_source: row.get(25)?,
        duration_ms: row.get::<_, Option<i64>>(26)?.map(i64::cast_unsigned),
        timed_out: row.get(27)?,
        error: row.get(28)?,
        answered_from: row.get(29)?,
    })
}

/// Writes a row, in place of the one that has its sequence number.
pub(super) fn put(db: &Connection, id: &[u8; 16], entry: &HistoryEntry) -> rusqlite::Result<()> {
    let sql = format!("INSERT OR REPLACE INTO requests({COLUMNS}) VALUES (?{})", ", ?".repeat(29));
    let container = entry.caller.container.as_ref();
    let argv = serde_json::to_string(&entry.argv).unwrap_or_default();
    db.prepare_cached(&sql)?.execute(params![
        signed(entry.sequence),
        signed(entry.time_ms),
        id,
        entry.jail,
        entry.caller.uid,
        entry.caller.gid,
        entry.caller.pid,
        entry.caller.prisoner,
        container.map(|container| &container.id),
        container.map(|container| &container.name),
        container.map(|container| &container.image),
        argv,
        entry.cwd,
        entry.decision,
        entry.rule,
        entry.reason,
        entry.outcome,
        entry.approver,
        entry.answer,
        entry.kept_answer,
        entry.executor,
        entry.run_as,
        entry.started,
        entry.exit_code,
        entry.signal,
        entry.exit_source,
        entry.duration_ms.map(signed),
        entry.timed_out,
        entry.error,
        entry.answered_from,
    ])?;
    Ok(())
}

/// The request of this sequence number, if it was made within these times.
pub(super) fn get(
    db: &Connection,
    seq: u64,
    times: (u64, u64),
) -> rusqlite::Result<Option<HistoryEntry>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {COLUMNS} FROM requests WHERE seq = ?1 AND time_ms BETWEEN ?2 AND ?3")
    });
    let values = params![signed(seq), signed(times.0), signed(times.1)];
    db.prepare_cached(&SQL)?.query_row(values, from_row).optional()
}
