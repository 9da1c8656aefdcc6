//! Places: whether what a command names lies inside given folders, by the text of its paths alone.
//! For `allow`, what cannot be told is outside; symbolic links are not followed.

use std::borrow::Cow;

use super::super::args::Overmatch;
use super::super::argv::Reading;
use super::super::glob::{Glob, Kind};
use super::super::{paths, unknown};

/// What a place may be, for diagnostics.
pub(crate) const PLACE_HELP: &str = "a place is `.` (the working directory), a folder below it as `./src`, or an absolute path \
     without `..`; everything below it lies inside";

/// The folders of `inside`.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug)]
enum Place {
    At(Box<[u8]>),
    /// Below the working directory; `.` is that itself.
    Here(Box<[u8]>),
}

/// Where a word leads, as far as `deny` and `ask` care.
enum Lies {
    Inside,
    Outside,
    Unknown,
}

impl Places {
    pub(super) fn new(words: &[&str]) -> Result<Self, (usize, String)> {
        let place = |(at, word): (usize, &&str)| {
            let bytes = word.as_bytes();
            let here = *word == "." || word.starts_with("./");
            let wild = word.contains(['*', '?', '[', '{', '\\', '~']);
            if !(here || word.starts_with('/')) || wild || paths::climbs(bytes) {
                return Err((at, PLACE_HELP.to_owned()));
            }
            let plain = paths::normalise(bytes).into();
            Ok(if here { Place::Here(plain) } else { Place::At(plain) })
        };
        words.iter().enumerate().map(place).collect::<Result<_, _>>().map(Self)
    }

    fn folders<'p>(&'p self, cwd: Option<&[u8]>) -> Vec<Cow<'p, [u8]>> {
        let folder = |place: &'p Place| match place {
            Place::At(path) => Some(Cow::Borrowed(&**path)),
            Place::Here(below) => Some(Cow::Owned(paths::join(cwd?, below))),
        };
        self.0.iter().filter_map(folder).collect()
    }

    /// For `deny` and `ask`: `None` when an operand surely lies outside.
    pub(super) fn overmatch(&self, reading: &Reading<'_>, from: usize) -> Option<Overmatch> {
        let mut surety = Overmatch::Surely;
        for operand in reading.operands.get(from..).unwrap_or_default() {
            if unknown::is_in(operand.word.raw()) {
                surety = surety.min(Overmatch::ByUnknown);
                continue;
            }
            match self.lies(operand.word.raw(), operand.word.cwd()) {
                Lies::Inside => {}
                Lies::Outside if operand.certain => return None,
                Lies::Outside | Lies::Unknown => surety = surety.min(Overmatch::Perhaps),
            }
        }
        // Which flags take a path is not known, so none of their values speaks for the command.
        let values = reading.flags.iter().any(|flag| flag.value.or(flag.next).is_some());
        Some(if values { surety.min(Overmatch::Perhaps) } else { surety })
    }

    fn lies(&self, word: &[u8], cwd: Option<&[u8]>) -> Lies {
        let folders = self.folders(cwd);
        let path = match cwd {
            Some(cwd) => paths::join(cwd, word),
            None if word.first() == Some(&b'/') => paths::normalise(word).into_owned(),
            None => return Lies::Unknown,
        };
        let unsure = cwd.is_none() && self.0.iter().any(|place| matches!(place, Place::Here(_)));
        let odd = word.iter().any(|byte| b"=:,@~*?[{".contains(byte));
        if folders.iter().any(|folder| is_within(folder, &path)) {
            Lies::Inside
        } else if unsure || odd {
            Lies::Unknown
        } else {
            Lies::Outside
        }
    }

    /// For `allow`: whether every word surely lies inside, in whatever way a tool may read it. With no
    /// word at all the working directory has to.
    pub(super) fn hold<'w>(
        &self,
        mut words: impl Iterator<Item = &'w [u8]>,
        has_operand: bool,
        cwd: Option<&[u8]>,
    ) -> bool {
        let Some(cwd) = cwd.filter(|cwd| cwd.first() == Some(&b'/') && !paths::climbs(cwd)) else {
            return false;
        };
        let folders = self.folders(Some(cwd));
        let inside = |path: &[u8]| folders.iter().any(|folder| is_within(folder, path));
        let sure = |word: &[u8]| place_of(word, cwd).is_some_and(|path| inside(&path));
        (has_operand || inside(&paths::normalise(cwd)))
            && words.all(|word| {
                let is_separator = |byte: &u8| matches!(byte, b'=' | b',' | b'@' | b' ' | b';');
                let starts = word.iter().enumerate().filter(|(_, byte)| is_separator(byte));
                let suffixes = starts.map(|(at, _)| &word[at + 1..]);
                let pieces = word.split(is_separator);
                sure(word) && suffixes.chain(pieces).all(|part| part.is_empty() || sure(part))
            })
    }
}

/// Whether `path` is the folder or lies below it; both absolute and plain.
fn is_within(folder: &[u8], path: &[u8]) -> bool {
    folder == path || paths::below(folder, path).is_some()
}

/// The one path that a word can name; `None` when it may be another place, or none on this disk.
fn place_of(word: &[u8], cwd: &[u8]) -> Option<Vec<u8>> {
    if word.is_empty()
        || unknown::is_in(word)
        || word[0] == b'~'
        || word.contains(&b':')
        || word.contains(&b'\\')
    {
        return None;
    }
    let mut named = false;
    for part in word.split(|byte| *byte == b'/') {
        match part {
            // Behind a name that may be a link, `..` leads elsewhere than the text says.
            b".." if named || word[0] == b'/' => return None,
            b"" | b"." | b".." => {}
            _ => {
                named = true;
                if part.iter().any(|byte| b"*?[{".contains(byte)) {
                    let text = std::str::from_utf8(part).ok()?;
                    let glob = Glob::new(text, Kind::Text).ok()?;
                    if glob.matches(b"..") || part[0] == b'~' {
                        return None;
                    }
                }
            }
        }
    }
    Some(paths::join(cwd, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(places: &[&str], words: &[&str]) -> bool {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let has_operand = !words.is_empty();
        Places::new(places).unwrap().hold(words.into_iter(), has_operand, Some(b"/app/sub"))
    }

    #[test]
    fn what_surely_lies_inside_is_told_from_the_text() {
        for word in
            ["x", "./x", "x//y/", ".", "a=b", "/app/sub/x", "//app/./sub", "/tmp/x", "*.txt"]
        {
            assert!(inside(&[".", "/tmp"], &[word]), "{word}");
        }
        assert!(inside(&["/app"], &["../x", ".."]) && inside(&["./a"], &["a/b"]));
        assert!(inside(&["."], &[]) && !inside(&["/tmp"], &[]));
    }

    #[test]
    fn what_cannot_be_told_is_outside() {
        for word in [
            "..",
            "../x",
            "/",
            "/app",
            "/app/subx",
            "/app/sub/../sub/x",
            "x/../y",
            "~",
            "~/x",
            "host:x",
            "of=/etc/x",
            "a=../x",
            "x,/etc",
            "@/etc/x",
            "https://x",
            "*",
            ".*/x",
            "[.]?/x",
            "{..,x}/y",
            "",
            "/tmp/..,x",
            "a\\b",
            "-o=/etc",
        ] {
            assert!(!inside(&[".", "/tmp"], &[word]), "{word}");
        }
        let unknown = Places::new(&["."]).unwrap();
        assert!(!unknown.hold([&b"x"[..]].into_iter(), true, None));
    }

    #[test]
    fn a_place_that_cannot_be_one_is_refused() {
        for text in ["src", "..", "/a/../b", "~", "/tmp/*", "", "../x"] {
            assert!(Places::new(&[text]).is_err(), "{text:?}");
        }
    }
}
