//! Words: from bytes to tokens that still say which of them were quoted.
//! A word ends at the first unquoted byte that ends words; what it substitutes is read on the way.

use super::found::WORD;
use super::reader::{Reader, is_meta};
use super::token::{Token, What};
use super::{Dialect, Result};

/// A word as it was read.
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// Where the tokens go on behind `NAME[…]`.
    pub(super) subscript: Option<usize>,
}

impl Reader<'_, '_> {
    /// A word, which must be there.
    pub(super) fn some_word(&mut self) -> Result<Vec<Token>> {
        let at = self.at;
        let word = self.word(false)?;
        if self.at == at { self.fail("a word is missing") } else { Ok(word.tokens) }
    }

    /// The word that begins here. `assignable`: it may be an assignment to an element of an array, in whose subscript
    /// blanks and operators are of the word.
    pub(super) fn word(&mut self, assignable: bool) -> Result<Lexed> {
        let place = self.place();
        self.found.spend(WORD, place)?;
        let mut lexed = Lexed { tokens: Vec::new(), subscript: None };
        while let Some(byte) = self.peek() {
            let tokens = &mut lexed.tokens;
            if self.quoting(tokens)? {
                continue;
            }
            match byte {
                b'<' | b'>' if self.peek_at(1) == Some(b'(') => {
                    self.skip(2)?;
                    self.substituted_list()?;
                    // Without a command in it zsh makes no word of it.
                    let many = self.dialect() == Dialect::Zsh;
                    tokens.push(Token::Unknown { many, what: What::Pipe });
                }
                b'(' if self.opens_pattern(tokens) => {
                    tokens.pop();
                    self.pattern()?;
                    tokens.push(Token::any(true));
                }
                b'[' if assignable && lexed.subscript.is_none() && is_name(tokens) => {
                    self.subscript(tokens)?;
                    lexed.subscript = Some(tokens.len());
                }
                _ if is_meta(byte) => break,
                _ => {
                    tokens.push(Token::Bare(byte));
                    self.skip(1)?;
                }
            }
        }
        if runs_when_evaluated(&lexed.tokens) {
            self.found.arm(place);
        }
        Ok(lexed)
    }

    /// Reads a quoted or substituted piece of a word, if one begins here.
    pub(super) fn quoting(&mut self, tokens: &mut Vec<Token>) -> Result<bool> {
        match self.peek() {
            Some(b'\\') => match self.peek_at(1) {
                Some(b'\n') => self.skip(2)?,
                Some(byte) => {
                    tokens.push(Token::Quoted(byte));
                    self.skip(2)?;
                }
                // Some shells keep it, some do not.
                None => {
                    self.doubt("a backslash ends the line");
                    tokens.push(Token::any(false));
                    self.skip(1)?;
                }
            },
            Some(b'\'') => {
                self.skip(1)?;
                self.single_quotes(tokens)?;
            }
            Some(b'"') => {
                self.skip(1)?;
                self.double_quotes(tokens)?;
            }
            Some(b'$') => self.dollar(false, tokens)?,
            Some(b'`') => self.backticks(false, tokens)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the `(` here belongs to a pattern such as `@(a|b)`.
    fn opens_pattern(&self, tokens: &[Token]) -> bool {
        let introduced =
            matches!(tokens.last(), Some(Token::Bare(b'?' | b'*' | b'+' | b'@' | b'!')));
        introduced && self.dialect() != Dialect::Posix && self.peek_at(1) != Some(b')')
    }

    fn pattern(&mut self) -> Result<()> {
        self.doubt("a pattern of brackets");
        let (mut scratch, mut open) = (Vec::new(), 0_usize);
        while let Some(byte) = self.peek() {
            if self.quoting(&mut scratch)? {
                continue;
            }
            self.skip(1)?;
            match byte {
                b'(' => open += 1,
                b')' if open == 1 => return Ok(()),
                b')' => open -= 1,
                _ => {}
            }
        }
        self.fail("a pattern is not closed")
    }

    /// `[…]` behind a name.
    fn subscript(&mut self, tokens: &mut Vec<Token>) -> Result<()> {
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            if self.quoting(tokens)? {
                self.found.evaluate(self.place());
                continue;
            }
            if is_meta(byte) && self.dialect() == Dialect::Posix {
                self.doubt("not every sh knows subscripts");
            }
            if byte.is_ascii_alphabetic() {
                self.found.evaluate(self.place());
            }
            tokens.push(Token::Bare(byte));
            self.skip(1)?;
            match byte {
                b'[' => open += 1,
                b']' if open == 1 => return Ok(()),
                b']' => open -= 1,
                _ => {}
            }
        }
        self.fail("a subscript is not closed")
    }
}

/// Whether tokens are the unquoted name of a variable.
pub(super) fn is_name(tokens: &[Token]) -> bool {
    let of = |token: &Token, first: bool| match token {
        Token::Bare(byte) => {
            *byte == b'_' || byte.is_ascii_alphabetic() || (!first && byte.is_ascii_digit())
        }
        _ => false,
    };
    tokens.first().is_some_and(|token| of(token, true))
        && tokens.iter().all(|token| of(token, false))
}

/// Whether quoted text holds a substitution, which a second reading would run.
fn runs_when_evaluated(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| {
        matches!(pair, [Token::Quoted(b'$'), Token::Quoted(b'(' | b'{') | Token::Bare(b'(')])
    }) || tokens.contains(&Token::Quoted(b'`'))
}
