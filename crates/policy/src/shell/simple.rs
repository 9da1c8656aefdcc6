//! Simple commands: assignments, words and redirections in any order, or the head of a function.
//! What their names do to what they run is in `names`.

use super::expand;
use super::reader::{Reader, is_meta, is_reserved};
use super::token::Token;
use super::words::{Lexed, is_name};
use super::{Dialect, Result, Simple, Word, names};

impl Reader<'_, '_> {
    /// A simple command, or a function that is defined.
    pub(super) fn simple(&mut self, straight: bool, input: Option<usize>) -> Result<()> {
        let (at, place, secrets) = (self.at, self.place(), self.found.secrets);
        let mut simple = Simple { input, ..Simple::default() };
        let mut declares = false;
        // The tokens of the only word so far, which may be the name of a function.
        let mut only: Option<Vec<Token>> = None;
        loop {
            self.blanks()?;
            let before = self.at;
            if self.redirect(&mut simple.redirects)? {
                if self.text.get(before..self.at).is_none_or(|text| text.contains(&b'<')) {
                    simple.input = None;
                }
                only = None;
                continue;
            }
            match self.peek() {
                None | Some(b'\n' | b';' | b'&' | b'|' | b')') => break,
                Some(b'(') => {
                    let name = only.as_deref().and_then(expand::bare);
                    return match name {
                        Some(name) if simple.assignments.is_empty() => self.defined(name, straight),
                        _ => self.fail("a bracket stands where none can"),
                    };
                }
                _ => {}
            }
            let before = self.at;
            let word = self.word(simple.words.is_empty() || declares)?;
            if self.at == before {
                return self.fail("a word is not understood");
            }
            if word.tokens.is_empty() {
                continue;
            }
            if simple.words.is_empty() {
                if let Some((name, value)) = self.assignment(&word)? {
                    simple.assignments.push((name, value));
                    continue;
                }
                only = Some(word.tokens.clone());
            } else {
                only = None;
                if declares && let Some((name, value)) = self.assignment(&word)? {
                    simple.assignments.push((name, value));
                }
            }
            if self.dialect() == Dialect::Zsh && word.tokens.last() == Some(&Token::Bare(b'}')) {
                let open =
                    |byte| word.tokens.iter().filter(|token| **token == Token::Bare(byte)).count();
                if open(b'{') != open(b'}') {
                    return self.fail("a brace of zsh is not read");
                }
            }
            simple.words.extend(expand::words(&word.tokens, self.found, place)?);
            declares = declares || names::take_assignments(&simple.words);
        }
        if self.at == at {
            return self.fail("a command is missing");
        }
        let reserved = simple.words.first().and_then(Word::literal).is_some_and(is_reserved);
        if reserved && !self.text.get(at..).is_some_and(|rest| rest.starts_with(b"time")) {
            self.doubt("a reserved word stands where a command should");
        }
        let name = simple.words.first().map(Word::literal);
        if self.found.secrets > secrets && !matches!(name, None | Some(Some(b"[" | b"test"))) {
            self.doubt("a variable that holds a secret, as its name says, is given to a command");
        }
        if self.found.secrets > secrets {
            for (name, _) in &simple.assignments {
                self.found.taint(name);
            }
        }
        let goes_on = match self.peek() {
            None | Some(b'\n') => true,
            Some(b';') => self.peek_at(1) != Some(b';'),
            Some(b'&') => self.peek_at(1) == Some(b'&'),
            _ => false,
        };
        simple.surely = straight && goes_on && simple.words.is_empty();
        self.found_command(simple, place)
    }

    /// Behind a name, at `(`.
    fn defined(&mut self, name: Vec<u8>, straight: bool) -> Result<()> {
        self.skip(1)?;
        self.blanks()?;
        if !self.eat(b")")? {
            return self.fail("a function has no `()`");
        }
        self.function(name, straight)
    }

    /// The name and the value, if the word is an assignment. Reads the elements of an array behind it.
    fn assignment(&mut self, word: &Lexed) -> Result<Option<(Vec<u8>, Word)>> {
        let tokens = word.tokens.as_slice();
        let ends = |token: &Token| matches!(token, Token::Bare(b'=' | b'[' | b'+'));
        let Some(length) = tokens.iter().position(ends) else { return Ok(None) };
        let Some((name, mut rest)) = tokens.split_at_checked(length) else { return Ok(None) };
        let Some(name) = expand::bare(name).filter(|_| is_name(name)) else { return Ok(None) };
        if let Some(behind) = word.subscript {
            rest = tokens.get(behind..).unwrap_or_default();
        }
        if rest.first() == Some(&Token::Bare(b'+')) {
            rest = rest.get(1..).unwrap_or_default();
        }
        let Some((Token::Bare(b'='), rest)) = rest.split_first() else { return Ok(None) };
        if rest.is_empty() && self.peek() == Some(b'(') {
            self.array()?;
            return Ok(Some((name, Word::unknown())));
        }
        let appends = tokens.get(length) == Some(&Token::Bare(b'+'));
        let known = word.subscript.is_none() && !appends;
        Ok(Some((name, if known { expand::value(rest, self.found) } else { Word::unknown() })))
    }

    /// `(…)` behind `NAME=`.
    fn array(&mut self) -> Result<()> {
        self.skip(1)?;
        loop {
            self.newlines()?;
            if self.eat(b")")? {
                // With more behind it, it is no array but text.
                return match self.peek() {
                    Some(byte) if !is_meta(byte) => self.fail("a word goes on behind an array"),
                    _ => Ok(()),
                };
            }
            let at = self.at;
            let mut tokens = Vec::new();
            // The subscript of an element is no more than its words' substitutions.
            if self.peek() == Some(b'[') {
                self.found.evaluate(self.place());
                while let Some(byte) = self.peek().filter(|byte| !matches!(byte, b']' | b')')) {
                    if !self.quoting(&mut tokens)? {
                        tokens.push(Token::Bare(byte));
                        self.skip(1)?;
                    }
                }
            }
            self.word(false)?;
            if self.at == at {
                return self.fail("an array is not closed");
            }
        }
    }
}
