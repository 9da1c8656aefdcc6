//! Quotes: what stands in them, exactly as the shell takes it.
//! A quote that is not closed is an error; an escape that is not decoded is a doubt.

use super::reader::Reader;
use super::token::Token;
use super::{Dialect, Result};

/// What an escape of `$'…'` stands for.
enum Escape {
    Bytes(Vec<u8>),
    Unknown,
}

impl Reader<'_, '_> {
    /// Behind `'`, up to and with the next one.
    pub(super) fn single_quotes(&mut self, tokens: &mut Vec<Token>) -> Result<()> {
        tokens.push(Token::Nothing);
        while let Some(byte) = self.peek() {
            self.skip(1)?;
            if byte == b'\'' {
                return Ok(());
            }
            tokens.push(Token::Quoted(byte));
        }
        self.fail("a `'` is not closed")
    }

    /// Behind `"`, up to and with the one that closes it.
    pub(super) fn double_quotes(&mut self, tokens: &mut Vec<Token>) -> Result<()> {
        tokens.push(Token::Nothing);
        self.deeper(|reader| {
            while let Some(byte) = reader.peek() {
                match byte {
                    b'"' => return reader.skip(1),
                    b'\\' => match reader.peek_at(1) {
                        Some(b'\n') => reader.skip(2)?,
                        Some(next @ (b'$' | b'`' | b'"' | b'\\')) => {
                            tokens.push(Token::Quoted(next));
                            reader.skip(2)?;
                        }
                        _ => {
                            tokens.push(Token::Quoted(b'\\'));
                            reader.skip(1)?;
                        }
                    },
                    b'$' => reader.dollar(true, tokens)?,
                    b'`' => reader.backticks(true, tokens)?,
                    _ => {
                        tokens.push(Token::Quoted(byte));
                        reader.skip(1)?;
                    }
                }
            }
            reader.fail("a `\"` is not closed")
        })
    }

    /// Behind `$'`, up to and with the closing one.
    pub(super) fn ansi_quotes(&mut self, tokens: &mut Vec<Token>) -> Result<()> {
        tokens.push(Token::Nothing);
        let mut understood = self.dialect() != Dialect::Posix;
        let first = tokens.len();
        loop {
            match self.peek() {
                None => return self.fail("a `$'` is not closed"),
                Some(b'\'') => {
                    self.skip(1)?;
                    break;
                }
                Some(b'\\') => {
                    let (escape, length) = decode(self.text.get(self.at + 1..).unwrap_or_default());
                    match escape {
                        Escape::Bytes(bytes) => tokens.extend(bytes.into_iter().map(Token::Quoted)),
                        Escape::Unknown => understood = false,
                    }
                    self.skip(1 + length)?;
                }
                Some(byte) => {
                    tokens.push(Token::Quoted(byte));
                    self.skip(1)?;
                }
            }
        }
        if !understood {
            self.doubt("an escape in `$'…'` is not known");
            tokens.truncate(first);
            tokens.push(Token::any(false));
        }
        Ok(())
    }
}

/// The escape behind a backslash, and how many bytes it has.
fn decode(text: &[u8]) -> (Escape, usize) {
    let Some(first) = text.first() else { return (Escape::Unknown, 0) };
    let byte = |byte: u8| (Escape::Bytes(vec![byte]), 1);
    match first {
        b'a' => byte(0x07),
        b'b' => byte(0x08),
        b'e' | b'E' => byte(0x1b),
        b'f' => byte(0x0c),
        b'n' => byte(b'\n'),
        b'r' => byte(b'\r'),
        b't' => byte(b'\t'),
        b'v' => byte(0x0b),
        b'\\' | b'\'' | b'"' | b'?' => byte(*first),
        b'0'..=b'7' => number(text, 0, 8, 3),
        b'x' => number(text, 1, 16, 2),
        b'u' => number(text, 1, 16, 4),
        b'U' => number(text, 1, 16, 8),
        // Control and meta keys, of which each shell has its own reading, and what stays with its backslash.
        _ => (Escape::Unknown, 1),
    }
}

/// A character by its number of at most `most` digits. Zero ends the text in some shells, and what is beyond ASCII
/// depends on the locale where it is not one byte.
fn number(text: &[u8], from: usize, radix: u32, most: usize) -> (Escape, usize) {
    let digits = text.iter().skip(from).take(most);
    let digits: Vec<u32> = digits.map_while(|byte| char::from(*byte).to_digit(radix)).collect();
    let value =
        digits.iter().fold(0_u32, |value, digit| value.wrapping_mul(radix).wrapping_add(*digit));
    let one_byte = from == 0 || text.first() == Some(&b'x');
    let escape = match u8::try_from(value) {
        Ok(0) | Err(_) => Escape::Unknown,
        Ok(byte) if byte.is_ascii() || one_byte => Escape::Bytes(vec![byte]),
        Ok(_) => Escape::Unknown,
    };
    (if digits.is_empty() { Escape::Unknown } else { escape }, from + digits.len())
}
