//! Words: splits an argument pattern the way a shell would, quotes honoured, nothing expanded.
//! What was quoted comes out escaped, so that a quoted star is a star.

use super::glob::escape_into;

/// What a shell would act on, where it is not quoted.
const ACTIVE: &str = ";|&<>()$`";

/// Splits `text` into words. A quoted or escaped special character is escaped in the result.
pub(crate) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    split_with(text, escape_into)
}

/// Splits one command line into the words that its tool would be given, without expanding anything.
pub(crate) fn split_plain(text: &str) -> Result<Vec<String>, &'static str> {
    let words = split_with(text, |c, word| {
        if c == '\\' || ACTIVE.contains(c) {
            // Marked as quoted, which a bare one below is not.
            word.push('\\');
        }
        word.push(c);
    })?;
    words.into_iter().map(|word| unmark(&word)).collect()
}

fn unmark(word: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(word.len());
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c if ACTIVE.contains(c) => {
                return Err("it is one command and no shell line: quote what a shell acts on, or \
                            write a list of words");
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

fn split_with(text: &str, quoted: impl Fn(char, &mut String)) -> Result<Vec<String>, &'static str> {
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
                        Some(c) => quoted(c, word),
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
                            Some(c) => quoted(c, word),
                            None => return Err("a double quote is never closed"),
                        },
                        Some(c) => quoted(c, word),
                        None => return Err("a double quote is never closed"),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => quoted(c, word.get_or_insert_default()),
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

    #[test]
    fn a_command_line_keeps_quoted_characters_as_they_are() {
        assert_eq!(
            split_plain("git log '*' a\\;b '\\' \\\\").unwrap(),
            ["git", "log", "*", "a;b", "\\", "\\"]
        );
        assert_eq!(
            split_plain("find . -exec rm {} ';'").unwrap(),
            ["find", ".", "-exec", "rm", "{}", ";"]
        );
        for line in ["a; b", "a|b", "a & b", "a >f", "echo $HOME", "echo `id`", "(a)", "'\\';"] {
            assert!(split_plain(line).is_err(), "{line}");
        }
    }
}
