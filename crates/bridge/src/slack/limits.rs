//! What Slack takes of a message and a view, as its documentation says, and cutting to that.
//!
//! Lengths are counted in UTF-16 units, of which no text has fewer than characters.

/// Units of a text in a block.
pub(super) const MAX_TEXT: usize = 3_000;

/// Units of the text that notifications show.
pub(super) const MAX_FALLBACK: usize = 1_000;

/// Units of what a person may type as a reason.
pub(super) const MAX_REASON: usize = 1_000;

/// Bytes of an address behind a button.
pub(super) const MAX_URL: usize = 3_000;

/// How many units a text has.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The beginning of a text, at most `max` units.
pub(super) fn head(text: &str, max: usize) -> &str {
    let mut left = max;
    for (at, c) in text.char_indices() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => left = rest,
            None => return &text[..at],
        }
    }
    text
}

/// The end of a text, at most `max` units.
pub(super) fn tail(text: &str, max: usize) -> &str {
    let mut left = max;
    for (at, c) in text.char_indices().rev() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => left = rest,
            None => return &text[at + c.len_utf8()..],
        }
    }
    text
}

/// A text of at most `max` units, and at its end how much is left out.
pub(super) fn short(text: &str, max: usize) -> String {
    /// Units of the longest note.
    const NOTE: usize = 40;
    if units(text) <= max {
        return text.to_owned();
    }
    let head = head(text, max.saturating_sub(NOTE));
    format!("{head}… (+{} characters)", text[head.len()..].chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_say_so() {
        assert_eq!((units("aé😀"), head("aé😀", 3), tail("aé😀", 2)), (4, "aé", "😀"));
        assert_eq!(
            (head("😀", 1), tail("😀", 1), head("abc", 3), tail("abc", 9)),
            ("", "", "abc", "abc")
        );
        assert_eq!(short("abc", 3), "abc");
        let cut = short(&"😀".repeat(100), 100);
        assert!(cut.ends_with("… (+70 characters)"), "{cut}");
        assert!(units(&cut) <= 100);
    }
}
