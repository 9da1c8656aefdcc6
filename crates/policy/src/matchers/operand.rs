//! Operand: one word of a command that is no flag, against one word of a pattern.
//! A pattern that starts with `/` or `~` is a path, any other is text in which `*` is anything; one
//! with a colon, as `/data:*`, is text too.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::glob::{Glob, GlobError, Kind};
use super::paths;

/// Where home directories are, for a `~` in a pattern of `deny` or `ask`.
const HOMES: &str = "{/root,/home/?*,/Users/?*}";

/// One word of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct OperandPattern {
    text: Glob,
    path: Option<Glob>,
}

/// One word of a command, with its other spellings worked out once, when they are first needed.
#[derive(Debug)]
pub(crate) struct Operand<'a> {
    raw: &'a [u8],
    cwd: Option<&'a [u8]>,
    spellings: OnceCell<Box<Spellings<'a>>>,
}

#[derive(Debug)]
struct Spellings<'a> {
    plain: Cow<'a, [u8]>,
    absolute: Option<Vec<u8>>,
    /// As seen from the working directory, when that differs.
    relative: Option<Vec<u8>>,
    /// With the paths inside it, as in `key=/a//b,other=c` and `/a/../b:/c`, in their plain and
    /// their absolute spellings.
    inner: Vec<Vec<u8>>,
}

impl OperandPattern {
    pub(crate) fn new(source: &str) -> Result<Self, GlobError> {
        let text = Glob::new(source, Kind::Text)?;
        let path = if let Some(rest) = source.strip_prefix('~') {
            match rest {
                "" | "/" => Some(Glob::new(HOMES, Kind::Path)?),
                "/*" => Some(Glob::new(&format!("{HOMES}{{,/*}}"), Kind::Path)?),
                _ if rest.starts_with('/') => {
                    Some(Glob::new(&format!("{HOMES}{rest}"), Kind::Tree)?)
                }
                _ => None,
            }
        } else if source == "/*" {
            // What a shell makes of it: the root's entries. Everything below would be every path.
            Some(Glob::new("{/,/*}", Kind::Path)?)
        } else if source.starts_with('/') && !source.contains(':') {
            let plain = String::from_utf8_lossy(&paths::normalise(source.as_bytes())).into_owned();
            Some(Glob::new(&plain, Kind::Tree)?)
        } else {
            None
        };
        Ok(Self { text, path })
    }

    /// Whether a `deny` or an `ask` must take `operand` for what the pattern means: in any of its
    /// spellings.
    pub(crate) fn hits(&self, operand: &Operand<'_>) -> bool {
        if let Some(path) = &self.path {
            return path.matches(operand.raw)
                || self.text.literals().any(|literal| literal == operand.raw)
                || operand.may_be_place(path);
        }
        if self.text.matches(operand.raw) {
            return true;
        }
        if !operand.raw.iter().any(|byte| matches!(byte, b'/' | b'=' | b'.')) {
            return false;
        }
        let spellings = operand.spellings();
        self.text.matches(&spellings.plain)
            || spellings.relative.as_deref().is_some_and(|text| self.text.matches(text))
            || spellings.inner.iter().any(|text| self.text.matches(text))
    }

    /// Whether an `allow` may take `word` for what the pattern means. A word that climbs with `..`
    /// could leave any place that the pattern names, and fits only a pattern that names no place.
    pub(crate) fn fits(&self, word: &[u8]) -> bool {
        if let Some(path) = &self.path {
            return word.first() == Some(&b'/')
                && !paths::climbs(word)
                && path.matches(&paths::normalise(word));
        }
        if paths::climbs(word) && !self.text.is_any() {
            return self.text.literals().any(|literal| literal == word);
        }
        self.text.matches(word)
    }

    /// The literal texts of a pattern without wildcards that is no path.
    pub(crate) fn plain_words(&self) -> impl Iterator<Item = &[u8]> {
        self.text.literals().filter(|_| self.path.is_none())
    }

    /// The literal paths of a pattern that is one; a word hits it only with one of these spellings.
    pub(crate) fn plain_paths(&self) -> impl Iterator<Item = &[u8]> {
        self.path.iter().flat_map(Glob::literals)
    }

    /// Whether the pattern is a path.
    pub(crate) fn is_path(&self) -> bool {
        self.path.is_some()
    }

    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        self.text.source()
    }
}

impl<'a> Operand<'a> {
    pub(crate) fn new(raw: &'a [u8], cwd: Option<&'a [u8]>) -> Self {
        Self { raw, cwd, spellings: OnceCell::new() }
    }

    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Every text that a pattern may hit: the word itself, and its other spellings as a text and as
    /// a place. `None` when it may be any place.
    pub(crate) fn all_spellings(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let spellings = self.spellings();
        let absolute = spellings.absolute.as_deref();
        if absolute.is_none() && self.may_be_anywhere() {
            return None;
        }
        let inner = spellings.inner.iter().map(Vec::as_slice);
        let plain = std::iter::once(spellings.plain.as_ref());
        Some(plain.chain(absolute).chain(spellings.relative.as_deref()).chain(inner))
    }

    fn may_be_anywhere(&self) -> bool {
        let plain = &self.spellings().plain;
        plain.as_ref() == b"." || plain.starts_with(b"..")
    }

    fn spellings(&self) -> &Spellings<'a> {
        self.spellings.get_or_init(|| {
            let absolute = self.absolute(self.raw);
            let relative = absolute
                .as_deref()
                .zip(self.cwd)
                .filter(|_| self.raw.contains(&b'/'))
                .and_then(|(path, cwd)| paths::below(cwd, path))
                .map(<[u8]>::to_vec);
            let plain = paths::normalise(self.raw);
            Box::new(Spellings { plain, absolute, relative, inner: self.inner() })
        })
    }

    fn absolute(&self, path: &[u8]) -> Option<Vec<u8>> {
        if path.first() == Some(&b'/') {
            return Some(paths::normalise(path).into_owned());
        }
        self.cwd.map(|cwd| paths::join(cwd, path))
    }

    fn inner(&self) -> Vec<Vec<u8>> {
        if !self.raw.iter().any(|byte| matches!(byte, b'=' | b':')) {
            return Vec::new();
        }
        let plain = self.respell(|piece, _| normalise_place(piece));
        let absolute = self.respell(|piece, assigned| {
            let place = assigned || is_place(piece);
            if place { self.absolute(piece) } else { None }
        });
        vec![plain, absolute]
    }

    /// Rewrites every piece between commas, colons and the first `=` of a part.
    fn respell(&self, change: impl Fn(&[u8], bool) -> Option<Vec<u8>>) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.raw.len());
        for (number, part) in self.raw.split(|byte| *byte == b',').enumerate() {
            if number > 0 {
                text.push(b',');
            }
            let start = part.iter().position(|byte| *byte == b'=').map_or(0, |at| at + 1);
            text.extend_from_slice(&part[..start]);
            for (number, piece) in part[start..].split(|byte| *byte == b':').enumerate() {
                if number > 0 {
                    text.push(b':');
                }
                match change(piece, start > 0) {
                    Some(changed) => text.extend(changed),
                    None => text.extend_from_slice(piece),
                }
            }
        }
        text
    }

    /// Without a known working directory, a word that names it or climbs out of it may be any place.
    fn may_be_place(&self, path: &Glob) -> bool {
        let spellings = self.spellings();
        match &spellings.absolute {
            Some(absolute) => path.matches(absolute),
            None => self.may_be_anywhere(),
        }
    }
}

fn is_place(piece: &[u8]) -> bool {
    piece.contains(&b'/') || piece.starts_with(b".")
}

fn normalise_place(piece: &[u8]) -> Option<Vec<u8>> {
    is_place(piece).then(|| paths::normalise(piece).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(pattern: &str, word: &str) -> bool {
        let operand = Operand::new(word.as_bytes(), Some(b"/app"));
        OperandPattern::new(pattern).unwrap().hits(&operand)
    }

    fn fits(pattern: &str, word: &str) -> bool {
        OperandPattern::new(pattern).unwrap().fits(word.as_bytes())
    }

    #[test]
    fn every_spelling_of_a_denied_path_is_hit() {
        for word in ["/", "//", "/.", "//../", "/app/..", "..", "../", "./.."] {
            assert!(hits("/", word), "{word}");
        }
        for word in ["/etc/", "/etc/.", "../etc", "/app/../etc"] {
            assert!(hits("/etc", word), "{word}");
        }
        assert!(!hits("/", "x") && !hits("/etc", "etc") && !hits("/", "."));
    }

    #[test]
    fn a_trailing_star_takes_in_everything_below() {
        assert!(hits("/etc/*", "/etc/a/b") && hits("/etc/*", "/etc"));
        assert!(!hits("/etc/*", "/etcetera"));
        assert!(hits("/*", "/etc") && !hits("/*", "/etc/passwd") && !hits("/*", "src"));
    }

    #[test]
    fn a_tilde_is_a_home_directory() {
        for word in ["~", "/root", "/home/ann", "/home/ann/", "/home/ann/../bob"] {
            assert!(hits("~", word), "{word}");
        }
        assert!(!hits("~", "/home/ann/src") && !hits("~", "/home"));
        assert!(hits("~/*", "/home/ann/src") && !hits("~/*", "/home/ann/src/x"));
        assert!(hits("~/.ssh/*", "/home/ann/.ssh/id") && hits("~/.ssh/*", "/root/.ssh"));
    }

    #[test]
    fn a_denied_name_is_hit_through_any_path_to_it_from_here() {
        for word in [".env", "./.env", "/app/.env", "../app/.env", "x/../.env"] {
            assert!(hits(".env", word), "{word}");
        }
        assert!(!hits(".env", "/other/.env"));
    }

    #[test]
    fn the_value_of_an_assignment_has_its_spellings_too() {
        for word in ["of=/dev/sda", "of=//dev/sda", "of=/tmp/../dev/sda", "of=../dev/sda"] {
            assert!(hits("of=/dev/*", word), "{word}");
        }
        assert!(!hits("of=/dev/*", "of=sda"));
        for word in ["/:/host", "//:/host", "/app/..:/host", "..:/host:ro"] {
            assert!(hits("/:*", word), "{word}");
        }
        for word in ["type=bind,source=//,target=/x", "source=/app/..,target=/x"] {
            assert!(hits("*source=/\\,*", word), "{word}");
        }
    }

    #[test]
    fn an_allowed_path_cannot_be_climbed_out_of() {
        assert!(fits("/app/*", "/app/x//y/"));
        assert!(!fits("/app/*", "/app/../etc") && !fits("/app/*", "x"));
        assert!(fits("src/*", "src/a") && !fits("src/*", "src/../../etc"));
        assert!(fits("*", "../x") && fits("../x", "../x"));
    }

    #[test]
    fn an_unknown_working_directory_errs_to_the_safe_side() {
        let hits = |word: &str| {
            let operand = Operand::new(word.as_bytes(), None);
            OperandPattern::new("/etc").unwrap().hits(&operand)
        };
        assert!(hits(".") && hits("..") && hits("../etc") && hits("/etc"));
        assert!(!hits("x"));
    }
}
