//! Postings: for each block of sequence numbers and each term, the requests that have it. A block gets them when the
//! ledger has gone past it; what is learnt later of its requests is added. Nothing is ever taken out: what a posting
//! says of a request may be out of date, and is looked at before it is shown.

use std::collections::BTreeMap;
use std::ops::Range;

use clawrden_api::HistoryEntry;
use rusqlite::{Connection, OptionalExtension as _, params};
use rustc_hash::FxHashMap;

use super::bits::{BLOCK, Bits, block_of, place_of};
use super::rows::{self, signed};
use super::terms::{Clause, Term, Terms, long, part};

/// Requests that are looked at rather than more terms.
const FEW: usize = 2;

/// What looking for the terms that begin the same costs, in requests that it might have held for.
const LIKE: usize = 1000;

/// The tables.
pub(super) const TABLES: &str = "CREATE TABLE postings(block INTEGER, term BLOB, places BLOB NOT NULL, \
     PRIMARY KEY(block, term)) STRICT, WITHOUT ROWID; \
     CREATE TABLE blocks(block INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL) STRICT";

/// Makes the postings of a block from its rows.
pub(super) fn seal(db: &Connection, block: u64) -> rusqlite::Result<()> {
    let mut named: BTreeMap<Term, Vec<u16>> = BTreeMap::new();
    let mut parts: FxHashMap<[u8; 3], Vec<u16>> = FxHashMap::default();
    let (mut first_ms, mut last_ms) = (u64::MAX, 0);
    let sql = format!("SELECT {} FROM requests WHERE seq >= ?1 AND seq < ?2", rows::COLUMNS);
    let mut statement = db.prepare_cached(&sql)?;
    let range = params![signed(block * BLOCK), signed((block + 1) * BLOCK)];
    let mut found = statement.query(range)?;
    while let Some(row) = found.next()? {
        let entry = rows::from_row(row)?;
        (first_ms, last_ms) = (first_ms.min(entry.time_ms), last_ms.max(entry.time_ms));
        let place = place_of(entry.sequence);
        let terms = Terms::of(&entry);
        terms.named.into_iter().for_each(|term| named.entry(term).or_default().push(place));
        terms.parts.into_iter().for_each(|part| parts.entry(part).or_default().push(place));
    }
    if named.is_empty() {
        return Ok(());
    }
    named.extend(parts.into_iter().map(|(found, places)| (part(found), places)));
    let mut insert = db.prepare_cached("INSERT OR REPLACE INTO postings VALUES (?1, ?2, ?3)")?;
    for (term, places) in named {
        let mut bits = Bits::NONE;
        places.into_iter().for_each(|place| bits.insert(place));
        insert.execute(params![signed(block), term, bits.to_kept()])?;
    }
    let times = params![signed(block), signed(first_ms), signed(last_ms)];
    db.prepare_cached("INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3)")?.execute(times)?;
    Ok(())
}

/// Adds to a block that is sealed what a request has become.
pub(super) fn amend(
    db: &Connection,
    before: &HistoryEntry,
    after: &HistoryEntry,
) -> rusqlite::Result<()> {
    let (old, new) = (Terms::of(before), Terms::of(after));
    let named = new.named.into_iter().filter(|term| old.named.binary_search(term).is_err());
    let parts = new.parts.into_iter().filter(|part| old.parts.binary_search(part).is_err());
    let block = block_of(after.sequence);
    for term in named.chain(parts.map(part)) {
        let mut bits = places(db, block, &term)?;
        bits.insert(place_of(after.sequence));
        let mut insert =
            db.prepare_cached("INSERT OR REPLACE INTO postings VALUES (?1, ?2, ?3)")?;
        insert.execute(params![signed(block), term, bits.to_kept()])?;
    }
    Ok(())
}

/// Those of these blocks with requests within these times, the newest first.
pub(super) fn within(
    db: &Connection,
    blocks: Range<u64>,
    times: (u64, u64),
) -> rusqlite::Result<Vec<u64>> {
    let sql = "SELECT block FROM blocks WHERE block < ?1 AND last_ms >= ?2 AND first_ms <= ?3 AND block >= ?4 \
               ORDER BY block DESC";
    let mut statement = db.prepare_cached(sql)?;
    let (from, end) = (signed(blocks.start), signed(blocks.end));
    let values = params![end, signed(times.0), signed(times.1), from];
    let found = statement.query_map(values, |row| row.get::<_, i64>(0).map(i64::cast_unsigned))?;
    found.collect()
}

/// The requests of a block for which a condition holds, as far as terms tell.
pub(super) fn matching(
    db: &Connection,
    block: u64,
    clause: &mut Clause<'_>,
) -> rusqlite::Result<Bits> {
    let long = places(db, block, &long())?;
    within_block(db, block, clause, &long)
}

fn within_block(
    db: &Connection,
    block: u64,
    clause: &mut Clause<'_>,
    long: &Bits,
) -> rusqlite::Result<Bits> {
    Ok(match clause {
        Clause::Term(term) => places(db, block, term)?,
        Clause::Part(term) => {
            let mut bits = places(db, block, term)?;
            bits.or(long);
            bits
        }
        Clause::Like(begin, holds) => {
            let sql =
                "SELECT term, places FROM postings WHERE block = ?1 AND term >= ?2 AND term < ?3";
            // No term goes on with more than one 0xFF: texts are UTF-8.
            let mut end = begin.clone();
            end.push(0xFF);
            let begin = &*begin;
            let mut statement = db.prepare_cached(sql)?;
            let mut found = statement.query(params![signed(block), begin, end])?;
            let mut bits = Bits::NONE;
            while let Some(row) = found.next()? {
                if row.get_ref(0)?.as_blob().is_ok_and(|term| holds(term.get(1..).unwrap_or(&[]))) {
                    bits.add_kept(row.get_ref(1)?.as_blob().unwrap_or_default());
                }
            }
            bits
        }
        Clause::Any(clauses) => {
            let mut bits = Bits::NONE;
            for clause in clauses {
                bits.or(&within_block(db, block, clause, long)?);
            }
            bits
        }
        Clause::All(clauses) => {
            let mut left: Option<Bits> = None;
            clauses.sort_by_key(|&(count, _)| count);
            for (count, clause) in clauses {
                let found = within_block(db, block, clause, long)?;
                // Many terms are read for one of these, however few it holds for.
                *count = found.count() + if matches!(clause, Clause::Like(..)) { LIKE } else { 1 };
                match &mut left {
                    None => left = Some(found),
                    Some(left) => left.and(&found),
                }
                // A few are sooner looked at than excluded.
                if left.as_ref().is_some_and(|left| left.count() <= FEW) {
                    break;
                }
            }
            left.unwrap_or(Bits::NONE)
        }
    })
}

fn places(db: &Connection, block: u64, term: &[u8]) -> rusqlite::Result<Bits> {
    let sql = "SELECT places FROM postings WHERE block = ?1 AND term = ?2";
    let mut bits = Bits::NONE;
    let add = |row: &rusqlite::Row<'_>| {
        bits.add_kept(row.get_ref(0)?.as_blob().unwrap_or_default());
        Ok(())
    };
    db.prepare_cached(sql)?.query_row(params![signed(block), term], add).optional()?;
    Ok(bits)
}
