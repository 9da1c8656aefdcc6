//! What `$` and backticks begin: parameters, arithmetic, and commands whose output is substituted.
//! The value is never known; the commands inside are read like any other.

use super::reader::Reader;
use super::token::{Token, What};
use super::{Dialect, Result, Simple, Word};

/// Parts of the names of variables that hold a secret.
const SECRET: [&[u8]; 13] = [
    b"DATABASE_URL",
    b"MYSQL_PWD",
    b"PGPASS",
    b"PASSPHRASE",
    b"TOKEN",
    b"SECRET",
    b"PASSWORD",
    b"PASSWD",
    b"API_KEY",
    b"APIKEY",
    b"ACCESS_KEY",
    b"PRIVATE_KEY",
    b"CREDENTIAL",
];

fn is_secret(name: &[u8]) -> bool {
    SECRET.iter().any(|part| name.windows(part.len()).any(|found| found == *part))
}

impl Reader<'_, '_> {
    /// At `$`. `quoted`: within double quotes or a here-document.
    pub(super) fn dollar(&mut self, quoted: bool, tokens: &mut Vec<Token>) -> Result<()> {
        self.skip(1)?;
        // A line may be continued between a `$` and what makes it one.
        while self.starts(b"\\\n") {
            self.skip(2)?;
        }
        let many = !quoted;
        match self.peek() {
            Some(b'(') => {
                self.skip(1)?;
                let from = self.found.commands.len();
                let what = match self.parenthesis()? {
                    true => What::Output(from, self.found.commands.len()),
                    false => What::Any,
                };
                tokens.push(Token::Unknown { many, what });
            }
            Some(b'{') => {
                self.skip(1)?;
                let start = self.at;
                let many = self.deeper(|reader| reader.parameter(quoted))? || many;
                let name = self.text.get(start..self.at.saturating_sub(1)).unwrap_or_default();
                let what = self.variable(name);
                tokens.push(Token::Unknown { many, what });
            }
            Some(b'[') => {
                self.skip(1)?;
                if self.dialect() == Dialect::Posix {
                    self.doubt("not every sh knows this arithmetic");
                }
                self.deeper(Self::old_arithmetic)?;
                tokens.push(Token::any(many));
            }
            Some(b'\'') if !quoted => {
                self.skip(1)?;
                self.ansi_quotes(tokens)?;
            }
            Some(b'"') if !quoted => {
                self.skip(1)?;
                if self.dialect() == Dialect::Bash {
                    return self.double_quotes(tokens);
                }
                self.double_quotes(&mut Vec::new())?;
                tokens.push(Token::any(false));
            }
            Some(byte @ (b'@' | b'*')) => {
                self.skip(1)?;
                let what = self.variable(&[byte]);
                tokens.push(Token::Unknown { many: true, what });
            }
            Some(b'?' | b'#' | b'-' | b'$' | b'!') => {
                self.skip(1)?;
                tokens.push(Token::any(many));
            }
            Some(byte) if byte == b'_' || byte.is_ascii_alphabetic() => {
                let start = self.at;
                if self.is_secret(self.name_ahead()) {
                    self.found.secrets += 1;
                }
                while self.peek().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                    self.skip(1)?;
                }
                let what = self.variable(self.text.get(start..self.at).unwrap_or_default());
                tokens.push(Token::Unknown { many, what });
            }
            Some(byte) if byte.is_ascii_digit() => {
                self.skip(1)?;
                let what = self.variable(&[byte]);
                tokens.push(Token::Unknown { many, what });
            }
            Some(b'=' | b'~' | b'^' | b'+' | b':') if self.dialect() == Dialect::Zsh => {
                self.doubt("an expansion of zsh is not known");
                tokens.push(Token::any(true));
            }
            _ => tokens.push(if quoted { Token::Quoted(b'$') } else { Token::Bare(b'$') }),
        }
        Ok(())
    }

    /// Whether a variable holds a secret, as its own name says or that of one it was made of.
    fn is_secret(&self, name: &[u8]) -> bool {
        is_secret(name) || self.found.is_tainted(name)
    }

    /// The name of a variable that stands here; empty where none does.
    fn name_ahead(&self) -> &[u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let part = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
        let end = rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len());
        &rest[..end]
    }

    /// What a variable of this name stands for; any text, where it is no name but an expansion.
    fn variable(&mut self, name: &[u8]) -> What {
        let first = name.first().copied().unwrap_or_default();
        let plain = name.iter().all(|byte| *byte == b'_' || byte.is_ascii_alphanumeric());
        let special = name.len() == 1 && matches!(first, b'@' | b'*' | b'0'..=b'9');
        if special || (plain && !name.is_empty() && !first.is_ascii_digit()) {
            self.found.named(name)
        } else {
            What::Any
        }
    }

    /// Behind `$(`: a command, or arithmetic. Whether it is a command.
    fn parenthesis(&mut self) -> Result<bool> {
        if self.peek() == Some(b'(') {
            let (at, mark) = (self.at, self.found.mark());
            self.skip(1)?;
            if self.deeper(|reader| reader.arithmetic(false))? {
                return Ok(false);
            }
            self.at = at;
            self.found.back_to(mark);
        }
        self.substituted_list().map(|()| true)
    }

    /// Commands up to and with `)`, with here-documents of their own.
    pub(super) fn substituted_list(&mut self) -> Result<()> {
        let outer = std::mem::take(&mut self.awaited);
        self.deeper(|reader| reader.list(false))?;
        if !self.eat(b")")? {
            return self.fail("a substitution is not closed");
        }
        self.no_document_is_awaited()?;
        self.awaited = outer;
        Ok(())
    }

    /// At a backtick: what stands up to the next one is a script once a layer of backslashes is off.
    pub(super) fn backticks(&mut self, quoted: bool, tokens: &mut Vec<Token>) -> Result<()> {
        let mut script = Vec::new();
        self.skip(1)?;
        loop {
            match (self.peek(), self.peek_at(1)) {
                (None, _) => return self.fail("a backtick is not closed"),
                (Some(b'`'), _) => break,
                (Some(b'\\'), Some(next)) => {
                    let escaped = matches!(next, b'`' | b'\\' | b'$') || (quoted && next == b'"');
                    if !escaped {
                        script.push(b'\\');
                    }
                    script.push(next);
                    self.skip(2)?;
                }
                (Some(byte), _) => {
                    script.push(byte);
                    self.skip(1)?;
                }
            }
        }
        let from = self.found.commands.len();
        self.inner(&script).script(false)?;
        self.skip(1)?;
        let what = What::Output(from, self.found.commands.len());
        tokens.push(Token::Unknown { many: !quoted, what });
        Ok(())
    }

    /// Behind `${`, up to and with `}`. Whether it may be many words even within quotes.
    fn parameter(&mut self, quoted: bool) -> Result<bool> {
        match self.peek() {
            Some(b' ' | b'\t' | b'\n' | b'|') => {
                self.doubt("a substitution that not every shell knows");
            }
            Some(b'(') if self.dialect() == Dialect::Zsh => {
                self.doubt("an expansion of zsh is not known");
            }
            Some(b'!') => self.found.evaluate(self.place()),
            _ => {}
        }
        let name = self.name_ahead().to_vec();
        let behind = self.text.get(self.at + name.len()..).unwrap_or_default();
        // `${NAME:+word}` only tells that it is set.
        if self.is_secret(&name) && !behind.starts_with(b"+") && !behind.starts_with(b":+") {
            self.found.secrets += 1;
        }
        let assigns = behind.starts_with(b"=") || behind.starts_with(b":=");
        let indexed = behind.starts_with(b"[");
        let from = self.at + name.len();
        let (start, mut many, mut scratch) = (self.at, false, Vec::new());
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => {
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    if assigns && !name.is_empty() {
                        self.assigned(name, from)?;
                    } else if indexed && !name.is_empty() && text.contains(&b'=') {
                        self.set(name, Word::unknown())?;
                    }
                    if self.text.get(start..self.at).is_some_and(|text| text.ends_with(b"@P")) {
                        self.doubt("a value is expanded once more, as a prompt");
                    }
                    return self.skip(1).map(|()| many);
                }
                // In some expansions it quotes and in some it does not, even within double quotes.
                b'\'' if quoted => {
                    self.doubt("a `'` in an expansion within quotes");
                    self.skip(1)?;
                }
                b'$' if quoted => self.dollar(true, &mut scratch)?,
                b'`' if quoted => self.backticks(true, &mut scratch)?,
                b'<' | b'>' if !quoted && self.peek_at(1) == Some(b'(') => {
                    self.skip(2)?;
                    self.substituted_list()?;
                }
                _ if self.quoting(&mut scratch)? => {}
                _ => {
                    match byte {
                        b'@' | b'*' => many = true,
                        b'[' | b':' => self.found.evaluate(self.place()),
                        b'{' if self.dialect() == Dialect::Zsh => {
                            self.doubt("an expansion of zsh is not known");
                        }
                        _ => {}
                    }
                    self.skip(1)?;
                }
            }
        }
        self.fail("a `${` is not closed")
    }

    /// At the end of `${NAME:=…}`, which sets the variable where it was not set.
    fn assigned(&mut self, name: Vec<u8>, from: usize) -> Result<()> {
        let text = self.text.get(from..self.at).unwrap_or_default();
        let text = text.strip_prefix(b":").unwrap_or(text);
        let text = text.strip_prefix(b"=").unwrap_or(text);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-,:@%+".contains(byte);
        let value = match text.iter().all(plain) {
            true => Word { parts: vec![Some(text.to_vec())], ..Word::default() },
            false => Word::unknown(),
        };
        self.set(name, value)
    }

    fn set(&mut self, name: Vec<u8>, value: Word) -> Result<()> {
        let place = self.place();
        self.found.push(Simple { assignments: vec![(name, value)], ..Simple::default() }, place)
    }

    /// Behind `((`, up to and with `))`; or not arithmetic. `counts`: the head of a loop, which has semicolons.
    pub(super) fn arithmetic(&mut self, counts: bool) -> Result<bool> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                None => return self.fail("arithmetic is not closed"),
                Some(b')') if open == 0 => {
                    if self.peek_at(1) != Some(b')') {
                        return Ok(false);
                    }
                    return self.skip(2).map(|()| true);
                }
                Some(b'(') => {
                    open += 1;
                    self.skip(1)?;
                }
                Some(b')') => {
                    open -= 1;
                    self.skip(1)?;
                }
                Some(byte) => self.term(byte, counts)?,
            }
        }
    }

    /// Behind `$[`, up to and with `]`.
    fn old_arithmetic(&mut self) -> Result<()> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                None => return self.fail("arithmetic is not closed"),
                Some(b']') if open == 0 => return self.skip(1),
                Some(byte) => {
                    match byte {
                        b'[' => open += 1,
                        b']' => open -= 1,
                        _ => {}
                    }
                    self.term(byte, false)?;
                }
            }
        }
    }

    /// Something within arithmetic, which is read as if it stood in double quotes.
    fn term(&mut self, byte: u8, counts: bool) -> Result<()> {
        let mut scratch = Vec::new();
        match byte {
            b'$' => {
                self.found.evaluate(self.place());
                self.dollar(true, &mut scratch)
            }
            b'`' => self.backticks(true, &mut scratch),
            b'"' => {
                self.skip(1)?;
                self.double_quotes(&mut scratch)
            }
            b'\\' if self.peek_at(1) == Some(b'\n') => self.skip(2),
            _ => {
                if byte.is_ascii_alphabetic() || byte == b'_' {
                    self.found.evaluate(self.place());
                }
                if matches!(byte, b'\'' | b'\\') || (byte == b';' && !counts) {
                    self.doubt("arithmetic that may be commands");
                }
                self.skip(1)
            }
        }
    }
}
