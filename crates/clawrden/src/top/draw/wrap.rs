//! Lines no longer than the screen is wide.

use unicode_width::UnicodeWidthChar;

/// The rows that a line takes: broken behind a space where there is one and `at_words` says so, else wherever it is full.
pub(super) fn wrap(line: &str, width: usize, at_words: bool) -> Vec<String> {
    let mut rows = Vec::new();
    let (mut row, mut used) = (String::new(), 0);
    // Bytes and columns of the row up to behind its last space.
    let mut space: Option<(usize, usize)> = None;
    for c in line.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width && !row.is_empty() {
            let (at, behind) =
                space.take().filter(|_| at_words && c != ' ').unwrap_or((row.len(), used));
            let rest = row.split_off(at);
            rows.push(std::mem::replace(&mut row, rest));
            used -= behind;
        }
        row.push(c);
        used += wide;
        if c == ' ' {
            space = Some((row.len(), used));
        }
    }
    rows.push(row);
    rows
}

/// The beginning of a line, as much as fits, with a mark where it is not all.
pub(super) fn beginning(line: &str, width: usize) -> String {
    let mut rows = wrap(line, width, false).into_iter();
    match (rows.next().unwrap_or_default(), rows.next()) {
        (all, None) => all,
        (_, Some(_)) => format!("{}…", wrap(line, width.saturating_sub(1), false).swap_remove(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_words_or_wherever_they_are_full() {
        assert_eq!(wrap("one two three", 8, true), ["one two ", "three"]);
        assert_eq!(wrap("one two three", 8, false), ["one two ", "three"]);
        assert_eq!(wrap("one twothree", 8, true), ["one ", "twothree"]);
        assert_eq!(wrap("one twothree", 8, false), ["one twot", "hree"]);
        assert_eq!(wrap("abcdefghij", 4, true), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a bcdefghij", 4, true), ["a ", "bcde", "fghi", "j"]);
        assert_eq!(wrap("日本語", 4, false), ["日本", "語"]);
        assert_eq!(wrap("日", 1, false), ["日"]);
        assert_eq!(wrap("", 4, true), [""]);
        for width in 1..20 {
            let text = "words of many lengths, and some thatareverylongindeed";
            assert_eq!(wrap(text, width, true).concat(), text, "nothing is left out");
        }
    }

    #[test]
    fn a_beginning_says_that_it_is_one() {
        assert_eq!(beginning("all of it", 9), "all of it");
        assert_eq!(beginning("all of it", 8), "all of …");
        assert_eq!(beginning("日本語", 5), "日本…");
    }
}
