//! Records for other programs, as lines of JSON or as CSV, piece by piece: one piece and one line are in memory, however
//! long the ledger is. What is no record is left out, and told.

use std::borrow::Cow;
use std::path::Path;

use clawrden_api::{ExportEnd, ExportFacts, ExportQuery};
use serde::Deserialize;
use serde_json::Value;

use super::error::LedgerError;
use super::lines::{Found, Lines};

/// Bytes of a piece; it has whole lines, and is as much longer as its last one is.
const PIECE: usize = 64 * 1024;

/// Bytes of the ledger that are looked through for a piece: where little fits, pieces are short, and some have nothing.
const STEP: usize = 1024 * 1024;

/// The cells of a line of CSV: their headings, and where they are found.
const COLUMNS: [(&str, &str); 22] = [
    ("seq", "/seq"),
    ("time", "/time"),
    ("event", "/event"),
    ("id", "/id"),
    ("jail", "/jail"),
    ("uid", "/caller/uid"),
    ("pid", "/caller/pid"),
    ("container", "/caller/container/name"),
    ("argv", "/argv"),
    ("cwd", "/cwd"),
    ("decision", "/decision"),
    ("rule", "/rule"),
    ("approver", "/approver"),
    ("from", "/from"),
    ("by", "/by"),
    ("executor", "/executor"),
    ("exit_code", "/exit_code"),
    ("signal", "/signal"),
    ("duration_ms", "/duration_ms"),
    ("timed_out", "/timed_out"),
    ("reason", "/reason"),
    ("error", "/error"),
];

/// What every record has, and what it is chosen by.
#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    time_ms: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    jail: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Which records are meant.
#[derive(Debug, Clone, Default)]
pub struct Which {
    query: ExportQuery,
    events: Vec<String>,
}

impl Which {
    /// Those that this query means.
    #[must_use]
    pub fn new(query: ExportQuery) -> Self {
        let events = query.event.iter().flat_map(|events| events.split(',')).map(str::to_owned);
        Self { events: events.collect(), query }
    }

    /// Whether a line is meant; `None` for what is no record.
    #[must_use]
    pub fn fits(&self, line: &[u8]) -> Option<bool> {
        Some(self.takes(&Head::of(line)?))
    }

    fn takes(&self, head: &Head<'_>) -> bool {
        let within = |value: u64, least: Option<u64>, most: Option<u64>| {
            least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
        };
        let ExportQuery { since_ms, until_ms, from, to, jail, id, .. } = &self.query;
        within(head.time_ms, *since_ms, *until_ms)
            && within(head.seq, *from, *to)
            && (self.events.is_empty() || self.events.iter().any(|event| *event == head.event))
            && jail.as_deref().is_none_or(|jail| head.jail.as_deref() == Some(jail))
            && id.as_deref().is_none_or(|id| head.id.as_deref().is_some_and(|x| x.starts_with(id)))
    }
}

/// An export that is being made.
#[derive(Debug)]
pub struct Export {
    lines: Lines,
    which: Which,
    is_csv: bool,
    facts: ExportFacts,
    end: ExportEnd,
    has_begun: bool,
    is_over: bool,
}

impl Export {
    /// Begins one of the ledger whose open file is `path`, as it is at this moment. Its format is `json` unless the query says
    /// `csv`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open(path: &Path, query: ExportQuery) -> Result<Self, LedgerError> {
        let mut facts = ExportFacts::default();
        let mut lines = Lines::open(path)?;
        while let Some(found) = lines.read()? {
            if let Found::Line(line) = found
                && let Some(head) = Head::of(line)
            {
                facts = ExportFacts { first: Some(head.seq), first_ms: Some(head.time_ms) };
                break;
            }
        }
        Ok(Self {
            lines: Lines::open(path)?,
            is_csv: query.format.as_deref() == Some("csv"),
            which: Which::new(query),
            facts,
            end: ExportEnd::default(),
            has_begun: false,
            is_over: false,
        })
    }

    /// What is known of it before its first byte.
    #[must_use]
    pub fn facts(&self) -> &ExportFacts {
        &self.facts
    }

    /// What came of it, once it is over.
    #[must_use]
    pub fn end(&self) -> &ExportEnd {
        &self.end
    }

    /// The next piece, which may be empty; `None` at the end.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, LedgerError> {
        if self.is_over {
            return Ok(None);
        }
        let mut piece = Vec::new();
        if self.is_csv && !self.has_begun {
            let headings: Vec<&str> = COLUMNS.iter().map(|(heading, _)| *heading).collect();
            piece.extend_from_slice(headings.join(",").as_bytes());
            piece.extend_from_slice(b"\r\n");
        }
        self.has_begun = true;
        let mut seen = 0;
        while piece.len() < PIECE && seen < STEP {
            let why = match self.lines.read()? {
                None => {
                    self.is_over = true;
                    break;
                }
                Some(Found::Line(line)) => {
                    seen += line.len() + 1;
                    match self.which.fits(line) {
                        Some(fits) => {
                            if fits {
                                self.end.records += 1;
                                write(line, self.is_csv, &mut piece);
                            }
                            continue;
                        }
                        None => "it is no record",
                    }
                }
                Some(Found::TooLong) => {
                    seen += STEP;
                    "it is too long for a record"
                }
                Some(Found::Torn) => "it has no end",
                Some(Found::Unfinished) => {
                    self.end.unfinished = true;
                    continue;
                }
                Some(Found::Dropped) => {
                    self.end.dropped += 1;
                    continue;
                }
            };
            self.end.left_out += 1;
            if self.end.why.is_none() {
                let (file, number) = self.lines.place();
                let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
                self.end.why = Some(format!("{name}, line {number}: {why}"));
            }
        }
        Ok(Some(piece))
    }
}

fn write(line: &[u8], is_csv: bool, piece: &mut Vec<u8>) {
    if !is_csv {
        piece.extend_from_slice(line);
        piece.push(b'\n');
        return;
    }
    // It was understood before.
    let record = serde_json::from_slice::<Value>(line).unwrap_or_default();
    piece.extend_from_slice(csv(&record).as_bytes());
    piece.extend_from_slice(b"\r\n");
}

fn csv(record: &Value) -> String {
    let cells: Vec<String> = COLUMNS
        .iter()
        .map(|(_, place)| match record.pointer(place) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => cell(text),
            Some(other) => cell(&other.to_string()),
        })
        .collect();
    cells.join(",")
}

/// One cell, as RFC 4180 has it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    format!("{guard}{text}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(seq: u64, event: &str, more: &str) -> String {
        format!("{{\"seq\":{seq},\"time_ms\":{},\"event\":\"{event}\"{more}}}\n", seq * 1000)
    }

    fn whole(path: &Path, query: ExportQuery) -> (String, ExportEnd) {
        let mut export = Export::open(path, query).unwrap();
        let mut text = Vec::new();
        while let Some(piece) = export.read().unwrap() {
            assert!(piece.len() < PIECE + 1000, "{}", piece.len());
            text.extend(piece);
        }
        (String::from_utf8(text).unwrap(), export.end().clone())
    }

    #[test]
    fn everything_is_the_ledger_byte_by_byte_and_what_is_asked_for_is_in_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let old: String = (1..=3000).map(|n| line(n, "requested", ",\"jail\":\"a\"")).collect();
        let new: String = (3001..=6000).map(|n| line(n, "decided", ",\"id\":\"0a1b\"")).collect();
        fs::write(folder.path().join("ledger-000000000001.jsonl"), &old).unwrap();
        fs::write(&path, &new).unwrap();
        let (text, end) = whole(&path, ExportQuery::default());
        assert_eq!((text == old.clone() + &new, end.records), (true, 6000));
        let count = |query: ExportQuery| whole(&path, query).1.records;
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(count(ExportQuery { from: Some(7), to: Some(9), ..Default::default() }), 3);
        let times =
            ExportQuery { since_ms: Some(7000), until_ms: Some(8000), ..Default::default() };
        assert_eq!(count(times), 2);
        assert_eq!(count(ExportQuery { event: some("x,decided"), ..Default::default() }), 3000);
        assert_eq!(count(ExportQuery { jail: some("a"), ..Default::default() }), 3000);
        assert_eq!(count(ExportQuery { id: some("0a1"), ..Default::default() }), 3000);
        assert_eq!(count(ExportQuery { id: some("1b"), ..Default::default() }), 0);
    }

    #[test]
    fn what_is_no_record_is_left_out_and_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let first = line(8, "requested", "");
        let text = format!("{first}{{\"seq\":9\n7\n{}{{\"seq\":1", line(10, "decided", ""));
        fs::write(&path, text).unwrap();
        assert_eq!(Export::open(&path, ExportQuery::default()).unwrap().facts().first, Some(8));
        let (text, end) = whole(&path, ExportQuery::default());
        assert_eq!(text, format!("{first}{}", line(10, "decided", "")));
        let expected = ExportEnd {
            records: 2,
            left_out: 2,
            why: Some("ledger.jsonl, line 2: it is no record".to_owned()),
            dropped: 0,
            unfinished: true,
        };
        assert_eq!(end, expected);
    }

    #[test]
    fn where_nothing_fits_there_are_empty_pieces_and_no_long_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let filler = format!(",\"argv\":[\"{}\"]", "x".repeat(1000));
        let text: String = (1..=5000).map(|n| line(n, "requested", &filler)).collect();
        fs::write(&path, text).unwrap();
        let query = ExportQuery { event: Some("killed".to_owned()), ..Default::default() };
        let mut export = Export::open(&path, query).unwrap();
        let pieces: Vec<Vec<u8>> = std::iter::from_fn(|| export.read().unwrap()).collect();
        assert!(pieces.len() >= 5 && pieces.iter().all(Vec::is_empty), "{}", pieces.len());
    }

    #[test]
    fn a_cell_holds_whatever_text_there_is_and_no_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(cell("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(cell("-1,2"), "\"'-1,2\"");
    }

    #[test]
    fn a_record_is_one_line_with_a_cell_for_each_heading() {
        let record = serde_json::json!({
            "seq": 3, "event": "requested", "argv": ["ls", "a\nb"], "caller": {"uid": 0}
        });
        let text = csv(&record);
        assert!(text.starts_with("3,,requested,,,0,,,\"[\"\"ls\"\",\"\"a\\nb\"\"]\",,"), "{text}");
        assert!(!text.contains('\n'));
    }
}
