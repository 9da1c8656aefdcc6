//! Words: splits an argument pattern the way a shell would, quotes honoured, nothing expanded.
//! What was quoted comes out escaped, so that a quoted star is a star.

use super::glob::escape_into;

/// Splits `text` into words. A quoted or escaped special character is escaped in the result.
pub(crate) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => escape_into(c, word),
                        None => return Err("a single quote is never closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c) => escape_into(c, word),
                            None => return Err("a double quote is never closed"),
                        },
                        Some(c) => escape_into(c, word),
                        None => return Err("a double quote is never closed"),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => escape_into(c, word.get_or_insert_default()),
                None => return Err("a lone backslash at the end escapes nothing"),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_blanks_and_quotes_hold_them_together() {
        assert_eq!(split("push  --force").unwrap(), ["push", "--force"]);
        assert_eq!(split("-m 'a b' \"c d\" e\\ f").unwrap(), ["-m", "a b", "c d", "e f"]);
        assert_eq!(split("").unwrap(), Vec::<String>::new());
        assert_eq!(split("''").unwrap(), [""]);
    }

    #[test]
    fn a_quoted_star_is_a_star() {
        assert_eq!(split("'*' * \"?\" \\*").unwrap(), ["\\*", "*", "\\?", "\\*"]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert!(split("'a").is_err() && split("\"a").is_err() && split("a\\").is_err());
        assert!(split("\"a\\").is_err());
    }
}
