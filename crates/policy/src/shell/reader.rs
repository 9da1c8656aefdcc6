//! The place in a text that is read, and what is skipped between tokens.
//! It never goes beyond the end, and never deeper than the bound.

use super::found::Found;
use super::{Dialect, MAX_DEPTH, Result, Unparsed};

/// Words that are no commands where a command may begin.
const RESERVED: [&[u8]; 22] = [
    b"!",
    b"{",
    b"}",
    b"[[",
    b"if",
    b"then",
    b"elif",
    b"else",
    b"fi",
    b"while",
    b"until",
    b"do",
    b"done",
    b"for",
    b"select",
    b"case",
    b"esac",
    b"function",
    b"time",
    b"coproc",
    b"in",
    b"]]",
];

/// One text and the place in it.
pub(super) struct Reader<'t, 'f> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    /// Where in the line a text stands that is not a piece of it.
    origin: Option<usize>,
    pub(super) found: &'f mut Found,
    /// Here-documents whose bodies begin after the next newline.
    pub(super) awaited: Vec<HereDocument>,
}

/// A here-document whose body has not been read.
pub(super) struct HereDocument {
    pub(super) delimiter: Vec<u8>,
    /// Nothing expands in it.
    pub(super) quoted: bool,
    /// Tabs before its lines are taken away.
    pub(super) tabs: bool,
}

/// Whether a byte ends a word where it is not quoted.
pub(super) fn is_meta(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>')
}

/// Whether a word means something to the shell at the beginning of a command.
pub(super) fn is_reserved(word: &[u8]) -> bool {
    RESERVED.contains(&word)
}

impl<'t, 'f> Reader<'t, 'f> {
    pub(super) fn new(text: &'t [u8], origin: Option<usize>, found: &'f mut Found) -> Self {
        Self { text, at: 0, origin, found, awaited: Vec::new() }
    }

    /// A reader of a text that was made of a piece of this one.
    pub(super) fn inner<'i>(&'i mut self, text: &'i [u8]) -> Reader<'i, 'i> {
        let origin = Some(self.place());
        Reader::new(text, origin, &mut *self.found)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.found.dialect
    }

    pub(super) fn place(&self) -> usize {
        self.origin.unwrap_or(self.at)
    }

    pub(super) fn fail<T>(&self, why: &'static str) -> Result<T> {
        Err(Unparsed { at: self.place(), why })
    }

    pub(super) fn doubt(&mut self, why: &'static str) {
        self.found.doubt(self.place(), why);
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn starts(&self, with: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(with))
    }

    /// Moves on by `bytes`, each of which is paid for.
    pub(super) fn skip(&mut self, bytes: usize) -> Result<()> {
        self.found.spend(bytes, self.origin.unwrap_or(self.at))?;
        self.at = (self.at + bytes).min(self.text.len());
        Ok(())
    }

    pub(super) fn eat(&mut self, text: &[u8]) -> Result<bool> {
        let there = self.starts(text);
        if there {
            self.skip(text.len())?;
        }
        Ok(there)
    }

    /// Runs `read` one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.found.depth == MAX_DEPTH {
            return self.fail("the line is nested too deeply");
        }
        self.found.depth += 1;
        let read = read(self);
        self.found.depth -= 1;
        read
    }

    /// Blanks, continued lines and a comment: what may stand before a token.
    pub(super) fn blanks(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.skip(1)?,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.skip(2)?,
                Some(b'#') => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.skip(1)?;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// Blanks and newlines.
    pub(super) fn newlines(&mut self) -> Result<()> {
        loop {
            self.blanks()?;
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.skip(1)?;
            self.here_documents()?;
        }
    }

    /// The reserved word that stands here, and the place behind it.
    pub(super) fn reserved(&self) -> Option<(&'static [u8], usize)> {
        let (mut word, mut at) = ([0; 8], self.at);
        let mut length = 0;
        loop {
            match self.text.get(at).copied() {
                Some(b'\\') if self.text.get(at + 1) == Some(&b'\n') => at += 2,
                Some(byte) if !is_meta(byte) => {
                    *word.get_mut(length)? = byte;
                    length += 1;
                    at += 1;
                }
                _ => break,
            }
        }
        let word = word.get(..length)?;
        RESERVED.iter().find(|reserved| **reserved == word).map(|reserved| (*reserved, at))
    }

    pub(super) fn at_reserved(&self, word: &[u8]) -> bool {
        self.reserved().is_some_and(|(found, _)| found == word)
    }

    pub(super) fn eat_reserved(&mut self, word: &[u8]) -> Result<bool> {
        match self.reserved() {
            Some((found, end)) if found == word => {
                self.skip(end - self.at)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn expect_reserved(&mut self, word: &[u8], why: &'static str) -> Result<()> {
        self.newlines()?;
        if self.eat_reserved(word)? { Ok(()) } else { self.fail(why) }
    }
}
