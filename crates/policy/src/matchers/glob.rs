//! Globs over bytes: every pattern is anchored at both ends and compared byte by byte.
//! Matching never backtracks without bound: the cost is at most text length times pattern length.

use thiserror::Error;

use super::names::Piece;

mod few;

use few::{SMALL, run_few};

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
        self.literals.iter().any(|literal| **literal == *text)
            || self.wild.iter().any(|wild| wild.matches(text))
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
        let head = tokens.iter().map_while(Token::byte).collect();
        let whole = tokens.clone().into();
        let open = tokens.pop_if(|last| *last == Token::Deep).is_some();
        let mixed = tokens.contains(&Token::Star) && tokens.contains(&Token::Deep);
        Self { whole, head, tokens: tokens.into(), open, mixed }
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

/// The texts that the braces of `source` spell out, each still a pattern.
pub(crate) fn spellings(source: &str) -> Result<Vec<String>, GlobError> {
    let spelled = expand_braces(source.as_bytes())?;
    Ok(spelled.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
}

/// How many texts the braces of `source` spell out, or more; 1 without braces. Nothing is spelled out for it.
pub(crate) fn count_spellings(source: &str) -> usize {
    let (mut all, mut choices) = (1_usize, 1_usize);
    for byte in source.bytes().skip_while(|byte| *byte != b'{') {
        match byte {
            b',' => choices += 1,
            b'}' => {
                all = all.saturating_mul(choices);
                choices = 1;
            }
            _ => {}
        }
    }
    all.saturating_mul(choices)
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

/// Spells out `{a,b}`: `x{a,b}y` is `xay` and `xby`.
fn expand_braces(source: &[u8]) -> Result<Vec<Vec<u8>>, GlobError> {
    let mut done: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = source;
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'\\' => {
                let Some((&escaped, after)) = after.split_first() else {
                    return Err(GlobError::DanglingEscape);
                };
                done.iter_mut().for_each(|text| text.extend([b'\\', escaped]));
                rest = after;
            }
            b'{' => {
                let (choices, after) = read_choices(after)?;
                if done.len() * choices.len() > MAX_ALTERNATIVES {
                    return Err(GlobError::TooManyAlternatives);
                }
                done = done
                    .iter()
                    .flat_map(|head| choices.iter().map(move |tail| [&head[..], tail].concat()))
                    .collect();
                rest = after;
            }
            _ => {
                done.iter_mut().for_each(|text| text.push(byte));
                rest = after;
            }
        }
    }
    Ok(done)
}

/// Reads up to the closing brace; gives the choices and what follows it.
fn read_choices(text: &[u8]) -> Result<(Vec<Vec<u8>>, &[u8]), GlobError> {
    let mut choices = vec![Vec::new()];
    let mut current = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'}' => {
                if let Some(last) = choices.last_mut() {
                    *last = current;
                }
                return Ok((choices, rest));
            }
            b'{' => return Err(GlobError::NestedBrace),
            b',' => {
                if let Some(last) = choices.last_mut() {
                    *last = std::mem::take(&mut current);
                }
                if choices.len() == MAX_ALTERNATIVES {
                    return Err(GlobError::TooManyAlternatives);
                }
                choices.push(Vec::new());
            }
            b'\\' => {
                let Some((&escaped, after)) = rest.split_first() else {
                    return Err(GlobError::DanglingEscape);
                };
                current.extend([b'\\', escaped]);
                rest = after;
            }
            _ => current.push(byte),
        }
    }
    Err(GlobError::OpenBrace)
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

/// One kind of star: on a mismatch the last star takes one byte more. An earlier star cannot help:
/// what it could reach, the later one reaches too, and neither path star gets over a slash.
/// With an open end the tokens need to match only the front of the text.
fn run_single(tokens: &[Token], open: bool, text: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while pos < text.len() {
        match tokens.get(at) {
            Some(Token::Star | Token::Deep) => {
                resume = Some((at, pos));
                at += 1;
                continue;
            }
            Some(token) if token.takes(text[pos]) => {
                at += 1;
                pos += 1;
                continue;
            }
            None if open => return true,
            _ => {}
        }
        let Some((star, taken)) = resume else { return false };
        if tokens[star] == Token::Star && text[taken] == b'/' {
            return false;
        }
        resume = Some((star, taken + 1));
        at = star + 1;
        pos = taken + 1;
    }
    tokens[at..].iter().all(Token::is_star)
}

/// Both kinds of star: the set of token positions that can be reached, moved on byte by byte.
fn run_table(tokens: &[Token], open: bool, text: &[u8]) -> bool {
    let mut here = vec![false; tokens.len() + 1];
    let mut next = vec![false; tokens.len() + 1];
    here[0] = true;
    skip_stars(tokens, &mut here);
    for &byte in text {
        if open && here[tokens.len()] {
            return true;
        }
        step(tokens, byte, &here, &mut next);
        std::mem::swap(&mut here, &mut next);
    }
    here[tokens.len()]
}

/// The same over a text with gaps, each of which may be anything: behind a gap every later position
/// can be reached.
fn run_parts(tokens: &[Token], parts: &[&[u8]]) -> bool {
    let mut here = vec![false; tokens.len() + 1];
    let mut next = vec![false; tokens.len() + 1];
    here[0] = true;
    skip_stars(tokens, &mut here);
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            let Some(first) = here.iter().position(|reached| *reached) else { return false };
            here[first..].fill(true);
        }
        for &byte in *part {
            step(tokens, byte, &here, &mut next);
            std::mem::swap(&mut here, &mut next);
        }
    }
    here[tokens.len()]
}

/// Places in a pattern that are reached: without, and with a telling byte of it that is known.
type Reached = [Vec<bool>; 2];

/// The same for a text in pieces. A gap that would have to supply all that tells the pattern from others
/// is no reason to hold the text for what the pattern means: `telling` says which of its literal bytes
/// count, and one of them must be known.
fn run_pieces<'p>(
    tokens: &[Token],
    telling: &dyn Fn(usize) -> bool,
    pieces: impl Iterator<Item = Piece<'p>>,
) -> bool {
    if tokens.len() < SMALL {
        return run_few(tokens, telling, pieces);
    }
    let none = || vec![false; tokens.len() + 1];
    let (mut here, mut next): (Reached, Reached) = ([none(), none()], [none(), none()]);
    here[0][0] = true;
    skip_stars(tokens, &mut here[0]);
    let mut starts = true;
    for (gap, part) in pieces {
        for reached in &mut here {
            match gap {
                None => {}
                Some(true) => {
                    let first = reached.iter().position(|reached| *reached);
                    reached[first.unwrap_or(tokens.len() + 1)..].fill(true);
                }
                Some(false) => fill_flat(tokens, reached, starts),
            }
        }
        for &byte in part {
            for (reached, next) in here.iter().zip(&mut next) {
                step(tokens, byte, reached, next);
            }
            let tells = |at: &usize| {
                here[0][*at]
                    && tokens[*at].tells()
                    && tokens[*at].takes(byte)
                    && byte != b'/'
                    && telling(*at)
            };
            for at in (0..tokens.len()).filter(tells) {
                next[1][at + 1] = true;
            }
            skip_stars(tokens, &mut next[1]);
            std::mem::swap(&mut here, &mut next);
        }
        if let Some(last) = part.last() {
            starts = *last == b'/';
        } else if gap.is_some() {
            starts = false;
        }
    }
    here[1][tokens.len()]
}

/// What a gap without slashes can go on to. At the start of a component a shell's pattern finds no name
/// that begins with a dot.
fn fill_flat(tokens: &[Token], reached: &mut [bool], starts: bool) {
    let before = reached.to_vec();
    let mut inside = vec![false; reached.len()];
    for at in 0..tokens.len() {
        let hidden = starts && tokens[at] == Token::Byte(b'.');
        let begins = before[at] && !hidden;
        if (begins || inside[at]) && tokens[at] != Token::Byte(b'/') {
            inside[at + 1] = true;
        }
    }
    for (reached, inside) in reached.iter_mut().zip(inside) {
        *reached |= inside;
    }
    skip_stars(tokens, reached);
}

/// Which literal bytes of a name tell it from others: those before its ending, where there are any.
fn telling(tokens: &[Token]) -> impl Fn(usize) -> bool {
    let from = tokens.iter().rposition(|token| *token == Token::Byte(b'/')).map_or(0, |at| at + 1);
    let dot =
        tokens.iter().rposition(|token| *token == Token::Byte(b'.')).filter(|dot| *dot >= from);
    let stem = |dot: usize| tokens[from..dot].iter().any(Token::tells);
    let end = dot.filter(|dot| stem(*dot)).unwrap_or(usize::MAX);
    move |at| at < end
}

fn step(tokens: &[Token], byte: u8, here: &[bool], next: &mut [bool]) {
    next.fill(false);
    for (at, token) in tokens.iter().enumerate().filter(|(at, _)| here[*at]) {
        match token {
            Token::Deep => next[at] = true,
            Token::Star => next[at] |= byte != b'/',
            _ if token.takes(byte) => next[at + 1] = true,
            _ => {}
        }
    }
    skip_stars(tokens, next);
}

/// A star may also be nothing.
fn skip_stars(tokens: &[Token], reached: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if reached[at] && token.is_star() {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests;
