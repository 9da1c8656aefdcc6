//! A walk along the chain: whether each line follows from the one before, and seals and heads from all of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use super::blocks::{Line, each_line};
use super::dropped::Dropped;
use super::error::LedgerError;
use super::head::NO_SEAL;
use super::head::SignedHead;
use super::keys::PublicKey;
use super::line::{Head, Hex, MAX_LINE, NO_LINE};
use super::record::Record;

pub use clawrden_api::LedgerDamage as Damage;

/// Where a ledger does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}: {why}", file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// Where it begins, in bytes from 0.
    pub at: u64,
    /// The sequence number that belongs there.
    pub seq: u64,
    /// What kind of damage it is.
    pub damage: Damage,
    /// What is wrong.
    pub why: String,
}

/// What one file was found to be.
#[derive(Clone, Default)]
pub(super) struct Scan {
    pub(super) lines: u64,
    /// Bytes of whole lines.
    pub(super) bytes: u64,
    /// Something without a newline stands behind them.
    pub(super) torn: bool,
    /// The sequence number of the first line.
    pub(super) first: Option<u64>,
    /// Where the segment begins that is walked, where more than one are in the file, as in an export.
    segment: Option<Beginning>,
    pub(super) broken: Option<Broken>,
    /// The digest of the newest seal in it.
    pub(super) seal: Option<String>,
    /// Its last line is a seal.
    pub(super) ends_sealed: bool,
    /// It has a line by which a closed segment must end with a seal.
    pub(super) is_signed: bool,
}

/// Where a segment begins in a file.
#[derive(Clone, Copy)]
struct Beginning {
    /// The sequence number of its first line.
    first: u64,
    /// Lines and bytes before it.
    lines: u64,
    bytes: u64,
}

impl Scan {
    /// The first line of the segment that is walked, and its lines and bytes so far.
    fn counts(&self) -> (Option<u64>, u64, u64) {
        match self.segment {
            Some(Beginning { first, lines, bytes }) => {
                (Some(first), self.lines - lines, self.bytes - bytes)
            }
            None => (self.first, self.lines, self.bytes),
        }
    }
}

/// What the lines about the ledger itself said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) seals: u64,
    pub(super) heads: u64,
    /// The newest line that a seal or a head covers.
    pub(super) signed_to: u64,
    pub(super) keys: Vec<String>,
    pub(super) recovered: Vec<u64>,
    pub(super) disk_failed: Vec<u64>,
    /// What retention dropped last.
    pub(super) dropped: Option<Dropped>,
}

/// What a ledger that does not begin with its first record says of what was before.
#[derive(Clone, Default)]
struct Begins {
    prev: Option<Hex>,
    seal: Option<String>,
    /// The seals that are there, and what they hash to.
    seals: Vec<(u64, Hex)>,
}

/// A walk along the chain, over one file after another.
#[derive(Clone, Default)]
pub(super) struct Walk {
    head: Option<Head>,
    pub(super) first: Option<u64>,
    /// What the first line carries of the line before it, and the first seal of the seal before.
    begins: Begins,
    /// The digest of the seal before, once one is known.
    seal: Option<String>,
    /// Keys that are trusted; without one, what the ledger says itself.
    keys: Vec<PublicKey>,
    /// Heads from elsewhere, by the line that they name.
    pub(super) heads: BTreeMap<u64, Vec<SignedHead>>,
    pub(super) seen: Seen,
    /// The records that matter, where not all do: faults elsewhere are passed over.
    range: Option<RangeInclusive<u64>>,
    /// The line before was passed over as changed: what it hashes to says nothing of the next.
    is_adrift: bool,
}

/// Why a line does not hold.
type Fault = (Damage, String);

impl Walk {
    /// A walk that goes on where another file ended.
    pub(super) fn after(head: Option<Head>) -> Self {
        Self { head, ..Self::default() }
    }

    /// A walk from the beginning, by these keys; without one, by what the ledger says itself. Of what does not hold,
    /// only what concerns these records is told.
    pub(super) fn by(keys: Vec<PublicKey>, range: RangeInclusive<u64>) -> Self {
        Self { keys, range: Some(range), ..Self::default() }
    }

    /// Whether one of these records matters.
    pub(super) fn concerns(&self, records: &RangeInclusive<u64>) -> bool {
        self.range
            .as_ref()
            .is_none_or(|range| records.start() <= range.end() && range.start() <= records.end())
    }

    /// Where the chain stands behind the last line.
    pub(super) fn head(&self) -> Head {
        self.head.unwrap_or(Head { seq: 0, hash: NO_LINE })
    }

    /// Reads the first `size` bytes of `file`. At the first line that does not hold the rest is still counted, so that
    /// a writer knows where to go on.
    pub(super) fn scan(
        &mut self,
        path: &Path,
        file: &File,
        size: u64,
    ) -> Result<Scan, LedgerError> {
        let mut scan = Scan::default();
        let torn = each_line(file, size, |line| {
            self.take(path, &line, &mut scan);
            ControlFlow::Continue(())
        })
        .map_err(LedgerError::io("read", path))?;
        scan.torn = torn.is_some();
        Ok(scan)
    }

    /// Goes on by one line of the file at `path`. What it comes to depends on the lines before by `self` and `scan` alone.
    pub(super) fn take(&mut self, path: &Path, line: &Line, scan: &mut Scan) {
        let expected = self.head().seq.saturating_add(1);
        let result = self.step(line, scan);
        scan.lines += 1;
        scan.bytes += line.bytes;
        scan.first = scan.first.or(Some(self.head().seq));
        let seq = self.head().seq;
        match (result, &mut scan.broken) {
            // Of lines that are missing, each is concerned.
            (Err((damage, _)), None)
                if !self.concerns(&(expected.min(seq)..=expected.max(seq))) =>
            {
                self.is_adrift = damage == Damage::Changed;
            }
            (Err((damage, why)), None) => {
                let (file, at) = (path.to_owned(), line.at);
                scan.broken =
                    Some(Broken { file, line: scan.lines, at, seq: expected, damage, why });
            }
            // A line that was missed and stands further down was moved.
            (_, Some(broken))
                if broken.damage == Damage::Missing && is_record(line, broken.seq) =>
            {
                broken.damage = Damage::Misplaced;
                broken.why.push_str(&format!("; it stands on line {} instead", scan.lines));
            }
            _ => {}
        }
    }

    fn step(&mut self, line: &Line, scan: &mut Scan) -> Result<(), Fault> {
        let was_sealed = std::mem::take(&mut scan.ends_sealed);
        let before = self.head;
        let is_adrift = std::mem::take(&mut self.is_adrift);
        let next = self.head().seq.saturating_add(1);
        let Some(link) = &line.link else {
            self.head = Some(Head { seq: next, hash: NO_LINE });
            self.first.get_or_insert(next);
            return Err((Damage::Changed, format!("it is longer than {MAX_LINE} bytes")));
        };
        // A damaged line is no authority for where the ledger goes on.
        let seq = link.seq.filter(|_| link.is_whole).unwrap_or(next);
        self.head = Some(Head { seq, hash: link.hash });
        self.first.get_or_insert(seq);
        if !link.is_whole || link.seq.is_none() {
            let why = "it was changed or damaged: its sum is not that of its content";
            return Err((Damage::Changed, why.to_owned()));
        }
        let Some(prev) = link.prev else {
            return Err((Damage::Changed, "it carries no hash of the line before".to_owned()));
        };
        if before.is_none() {
            self.begins.prev = Some(prev);
        }
        follows(before, seq, (!is_adrift).then_some(&prev))?;
        if let Some(own) = &line.own {
            if was_sealed && matches!(&**own, Record::Opened(opened) if opened.segment) {
                let (lines, bytes) = (scan.lines, scan.bytes);
                scan.segment = Some(Beginning { first: seq, lines, bytes });
            }
            self.own(own, before, seq, scan)?;
        }
        self.compare(line, seq, scan)
    }

    /// What a line about the ledger itself says.
    fn own(
        &mut self,
        record: &Record,
        before: Option<Head>,
        seq: u64,
        scan: &mut Scan,
    ) -> Result<(), Fault> {
        match record {
            Record::Opened(opened) => {
                scan.is_signed |= opened.schema >= 2;
                if !self.seen.keys.contains(&opened.key) {
                    self.seen.keys.push(opened.key.clone());
                }
                Ok(())
            }
            Record::Sealed(seal) => {
                scan.ends_sealed = true;
                let last = before.unwrap_or(Head { seq: 0, hash: NO_LINE });
                let (first, lines, bytes) = scan.counts();
                let covered = covers(seal, first, lines, bytes, &last);
                if !covered {
                    let why = "this seal does not cover what stands before it";
                    return Err((Damage::Signature, why.to_owned()));
                }
                let is_first = self.first == Some(1) && self.seen.seals == 0;
                let expected = self.seal.as_deref().or(is_first.then_some(NO_SEAL));
                if expected.is_some_and(|expected| expected != seal.before) {
                    let why = "this seal does not follow from the seal before";
                    return Err((Damage::Signature, why.to_owned()));
                }
                self.is_signed(seal).map_err(|why| (Damage::Signature, why))?;
                if self.seen.seals == 0 {
                    self.begins.seal = Some(seal.before.clone());
                }
                let digest = seal.digest();
                scan.seal = Some(digest.clone());
                self.seal = Some(digest);
                self.seen.seals += 1;
                self.begins.seals.push((seq, self.head().hash));
                self.seen.signed_to = self.seen.signed_to.max(seq);
                Ok(())
            }
            Record::Dropped(dropped) => self.drops(dropped).map_err(|why| (Damage::Signature, why)),
            Record::Recovered(_) => {
                self.seen.recovered.push(seq);
                Ok(())
            }
            Record::DiskFailed(_) => {
                self.seen.disk_failed.push(seq);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a signed record says that retention dropped.
    fn drops(&mut self, dropped: &Dropped) -> Result<(), String> {
        self.is_good(&dropped.key, |key| dropped.is_signed_by(key))?;
        if self.seen.dropped.as_ref().is_none_or(|newest| newest.last < dropped.last) {
            self.seen.dropped = Some(dropped.clone());
        }
        Ok(())
    }

    /// The same where it stands behind all that is walked. What is not signed by a key that counts says nothing.
    pub(super) fn hear_of_dropped(&mut self, record: &Record) {
        if let Record::Dropped(dropped) = record {
            let _ = self.drops(dropped);
        }
    }

    /// Holds the line against the heads from elsewhere that name it.
    fn compare(&mut self, line: &Line, seq: u64, scan: &Scan) -> Result<(), Fault> {
        let Some(heads) = self.heads.remove(&seq) else { return Ok(()) };
        let here = self.head();
        for head in heads {
            self.is_signed(&head).map_err(|why| (Damage::Signature, why))?;
            let (first, lines, bytes) = scan.counts();
            let first = first.or(Some(seq));
            let (lines, bytes) = (lines + 1, bytes + line.bytes);
            if head.hash.as_bytes() != here.hash {
                let why = format!(
                    "it is not the record {seq} of which a head was signed at {}: the ledger was rewritten",
                    clawrden_api::display::rfc3339(head.at_ms)
                );
                return Err((Damage::Replaced, why));
            }
            if !covers(&head, first, lines, bytes, &here) {
                let why = format!(
                    "its file has {lines} lines up to here, where the head signed at {} says {}: lines before are \
                     missing",
                    clawrden_api::display::rfc3339(head.at_ms),
                    head.lines
                );
                return Err((Damage::Missing, why));
            }
            self.seen.heads += 1;
            self.seen.signed_to = self.seen.signed_to.max(seq);
        }
        Ok(())
    }

    /// Whether a head is signed by a key that counts. The text says what is wrong.
    pub(super) fn is_signed(&self, head: &SignedHead) -> Result<(), String> {
        self.is_good(&head.key, |key| head.is_signed_by(key))
    }

    /// Whether a signature is good by a key that counts; `named` is the one that it names itself.
    fn is_good(&self, named: &str, is_by: impl Fn(&PublicKey) -> bool) -> Result<(), String> {
        let is_good = match &self.keys[..] {
            [] => named.parse().is_ok_and(|key: PublicKey| is_by(&key)),
            keys => keys.iter().any(is_by),
        };
        match (is_good, self.keys.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err("its signature is not that of its content".to_owned()),
            (false, false) => Err(format!(
                "it is not signed by the key that was given, but says that it is by {named}"
            )),
        }
    }

    /// Whether the first record is where the ledger begins: record 1, or the one that retention left. The text says what is
    /// wrong.
    pub(super) fn begins(&self) -> Result<(), String> {
        let first = self.first.unwrap_or(1);
        if first <= 1 {
            return Ok(());
        }
        let last = first - 1;
        let Some(dropped) = self.seen.dropped.as_ref().filter(|dropped| dropped.last >= last)
        else {
            return Err(format!(
                "records 1 to {last} are missing, and no signed record says that retention dropped them; where they \
                 were put elsewhere, ask for `--from {first}`"
            ));
        };
        let is_its = |hash: &Hex| hash == dropped.hash.as_bytes();
        let Begins { prev, seal, seals } = &self.begins;
        let follows = if dropped.last == last {
            prev.as_ref().is_some_and(is_its)
                && seal.as_ref().is_none_or(|seal| *seal == dropped.before)
        } else {
            // A crash before the removal leaves what it says to be dropped.
            seals.iter().any(|(seq, hash)| *seq == dropped.last && is_its(hash))
        };
        if !follows {
            return Err(format!(
                "it does not follow from what the signed record says that retention dropped, up to record {}",
                dropped.last
            ));
        }
        Ok(())
    }
}

fn is_record(line: &Line, seq: u64) -> bool {
    line.link.as_ref().is_some_and(|link| link.is_whole && link.seq == Some(seq))
}

fn covers(head: &SignedHead, first: Option<u64>, lines: u64, bytes: u64, last: &Head) -> bool {
    let numbers = (head.first, head.last, head.lines, head.bytes);
    Some(numbers) == first.map(|first| (first, last.seq, lines, bytes))
        && head.hash.as_bytes() == last.hash
}

fn follows(before: Option<Head>, seq: u64, prev: Option<&Hex>) -> Result<(), Fault> {
    let before = match before {
        Some(before) => before,
        None if seq == 1 => Head { seq: 0, hash: NO_LINE },
        // A segment by itself, or a ledger whose oldest segments are gone: who has all of it asks [`Walk::begins`].
        None => return Ok(()),
    };
    let expected = before.seq.saturating_add(1);
    if seq != expected {
        let damage = if seq > expected { Damage::Missing } else { Damage::Misplaced };
        return Err((damage, format!("record {seq} stands where record {expected} should")));
    }
    if prev.is_some_and(|prev| *prev != before.hash) {
        let why = "it does not follow from the line before: one of the two was replaced";
        return Err((Damage::Replaced, why.to_owned()));
    }
    Ok(())
}
