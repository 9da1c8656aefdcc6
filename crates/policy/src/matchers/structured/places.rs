//! Places: whether what a command names lies inside given folders: by the text of its paths, and by where links lead
//! where that is known. For `allow`, what cannot be told is outside.

use std::borrow::Cow;

use super::super::Overmatch;
use super::super::argv::Reading;
use super::super::glob::{Glob, Kind};
use super::super::{paths, unknown};
use crate::facts::Links;

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

    /// The same, each where it leads. One of which that cannot be told is none.
    fn followed(&self, cwd: Option<&[u8]>, links: &dyn Links) -> Vec<Vec<u8>> {
        self.folders(cwd).iter().filter_map(|folder| links.follow(folder)).collect()
    }

    /// For `deny` and `ask`: `None` when an operand surely lies outside.
    pub(super) fn overmatch(
        &self,
        reading: &Reading<'_>,
        from: usize,
        links: Option<&dyn Links>,
    ) -> Option<Overmatch> {
        let mut surety = Overmatch::Surely;
        for operand in reading.operands.get(from..).unwrap_or_default() {
            if unknown::is_in(operand.word.raw()) {
                surety = surety.min(Overmatch::ByUnknown);
                continue;
            }
            match self.lies(operand.word.raw(), operand.word.cwd(), links) {
                Lies::Inside => {}
                Lies::Outside if operand.certain => return None,
                Lies::Outside | Lies::Unknown => surety = surety.min(Overmatch::Perhaps),
            }
        }
        // Which flags take a path is not known, so none of their values speaks for the command.
        let values = reading.flags.iter().any(|flag| flag.value.or(flag.next).is_some());
        Some(if values { surety.min(Overmatch::Perhaps) } else { surety })
    }

    fn lies(&self, word: &[u8], cwd: Option<&[u8]>, links: Option<&dyn Links>) -> Lies {
        let folders = self.folders(cwd);
        let path = match cwd {
            Some(cwd) => paths::join(cwd, word),
            None if word.first() == Some(&b'/') => paths::normalise(word).into_owned(),
            None => return Lies::Unknown,
        };
        let unsure = cwd.is_none() && self.0.iter().any(|place| matches!(place, Place::Here(_)));
        let odd = word.iter().any(|byte| b"=:,@~*?[{".contains(byte));
        if folders.iter().any(|folder| is_within(folder, &path)) {
            return Lies::Inside;
        }
        if unsure || odd {
            return Lies::Unknown;
        }
        let Some(links) = links else { return Lies::Outside };
        // As it is written: behind a link `..` leads elsewhere than the text says.
        let written = match cwd {
            Some(cwd) if word.first() != Some(&b'/') => [cwd, b"/", word].concat(),
            _ => word.to_vec(),
        };
        match links.follow(&written) {
            None => Lies::Unknown,
            Some(real) if any_holds(&self.followed(cwd, links), &real) => Lies::Inside,
            Some(_) => Lies::Outside,
        }
    }

    /// For `allow`: whether every word surely lies inside, in whatever way a tool may read it, by its text and by where
    /// it leads. With no word at all the working directory has to.
    pub(super) fn hold<'w>(
        &self,
        mut words: impl Iterator<Item = &'w [u8]>,
        has_operand: bool,
        Here { cwd, links }: Here<'_>,
    ) -> bool {
        let Some(cwd) = cwd.filter(|cwd| cwd.first() == Some(&b'/') && !paths::climbs(cwd)) else {
            return false;
        };
        let folders = self.folders(Some(cwd));
        let followed = links.map(|links| (links, self.followed(Some(cwd), links)));
        let leads_inside = |path: &[u8]| match &followed {
            None => true,
            Some((links, real)) => links.follow(path).is_some_and(|path| any_holds(real, &path)),
        };
        let inside = |path: &[u8]| {
            folders.iter().any(|folder| is_within(folder, path)) && leads_inside(path)
        };
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

/// Where a command runs, and where paths lead there.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) cwd: Option<&'a [u8]>,
    pub(crate) links: Option<&'a dyn Links>,
}

fn any_holds(folders: &[Vec<u8>], path: &[u8]) -> bool {
    folders.iter().any(|folder| is_within(folder, path))
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
        let here = Here { cwd: Some(b"/app/sub"), links: None };
        Places::new(places).unwrap().hold(words.into_iter(), has_operand, here)
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
        let nowhere = Here { cwd: None, links: None };
        assert!(!unknown.hold([&b"x"[..]].into_iter(), true, nowhere));
    }

    /// `/app/sub/out` leads to `/etc`, `/app/sub/in` to `/app/sub/x`, `/app/sub/lost` to nothing, `/var` to `/private`.
    #[derive(Debug)]
    struct World;

    impl Links for World {
        fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
            let plain = paths::normalise(path).into_owned();
            for (link, to) in
                [("/app/sub/out", "/etc"), ("/app/sub/in", "/app/sub/x"), ("/var", "/private")]
            {
                if plain == link.as_bytes() {
                    return Some(to.as_bytes().to_vec());
                }
                if let Some(rest) = paths::below(link.as_bytes(), &plain) {
                    return Some([to.as_bytes(), b"/", rest].concat());
                }
            }
            (plain != b"/app/sub/lost").then_some(plain)
        }
    }

    #[test]
    fn an_allow_takes_what_lies_inside_by_its_text_and_by_where_it_leads() {
        let inside = |places: &[&str], word: &str| {
            let here = Here { cwd: Some(b"/app/sub"), links: Some(&World) };
            Places::new(places).unwrap().hold([word.as_bytes()].into_iter(), true, here)
        };
        for word in ["x", "in/y", "new/deep/er", "5"] {
            assert!(inside(&["."], word), "{word}");
        }
        for word in ["out", "out/passwd", "lost", "/etc/passwd", "a=out/x"] {
            assert!(!inside(&["."], word), "{word}");
        }
        // A place may be reached by a link itself.
        assert!(inside(&["/var/tmp"], "/var/tmp/x") && !inside(&["/private"], "/var/x"));
    }

    #[test]
    fn a_deny_takes_what_leads_inside_whatever_its_text_says() {
        let lies = |places: &[&str], word: &str| {
            let places = Places::new(places).unwrap();
            match places.lies(word.as_bytes(), Some(b"/app/sub"), Some(&World)) {
                Lies::Inside => "inside",
                Lies::Outside => "outside",
                Lies::Unknown => "unknown",
            }
        };
        assert_eq!(lies(&["/etc"], "out/shadow"), "inside");
        assert_eq!(lies(&["/private"], "/var/x"), "inside");
        assert_eq!(lies(&["/etc"], "lost"), "unknown");
        assert_eq!(lies(&["/etc"], "in"), "outside");
    }

    #[test]
    fn a_place_that_cannot_be_one_is_refused() {
        for text in ["src", "..", "/a/../b", "~", "/tmp/*", "", "../x"] {
            assert!(Places::new(&[text]).is_err(), "{text:?}");
        }
    }
}
