//! Paths as text: what a path names once doubled slashes, `.` and `..` are taken out.
//! Nothing here looks at a disk, so a symlink is not seen; the caller resolves what must be resolved.

use std::borrow::Cow;

/// The plain spelling of `path`: no doubled or trailing slash, no `.`, and `..` only at the front of
/// a relative path. `..` at the root stays at the root. An empty relative path is `.`.
pub(crate) fn normalise(path: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let absolute = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if absolute => {}
            _ => parts.push(part),
        }
    }
    let mut plain = Vec::with_capacity(path.len());
    for (position, part) in parts.iter().enumerate() {
        if absolute || position > 0 {
            plain.push(b'/');
        }
        plain.extend_from_slice(part);
    }
    if plain.is_empty() {
        plain.push(if absolute { b'/' } else { b'.' });
    }
    Cow::Owned(plain)
}

fn is_plain(path: &[u8]) -> bool {
    if path == b"/" {
        return true;
    }
    let body = path.strip_prefix(b"/").unwrap_or(path);
    body.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

/// `path` as seen from `cwd`, in its plain spelling.
pub(crate) fn join(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    if path.first() == Some(&b'/') {
        return normalise(path).into_owned();
    }
    normalise(&[cwd, b"/", path].concat()).into_owned()
}

/// How every path ends that the plain spelling `relative` leads to, from whatever directory: empty
/// when nothing can be told.
pub(crate) fn from_anywhere(relative: &[u8]) -> Vec<u8> {
    let mut rest = relative;
    while let Some(above) = rest.strip_prefix(b"../") {
        rest = above;
    }
    if matches!(rest, b"." | b"..") { Vec::new() } else { [b"/", rest].concat() }
}

/// The last component.
pub(crate) fn basename(path: &[u8]) -> &[u8] {
    // A name may be of megabytes.
    memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}

/// Whether one of the components is `..`.
pub(crate) fn climbs(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b"..")
}

/// What is left of `path` below `directory`; both absolute and plain.
pub(crate) fn below<'a>(directory: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if directory == b"/" {
        return path.strip_prefix(b"/").filter(|rest| !rest.is_empty());
    }
    path.strip_prefix(directory)?.strip_prefix(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(path: &str) -> String {
        String::from_utf8(normalise(path.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn every_spelling_of_the_root_is_the_root() {
        for path in ["/", "//", "/.", "//../", "/../..", "/a/..", "///./"] {
            assert_eq!(plain(path), "/", "{path}");
        }
    }

    #[test]
    fn dots_and_doubled_slashes_go() {
        assert_eq!(plain("/a//b/./c/"), "/a/b/c");
        assert_eq!(plain("./a/../b"), "b");
        assert_eq!(plain("../../a/.."), "../..");
        assert_eq!(plain(""), ".");
        assert_eq!(plain("a/.."), ".");
        assert_eq!(plain("..."), "...");
    }

    #[test]
    fn a_relative_path_is_seen_from_the_working_directory() {
        assert_eq!(join(b"/app", b"../etc/passwd"), b"/etc/passwd");
        assert_eq!(join(b"/app", b"/etc//passwd"), b"/etc/passwd");
        assert_eq!(join(b"/", b"x"), b"/x");
    }

    #[test]
    fn a_path_from_anywhere_ends_alike() {
        assert_eq!(from_anywhere(b"../../a/b"), b"/a/b");
        assert_eq!(from_anywhere(b"a"), b"/a");
        assert_eq!(from_anywhere(b".."), b"");
        assert_eq!(from_anywhere(b"."), b"");
    }

    #[test]
    fn below_needs_a_whole_component() {
        assert_eq!(below(b"/app", b"/app/x/y"), Some(&b"x/y"[..]));
        assert_eq!(below(b"/app", b"/application"), None);
        assert_eq!(below(b"/app", b"/app"), None);
        assert_eq!(below(b"/", b"/x"), Some(&b"x"[..]));
    }
}
