//! Whether a text holds any of many words at all: told by their first three bytes, with a table so small that it is still in
//! the processor's nearest cache when the next request comes. The table of the search itself is not, and most texts hold
//! none of its words.

use super::runs;

/// Bits of the table are so many, as a power of two.
const BITS: u32 = 12;

/// Bytes of a word that the table knows.
const KNOWN: usize = 3;

/// The beginnings of words.
pub(super) struct Begins {
    table: [u64; 1 << (BITS - 6)],
    /// By the place in the table of what they begin with.
    words: Vec<(usize, &'static [u8])>,
}

impl Begins {
    /// Of words whose letters may be large or small; `None` where one is shorter than two bytes. One of two is found where
    /// something stands behind it.
    pub(super) fn new(words: &[&'static str]) -> Option<Self> {
        let mut placed = Vec::new();
        for word in words.iter().map(|word| word.as_bytes()) {
            match *word {
                [a, b, c, ..] => placed.push((place(&[a, b, c]), word)),
                [a, b] => placed.extend((0..=u8::MAX).map(|any| (place(&[a, b, any]), word))),
                _ => return None,
            }
        }
        placed.sort_unstable();
        placed.dedup();
        let mut table = [0; 1 << (BITS - 6)];
        for (place, _) in &placed {
            table[place / 64] |= 1 << (place % 64);
        }
        Some(Self { table, words: placed })
    }

    /// Whether one of the words stands in `text`.
    pub(super) fn has_any(&self, text: &[u8]) -> bool {
        let at = text.windows(KNOWN).enumerate().position(|(at, begin)| {
            let Some(place) = begin.first_chunk().map(place) else { return false };
            self.table[place / 64] & (1 << (place % 64)) != 0 && self.is_one(place, &text[at..])
        });
        runs::looked_at(at.unwrap_or(text.len()));
        at.is_some()
    }

    fn is_one(&self, place: usize, rest: &[u8]) -> bool {
        let from = self.words.partition_point(|(other, _)| *other < place);
        let of_place = self.words[from..].iter().take_while(|(other, _)| *other == place);
        let begins = |word: &[u8]| {
            rest.get(..word.len()).is_some_and(|rest| rest.eq_ignore_ascii_case(word))
        };
        of_place.into_iter().any(|(_, word)| begins(word))
    }
}

/// Small and large letters have the same.
fn place(begin: &[u8; KNOWN]) -> usize {
    let [a, b, c] = begin.map(|byte| u32::from(byte | 0x20));
    let spread = (a | b << 8 | c << 16).wrapping_mul(0x9e37_79b1) >> (32 - BITS);
    // Of twelve bits.
    usize::try_from(spread).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_wherever_it_stands_and_however_it_is_written() {
        let begins = Begins::new(&["token", "://", "eyJ", "pw", "-----BEGIN "]).unwrap();
        for text in [
            "token",
            "a Token",
            "x://",
            "a=EYJ",
            "-----begin K",
            "totoken",
            "my_TOKEN=",
            "pw=",
            "aPw ",
        ] {
            assert!(begins.has_any(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "t",
            "to",
            "toke",
            "tok en",
            "//",
            ":/",
            "ey J",
            "-----BEGIN",
            "p w",
            "{\"event\":\"x\"}",
        ] {
            assert!(!begins.has_any(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn each_word_of_many_is_found_beside_all_others() {
        let words: Vec<&'static str> =
            super::super::names::NAMES.iter().map(|name| name.word).collect();
        let begins = Begins::new(&words).unwrap();
        for word in words {
            assert!(begins.has_any(format!("\u{1}{word}=").as_bytes()), "{word}");
        }
        assert!(Begins::new(&["a"]).is_none());
    }
}
