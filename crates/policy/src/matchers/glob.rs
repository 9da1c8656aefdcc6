//! Globs over bytes: every pattern is anchored at both ends and compared byte by byte.
//! Matching never backtracks without bound: the cost is at most text length times pattern length.

use std::cell::LazyCell;

use thiserror::Error;

use super::names::Piece;

mod braces;
mod few;
mod run;
mod sieve;

use braces::expand_braces;
pub(crate) use braces::{count_spellings, spellings};
use run::{run_parts, run_pieces, run_single, run_table, telling};
use sieve::{Pairs, Sieve};

/// Longest pattern, in bytes, that is accepted.
pub(crate) const MAX_PATTERN_BYTES: usize = 1024;
/// Most alternatives that the braces of one pattern may spell out.
pub(crate) const MAX_ALTERNATIVES: usize = 64;

/// What a star may swallow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `*` is any text, slashes included.
    Text,
    /// `*` stays within one component, `**` goes any depth.
    Path,
    /// As `Path`, and a trailing `/*` is the directory itself and everything below it.
    Tree,
}

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum GlobError {
    #[error("the pattern is empty")]
    Empty,
    #[error("the pattern is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    #[error("`[` is never closed; write `\\[` for a plain bracket")]
    OpenClass,
    #[error("`{{` is never closed; write `\\{{` for a plain brace")]
    OpenBrace,
    #[error("braces do not nest")]
    NestedBrace,
    #[error("the range in `[...]` runs backwards")]
    BackwardRange,
    #[error("a lone backslash at the end escapes nothing")]
    DanglingEscape,
    #[error("the braces spell out more than {MAX_ALTERNATIVES} patterns")]
    TooManyAlternatives,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    source: Box<str>,
    /// The texts that match, where no wildcard is in them.
    literals: Vec<Box<[u8]>>,
    wild: Vec<Wild>,
}

/// One spelling with wildcards.
#[derive(Clone, Debug)]
struct Wild {
    sieve: Sieve,
    /// All tokens.
    whole: Box<[Token]>,
    /// What every match starts with; the tokens start with it too.
    head: Box<[u8]>,
    /// Without the `Deep` at its end, if `open` says that there is one.
    tokens: Box<[Token]>,
    open: bool,
    /// Both kinds of star are in the tokens.
    mixed: bool,
}

/// What every text that a spelling matches has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trait {
    /// It is this text.
    Whole(Vec<u8>),
    /// It starts with this text.
    Head(Vec<u8>),
    /// It ends with this text, which may be empty.
    Tail(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// Any one byte, a slash only where `slash` says so.
    One {
        slash: bool,
    },
    Class {
        negated: bool,
        slash: bool,
        ranges: Vec<(u8, u8)>,
    },
    /// Any text; in a path not over a slash.
    Star,
    /// Any text, slashes included.
    Deep,
}

impl Glob {
    /// Compiles `source`. `\x` takes x literally; `*`, `?`, `[a-z]`, `[!a-z]` and `{a,b}` are special.
    pub(crate) fn new(source: &str, kind: Kind) -> Result<Self, GlobError> {
        if source.is_empty() {
            return Err(GlobError::Empty);
        }
        if source.len() > MAX_PATTERN_BYTES {
            return Err(GlobError::TooLong);
        }
        if !source.contains(['*', '?', '[', '{', '\\']) {
            let literals = vec![plain(source.as_bytes(), kind).into()];
            return Ok(Self { source: source.into(), literals, wild: Vec::new() });
        }
        let mut glob = Self { source: source.into(), literals: Vec::new(), wild: Vec::new() };
        let spelled = match source.contains('{') {
            true => expand_braces(source.as_bytes())?,
            false => vec![source.as_bytes().to_vec()],
        };
        for spelling in spelled {
            let tokens = tokenise(&spelling, kind)?;
            if kind == Kind::Tree
                && let Some(directory) = tree_root(&tokens)
            {
                glob.add(directory, kind);
                let mut below = tokens;
                below.pop();
                below.push(Token::Deep);
                glob.add(below, kind);
            } else {
                glob.add(tokens, kind);
            }
        }
        Ok(glob)
    }

    fn add(&mut self, mut tokens: Vec<Token>, kind: Kind) {
        if kind != Kind::Text {
            // A path is compared in its plain spelling, which ends in no slash.
            while tokens.len() > 1 && tokens.last() == Some(&Token::Byte(b'/')) {
                tokens.pop();
            }
        }
        match tokens.iter().map(Token::byte).collect() {
            Some(literal) => self.literals.push(literal),
            None => self.wild.push(Wild::new(tokens)),
        }
    }

    /// Whether the whole of `text` is matched.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let pairs = LazyCell::new(|| Pairs::of(text));
        let may_be = |wild: &Wild| wild.sieve.lets_through(text, || *pairs);
        self.literals.iter().any(|literal| **literal == *text)
            || self.wild.iter().any(|wild| may_be(wild) && wild.matches(text))
    }

    /// Whether a text may be matched of which only `parts` are known: anything may stand between two.
    pub(crate) fn may_match(&self, parts: &[&[u8]]) -> bool {
        let literals =
            self.literals.iter().map(|text| text.iter().copied().map(Token::Byte).collect());
        let wild = self.wild.iter().map(|wild| {
            let end = wild.open.then_some(Token::Deep);
            wild.tokens.iter().cloned().chain(end).collect()
        });
        literals.chain(wild).any(|tokens: Vec<Token>| run_parts(&tokens, parts))
    }

    /// Whether a text in pieces, each with the gap before it, may be one that the pattern is about.
    pub(crate) fn may_mean(&self, pieces: &[Piece<'_>]) -> bool {
        // Most patterns begin or end otherwise; that is seen without a look at the rest.
        let first = pieces.first().map_or(&b""[..], |(_, part)| part);
        let last = pieces.last().map_or(&b""[..], |(_, part)| part);
        let begins = |head: &[u8]| head.iter().zip(first).all(|(one, other)| one == other);
        let ends = |text: &[u8]| text.iter().rev().zip(last.iter().rev()).all(|(a, b)| a == b);
        let literals = self.literals.iter().filter(|text| begins(text) && ends(text));
        let literals = literals.map(|text| text.iter().copied().map(Token::Byte).collect());
        let fits = |wild: &&Wild| {
            let mut tail = wild.tokens.iter().rev().map_while(Token::byte).zip(last.iter().rev());
            begins(&wild.head) && (wild.open || tail.all(|(one, other)| one == *other))
        };
        // Where no letter is known, none is told.
        let bare = |byte: &u8| *byte == b'/';
        let nothing = pieces.iter().all(|(_, part)| part.iter().all(bare));
        let blank = nothing && first.starts_with(b"/");
        let may_be = |wild: &&Wild| {
            fits(wild) && (blank || !nothing || !wild.tokens.iter().any(Token::tells))
        };
        let means = |tokens: &[Token]| {
            if blank || !tokens.iter().any(Token::tells) {
                let parts: Vec<&[u8]> = pieces.iter().map(|(_, part)| *part).collect();
                return run_parts(tokens, &parts);
            }
            let tells = telling(tokens);
            // A path is told by each of its folders.
            let absolute = tokens.first() == Some(&Token::Byte(b'/'));
            run_pieces(tokens, &|at| absolute || tells(at), pieces.iter().copied())
        };
        let mut literals = literals.filter(|_| blank || !nothing);
        literals.any(|tokens: Vec<Token>| means(&tokens))
            || self.wild.iter().filter(may_be).any(|wild| means(&wild.whole))
    }

    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The texts that match, when no spelling has a wildcard; else none.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.literals.iter().filter(|_| self.wild.is_empty()).map(|text| &**text)
    }

    /// For each spelling what its matches have in common.
    pub(crate) fn traits(&self) -> impl Iterator<Item = Trait> {
        let whole = self.literals.iter().map(|text| Trait::Whole(text.to_vec()));
        whole.chain(self.wild.iter().map(Wild::common))
    }

    /// Whether the pattern is nothing but stars, and so matches any text.
    pub(crate) fn is_any(&self) -> bool {
        self.wild.iter().any(|wild| wild.tokens.iter().all(Token::is_star))
    }
}

impl Wild {
    fn new(mut tokens: Vec<Token>) -> Self {
        let sieve = Sieve::of(&tokens);
        let head = tokens.iter().map_while(Token::byte).collect();
        let whole = tokens.clone().into();
        let open = tokens.pop_if(|last| *last == Token::Deep).is_some();
        let mixed = tokens.contains(&Token::Star) && tokens.contains(&Token::Deep);
        Self { sieve, whole, head, tokens: tokens.into(), open, mixed }
    }

    fn matches(&self, text: &[u8]) -> bool {
        text.starts_with(&self.head)
            && if self.mixed {
                run_table(&self.tokens, self.open, text)
            } else {
                run_single(&self.tokens, self.open, text)
            }
    }

    fn common(&self) -> Trait {
        if !self.head.is_empty() {
            return Trait::Head(self.head.to_vec());
        }
        if self.open {
            return Trait::Tail(Vec::new());
        }
        let mut tail: Vec<u8> = self.tokens.iter().rev().map_while(Token::byte).collect();
        tail.reverse();
        Trait::Tail(tail)
    }
}

impl Token {
    fn byte(&self) -> Option<u8> {
        if let Self::Byte(byte) = self { Some(*byte) } else { None }
    }

    /// Whether it is for some bytes only.
    fn tells(&self) -> bool {
        matches!(self, Self::Byte(_) | Self::Class { negated: false, .. })
    }

    fn is_star(&self) -> bool {
        matches!(self, Self::Star | Self::Deep)
    }

    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(wanted) => *wanted == byte,
            Self::One { slash } => *slash || byte != b'/',
            Self::Class { negated, slash, ranges } => {
                (*slash || byte != b'/')
                    && ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
            Self::Star | Self::Deep => false,
        }
    }
}

/// A text without anything special as it is compared: a path in its plain spelling, which ends in no slash.
fn plain(mut source: &[u8], kind: Kind) -> &[u8] {
    while let [shorter @ .., b'/'] = source
        && kind != Kind::Text
        && !shorter.is_empty()
    {
        source = shorter;
    }
    source
}

/// Puts a backslash before everything that [`Glob::new`] would take as special.
pub(crate) fn escape_into(byte: char, out: &mut String) {
    if matches!(byte, '*' | '?' | '[' | ']' | '{' | '}' | ',' | '\\') {
        out.push('\\');
    }
    out.push(byte);
}

/// For `dir/*`: the tokens of `dir`. A bare `/*` gives `/`.
fn tree_root(tokens: &[Token]) -> Option<Vec<Token>> {
    let [directory @ .., Token::Byte(b'/'), Token::Star] = tokens else { return None };
    let mut directory = directory.to_vec();
    if directory.is_empty() {
        directory.push(Token::Byte(b'/'));
    }
    Some(directory)
}

fn tokenise(source: &[u8], kind: Kind) -> Result<Vec<Token>, GlobError> {
    let mut tokens = Vec::with_capacity(source.len());
    let mut rest = source;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => {
                let Some((&escaped, after)) = rest.split_first() else {
                    return Err(GlobError::DanglingEscape);
                };
                tokens.push(Token::Byte(escaped));
                rest = after;
            }
            b'?' => tokens.push(Token::One { slash: kind == Kind::Text }),
            b'*' => {
                let stars = 1 + rest.iter().take_while(|next| **next == b'*').count();
                rest = &rest[stars - 1..];
                let deep = kind == Kind::Text || stars > 1;
                tokens.push(if deep { Token::Deep } else { Token::Star });
            }
            b'[' => {
                let (class, after) = read_class(rest, kind == Kind::Text)?;
                tokens.push(class);
                rest = after;
            }
            _ => tokens.push(Token::Byte(byte)),
        }
    }
    Ok(tokens)
}

fn read_class(text: &[u8], slash: bool) -> Result<(Token, &[u8]), GlobError> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut rest = if negated { &text[1..] } else { text };
    let mut ranges = Vec::new();
    loop {
        let (&low, after) = rest.split_first().ok_or(GlobError::OpenClass)?;
        if low == b']' && !ranges.is_empty() {
            return Ok((Token::Class { negated, slash, ranges }, after));
        }
        rest = after;
        match rest {
            [b'-', high, after @ ..] if *high != b']' => {
                if *high < low {
                    return Err(GlobError::BackwardRange);
                }
                ranges.push((low, *high));
                rest = after;
            }
            _ => ranges.push((low, low)),
        }
    }
}

#[cfg(test)]
mod tests;
