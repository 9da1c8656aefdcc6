//! Name: which tool a rule speaks of. A bare pattern means the tool on the jail's PATH; a pattern
//! with a slash means a place. A copy of a tool elsewhere is never allowed by the bare name.

use super::Overmatch;
use super::glob::{Glob, Kind, Trait};
use super::paths;
use crate::facts::Facts;

/// The name by which rules speak of a redirection that writes.
pub(crate) const WRITE: &[u8] = b">";
/// And of one that reads.
pub(crate) const READ: &[u8] = b"<";

/// Where the tools of a system are. One that is only known by its bare name is held to be in any.
pub(crate) const SYSTEM: &[&[u8]] =
    &[b"/usr/bin/", b"/bin/", b"/usr/sbin/", b"/sbin/", b"/usr/local/bin/"];

/// One entry of a rule's `command`.
#[derive(Debug)]
pub(crate) enum NamePattern {
    Bare(Glob),
    /// `strict` keeps a trailing `/*` to one level, for `allow`; `loose` takes everything below.
    Place {
        strict: Glob,
        loose: Glob,
    },
}

/// Every name a request goes by.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub(crate) tool: Option<&'a [u8]>,
    /// Last component of what was asked for.
    pub(crate) asked: &'a [u8],
    /// Last component of what it resolved to.
    pub(crate) resolved: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    /// What was asked for as a place, when it had a slash.
    place: Option<Place>,
}

#[derive(Debug)]
enum Place {
    At(Vec<u8>),
    /// This, below some unknown working directory; empty when that may be it.
    Below(Vec<u8>),
}

impl<'a> Names<'a> {
    pub(crate) fn of(facts: &Facts<'a>) -> Self {
        let slash = facts.name.contains(&b'/');
        Self {
            tool: facts.tool,
            asked: paths::basename(facts.name),
            resolved: facts.path.map(paths::basename),
            path: facts.path,
            place: slash.then(|| Place::of(facts.name, facts.cwd)),
        }
    }

    /// The distinct bare names.
    pub(crate) fn bare(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (tool, asked, resolved) = (self.tool, self.asked, self.resolved);
        let second = Some(asked).filter(|name| tool != Some(name));
        let third = resolved.filter(|name| tool != Some(name) && asked != *name);
        tool.into_iter().chain(second).chain(third)
    }
}

impl Place {
    fn of(name: &[u8], cwd: Option<&[u8]>) -> Self {
        match cwd {
            Some(cwd) => Self::At(paths::join(cwd, name)),
            None if name.first() == Some(&b'/') => Self::At(paths::normalise(name).into_owned()),
            None => Self::Below(paths::from_anywhere(&paths::normalise(name))),
        }
    }
}

impl NamePattern {
    /// Compiles a pattern; the error says what would be right.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let glob = |kind| Glob::new(text, kind).map_err(|error| error.to_string());
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err("a command is one name; arguments belong to `args`".into());
        }
        if !text.contains('/') {
            if text.contains(char::is_whitespace) {
                return Err("a command is one name; arguments belong to `args`".into());
            }
            if text == "." || text == ".." {
                return Err("that cannot be the name of a tool".into());
            }
            return glob(Kind::Text).map(Self::Bare);
        }
        if !(text.starts_with('/') || text.starts_with("**/")) || paths::climbs(text.as_bytes()) {
            return Err("write an absolute path without `..`, or `**/name` for any folder".into());
        }
        Ok(Self::Place { strict: glob(Kind::Path)?, loose: glob(Kind::Tree)? })
    }

    /// Whether an `allow` may take this request for the tool it means.
    pub(crate) fn is(&self, names: &Names<'_>) -> bool {
        match self {
            Self::Bare(glob) => names.tool.is_some_and(|tool| glob.matches(tool)),
            Self::Place { strict, .. } => {
                names.path.is_some_and(|path| !paths::climbs(path) && strict.matches(path))
            }
        }
    }

    /// Whether a `deny` or an `ask` must take this request for the tool it means.
    pub(crate) fn may_be(&self, names: &Names<'_>) -> Option<Overmatch> {
        let surely = |is: bool| is.then_some(Overmatch::Surely);
        match self {
            Self::Bare(glob) => surely(names.bare().any(|name| glob.matches(name))),
            Self::Place { loose, .. } if names.path.is_some_and(|path| loose.matches(path)) => {
                Some(Overmatch::Surely)
            }
            Self::Place { loose, .. } => match names.place.as_ref() {
                Some(Place::At(place)) => surely(loose.matches(place)),
                Some(Place::Below(rest)) => {
                    loose.may_match(&[b"", rest]).then_some(Overmatch::Perhaps)
                }
                None => surely(names.tool.is_some_and(|tool| {
                    let nowhere = names.path.is_none();
                    nowhere && SYSTEM.iter().any(|dir| loose.matches(&[*dir, tool].concat()))
                })),
            },
        }
    }

    /// Whether the pattern spells this name out.
    pub(crate) fn spells(&self, name: &[u8]) -> bool {
        match self {
            Self::Bare(glob) => glob.literals().any(|literal| literal == name),
            Self::Place { .. } => false,
        }
    }

    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        match self {
            Self::Bare(glob) | Self::Place { strict: glob, .. } => glob.source(),
        }
    }

    /// The bare names that the pattern spells out.
    pub(crate) fn bare_names(&self) -> impl Iterator<Item = &str> {
        let glob = match self {
            Self::Bare(glob) => Some(glob),
            Self::Place { .. } => None,
        };
        glob.into_iter().flat_map(Glob::literals).filter_map(|name| std::str::from_utf8(name).ok())
    }

    /// What the bare names have in common that this pattern can match; of a place, what the last
    /// components have.
    pub(crate) fn traits(&self) -> Vec<Trait> {
        match self {
            Self::Bare(glob) => glob.traits().collect(),
            Self::Place { loose, .. } => {
                let source = loose.source();
                let last = source.rsplit('/').next().unwrap_or_default();
                let plain = !source.contains(['{', '\\', '[']) && !last.contains('*');
                match Glob::new(last, Kind::Text) {
                    Ok(glob) if plain => glob.traits().collect(),
                    _ => vec![Trait::Tail(Vec::new())],
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(name: &'a str, path: Option<&'a str>, tool: Option<&'a str>) -> Facts<'a> {
        Facts {
            name: name.as_bytes(),
            path: path.map(str::as_bytes),
            tool: tool.map(str::as_bytes),
            cwd: Some(b"/app"),
            ..Facts::default()
        }
    }

    fn both(pattern: &str, facts: &Facts<'_>) -> (bool, bool) {
        let names = Names::of(facts);
        let pattern = NamePattern::new(pattern).unwrap();
        (pattern.is(&names), pattern.may_be(&names).is_some())
    }

    #[test]
    fn a_bare_pattern_allows_only_the_tool_on_the_path() {
        let real = facts("git", Some("/usr/bin/git"), Some("git"));
        let copy = facts("./git", Some("/app/git"), None);
        assert_eq!(both("git", &real), (true, true));
        assert_eq!(both("g*", &real), (true, true));
        assert_eq!(both("git", &copy), (false, true));
        assert_eq!(both("*", &copy), (false, true));
    }

    #[test]
    fn a_link_is_denied_by_either_name() {
        let link = facts("/tmp/harmless", Some("/usr/bin/rm"), None);
        assert_eq!(both("rm", &link), (false, true));
        assert_eq!(both("harmless", &link), (false, true));
        assert_eq!(both("/tmp/harmless", &link), (false, true));
        assert_eq!(both("/usr/bin/rm", &link), (true, true));
    }

    #[test]
    fn a_place_is_matched_by_component() {
        let deep = facts("x", Some("/opt/tools/sub/x"), None);
        assert_eq!(both("/opt/tools/*", &deep), (false, true));
        assert_eq!(both("/opt/**", &deep), (true, true));
        assert_eq!(both("**/x", &deep), (true, true));
        assert_eq!(both("/opt/*/x", &deep), (false, false));
    }

    #[test]
    fn a_place_below_an_unknown_folder_may_be_anywhere() {
        let sure = |pattern: &str, cwd: Option<&str>| {
            let here = Facts { cwd: cwd.map(str::as_bytes), ..facts("./bin/x", None, None) };
            NamePattern::new(pattern).unwrap().may_be(&Names::of(&here))
        };
        assert_eq!(sure("/opt/bin/*", Some("/opt")), Some(Overmatch::Surely));
        assert_eq!(sure("/opt/bin/*", Some("/srv")), None);
        assert_eq!(sure("/opt/bin/*", None), Some(Overmatch::Perhaps));
        assert_eq!(sure("/opt/bin/y", None), None);
    }

    #[test]
    fn a_look_alike_is_another_name() {
        let fake = facts("gіt", Some("/usr/bin/gіt"), Some("gіt"));
        assert_eq!(both("git", &fake), (false, false));
    }

    #[test]
    fn a_pattern_that_cannot_name_a_tool_is_refused() {
        for text in ["", "rm -rf", "./gradlew", "a/b", "/a/../b", "..", "git ", "x\u{7}", "["] {
            assert!(NamePattern::new(text).is_err(), "{text:?}");
        }
    }
}
