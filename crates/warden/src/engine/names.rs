//! Names that go into the engine's URLs. The client library puts them in as they are: a slash or a `?` in one would be
//! another call.

use super::error::{EngineError, Kind};

/// Bytes of a name that the engine is asked about.
const LONGEST: usize = 512;

/// An id or a name of a container or an exec.
pub(super) fn simple(kind: Kind, name: &str) -> Result<&str, EngineError> {
    checked(kind, name, |byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A reference of an image, or its id.
pub(super) fn image(name: &str) -> Result<&str, EngineError> {
    let good = checked(Kind::Image, name, |byte| {
        byte.is_ascii_alphanumeric() || b"_.-/:@".contains(&byte)
    })?;
    // Parts that are `..` or empty would be resolved in the URL.
    match good.split('/').all(|part| !part.is_empty() && part != "." && part != "..") {
        true => Ok(good),
        false => Err(EngineError::BadName { kind: Kind::Image, name: name.to_owned() }),
    }
}

fn checked(kind: Kind, name: &str, good: impl Fn(u8) -> bool) -> Result<&str, EngineError> {
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins && name.len() <= LONGEST && name.bytes().all(good) {
        true => Ok(name),
        false => Err(EngineError::BadName { kind, name: name.chars().take(LONGEST).collect() }),
    }
}

/// The same reference with the tag that is meant where it has none. Without one, the engine would fetch them all.
pub(super) fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if name.contains('@') || last.contains(':') {
        return name.to_owned();
    }
    format!("{name}:latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_another_call() {
        for name in ["", ".", "..", "a/b", "a?x", "a#x", "a%2e", "-a", "a b", "a\n", "é"] {
            assert!(simple(Kind::Container, name).is_err(), "{name:?}");
        }
        for name in ["", "..", "a/../b", "a//b", "a/./b", "/a", "a/", "a?x", "a%2f", "a b"] {
            assert!(image(name).is_err(), "{name:?}");
        }
        assert!(simple(Kind::Container, &"a".repeat(513)).is_err());
    }

    #[test]
    fn names_that_engines_give_are_taken() {
        for name in ["a1", "compose_agent-1", "my.agent", &"f".repeat(64)] {
            assert_eq!(simple(Kind::Container, name), Ok(name));
        }
        for name in ["alpine", "node:18-alpine", "localhost:5000/a/b:c", "a@sha256:00ff"] {
            assert_eq!(image(name), Ok(name));
        }
    }

    #[test]
    fn a_reference_without_a_tag_means_the_latest() {
        assert_eq!(tagged("alpine"), "alpine:latest");
        assert_eq!(tagged("localhost:5000/alpine"), "localhost:5000/alpine:latest");
        assert_eq!(tagged("alpine:3.23"), "alpine:3.23");
        assert_eq!(tagged("alpine@sha256:00"), "alpine@sha256:00");
    }
}
