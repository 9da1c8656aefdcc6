//! What Slack takes of a message and a view, as its documentation says, and cutting to that. Lengths are in UTF-16 units.

pub(super) use crate::utf16::{head, tail, units};

/// Units of a text in a block.
pub(super) const MAX_TEXT: usize = 3_000;

/// Units of the text that notifications show.
pub(super) const MAX_FALLBACK: usize = 1_000;

/// Units of what a person may type as a reason.
pub(super) const MAX_REASON: usize = 1_000;

/// Bytes of an address behind a button.
pub(super) const MAX_URL: usize = 3_000;

/// Characters of an id of Slack's.
const MAX_ID: usize = 64;

/// Whether it is an id as Slack gives them.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_alphanumeric())
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
    fn a_text_that_is_cut_says_so() {
        assert_eq!(short("abc", 3), "abc");
        let cut = short(&"😀".repeat(100), 100);
        assert!(cut.ends_with("… (+70 characters)"), "{cut}");
        assert!(units(&cut) <= 100);
    }
}
