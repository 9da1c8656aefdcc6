//! From tokens to words: braces, tildes, patterns, and the joining of what is known.
//! Nothing is looked up; what depends on the machine is a part that is not known.

use super::found::Found;
use super::token::{Token, What};
use super::{Dialect, MAX_BRACES, Origin, Result, Word};

/// Unquoted braces in a word whose braces are expanded. With more of them the word is not known.
const MAX_OPEN: usize = 32;

/// The text of a word in which nothing is quoted or substituted.
pub(super) fn bare(tokens: &[Token]) -> Option<Vec<u8>> {
    let byte = |token: &Token| match token {
        Token::Bare(byte) => Some(*byte),
        _ => None,
    };
    if tokens.is_empty() { None } else { tokens.iter().map(byte).collect() }
}

/// The words that an operand becomes.
pub(super) fn words(tokens: &[Token], found: &mut Found, at: usize) -> Result<Vec<Word>> {
    if !tokens.contains(&Token::Bare(b'{')) {
        return Ok(vec![word(tokens, found)]);
    }
    let mut left = MAX_BRACES * 128;
    let open = tokens.iter().filter(|token| **token == Token::Bare(b'{')).count();
    let expanded = if open > MAX_OPEN { None } else { alternatives(tokens, &mut left) };
    found.spend(MAX_BRACES * 128 - left, at)?;
    let Some(expanded) = expanded else { return Ok(vec![Word::unknown()]) };
    if found.dialect == Dialect::Posix && expanded.len() != 1 {
        return Ok(vec![Word::unknown()]);
    }
    let words = expanded.iter().filter(|tokens| !tokens.is_empty());
    Ok(words.map(|tokens| word(tokens, found)).collect())
}

/// What a variable is set to, or a redirection opened on: braces and patterns stay as they are, or are not known.
pub(super) fn value(tokens: &[Token], found: &Found) -> Word {
    let mut joined = Joined::new(found);
    let mut home = true;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Bare(b'~') if home => {
                let ends = matches!(tokens.get(at + 1), None | Some(Token::Bare(b'/')));
                joined.unknown(false, if ends && at == 0 { What::Home } else { What::Any });
            }
            _ => joined.token(*token),
        }
        home = matches!(token, Token::Bare(b':' | b'=')) || (at == 0 && *token == Token::Nothing);
    }
    joined.word
}

/// What a redirection is opened on: one word, whatever a pattern in it becomes.
pub(super) fn target(tokens: &[Token], found: &mut Found, at: usize) -> Result<Word> {
    let mut words = words(tokens, found, at)?;
    let one = words.pop().filter(|_| words.is_empty());
    Ok(Word { may_be_many: false, ..one.unwrap_or_else(Word::unknown) })
}

fn word(tokens: &[Token], found: &Found) -> Word {
    let dialect = found.dialect;
    let mut joined = Joined::new(found);
    let last_bracket = tokens.iter().rposition(|token| *token == Token::Bare(b']'));
    let (mut at, mut home) = (0, true);
    if dialect == Dialect::Zsh && tokens.len() > 1 && tokens.first() == Some(&Token::Bare(b'=')) {
        joined.unknown(false, What::Any);
        at = tokens.len();
    }
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Bare(b'~') if home => {
                let name = tokens.iter().skip(at + 1);
                let length =
                    name.take_while(|token| !matches!(token, Token::Bare(b'/' | b':'))).count();
                // `~name`, `~+` and `~1` are other places.
                let what = if length == 0 && at == 0 { What::Home } else { What::Any };
                joined.unknown(false, what);
                at += length;
            }
            Token::Bare(b'*' | b'?') => joined.unknown(true, What::Pattern),
            Token::Bare(b'[') if last_bracket.is_some_and(|last| last > at + 1) => {
                joined.unknown(true, What::Pattern);
                let inside = tokens.iter().skip(at + 2);
                at += 2 + inside.take_while(|token| **token != Token::Bare(b']')).count();
            }
            _ => joined.token(*token),
        }
        home = matches!(tokens.get(at), Some(Token::Bare(b':' | b'=')));
        at += 1;
    }
    joined.word
}

/// A word that is being put together.
struct Joined<'f> {
    found: &'f Found,
    word: Word,
}

impl<'f> Joined<'f> {
    fn new(found: &'f Found) -> Self {
        Self { found, word: Word::default() }
    }

    fn token(&mut self, token: Token) {
        match token {
            Token::Bare(byte) | Token::Quoted(byte) => self.known(Some(byte)),
            Token::Nothing => self.known(None),
            Token::Unknown { many, what } => self.unknown(many, what),
        }
    }

    fn known(&mut self, byte: Option<u8>) {
        match (self.word.parts.last_mut(), byte) {
            (Some(Some(text)), _) => text.extend(byte),
            // Empty quotes say nothing beside a part that is not known.
            (Some(None), None) => {}
            _ => self.word.parts.push(Some(byte.into_iter().collect())),
        }
    }

    fn unknown(&mut self, many: bool, what: What) {
        self.word.may_be_many |= many;
        // An empty known part says nothing beside one that is not known.
        if self.word.parts.last().is_some_and(|part| part.as_ref().is_some_and(Vec::is_empty)) {
            self.word.parts.pop();
        }
        let origin = match what {
            What::Any => Origin::Any,
            What::Pattern => Origin::Pattern,
            What::Home => Origin::Home,
            What::Pipe => Origin::Pipe,
            What::Variable(number) => Origin::Variable(self.found.name(number)),
            What::Output(from, to) => Origin::Output(from..to),
        };
        if self.word.parts.last() != Some(&None) {
            self.word.parts.push(None);
            self.word.origins.push(origin);
        } else if let Some(last) = self.word.origins.last_mut()
            && (*last != Origin::Pattern || origin != Origin::Pattern)
        {
            *last = Origin::Any;
        }
    }
}

/// The words that braces make of one. `left` bounds how many tokens are made.
fn alternatives(tokens: &[Token], left: &mut usize) -> Option<Vec<Vec<Token>>> {
    let Some((open, inside, close)) = first_braces(tokens) else {
        *left = left.checked_sub(tokens.len() + 1)?;
        return Some(vec![tokens.to_vec()]);
    };
    let (before, after) = (tokens.get(..open)?, tokens.get(close + 1..)?);
    let mut middles = Vec::new();
    match inside {
        Inside::Parts(parts) => {
            for part in parts {
                middles.extend(alternatives(tokens.get(part)?, left)?);
            }
        }
        Inside::Sequence => middles.push(vec![Token::any(true)]),
    }
    let afters = alternatives(after, left)?;
    if middles.len() * afters.len() > MAX_BRACES {
        return None;
    }
    let mut all = Vec::new();
    for middle in &middles {
        for after in &afters {
            let one = [before, middle, after].concat();
            *left = left.checked_sub(one.len() + 1)?;
            all.push(one);
        }
    }
    Some(all)
}

enum Inside {
    Parts(Vec<std::ops::Range<usize>>),
    /// `{1..9}`.
    Sequence,
}

/// The first braces that expand: they are closed, and a comma or two dots are between them.
fn first_braces(tokens: &[Token]) -> Option<(usize, Inside, usize)> {
    (0..tokens.len()).filter(|at| tokens.get(*at) == Some(&Token::Bare(b'{'))).find_map(|open| {
        let (mut depth, mut from, mut parts) = (0_usize, open + 1, Vec::new());
        for (at, token) in tokens.iter().enumerate().skip(open) {
            match token {
                Token::Bare(b'{') => depth += 1,
                Token::Bare(b',') if depth == 1 => {
                    parts.push(from..at);
                    from = at + 1;
                }
                Token::Bare(b'}') if depth == 1 => {
                    let dots =
                        tokens.get(open..at)?.windows(2).any(|pair| pair == [Token::Bare(b'.'); 2]);
                    if !parts.is_empty() {
                        parts.push(from..at);
                        return Some((open, Inside::Parts(parts), at));
                    }
                    return dots.then_some((open, Inside::Sequence, at));
                }
                Token::Bare(b'}') => depth -= 1,
                _ => {}
            }
        }
        None
    })
}
