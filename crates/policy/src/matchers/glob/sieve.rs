//! Sieve: what every text that a pattern matches has in it, told without running the pattern. Most texts lack some of it.

use super::Token;

/// Bytes of a text whose pairs are looked at; a longer one is taken to have them all.
const MAX_BYTES: usize = 256;

/// The pairs of neighbouring bytes in a text. Each is one of 128 bits, which it shares with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(u128);

/// What a text needs to be matched.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    /// It is at least so long, in bytes.
    least: usize,
    first: Option<u8>,
    last: Option<u8>,
    pairs: Pairs,
}

impl Pairs {
    pub(super) fn of(text: &[u8]) -> Self {
        if text.len() > MAX_BYTES {
            return Self(u128::MAX);
        }
        let mut pairs = Self::default();
        text.windows(2).for_each(|pair| pairs.add(pair[0], pair[1]));
        pairs
    }

    fn add(&mut self, one: u8, next: u8) {
        self.0 |= 1 << ((u32::from(one) * 9 + u32::from(next)) % u128::BITS);
    }

    fn has_all(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

impl Sieve {
    pub(super) fn of(tokens: &[Token]) -> Self {
        let mut pairs = Pairs::default();
        for pair in tokens.windows(2) {
            if let [Token::Byte(one), Token::Byte(next)] = pair {
                pairs.add(*one, *next);
            }
        }
        Self {
            least: tokens.iter().filter(|token| !token.is_star()).count(),
            first: tokens.first().and_then(Token::byte),
            last: tokens.last().and_then(Token::byte),
            pairs,
        }
    }

    /// False where the text is surely not matched. `pairs` are the text's own, and are asked for last.
    pub(super) fn lets_through(&self, text: &[u8], pairs: impl Fn() -> Pairs) -> bool {
        let is =
            |wanted: Option<u8>, found: Option<&u8>| wanted.is_none() || found.copied() == wanted;
        text.len() >= self.least
            && is(self.last, text.last())
            && is(self.first, text.first())
            && (self.pairs == Pairs::default() || pairs().has_all(self.pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, tokenise};
    use super::*;

    fn lets_through(pattern: &str, text: &str) -> bool {
        let sieve = Sieve::of(&tokenise(pattern.as_bytes(), Kind::Text).unwrap());
        sieve.lets_through(text.as_bytes(), || Pairs::of(text.as_bytes()))
    }

    #[test]
    fn what_lacks_a_part_of_the_pattern_is_not_let_through() {
        for text in ["/home/ann/.ssh/id", "/home/x/.ssh/"] {
            assert!(lets_through("/home/?*/.ssh/*", text), "{text}");
        }
        for text in ["/home/.ssh/", "home/ann/.ssh/id", "/home/ann/README.md", ""] {
            assert!(!lets_through("/home/?*/.ssh/*", text), "{text}");
        }
        assert!(lets_through("*.env", "x.env") && !lets_through("*.env", "x.end"));
        assert!(lets_through("*", "") && !lets_through("?*", ""));
    }

    #[test]
    fn the_pairs_of_a_long_text_are_not_looked_at() {
        let long = "x".repeat(MAX_BYTES + 1);
        assert!(lets_through("*ab*", &long) && !lets_through("*ab", &long));
        assert!(!lets_through("*ab*", &long[1..]));
    }
}
