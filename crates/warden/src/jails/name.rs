//! The name of a jail. It becomes part of paths, so nothing gets through that means anything there.

use std::fmt;

/// Bytes of a name.
pub const MAX_NAME: usize = 63;

/// A checked name: a small letter or digit, then up to 62 small letters, digits, `_`, `.` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JailName(Box<str>);

/// A name that no jail can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name a jail; use 1 to 63 of a-z, 0-9, `_`, `.` and `-`, a letter or digit first"
)]
pub struct BadName(pub String);

impl JailName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is not of the form above.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let further = |b: u8| first(b) || matches!(b, b'_' | b'.' | b'-');
        let is_good = name.len() <= MAX_NAME
            && name.bytes().next().is_some_and(first)
            && name.bytes().all(further);
        if is_good { Ok(Self(name.into())) } else { Err(BadName(name.to_owned())) }
    }

    /// The jail that a warden has without being asked.
    #[must_use]
    pub fn default_jail() -> Self {
        Self("default".into())
    }

    /// Whether it is that one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == "default"
    }

    /// The name with a number behind it, shortened to fit.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Self {
        let tail = format!("-{number}");
        let head = &self.0[..self.0.len().min(MAX_NAME - tail.len())];
        Self(format!("{head}{tail}").into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JailName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_taken() {
        for name in ["a", "0", "my-agent", "a.b_c-d", &"x".repeat(63)] {
            assert_eq!(JailName::new(name).unwrap().as_str(), name);
        }
        assert!(JailName::new(JailName::default_jail().as_str()).is_ok());
    }

    #[test]
    fn a_name_cannot_lead_out_of_its_folder() {
        let long = "x".repeat(64);
        for name in [
            "", ".", "..", "../x", "a/b", "/a", "-a", "_a", ".a", "A", "a b", "a\0", "a\n", "é",
            &long,
        ] {
            assert_eq!(JailName::new(name), Err(BadName(name.to_owned())));
        }
    }

    #[test]
    fn a_numbered_name_is_a_name() {
        let long = JailName::new(&"x".repeat(63)).unwrap().numbered(u32::MAX);
        assert_eq!(JailName::new(long.as_str()).unwrap(), long);
        assert_eq!(JailName::new("a").unwrap().numbered(2).as_str(), "a-2");
    }
}
