//! Unknown: words of which only a shell will know the whole. A NUL byte, which no argument can hold,
//! stands for any text; a word that starts with two stands for any number of words, none included.

/// Stands for any text within one word.
pub(crate) const MARK: u8 = 0;
/// Any one word.
pub(crate) const ONE: &[u8] = b"\0";
/// Any number of words.
pub(crate) const MANY: &[u8] = b"\0\0";

/// Whether a part of the word is not known.
pub(crate) fn is_in(word: &[u8]) -> bool {
    word.contains(&MARK)
}

/// Whether the word may be a flag, or any other: nothing is known before its unknown part.
pub(crate) fn is_open(word: &[u8]) -> bool {
    word.first() == Some(&MARK)
}

/// Whether the word may be several, or none.
pub(crate) fn is_many(word: &[u8]) -> bool {
    word.starts_with(MANY)
}

/// Whether the name of a flag is known, whatever its value is.
pub(crate) fn is_named(word: &[u8]) -> bool {
    !is_in(word.split(|byte| *byte == b'=').next().unwrap_or_default())
}
