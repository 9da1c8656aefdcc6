//! Proof of the chain: reads a ledger line by line and names the first that does not hold.
//! It changes nothing, takes nothing on trust but the files, and holds one line at a time.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::error::LedgerError;
use super::line::{self, Hex, MAX_LINE, NO_LINE};
use super::place::{Place, open_to_read};
use super::writer::Head;

/// Bytes that are read at once.
const BLOCK: usize = 256 * 1024;

/// What a ledger that holds is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files.
    pub segments: usize,
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// The first line's sequence number. Over 1: what came before lies elsewhere, or is lost.
    pub first_seq: u64,
    /// The last line's sequence number; 0 for an empty ledger.
    pub last_seq: u64,
    /// SHA-256 of the last line in hex, 64 zeros for an empty ledger. Kept elsewhere, it proves that no line was cut
    /// off at the end.
    pub head: String,
}

/// Where a ledger does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}: {why}", file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

/// Why a ledger is not proved.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It does not hold.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] LedgerError),
}

/// Proves a ledger: all of its segments, or one closed segment.
///
/// `path` is the ledger's file, a directory that holds a `ledger.jsonl`, or a closed segment, which is then proved
/// alone.
///
/// # Errors
/// [`VerifyError::Broken`] with the first line that does not hold; a last line without its end is one too.
pub fn verify(path: &Path) -> Result<Summary, VerifyError> {
    let path = if path.is_dir() { path.join("ledger.jsonl") } else { path.to_owned() };
    let place = Place::new(&path)?;
    let mut files: Vec<PathBuf> = place.segments()?.into_iter().map(|(_, file)| file).collect();
    if path.exists() || files.is_empty() {
        files.push(path);
    }
    let mut walk = Walk::default();
    let mut summary = Summary::default();
    for file in files {
        let open = open_to_read(&file)?;
        let scan = walk.scan(&file, &open)?;
        if let Some(broken) = scan.broken {
            return Err(broken.into());
        }
        if scan.torn {
            let why = "it has no end: the write was cut short, or is under way".to_owned();
            return Err(Broken { file, line: scan.lines + 1, why }.into());
        }
        summary.segments += 1;
        summary.lines += scan.lines;
        summary.bytes += scan.bytes;
    }
    let head = walk.head();
    summary.first_seq = walk.first.unwrap_or(0);
    summary.last_seq = head.seq;
    summary.head = String::from_utf8_lossy(&head.hash).into_owned();
    Ok(summary)
}

/// What one file was found to be.
pub(super) struct Scan {
    pub(super) lines: u64,
    /// Bytes of whole lines.
    pub(super) bytes: u64,
    /// Something without a newline stands behind them.
    pub(super) torn: bool,
    /// The sequence number of the first line.
    pub(super) first: Option<u64>,
    pub(super) broken: Option<Broken>,
}

/// A walk along the chain, over one file after another.
#[derive(Default)]
pub(super) struct Walk {
    head: Option<Head>,
    first: Option<u64>,
}

impl Walk {
    /// A walk that goes on where another file ended.
    pub(super) fn after(head: Option<Head>) -> Self {
        Self { head, first: None }
    }

    /// Where the chain stands behind the last line.
    pub(super) fn head(&self) -> Head {
        self.head.unwrap_or(Head { seq: 0, hash: NO_LINE })
    }

    /// Reads all lines of `file`. At the first that does not hold the rest is still counted, so that a writer knows
    /// where to go on.
    pub(super) fn scan(&mut self, path: &Path, file: &File) -> Result<Scan, LedgerError> {
        let mut reader = BufReader::with_capacity(BLOCK, file);
        let mut line = Vec::new();
        let mut scan = Scan { lines: 0, bytes: 0, torn: false, first: None, broken: None };
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
            let read = read.map_err(LedgerError::io("read", path))? as u64;
            let is_end = line.last() == Some(&b'\n');
            if read <= MAX_LINE as u64 && !is_end {
                scan.torn = read > 0;
                return Ok(scan);
            }
            let mut overlong = 0;
            if is_end {
                line.pop();
            } else {
                overlong = reader.skip_until(b'\n').map_err(LedgerError::io("read", path))? as u64;
                if !ends_line(file, scan.bytes + read + overlong) {
                    scan.torn = true;
                    return Ok(scan);
                }
            }
            scan.lines += 1;
            scan.bytes += read + overlong;
            let result = self.step(&line, !is_end);
            scan.first = scan.first.or(Some(self.head().seq));
            if let (Err(why), None) = (result, &scan.broken) {
                let (file, line) = (path.to_owned(), scan.lines);
                scan.broken = Some(Broken { file, line, why });
            }
        }
    }

    fn step(&mut self, line: &[u8], is_overlong: bool) -> Result<(), String> {
        let link = line::link(line);
        let before = self.head;
        // A damaged line is no authority for where the ledger goes on.
        let claimed = link.seq.filter(|_| link.is_whole && !is_overlong);
        let seq = claimed.unwrap_or_else(|| self.head().seq.saturating_add(1));
        self.head = Some(Head { seq, hash: link.hash });
        self.first.get_or_insert(seq);
        if is_overlong {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        if !link.is_whole || link.seq.is_none() {
            return Err("it was changed or damaged: its sum is not that of its content".to_owned());
        }
        let Some(prev) = link.prev else {
            return Err("it carries no hash of the line before".to_owned());
        };
        follows(before, seq, &prev)?;
        serde_json::from_slice::<IgnoredAny>(line).map_err(|e| format!("it is no JSON: {e}"))?;
        Ok(())
    }
}

/// Whether the byte before `at` ends a line.
fn ends_line(file: &File, at: u64) -> bool {
    let mut byte = [0];
    at > 0 && file.read_at(&mut byte, at - 1).is_ok_and(|n| n == 1) && byte == *b"\n"
}

/// The sequence number and hash of the last whole line of `file`; `None` if it has none.
pub(super) fn last_line(path: &Path, file: &File) -> Result<Option<Head>, LedgerError> {
    let read_error = LedgerError::io("read", path);
    let tail = || -> io::Result<Vec<u8>> {
        let size = file.metadata()?.len();
        let from = size.saturating_sub(2 * (MAX_LINE as u64 + 1));
        let mut tail = vec![0; usize::try_from(size - from).unwrap_or(0)];
        file.read_exact_at(&mut tail, from)?;
        Ok(tail)
    };
    let tail = tail().map_err(read_error)?;
    let Some(end) = tail.iter().rposition(|&b| b == b'\n') else { return Ok(None) };
    let start = tail[..end].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let link = line::link(&tail[start..end]);
    Ok(link.seq.map(|seq| Head { seq, hash: link.hash }))
}

fn follows(before: Option<Head>, seq: u64, prev: &Hex) -> Result<(), String> {
    let before = match before {
        Some(before) => before,
        None if seq == 1 => Head { seq: 0, hash: NO_LINE },
        // A segment by itself, or a ledger whose oldest segments were put away.
        None => return Ok(()),
    };
    let expected = before.seq.saturating_add(1);
    if seq != expected {
        return Err(format!("record {seq} stands where record {expected} should"));
    }
    if *prev != before.hash {
        return Err(
            "it does not follow from the line before: one of the two was replaced".to_owned()
        );
    }
    Ok(())
}
