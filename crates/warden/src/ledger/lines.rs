//! The lines of a ledger's files as they lie there, oldest first, without proving them: what was there when it began, one
//! line at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};

use super::error::LedgerError;
use super::line::MAX_LINE;
use super::place::open_to_read;
use super::verify::files_of;

/// Bytes that are read at once.
const AT_ONCE: usize = 256 * 1024;

/// What is found on the way.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A line, its newline left out. What it says is not looked at.
    Line(&'a [u8]),
    /// Something too long to be one.
    TooLong,
    /// The end of a closed file that is none: its last line has no newline.
    Torn,
    /// The same of the file that is written: the line is being written, or a crash left it.
    Unfinished,
    /// A file that retention dropped before it was read.
    Dropped,
}

/// Reads the lines of a ledger.
#[derive(Debug)]
pub struct Lines {
    closed: std::vec::IntoIter<PathBuf>,
    /// The file that is written, as long as it was at the beginning.
    last: Option<Take<File>>,
    name: PathBuf,
    reading: Option<BufReader<Take<File>>>,
    /// The file that is read, the line in it from 1, and whether it is the one that is written.
    file: PathBuf,
    number: u64,
    is_last: bool,
    line: Vec<u8>,
}

impl Lines {
    /// The lines of the ledger whose open file is `path`; of a closed segment, that one's.
    ///
    /// # Errors
    /// When its folder cannot be listed, or its last file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        // What is rotated while the older files are read is read all the same: it is open.
        let (closed, last) = files_of(path)?;
        let last = match last {
            None => None,
            Some(file) => {
                let size = file.metadata().map_err(LedgerError::io("look at", path))?.len();
                Some(file.take(size))
            }
        };
        Ok(Self {
            closed: closed.into_iter(),
            last,
            name: path.to_owned(),
            reading: None,
            file: path.to_owned(),
            number: 0,
            is_last: false,
            line: Vec::new(),
        })
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&mut self) -> Result<Option<Found<'_>>, LedgerError> {
        loop {
            let Some(reader) = &mut self.reading else {
                match self.begin() {
                    Ok(true) => continue,
                    Ok(false) => return Ok(None),
                    // Only the oldest is ever dropped: what is behind it is there.
                    Err(LedgerError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                        return Ok(Some(Found::Dropped));
                    }
                    Err(error) => return Err(error),
                }
            };
            let file = &self.file;
            let failed = |source| LedgerError::Io { what: "read", path: file.clone(), source };
            self.line.clear();
            let most = MAX_LINE as u64 + 1;
            let read = reader.by_ref().take(most).read_until(b'\n', &mut self.line);
            let read = read.map_err(failed)?;
            if read == 0 {
                self.reading = None;
                continue;
            }
            self.number += 1;
            if self.line.last() == Some(&b'\n') {
                return Ok(Some(Found::Line(&self.line[..read - 1])));
            }
            let is_long = read as u64 == most;
            if is_long {
                reader.skip_until(b'\n').map_err(failed)?;
                return Ok(Some(Found::TooLong));
            }
            return Ok(Some(if self.is_last { Found::Unfinished } else { Found::Torn }));
        }
    }

    /// Where what was found last stands: the name of its file, and the line, from 1.
    #[must_use]
    pub fn place(&self) -> (&Path, u64) {
        (&self.file, self.number)
    }

    /// Begins with the next file; `false` where there is none.
    fn begin(&mut self) -> Result<bool, LedgerError> {
        self.number = 0;
        let file = match self.closed.next() {
            Some(path) => {
                self.file = path;
                open_to_read(&self.file)?.take(u64::MAX)
            }
            None => {
                let Some(file) = self.last.take() else { return Ok(false) };
                self.file.clone_from(&self.name);
                self.is_last = true;
                file
            }
        };
        self.reading = Some(BufReader::with_capacity(AT_ONCE, file));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Everything that is found, in words, with what `meanwhile` does at the first line.
    fn found(path: &Path, meanwhile: impl Fn()) -> Vec<String> {
        let mut lines = Lines::open(path).unwrap();
        let mut all = Vec::new();
        while let Some(found) = lines.read().unwrap() {
            let word = match found {
                Found::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
                other => format!("{other:?}"),
            };
            if all.is_empty() {
                meanwhile();
            }
            all.push(word);
        }
        all
    }

    #[test]
    fn a_rotation_while_lines_are_read_leaves_none_out_and_what_comes_later_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        let active = name("ledger.jsonl");
        fs::write(name("ledger-000000000001.jsonl"), "1\n2\n").unwrap();
        fs::write(&active, "3\n4\n").unwrap();
        let rotated = found(&active, || {
            fs::rename(&active, name("ledger-000000000003.jsonl")).unwrap();
            fs::write(&active, "5\n").unwrap();
        });
        assert_eq!(rotated, ["1", "2", "3", "4"]);
        let grown = found(&active, || {
            let mut file = File::options().append(true).open(&active).unwrap();
            std::io::Write::write_all(&mut file, b"6\n").unwrap();
        });
        assert_eq!(grown, ["1", "2", "3", "4", "5"]);
        fs::remove_file(&active).unwrap();
        assert_eq!(found(&active, || ()), ["1", "2", "3", "4"]);
    }

    #[test]
    fn what_is_no_line_is_told_and_what_follows_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        let active = name("ledger.jsonl");
        fs::write(name("ledger-000000000001.jsonl"), "1\n2").unwrap();
        let long = "x".repeat(MAX_LINE * 2);
        fs::write(name("ledger-000000000003.jsonl"), format!("3\n{long}\n4\n")).unwrap();
        fs::write(&active, "5\n6").unwrap();
        let all = found(&active, || ());
        assert_eq!(all, ["1", "Torn", "3", "TooLong", "4", "5", "Unfinished"]);
    }

    #[test]
    fn a_file_that_is_dropped_meanwhile_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        let active = name("ledger.jsonl");
        for first in 1..=3 {
            let line = format!("{first}\n");
            fs::write(name(&format!("ledger-00000000000{first}.jsonl")), line).unwrap();
        }
        fs::write(&active, "4\n").unwrap();
        let all = found(&active, || fs::remove_file(name("ledger-000000000002.jsonl")).unwrap());
        assert_eq!(all, ["1", "Dropped", "3", "4"]);
    }
}
