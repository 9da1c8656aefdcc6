//! Lists and pipelines: what joins commands, and what closes a list of them.
//! A list leaves what closes it to whoever opened it.

use super::reader::Reader;
use super::{Dialect, Result};

impl Reader<'_, '_> {
    /// The whole text. `straight`: it surely runs, once, in the shell that the line was given to.
    pub(super) fn script(&mut self, straight: bool) -> Result<()> {
        self.deeper(|reader| reader.list(straight).map(drop))?;
        if self.at < self.text.len() {
            return self.fail("a closing word or bracket has nothing to close");
        }
        self.no_document_is_awaited()
    }

    /// Commands up to what closes them; how many of them.
    pub(super) fn list(&mut self, straight: bool) -> Result<usize> {
        let mut count = 0;
        loop {
            self.newlines()?;
            if self.closes() {
                return Ok(count);
            }
            let mark = self.found.mark();
            self.and_or(straight)?;
            count += 1;
            self.blanks()?;
            match self.peek() {
                _ if self.closes() => return Ok(count),
                Some(b';') => self.skip(1)?,
                Some(b'&') => {
                    self.found.runs_again(mark);
                    self.skip(1)?;
                    if self.dialect() == Dialect::Zsh && matches!(self.peek(), Some(b'!' | b'|')) {
                        self.skip(1)?;
                    }
                }
                Some(b'\n') => {}
                _ => return self.fail("an operator is missing"),
            }
        }
    }

    /// A list in which there must be a command.
    pub(super) fn some_list(&mut self) -> Result<()> {
        if self.list(false)? == 0 {
            return self.fail("a command is missing");
        }
        Ok(())
    }

    fn closes(&self) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => matches!(self.peek_at(1), Some(b';' | b'&' | b'|')),
            _ => self.reserved().is_some_and(|(word, _)| {
                matches!(
                    word,
                    b"}" | b"then" | b"elif" | b"else" | b"fi" | b"do" | b"done" | b"esac"
                )
            }),
        }
    }

    fn and_or(&mut self, straight: bool) -> Result<()> {
        self.pipeline(straight)?;
        loop {
            self.blanks()?;
            if !self.eat(b"&&")? && !self.eat(b"||")? {
                return Ok(());
            }
            self.newlines()?;
            self.pipeline(false)?;
        }
    }

    fn pipeline(&mut self, straight: bool) -> Result<()> {
        let mut prefixed = false;
        loop {
            self.blanks()?;
            if self.eat_reserved(b"!")? {
                // With its patterns of brackets on, bash reads `!(…)` as one of them.
                if self.peek() == Some(b'(') {
                    self.doubt("`!(` is a pattern or a subshell");
                }
            } else if self.timed() {
                self.eat_reserved(b"time")?;
                self.blanks()?;
                while self.eat(b"-p")? || self.eat(b"--")? {
                    self.blanks()?;
                }
            } else {
                break;
            }
            prefixed = true;
        }
        if prefixed && (self.closes() || matches!(self.peek(), Some(b'\n' | b';'))) {
            return Ok(());
        }
        self.found.simple = None;
        self.command(straight && !prefixed)?;
        loop {
            self.blanks()?;
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                return Ok(());
            }
            self.skip(1)?;
            let mut input = self.found.simple.take();
            if self.peek() == Some(b'&') {
                self.skip(1)?;
                input = None;
            }
            self.newlines()?;
            self.found.input = input;
            self.command(false)?;
        }
    }

    /// Whether the shell's own `time` is here. With another option than its own it is the program.
    fn timed(&self) -> bool {
        let Some((b"time", end)) = self.reserved() else { return false };
        let rest = self.text.get(end..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = rest.get(blanks..).unwrap_or_default();
        let ends = |length: usize| rest.get(length).is_none_or(u8::is_ascii_whitespace);
        !rest.starts_with(b"-") || ((rest.starts_with(b"-p") || rest.starts_with(b"--")) && ends(2))
    }
}
