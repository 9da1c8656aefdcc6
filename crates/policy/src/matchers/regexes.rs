//! Regexes: the regular expressions of a policy, each compiled once and all of them within a bound.
//! What they may take is bounded in bytes, because the time to compile one grows with them.

use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};

use crate::action::Action;

/// Longest regular expression, in bytes.
const MAX_BYTES: usize = 1024;
/// Bytes that a compiled regular expression may take, and as many for its cache: the first size that suffices is
/// what it counts for. More than the last is refused.
const SIZES: [usize; 4] = [1 << 12, 1 << 14, 1 << 16, 1 << 18];
/// What one counts for that the first size suffices for.
const LEAST: usize = 1 << 11;
/// What one that is too large counts for: it took as long to find that out.
const TOO_LARGE: usize = 1 << 20;
/// Bytes that all of them may count for. Beyond it none is compiled.
const MAX_IN_ALL: usize = 4 << 20;

/// Compiles regular expressions.
#[derive(Debug, Default)]
pub(crate) struct Regexes {
    known: HashMap<Box<str>, Regex>,
    used: usize,
}

impl Regexes {
    /// Compiles one for a rule with this action; an `allow` matches the whole of an argument, `deny` and
    /// `ask` any part of it. The error says what would be right.
    pub(crate) fn compile(&mut self, text: &str, action: Action) -> Result<Regex, String> {
        if text.is_empty() {
            return Err("the regular expression is empty".into());
        }
        if text.len() > MAX_BYTES {
            return Err(format!("a regular expression has at most {MAX_BYTES} bytes"));
        }
        if action != Action::Allow {
            return self.sized(text);
        }
        // Alone first, so that it cannot close the group that is put around it.
        match build(text, 0) {
            Ok(_) | Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => return Err(told(&error)),
        }
        self.sized(&format!("\\A(?:{text})\\z"))
    }

    /// Whether none is compiled any more.
    pub(crate) fn is_spent(&self) -> bool {
        self.used >= MAX_IN_ALL
    }

    fn sized(&mut self, text: &str) -> Result<Regex, String> {
        if let Some(known) = self.known.get(text) {
            return Ok(known.clone());
        }
        for size in SIZES.into_iter().skip(if has_all_letters(text) { 2 } else { 0 }) {
            if self.is_spent() {
                return Err(format!(
                    "the regular expressions of this file compile to more than {MAX_IN_ALL} bytes; \
                     make them simpler: `[0-9]` for `\\d`, `[a-z]` for `\\w`"
                ));
            }
            match build(text, size) {
                Ok(regex) => {
                    self.used += if size > SIZES[0] { size } else { LEAST };
                    self.known.insert(text.into(), regex.clone());
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => return Err(told(&error)),
            }
        }
        let most = SIZES.last().copied().unwrap_or_default();
        self.used += TOO_LARGE;
        Err(format!("it compiles to more than {most} bytes; make it simpler"))
    }
}

/// Whether it has a `\w` of all alphabets, which fits into no small size: one that is no escaped backslash's, where
/// nothing says that letters are those of ASCII.
fn has_all_letters(text: &str) -> bool {
    let mut is_escaped = false;
    let has_letters = text.bytes().any(|b| {
        let is_letter = is_escaped && matches!(b, b'w' | b'W');
        is_escaped = b == b'\\' && !is_escaped;
        is_letter
    });
    let is_of_ascii = |group: &str| {
        let end = group.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(group.len());
        group[..end].split_once('-').is_some_and(|(_, off)| off.contains('u'))
    };
    has_letters && !text.split("(?").skip(1).any(is_of_ascii)
}

fn build(text: &str, size: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(size).dfa_size_limit(size.max(MIN_CACHE)).build()
}

/// Bytes of a cache with which a small expression is still matched fast.
const MIN_CACHE: usize = 1 << 18;

fn told(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_matches_the_whole_argument() {
        let mut regexes = Regexes::default();
        let mut matches = |action| regexes.compile("a|b", action).unwrap().is_match(b"xa");
        assert!(matches(Action::Deny) && !matches(Action::Allow));
        assert!(regexes.compile("a)|(?:b", Action::Allow).is_err());
        assert!(regexes.compile("a)|(?:b", Action::Deny).is_err());
    }

    #[test]
    fn all_of_a_file_together_are_bounded() {
        let mut regexes = Regexes::default();
        let built = (0..1000).take_while(|n| {
            let text = format!("^{n}\\w+$");
            regexes.compile(&text, Action::Deny).is_ok()
        });
        assert_eq!(built.count(), MAX_IN_ALL / SIZES[2]);
        let error = regexes.compile("\\w", Action::Deny).unwrap_err();
        assert!(error.contains("of this file"), "{error}");
        // The same again costs nothing.
        assert!(regexes.compile("^7\\w+$", Action::Deny).is_ok());
        assert!(regexes.compile("^v1", Action::Deny).is_err());
    }

    #[test]
    fn small_ones_count_for_little() {
        let mut regexes = Regexes::default();
        for n in 0..2000 {
            assert!(regexes.compile(&format!("^v{n}[0-9.]+$"), Action::Allow).is_ok(), "{n}");
        }
        assert_eq!(regexes.used, 2000 * LEAST);
        let more = (2000..20_000)
            .take_while(|n| regexes.compile(&format!("^v{n}[0-9.]+$"), Action::Allow).is_ok());
        assert_eq!(more.count(), MAX_IN_ALL / LEAST - 2000);
    }

    #[test]
    fn letters_of_ascii_and_escaped_backslashes_count_for_little() {
        for (text, counts_for) in [
            (r"^\\w+$", LEAST),
            (r"^\\\\W$", LEAST),
            (r"(?-u)^\w+$", LEAST),
            (r"^(?i-u:\w+)$", LEAST),
            (r"^\w+$", SIZES[2]),
            (r"^\\\w+$", SIZES[2]),
            (r"(?i)^\w+$", SIZES[2]),
        ] {
            let mut regexes = Regexes::default();
            regexes.compile(text, Action::Deny).unwrap();
            assert_eq!(regexes.used, counts_for, "{text}");
        }
    }

    #[test]
    fn one_that_is_too_large_counts_as_well() {
        let mut regexes = Regexes::default();
        let errors: Vec<String> = (0..40)
            .map(|n| regexes.compile(&format!("{n}\\w{{900}}"), Action::Deny).unwrap_err())
            .collect();
        assert!(errors[0].contains("make it simpler"), "{}", errors[0]);
        assert!(errors[39].contains("of this file"), "{}", errors[39]);
    }
}
