//! Redirections and here-documents.
//! A here-document's body is read at the newline that it waits for; what expands in it runs.

use super::expand;
use super::reader::{HereDocument, Reader, is_meta};
use super::token::Token;
use super::{Dialect, Redirect, Result};

impl Reader<'_, '_> {
    /// Reads a redirection, if one stands here.
    pub(super) fn redirect(&mut self, redirects: &mut Vec<Redirect>) -> Result<bool> {
        let Some(ahead) = self.redirect_is_ahead() else { return Ok(false) };
        self.skip(ahead)?;
        if self.eat(b"<<<")? {
            self.blanks()?;
            self.some_word()?;
        } else if self.eat(b"<<")? {
            let tabs = self.eat(b"-")?;
            self.delimiter(tabs)?;
        } else if self.eat(b"<&")? {
            self.blanks()?;
            self.some_word()?;
        } else if self.eat(b"&>")? {
            self.eat(b">")?;
            let posix = self.dialect() == Dialect::Posix;
            self.target(true, false, redirects)?;
            self.blanks()?;
            if posix && self.peek().is_some_and(|byte| !is_meta(byte)) {
                self.doubt("not every sh knows `&>`");
            }
        } else if self.eat(b">&")? {
            self.target(true, true, redirects)?;
        } else {
            let writes = !self.starts(b"<") || self.starts(b"<>");
            let _ = self.eat(b"<>")? || self.eat(b">>")? || self.eat(b">|")? || {
                self.skip(1)?;
                true
            };
            if self.dialect() == Dialect::Zsh {
                if !writes && self.peek().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit())
                {
                    return self.fail("a pattern of zsh is not read");
                }
                if writes && matches!(self.peek(), Some(b'!' | b'|')) {
                    self.skip(1)?;
                }
            }
            self.target(writes, false, redirects)?;
        }
        Ok(true)
    }

    /// How many bytes stand before the operator of the redirection that begins here.
    fn redirect_is_ahead(&self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let zsh = self.dialect() == Dialect::Zsh;
        let operator = |at: usize| match rest.get(at) {
            Some(b'<' | b'>') => rest.get(at + 1) != Some(&b'('),
            // Only zsh takes a descriptor before it.
            Some(b'&') => zsh && rest.get(at + 1) == Some(&b'>'),
            _ => false,
        };
        if rest.starts_with(b"&>") && rest.get(2) != Some(&b'(') {
            return Some(0);
        }
        let prefix = match rest.first()? {
            b'{' => {
                let name = rest
                    .iter()
                    .skip(1)
                    .take_while(|byte| **byte == b'_' || byte.is_ascii_alphanumeric());
                let length = name.count() + 2;
                (rest.get(length - 1) == Some(&b'}') && length > 2).then_some(length)?
            }
            // A longer number is no descriptor but a word.
            b'0'..=b'9' => rest.iter().take(8).take_while(|byte| byte.is_ascii_digit()).count(),
            _ => 0,
        };
        operator(prefix).then_some(prefix)
    }

    fn target(&mut self, writes: bool, copies: bool, redirects: &mut Vec<Redirect>) -> Result<()> {
        self.blanks()?;
        let at = self.at;
        let tokens = self.some_word()?;
        let target = expand::target(&tokens, self.found, at)?;
        if let Some(text) = target.literal() {
            let descriptor = text.strip_suffix(b"-").unwrap_or(text);
            if copies && descriptor.iter().all(u8::is_ascii_digit) {
                return Ok(());
            }
            if text.starts_with(b"/dev/tcp/") || text.starts_with(b"/dev/udp/") {
                self.doubt("a redirection opens a network connection");
            }
        }
        redirects.push(Redirect { writes, target });
        Ok(())
    }

    /// The word behind `<<`. Nothing is substituted in it.
    fn delimiter(&mut self, tabs: bool) -> Result<()> {
        self.blanks()?;
        let (at, mut tokens) = (self.at, Vec::new());
        while let Some(byte) = self.peek() {
            let substitutes = byte == b'`'
                || (byte == b'$'
                    && matches!(self.peek_at(1), Some(b'(' | b'{' | b'[' | b'\'' | b'"')));
            if substitutes {
                return self.fail("the delimiter of a here-document is not plain");
            }
            if byte == b'$' {
                tokens.push(Token::Bare(byte));
                self.skip(1)?;
            } else if byte == b'"' {
                tokens.push(Token::Nothing);
                self.skip(1)?;
                while self.peek() != Some(b'"') {
                    match self.peek() {
                        None => return self.fail("a `\"` is not closed"),
                        Some(b'\\' | b'$' | b'`') => {
                            return self.fail("the delimiter of a here-document is not plain");
                        }
                        Some(byte) => tokens.push(Token::Quoted(byte)),
                    }
                    self.skip(1)?;
                }
                self.skip(1)?;
            } else if !self.quoting(&mut tokens)? {
                if is_meta(byte) {
                    break;
                }
                tokens.push(Token::Bare(byte));
                self.skip(1)?;
            }
        }
        if self.at == at {
            return self.fail("a here-document has no delimiter");
        }
        let quoted = tokens.iter().any(|token| !matches!(token, Token::Bare(_)));
        let delimiter: Vec<u8> = tokens.iter().filter_map(|token| token.byte()).collect();
        if delimiter.contains(&b'\n') {
            return self.fail("the delimiter of a here-document is not plain");
        }
        self.awaited.push(HereDocument { delimiter, quoted, tabs });
        Ok(())
    }

    /// Behind a newline: the bodies that were waiting for it.
    pub(super) fn here_documents(&mut self) -> Result<()> {
        for document in std::mem::take(&mut self.awaited) {
            let mut body = Vec::new();
            loop {
                if self.at >= self.text.len() {
                    return self.fail("a here-document has no end");
                }
                let line = self.document_line(document.quoted)?;
                let tabs = line.iter().take_while(|byte| document.tabs && **byte == b'\t').count();
                let line = line.get(tabs..).unwrap_or_default();
                if line == document.delimiter {
                    break;
                }
                body.extend_from_slice(line);
                body.push(b'\n');
            }
            if !document.quoted {
                let secrets = self.found.secrets;
                self.deeper(|reader| reader.inner(&body).expanding())?;
                if self.found.secrets > secrets {
                    self.doubt(
                        "a variable that holds a secret, as its name says, is in a document",
                    );
                }
            }
        }
        Ok(())
    }

    /// A line without its newline; where backslashes mean something, with those that continue it.
    fn document_line(&mut self, quoted: bool) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        while let Some(byte) = self.peek() {
            match (byte, self.peek_at(1)) {
                (b'\n', _) => {
                    self.skip(1)?;
                    break;
                }
                (b'\\', Some(b'\n')) if !quoted => self.skip(2)?,
                (b'\\', Some(next)) if !quoted => {
                    line.extend([byte, next]);
                    self.skip(2)?;
                }
                _ => {
                    line.push(byte);
                    self.skip(1)?;
                }
            }
        }
        Ok(line)
    }

    /// The whole text as what stands in a here-document.
    fn expanding(&mut self) -> Result<()> {
        let mut scratch = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.skip(2)?,
                b'$' => self.dollar(true, &mut scratch)?,
                b'`' => self.backticks(true, &mut scratch)?,
                _ => self.skip(1)?,
            }
        }
        Ok(())
    }

    pub(super) fn no_document_is_awaited(&self) -> Result<()> {
        if self.awaited.is_empty() { Ok(()) } else { self.fail("a here-document has no body") }
    }
}
