//! Running a text against the tokens of a pattern, and a text of which only pieces are known.

use super::few::{SMALL, run_few};
use super::{Piece, Token};

/// One kind of star: on a mismatch the last star takes one byte more. An earlier star cannot help:
/// what it could reach, the later one reaches too, and neither path star gets over a slash.
/// With an open end the tokens need to match only the front of the text.
pub(super) fn run_single(tokens: &[Token], open: bool, text: &[u8]) -> bool {
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
pub(super) fn run_table(tokens: &[Token], open: bool, text: &[u8]) -> bool {
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
pub(super) fn run_parts(tokens: &[Token], parts: &[&[u8]]) -> bool {
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
pub(super) fn run_pieces<'p>(
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
pub(super) fn telling(tokens: &[Token]) -> impl Fn(usize) -> bool {
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
