//! Operand: one word of a command that is no flag, against one word of a pattern.
//! A pattern that starts with `/` or `~` is a path, any other is text in which `*` is anything; one
//! with a colon, as `/data:*`, is text too.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use super::Overmatch;
use super::glob::{Glob, GlobError, Kind};
use super::names::{self, Piece};
use super::{paths, unknown};
use crate::action::Action;

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
    fn new(source: &str) -> Result<Self, GlobError> {
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

    /// The same for a rule with this action, whose writer is told what it cannot have.
    pub(crate) fn compile(source: &str, action: Action) -> Result<Self, String> {
        if action == Action::Allow && source.starts_with('~') {
            return Err(
                "an allow rule cannot know whose home `~` is; write the absolute path".into()
            );
        }
        Self::new(source).map_err(|error| error.to_string())
    }

    /// Whether a `deny` or an `ask` must take `operand` for what the pattern means: in any of its
    /// spellings. Without a known working directory, what is so from every one is sure, and what is
    /// so from some is not.
    pub(crate) fn hits(&self, operand: &Operand<'_>) -> Option<Overmatch> {
        if let Some(texts) = names::texts(operand.raw) {
            let hit = texts.iter().any(|text| self.may_hit(text, operand.cwd));
            return hit.then_some(Overmatch::ByUnknown);
        }
        if unknown::is_in(operand.raw) {
            let any = self.path.is_none() && self.text.is_any() && !unknown::is_open(operand.raw);
            return Some(if any { Overmatch::Surely } else { Overmatch::ByUnknown });
        }
        if self.hits_surely(operand) {
            return Some(Overmatch::Surely);
        }
        let somewhere = operand.cwd.is_none() && self.hits_from_somewhere(operand);
        somewhere.then_some(Overmatch::Perhaps)
    }

    /// Whether one of the texts that the pieces leave open may be what the pattern means.
    fn may_hit(&self, pieces: &[Piece<'_>], cwd: Option<&[u8]>) -> bool {
        if let [(None, text)] = pieces {
            let operand = Operand::new(text, cwd);
            return self.hits_surely(&operand)
                || (cwd.is_none() && self.hits_from_somewhere(&operand));
        }
        // What climbs or is not spelled plainly between gaps is not looked into, nor are the paths within
        // a word.
        let odd = |part: &[u8]| {
            paths::climbs(part)
                || part.windows(2).any(|pair| pair == b"//")
                || part.windows(3).any(|three| three == b"/./")
                || part.iter().any(|byte| matches!(byte, b':' | b'='))
        };
        if pieces.iter().any(|(_, part)| odd(part)) {
            return true;
        }
        let head = pieces.first().map_or(&b""[..], |(_, part)| part);
        let bare = head.strip_prefix(b"./").unwrap_or(head);
        let with = |head: &[u8]| {
            let mut whole = pieces.to_vec();
            whole[0].1 = head;
            self.path.as_ref().unwrap_or(&self.text).may_mean(&whole)
        };
        if self.path.is_none() && (with(head) || (bare.len() < head.len() && with(bare))) {
            return true;
        }
        let Some(cwd) = cwd else { return self.path.is_some() || head.first() != Some(&b'/') };
        if head.first() == Some(&b'/') {
            return with(head);
        }
        let below: &[u8] = if cwd == b"/" { b"" } else { cwd };
        with(&[below, b"/", bare].concat())
    }

    fn hits_surely(&self, operand: &Operand<'_>) -> bool {
        if let Some(path) = &self.path {
            let absolute = || operand.spellings().absolute.as_deref();
            return path.matches(operand.raw)
                || self.text.literals().any(|literal| literal == operand.raw)
                || absolute().is_some_and(|absolute| path.matches(absolute));
        }
        if self.text.matches(operand.raw) {
            return true;
        }
        if !operand.raw.iter().any(|byte| matches!(byte, b'/' | b'=' | b'.')) {
            return false;
        }
        let spellings = operand.spellings();
        (*spellings.plain != *operand.raw && self.text.matches(&spellings.plain))
            || spellings.relative.as_deref().is_some_and(|text| self.text.matches(text))
            || spellings.inner.iter().any(|text| self.text.matches(text))
    }

    /// Whether there is a working directory from which `operand` is hit.
    fn hits_from_somewhere(&self, operand: &Operand<'_>) -> bool {
        let plain = &operand.spellings().plain;
        if let Some(path) = &self.path {
            return operand.raw.first() != Some(&b'/')
                && (may_be_anywhere(plain) || path.may_match(&[b"", &[b"/", &**plain].concat()]));
        }
        let elsewhere =
            operand.raw.contains(&b'/') && (plain.first() == Some(&b'/') || may_be_anywhere(plain));
        (elsewhere && suffixes(plain).any(|rest| self.text.matches(rest)))
            || operand.inner_from_anywhere().is_some_and(|parts| {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                self.text.may_match(&parts)
            })
    }

    /// Whether an `allow` may take `word` for what the pattern means. A word that climbs with `..`
    /// could leave any place that the pattern names, and fits only a pattern that names no place.
    pub(crate) fn fits(&self, word: &[u8]) -> bool {
        if unknown::is_in(word) {
            return self.path.is_none() && self.text.is_any();
        }
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

    /// Whether the pattern takes any text.
    pub(crate) fn is_any(&self) -> bool {
        self.path.is_none() && self.text.is_any()
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

    /// Whether it may become more words than one.
    pub(crate) fn may_be_several(&self) -> bool {
        unknown::is_many(self.raw) && !names::is_single(self.raw)
    }

    /// The working directory, where it is known.
    pub(crate) fn cwd(&self) -> Option<&'a [u8]> {
        self.cwd
    }

    /// Every text that a pattern may hit: the word itself, and its other spellings as a text and as
    /// a place. `None` when they cannot be told, for want of a known working directory.
    pub(crate) fn all_spellings(&self) -> Option<impl Iterator<Item = &[u8]>> {
        self.cwd?;
        let spellings = self.spellings();
        let absolute = spellings.absolute.as_deref();
        let inner = spellings.inner.iter().map(Vec::as_slice);
        let plain = std::iter::once(spellings.plain.as_ref());
        Some(plain.chain(absolute).chain(spellings.relative.as_deref()).chain(inner))
    }

    fn spellings(&self) -> &Spellings<'a> {
        self.spellings.get_or_init(|| {
            let absolute = self.absolute(self.raw);
            let plain = paths::normalise(self.raw);
            let relative = absolute
                .as_deref()
                .zip(self.cwd)
                .filter(|_| self.raw.contains(&b'/'))
                .and_then(|(path, cwd)| paths::below(cwd, path))
                .filter(|path| **path != *plain)
                .map(<[u8]>::to_vec);
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
        let mut all = vec![self.respell(|text, piece, _| {
            let place = normalise_place(piece);
            text.extend_from_slice(place.as_deref().unwrap_or(piece));
        })];
        if self.cwd.is_some() {
            all.push(self.respell(|text, piece, assigned| {
                let place = assigned || is_place(piece);
                let absolute = if place { self.absolute(piece) } else { None };
                text.extend_from_slice(absolute.as_deref().unwrap_or(piece));
            }));
        }
        all
    }

    /// The word with the paths inside it as they may be from any working directory: what stands
    /// between two parts is not known.
    fn inner_from_anywhere(&self) -> Option<Vec<Vec<u8>>> {
        if !self.raw.iter().any(|byte| matches!(byte, b'=' | b':')) {
            return None;
        }
        let done = RefCell::new(Vec::new());
        let last = self.respell(|text, piece, assigned| {
            if !(assigned || is_place(piece)) {
                text.extend_from_slice(piece);
                return;
            }
            let plain = paths::normalise(piece);
            if piece.first() != Some(&b'/') {
                done.borrow_mut().push(std::mem::take(text));
                if may_be_anywhere(&plain) {
                    return;
                }
                text.push(b'/');
            }
            text.extend_from_slice(&plain);
        });
        let mut parts = done.into_inner();
        parts.push(last);
        Some(parts)
    }

    /// Rewrites every piece between commas, colons and the first `=` of a part: `write` adds it to
    /// the text, and is told whether it is assigned.
    fn respell(&self, write: impl Fn(&mut Vec<u8>, &[u8], bool)) -> Vec<u8> {
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
                write(&mut text, piece, start > 0);
            }
        }
        text
    }
}

/// Without a known working directory, a path that names it or climbs out of it may be any place.
fn may_be_anywhere(plain: &[u8]) -> bool {
    plain == b"." || plain.starts_with(b"..")
}

/// What a path may be from the working directories above it: everything behind one of its slashes.
fn suffixes(plain: &[u8]) -> impl Iterator<Item = &[u8]> {
    let behind = |(at, byte): (usize, &u8)| (*byte == b'/').then(|| &plain[at + 1..]);
    plain.iter().enumerate().filter_map(behind).filter(|rest| !rest.is_empty())
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
        OperandPattern::new(pattern).unwrap().hits(&operand) == Some(Overmatch::Surely)
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
        let hits = |pattern: &str, word: &str| {
            let operand = Operand::new(word.as_bytes(), None);
            OperandPattern::new(pattern).unwrap().hits(&operand)
        };
        for word in [".", "..", "../etc", "etc", "./etc", "x/../etc"] {
            assert_eq!(hits("/etc", word), Some(Overmatch::Perhaps), "{word}");
        }
        assert_eq!(hits("/etc", "/etc/."), Some(Overmatch::Surely));
        assert_eq!(hits("/etc", "x"), None);
        assert_eq!(hits("/etc/*", "x"), Some(Overmatch::Perhaps));
        assert_eq!(hits("/etc/*/y", "x"), None);
        for word in ["/app", "/srv/app", "../app"] {
            assert_eq!(hits("{a,b}*", word), Some(Overmatch::Perhaps), "{word}");
        }
        assert_eq!(hits("{a,b}*", "app/x"), Some(Overmatch::Surely));
        assert_eq!(hits("{a,b}*", "/"), None);
        assert_eq!(hits("of=/dev/*", "of=sda"), Some(Overmatch::Perhaps));
        assert_eq!(hits("of=/dev/sda", "of=sdb"), None);
        assert_eq!(hits("*=/a/x:/b/y", "v=./x:y"), Some(Overmatch::Perhaps));
    }
}
