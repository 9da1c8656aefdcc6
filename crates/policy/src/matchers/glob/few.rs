//! Few: texts with gaps against patterns of few tokens, where a set of places in a pattern is a number.
//! It says what `run_pieces` says of longer ones, only faster.

use super::{Piece, Token};

/// With fewer tokens than this a set of places in a pattern is a number.
pub(super) const SMALL: usize = 128;

/// The same with few tokens, faster.
pub(super) fn run_few<'p>(
    tokens: &[Token],
    telling: &dyn Fn(usize) -> bool,
    pieces: impl Iterator<Item = Piece<'p>>,
) -> bool {
    let all = u128::MAX >> (SMALL - 1 - tokens.len());
    let mut here = [skip_few(tokens, 1), 0];
    let mut starts = true;
    for (gap, part) in pieces {
        for reached in &mut here {
            *reached = match gap {
                None => *reached,
                Some(true) if *reached == 0 => 0,
                Some(true) => *reached | (all & (u128::MAX << reached.trailing_zeros())),
                Some(false) => flat_few(tokens, *reached, starts),
            };
        }
        for &byte in part {
            let mut next = here.map(|reached| step_few(tokens, byte, reached));
            for at in places(here[0]).take_while(|at| *at < tokens.len()) {
                let token = &tokens[at];
                if token.tells() && token.takes(byte) && byte != b'/' && telling(at) {
                    next[1] |= 1 << (at + 1);
                }
            }
            next[1] = skip_few(tokens, next[1]);
            here = next;
            if here == [0, 0] {
                return false;
            }
        }
        if let Some(last) = part.last() {
            starts = *last == b'/';
        } else if gap.is_some() {
            starts = false;
        }
    }
    here[1] >> tokens.len() & 1 == 1
}

/// The members of a set, rising.
fn places(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(at)
    })
}

fn step_few(tokens: &[Token], byte: u8, here: u128) -> u128 {
    let mut next = 0;
    for at in places(here).take_while(|at| *at < tokens.len()) {
        match &tokens[at] {
            Token::Deep => next |= 1 << at,
            Token::Star if byte != b'/' => next |= 1 << at,
            token if token.takes(byte) => next |= 1 << (at + 1),
            _ => {}
        }
    }
    skip_few(tokens, next)
}

fn skip_few(tokens: &[Token], mut reached: u128) -> u128 {
    let mut left = reached;
    while left != 0 {
        let at = left.trailing_zeros() as usize;
        left &= left - 1;
        if tokens.get(at).is_some_and(Token::is_star) {
            reached |= 1 << (at + 1);
            left |= 1 << (at + 1);
        }
    }
    reached
}

fn flat_few(tokens: &[Token], before: u128, starts: bool) -> u128 {
    let mut inside = 0_u128;
    for (at, token) in tokens.iter().enumerate().skip(before.trailing_zeros() as usize) {
        let begins = before >> at & 1 == 1 && !(starts && *token == Token::Byte(b'.'));
        if (begins || inside >> at & 1 == 1) && *token != Token::Byte(b'/') {
            inside |= 1 << (at + 1);
        }
    }
    skip_few(tokens, before | inside)
}
