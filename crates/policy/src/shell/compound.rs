//! Compound commands: groups, conditions, loops, cases, functions.
//! All of their branches may run, so all of them are read alike.

use super::expand;
use super::reader::Reader;
use super::token::Token;
use super::{Dialect, Result, Simple, Word, names};

impl Reader<'_, '_> {
    /// One command of a pipeline.
    pub(super) fn command(&mut self, straight: bool) -> Result<()> {
        self.blanks()?;
        self.deeper(|reader| reader.any_command(straight))
    }

    fn any_command(&mut self, straight: bool) -> Result<()> {
        let input = self.found.input.take();
        let from = self.found.commands.len();
        self.found.simple = None;
        if self.peek() == Some(b'(') {
            self.round()?;
            self.redirects_after()?;
            self.found.simple = None;
            return Ok(());
        }
        let Some((word, end)) = self.reserved() else {
            if self.dialect() == Dialect::Zsh && self.peek() == Some(b'{') {
                return self.fail("a brace of zsh is not read");
            }
            return self.simple(straight, input);
        };
        match word {
            b"time" | b"in" | b"]]" => return self.simple(straight, input),
            b"select" | b"function" | b"coproc" | b"[[" if self.dialect() == Dialect::Posix => {
                self.doubt("not every sh knows this word");
            }
            _ => {}
        }
        self.skip(end - self.at)?;
        match word {
            b"{" => {
                self.some_list()?;
                self.expect_reserved(b"}", "a `{` is not closed")?;
            }
            b"if" => self.condition()?,
            b"while" | b"until" => {
                let mark = self.found.mark();
                let head = self.found.commands.len();
                self.found.input = input;
                self.some_list()?;
                let from = self.found.commands.len();
                self.body()?;
                let body = from..self.found.commands.len();
                // More than one command, and it may not have been the last that let the loop go on.
                let alone = word == b"while" && from == head + 1;
                if let Some(simple) = self.found.commands.get_mut(head).filter(|_| alone) {
                    simple.body = Some(body);
                }
                self.found.looped(mark);
            }
            b"for" | b"select" => self.iteration(word == b"select")?,
            b"case" => self.case()?,
            b"[[" => self.test()?,
            b"function" => return self.function_word(straight),
            b"coproc" => return self.coproc(),
            _ => return self.fail("a reserved word stands where a command should"),
        }
        let redirected = self.at;
        self.redirects_after()?;
        if self.text.get(redirected..self.at).is_none_or(|text| text.contains(&b'<')) {
            // What a loop reads is not what came down the pipe.
            let inside = self.found.commands.get_mut(from..).unwrap_or_default();
            for command in inside.iter_mut().filter(|command| command.input == input) {
                command.input = None;
            }
        }
        // What is in it is more than one command.
        self.found.simple = None;
        Ok(())
    }

    fn redirects_after(&mut self) -> Result<()> {
        let mut simple = Simple::default();
        let at = self.place();
        loop {
            self.blanks()?;
            if !self.redirect(&mut simple.redirects)? {
                break;
            }
        }
        if simple.redirects.is_empty() { Ok(()) } else { self.found.push(simple, at) }
    }

    /// `(list)` or `((expression))`.
    fn round(&mut self) -> Result<()> {
        self.skip(1)?;
        if self.peek() == Some(b'(') {
            if self.dialect() == Dialect::Posix {
                self.doubt("not every sh knows this arithmetic");
            }
            let (at, mark) = (self.at, self.found.mark());
            self.skip(1)?;
            if self.arithmetic(false)? {
                return Ok(());
            }
            self.at = at;
            self.found.back_to(mark);
        }
        self.some_list()?;
        if self.eat(b")")? { Ok(()) } else { self.fail("a `(` is not closed") }
    }

    fn condition(&mut self) -> Result<()> {
        loop {
            self.some_list()?;
            self.expect_reserved(b"then", "an `if` has no `then`")?;
            self.some_list()?;
            self.newlines()?;
            if self.eat_reserved(b"elif")? {
                continue;
            }
            if self.eat_reserved(b"else")? {
                self.some_list()?;
            }
            return self.expect_reserved(b"fi", "an `if` has no `fi`");
        }
    }

    fn body(&mut self) -> Result<()> {
        self.newlines()?;
        if self.eat_reserved(b"{")? {
            self.some_list()?;
            return self.expect_reserved(b"}", "a `{` is not closed");
        }
        self.expect_reserved(b"do", "a loop has no `do`")?;
        self.some_list()?;
        self.expect_reserved(b"done", "a loop has no `done`")
    }

    fn iteration(&mut self, select: bool) -> Result<()> {
        let mark = self.found.mark();
        let mut head = None;
        self.blanks()?;
        if !select && self.eat(b"((")? {
            if !self.arithmetic(true)? {
                return self.fail("a `((` is not closed");
            }
            self.blanks()?;
            self.eat(b";")?;
        } else {
            let at = self.place();
            let name = self.word(false)?;
            let Some(name) = expand::bare(&name.tokens) else {
                return self.fail("a loop has no variable");
            };
            let variable = name.clone();
            let simple = Simple { assignments: vec![(name, Word::unknown())], ..Simple::default() };
            let turns = self.found.commands.len();
            head = Some(turns);
            let secrets = self.found.secrets;
            self.found.push(simple, at)?;
            self.newlines()?;
            if self.eat_reserved(b"in")? {
                let mut values = Vec::new();
                loop {
                    self.blanks()?;
                    match self.peek() {
                        Some(b'\n') => break,
                        Some(b';') => {
                            self.skip(1)?;
                            break;
                        }
                        None => return self.fail("a loop has no `do`"),
                        _ => {
                            let tokens = self.some_word()?;
                            values.extend(expand::words(&tokens, self.found, at)?);
                        }
                    }
                }
                if self.found.secrets > secrets {
                    self.found.taint(&variable);
                }
                if let Some(simple) = self.found.commands.get_mut(turns).filter(|_| !select) {
                    simple.turns = Some(values);
                }
            } else {
                self.eat(b";")?;
            }
        }
        let from = self.found.commands.len();
        self.body()?;
        let body = from..self.found.commands.len();
        if let Some(simple) = head.and_then(|head| self.found.commands.get_mut(head)) {
            simple.body = Some(body);
        }
        self.found.looped(mark);
        Ok(())
    }

    fn case(&mut self) -> Result<()> {
        self.blanks()?;
        self.some_word()?;
        self.expect_reserved(b"in", "a `case` has no `in`")?;
        loop {
            self.newlines()?;
            if self.eat_reserved(b"esac")? {
                return Ok(());
            }
            if self.eat(b"(")? {
                self.blanks()?;
            }
            loop {
                self.blanks()?;
                self.some_word()?;
                self.blanks()?;
                if self.eat(b")")? {
                    break;
                }
                if !self.eat(b"|")? {
                    return self.fail("a pattern of a `case` has no `)`");
                }
            }
            self.list(false)?;
            self.blanks()?;
            let _ =
                self.eat(b";;&")? || self.eat(b";;")? || self.eat(b";&")? || self.eat(b";|")? || {
                    if !self.at_reserved(b"esac") {
                        return self.fail("a `case` has no `esac`");
                    }
                    true
                };
        }
    }

    /// `[[ … ]]`: nothing in it is a command but what its words substitute.
    fn test(&mut self) -> Result<()> {
        let mut regex = false;
        loop {
            self.newlines()?;
            match self.peek() {
                None | Some(b';') => return self.fail("a `[[` is not closed"),
                Some(b'<' | b'>') if self.peek_at(1) == Some(b'(') => {}
                Some(b'(' | b')') if !regex => {
                    self.skip(1)?;
                    continue;
                }
                Some(b'<' | b'>' | b'&' | b'|') => {
                    self.skip(1)?;
                    continue;
                }
                _ if self.eat_reserved(b"]]")? => return Ok(()),
                _ => {}
            }
            let at = self.at;
            let tokens = if regex { self.regex()? } else { self.word(false)?.tokens };
            if self.at == at {
                return self.fail("a `[[` is not understood");
            }
            let word = expand::bare(&tokens);
            regex = word.as_deref() == Some(b"=~");
            if matches!(
                word.as_deref(),
                Some(b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge" | b"-v" | b"-R")
            ) {
                self.found.evaluate(self.place());
            }
        }
    }

    /// What stands right of `=~`, where brackets and bars are of the pattern.
    fn regex(&mut self) -> Result<Vec<Token>> {
        let (mut tokens, mut open) = (Vec::new(), 0_usize);
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b')' if open == 0 => break,
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            if !self.quoting(&mut tokens)? {
                tokens.push(Token::Bare(byte));
                self.skip(1)?;
            }
        }
        Ok(tokens)
    }

    fn function_word(&mut self, straight: bool) -> Result<()> {
        self.blanks()?;
        let name = self.some_word()?;
        let Some(name) = expand::bare(&name) else {
            return self.fail("the name of a function is not plain");
        };
        self.blanks()?;
        if self.eat(b"(")? {
            self.blanks()?;
            if !self.eat(b")")? {
                return self.fail("a function has no `()`");
            }
        }
        self.function(name, straight)
    }

    /// The body of a function, behind its name and brackets.
    pub(super) fn function(&mut self, name: Vec<u8>, straight: bool) -> Result<()> {
        if names::is_builtin(&name) {
            self.doubt("a function has the name of a builtin");
        }
        let mark = self.found.mark();
        self.newlines()?;
        self.command(false)?;
        self.found.runs_later(mark);
        self.blanks()?;
        let alone = matches!(self.peek(), None | Some(b'\n'))
            || (self.peek() == Some(b';') && self.peek_at(1) != Some(b';'));
        self.found.define(name, straight && alone);
        Ok(())
    }

    /// `coproc command`, or `coproc NAME compound`.
    fn coproc(&mut self) -> Result<()> {
        self.blanks()?;
        let at = self.at;
        if self.reserved().is_none() && self.peek() != Some(b'(') {
            let mark = self.found.mark();
            let name = self.word(false)?;
            self.blanks()?;
            let opens =
                self.peek() == Some(b'(') || self.reserved().is_some_and(|(word, _)| word != b"}");
            if expand::bare(&name.tokens).is_none() || !opens {
                self.at = at;
                self.found.back_to(mark);
            }
        }
        self.command(false)
    }
}
