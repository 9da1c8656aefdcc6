//! Diagnostics: what is wrong with a policy file, where, and what would be right.
//! Text from the file is shown harmless: control characters never reach the terminal.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use thiserror::Error;

/// Most errors that are kept of one file; the rest is counted.
pub const MAX_DIAGNOSTICS: usize = 100;
/// Longest source line, in bytes, that is kept whole.
const MAX_KEPT: usize = 1_000;
/// Most characters of a message; it may quote a word of the file.
const MAX_MESSAGE: usize = 300;
/// Most characters of a source line that are shown.
const MAX_SHOWN: usize = 120;

/// Why a policy could not be loaded. Nothing of it is in force.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the policy {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path names a folder, a device, a socket or a pipe.
    #[error("the policy {path:?} is not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than [`crate::MAX_POLICY_BYTES`].
    #[error(
        "the policy {name:?} has more than {limit} bytes; split it over several files in `rules.d`"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file holds bytes that are not UTF-8.
    #[error("the policy {path:?} is not UTF-8 text (byte {offset})")]
    NotText {
        /// The file.
        path: PathBuf,
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// There are more files than a policy may have.
    #[error("a policy has more than {limit} files; put some of them together")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The file was read and refused.
    #[error("{0}")]
    Refused(Diagnostics),
}

impl LoadError {
    /// The errors inside the file, if it was read at all.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Refused(found) => &found.list,
            _ => &[],
        }
    }

    /// How many more errors there are than [`LoadError::diagnostics`] gives.
    #[must_use]
    pub fn omitted(&self) -> usize {
        match self {
            Self::Refused(found) => found.omitted,
            _ => 0,
        }
    }
}

/// Every error found in one file, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    omitted: usize,
}

/// One error in a policy file. Its `Display` shows the line with a caret under the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Name of the file as it was given to the loader.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters under the caret, at least 1.
    pub width: u32,
    /// What is wrong, as a lower-case fact.
    pub message: String,
    /// What would be right; empty when there is nothing to add.
    pub help: String,
    /// The line as it stands in the file; of a very long one the part around the column.
    pub source_line: String,
    /// Characters of the line that are left out before `source_line` starts.
    pub skipped: u32,
}

impl Diagnostic {
    /// Builds one from the whole line; of long texts only what is needed is kept.
    pub(crate) fn new(
        file: &str,
        (line, column, width): (u32, u32, u32),
        (message, help): (&str, &str),
        whole_line: &str,
    ) -> Self {
        let column = column.max(1);
        let (skipped, source_line) = if whole_line.len() <= MAX_KEPT {
            (0, whole_line.to_owned())
        } else {
            let skipped = column.saturating_sub(100);
            let from = usize::try_from(skipped).unwrap_or(usize::MAX);
            (skipped, whole_line.chars().skip(from).take(MAX_KEPT / 4).collect())
        };
        let cut = |text: &str| match text.char_indices().nth(MAX_MESSAGE) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        };
        Self {
            file: file.to_owned(),
            line: line.max(1),
            column,
            width: width.max(1),
            message: cut(message),
            help: cut(help),
            source_line,
            skipped,
        }
    }
}

impl Diagnostics {
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_DIAGNOSTICS
    }

    pub(crate) fn omit(&mut self) {
        self.omitted += 1;
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Puts the errors of another file behind these.
    pub(crate) fn append(&mut self, other: Self) {
        let room = MAX_DIAGNOSTICS.saturating_sub(self.list.len());
        self.omitted += other.omitted + other.list.len().saturating_sub(room);
        self.list.extend(other.list.into_iter().take(room));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|found| (found.line, found.column));
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, diagnostic) in self.list.iter().enumerate() {
            if position > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        if self.omitted > 0 {
            write!(f, "\n\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let column = self.column.max(1) - 1;
        let column = usize::try_from(column.saturating_sub(self.skipped)).unwrap_or(usize::MAX);
        let width = usize::try_from(self.width).unwrap_or(1).max(1);
        let view = View::of(&self.source_line, column, width);
        writeln!(f, "error: {}", harmless(&self.message))?;
        writeln!(f, "{gutter}--> {}:{}:{}", harmless(&self.file), self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", view.text)?;
        let carets = "^".repeat(view.width);
        write!(f, "{gutter} | {}{carets}", " ".repeat(view.start))?;
        if !self.help.is_empty() {
            write!(f, " {}", harmless(&self.help))?;
        }
        Ok(())
    }
}

/// The part of a line that is shown, one output column for each character.
struct View {
    text: String,
    start: usize,
    width: usize,
}

impl View {
    fn of(line: &str, column: usize, width: usize) -> Self {
        let skipped =
            if column + width.min(20) > MAX_SHOWN { column.saturating_sub(40) } else { 0 };
        let mut text = String::new();
        if skipped > 0 {
            text.push('…');
        }
        let mut rest = line.chars().skip(skipped);
        text.extend(rest.by_ref().take(MAX_SHOWN).map(one_column));
        if rest.next().is_some() {
            text.push('…');
        }
        let start = column - skipped + usize::from(skipped > 0);
        let room = text.chars().count().saturating_sub(start).max(1);
        Self { text, start, width: width.min(room) }
    }
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn one_column(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_harmful(c) => '\u{fffd}',
        c => c,
    }
}

/// Control and direction characters as escapes, everything else as it is.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            let _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Bytes from a request as text for a sentence: escaped, and at most `limit` bytes of them.
pub(crate) fn show_bytes(bytes: &[u8], limit: usize) -> String {
    let (head, cut) = if bytes.len() > limit { (&bytes[..limit], "…") } else { (bytes, "") };
    let mut shown = String::with_capacity(head.len());
    for chunk in head.utf8_chunks() {
        shown.push_str(&harmless(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown.push_str(cut);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str, column: u32, width: u32) -> String {
        Diagnostic {
            file: "policy.yaml".into(),
            line: 7,
            column,
            width,
            message: "unknown key `acton`".into(),
            help: "did you mean `action`?".into(),
            source_line: line.into(),
            skipped: 0,
        }
        .to_string()
    }

    #[test]
    fn the_caret_stands_under_the_token() {
        assert_eq!(
            at("- {acton: deny}", 4, 5),
            "error: unknown key `acton`\n --> policy.yaml:7:4\n  |\n7 | - {acton: deny}\n  |    ^^^^^ did you mean `action`?"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_token() {
        let line = format!("{}BAD{}", "x".repeat(5000), "y".repeat(5000));
        let shown = at(&line, 5001, 3);
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().skip(caret).take(3).collect::<String>(), "BAD");
        assert!(lines[3].chars().count() < 140);
    }

    #[test]
    fn control_and_direction_characters_are_not_passed_on() {
        let shown = at("a\u{1b}[2J\u{202e}b", 1, 1);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
        assert_eq!(show_bytes(b"a\x1b\xffb", 10), "a\\u{1b}\\xffb");
        assert_eq!(show_bytes(b"abcdef", 3), "abc…");
    }

    #[test]
    fn a_column_beyond_the_line_does_not_panic() {
        assert!(at("", 400, 9).contains('^'));
        assert!(at("é", u32::MAX, u32::MAX).contains('^'));
    }
}
