//! Names: a word of which only a shell will know what it is, but not what it may be: one of several
//! texts with gaps in them. What is a word of any kind for everybody else is less than that here.
//!
//! It is written as a word that may be many (`unknown::MANY`), a letter, and the texts.

use super::unknown::{MANY, ONE};

/// Between two texts.
const NEXT: &[u8] = b"\0;";
/// Any text without a `..` in it.
pub(crate) const DEEP: &[u8] = b"\0d";
/// The same without a slash.
pub(crate) const FLAT: &[u8] = b"\0f";

/// Stands for the name of a file of which nothing is known but that it is an ordinary one. Where a word
/// has this byte of its own, it is less known than it could be.
pub(crate) const ORDINARY: u8 = 1;

/// Most texts of one word, and most bytes of one.
pub(crate) const MAX_TEXTS: usize = 32;
pub(crate) const MAX_BYTES: usize = 4096;

/// What a word may become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Each may have gaps.
    pub(crate) texts: Vec<Vec<u8>>,
    /// It is one word, neither none nor several.
    pub(crate) single: bool,
}

/// A known piece of a text, and the gap before it; `true` is a deep one.
pub(crate) type Piece<'t> = (Option<bool>, &'t [u8]);

impl Names {
    /// One word that is known.
    pub(crate) fn one(text: &[u8]) -> Self {
        Self { texts: vec![text.to_vec()], single: true }
    }

    /// The word as the matchers have it; `None` where nothing is known that would help.
    pub(crate) fn word(mut self) -> Option<Vec<u8>> {
        self.texts.dedup();
        if self.single
            && let [text] = self.texts.as_slice()
            && text.first() == Some(&b'-')
        {
            return Some(roughly(text));
        }
        if self.texts.is_empty()
            || self.texts.len() > MAX_TEXTS
            || self.texts.iter().any(|text| text.len() > MAX_BYTES || text.first() == Some(&b'-'))
        {
            return None;
        }
        if self.single
            && let [text] = self.texts.as_slice()
            && !text.iter().any(|byte| matches!(*byte, 0 | ORDINARY))
        {
            return self.texts.pop();
        }
        let planted = self.texts.iter().any(|text| text.first() == Some(&0));
        let kind = match (planted, self.single) {
            (true, _) => b"g",
            (false, true) => b"1",
            (false, false) => b"n",
        };
        Some([MANY, kind, &self.texts.join(NEXT)].concat())
    }
}

/// One text as a word in which anything may stand in the gaps.
fn roughly(text: &[u8]) -> Vec<u8> {
    let mut pieces = text.split(|byte| *byte == 0);
    let mut word = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        word.extend(ONE);
        word.extend(piece.get(1..).unwrap_or_default());
    }
    word
}

/// What is known of a word that may be many.
pub(crate) fn of(word: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, texts) = word.strip_prefix(MANY)?.split_first()?;
    Some((*kind, texts))
}

/// Whether the word is surely no flag, and stands for names.
pub(crate) fn are_no_flags(word: &[u8]) -> bool {
    of(word).is_some_and(|(kind, _)| kind != b'g')
}

/// Whether the word may be a flag only by being the name of a file in the working directory.
pub(crate) fn may_be_planted(word: &[u8]) -> bool {
    of(word).is_some_and(|(kind, _)| kind == b'g')
}

/// Whether such a file may be called just anything: its name need not end as names of files do, as with
/// `*.txt`, where what stands behind a dash is no program and no word that somebody knows.
pub(crate) fn is_any_planted(word: &[u8]) -> bool {
    let extension = |piece: &Piece<'_>| {
        let mut parts = piece.1.rsplit(|byte| *byte == b'.');
        let last = parts.next().unwrap_or_default();
        parts.next().is_some() && !last.is_empty() && last.iter().all(u8::is_ascii_alphanumeric)
    };
    let open = |text: &Vec<Piece<'_>>| {
        matches!(text.as_slice(), [(None, b""), (Some(_), _), ..])
            && !text.last().is_some_and(extension)
    };
    may_be_planted(word) && texts(word).is_some_and(|texts| texts.iter().any(open))
}

/// Whether the word is one word.
pub(crate) fn is_single(word: &[u8]) -> bool {
    of(word).is_some_and(|(kind, _)| kind == b'1')
}

/// The texts as they are written.
pub(crate) fn split(mut texts: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(at) = texts.windows(NEXT.len()).position(|window| window == NEXT) {
        all.push(texts[..at].to_vec());
        texts = &texts[at + NEXT.len()..];
    }
    all.push(texts.to_vec());
    all
}

/// The texts, in pieces.
pub(crate) fn texts(word: &[u8]) -> Option<Vec<Vec<Piece<'_>>>> {
    let (_, mut rest) = of(word)?;
    let (mut all, mut text, mut gap) = (Vec::new(), Vec::new(), None);
    loop {
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        text.push((gap, &rest[..end]));
        match rest.get(end + 1..).and_then(<[u8]>::split_first) {
            None => {
                all.push(text);
                return Some(all);
            }
            Some((kind, behind)) => {
                rest = behind;
                gap = match kind {
                    b'd' => Some(true),
                    b'f' => Some(false),
                    _ => {
                        all.push(std::mem::take(&mut text));
                        None
                    }
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_back_as_it_was_written() {
        let names = Names { texts: vec![b"a\0f/b\0d".to_vec(), b"c".to_vec()], single: false };
        let word = names.word().unwrap();
        assert!(are_no_flags(&word) && !is_single(&word));
        let wanted: Vec<Vec<Piece<'_>>> =
            vec![vec![(None, b"a"), (Some(false), b"/b"), (Some(true), b"")], vec![(None, b"c")]];
        assert_eq!(texts(&word).unwrap(), wanted);
    }

    #[test]
    fn a_text_that_may_be_a_flag_says_nothing() {
        assert_eq!(Names { texts: vec![b"-x".to_vec()], single: false }.word(), None);
        let value = Names { texts: vec![b"-x=\0fy".to_vec()], single: true };
        assert_eq!(value.word().unwrap(), b"-x=\0y");
        let planted = Names { texts: vec![b"\0f.txt".to_vec()], single: false }.word().unwrap();
        assert!(may_be_planted(&planted) && !are_no_flags(&planted));
        assert!(!are_no_flags(MANY) && !may_be_planted(MANY) && texts(MANY).is_none());
    }

    #[test]
    fn one_known_text_is_a_known_word() {
        assert_eq!(Names::one(b"x").word().unwrap(), b"x");
    }
}
