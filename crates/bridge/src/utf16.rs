//! Lengths as chat services count them, in UTF-16 units, of which no text has fewer than characters; and cutting to them.

/// How many units a text has.
pub(crate) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// A text in two, the first of at most `most` units; no character is torn.
pub(crate) fn split(text: &str, most: usize) -> (&str, &str) {
    let mut left = most;
    for (at, c) in text.char_indices() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => left = rest,
            None => return text.split_at(at),
        }
    }
    (text, "")
}

/// The beginning of a text, at most `most` units.
pub(crate) fn head(text: &str, most: usize) -> &str {
    split(text, most).0
}

/// The end of a text, at most `most` units.
pub(crate) fn tail(text: &str, most: usize) -> &str {
    let over = units(text).saturating_sub(most);
    let (before, after) = split(text, over);
    // What is torn at its middle is left out whole.
    match units(before) < over {
        true => after.char_indices().nth(1).map_or("", |(at, _)| &after[at..]),
        false => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!((units("aé😀"), head("aé😀", 3), tail("aé😀", 2)), (4, "aé", "😀"));
        assert_eq!(
            (head("😀", 1), tail("😀", 1), head("abc", 3), tail("abc", 9)),
            ("", "", "abc", "abc")
        );
        assert_eq!((tail("a😀b", 2), tail("a😀b", 3), tail("😀", 0)), ("b", "😀b", ""));
        assert_eq!((split("a😀b", 2), split("a😀b", 3)), (("a", "😀b"), ("a😀", "b")));
    }
}
