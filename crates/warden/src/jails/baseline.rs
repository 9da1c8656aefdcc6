//! The environment that a prisoner was started with, to tell later what it has changed. Values may be secrets, so only
//! their SHA-256 is kept.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Entries that are taken. More is refused.
pub const MAX_ENTRIES: usize = 1_000_000;

/// Where tools lie when nobody says.
pub(crate) const FALLBACK_PATH: &[u8] =
    b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why an environment was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// The text is not what `PrisonerRequest.environment` must be.
    #[error("the environment is not base64: {0}")]
    NotBase64(String),
    /// The last entry is not ended.
    #[error("the environment's last entry has no NUL behind it")]
    Unended,
    /// Over the limit.
    #[error("the environment has more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// Names, each with what its value must hash to. A name that was there twice with different values has no value:
/// programs differ in which one they take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    path: Option<Vec<u8>>,
    values: HashMap<Box<[u8]>, Option<[u8; 32]>>,
}

impl Baseline {
    /// From `PrisonerRequest.environment`.
    ///
    /// # Errors
    /// When it is not base64 of entries that are each ended by a NUL.
    pub fn from_base64(text: &str) -> Result<Self, BaselineError> {
        let block = STANDARD.decode(text);
        Self::from_block(&block.map_err(|error| BaselineError::NotBase64(error.to_string()))?)
    }

    /// From `NAME=value` entries, each ended by a NUL.
    ///
    /// # Errors
    /// When the last one is not ended, or there are more than [`MAX_ENTRIES`].
    pub fn from_block(block: &[u8]) -> Result<Self, BaselineError> {
        let entries = match block.strip_suffix(&[0]) {
            Some(entries) => entries,
            None if block.is_empty() => return Ok(Self::default()),
            None => return Err(BaselineError::Unended),
        };
        let mut path = None;
        let mut values = HashMap::new();
        for (number, entry) in entries.split(|&b| b == 0).enumerate() {
            if number >= MAX_ENTRIES {
                return Err(BaselineError::TooMany);
            }
            let (name, value) = split(entry);
            if name == b"PATH" && path.is_none() {
                path = Some(value.to_vec());
            }
            let hash = Some(hash(value));
            values
                .entry(Box::from(name))
                .and_modify(|before| {
                    if *before != hash {
                        *before = None;
                    }
                })
                .or_insert(hash);
        }
        Ok(Self { path, values })
    }

    /// The warden's own environment: what comes nearest to that of a prisoner that nobody registered.
    #[must_use]
    pub fn own() -> Self {
        let mut block = Vec::new();
        for (name, value) in std::env::vars_os() {
            block.extend_from_slice(name.as_bytes());
            block.push(b'=');
            block.extend_from_slice(value.as_bytes());
            block.push(0);
        }
        Self::from_block(&block).unwrap_or_default()
    }

    /// The PATH that the prisoner was started with. It is no secret and kept as it is.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.path.as_deref().unwrap_or(FALLBACK_PATH)
    }

    /// Whether the prisoner was started with this name at all.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.values.contains_key(name)
    }

    /// Whether the prisoner was started with exactly this value.
    #[must_use]
    pub fn is_unchanged(&self, name: &[u8], value: &[u8]) -> bool {
        matches!(self.values.get(name), Some(Some(kept)) if *kept == hash(value))
    }
}

/// Name and value. An entry without `=` is a name with no value.
fn split(entry: &[u8]) -> (&[u8], &[u8]) {
    match entry.iter().position(|&b| b == b'=') {
        Some(at) => (&entry[..at], &entry[at + 1..]),
        None => (entry, &[]),
    }
}

fn hash(value: &[u8]) -> [u8; 32] {
    Sha256::digest(value).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stayed_is_told_from_what_changed() {
        let baseline = Baseline::from_block(b"A=1\0B=x=y\0C=\0\xff=\xfe\0").unwrap();
        assert!(baseline.is_unchanged(b"A", b"1"));
        assert!(baseline.is_unchanged(b"B", b"x=y"));
        assert!(baseline.is_unchanged(b"C", b""));
        assert!(baseline.is_unchanged(b"\xff", b"\xfe"));
        assert!(!baseline.is_unchanged(b"A", b"2"));
        assert!(!baseline.is_unchanged(b"D", b""));
        assert!(baseline.has(b"A") && !baseline.has(b"D"));
    }

    #[test]
    fn a_name_with_two_values_counts_as_changed() {
        let baseline = Baseline::from_block(b"A=1\0A=2\0B=1\0B=1\0").unwrap();
        assert!(baseline.has(b"A"));
        assert!(!baseline.is_unchanged(b"A", b"1") && !baseline.is_unchanged(b"A", b"2"));
        assert!(baseline.is_unchanged(b"B", b"1"));
    }

    #[test]
    fn an_odd_environment_is_refused_or_harmless() {
        assert_eq!(Baseline::from_block(b"").unwrap(), Baseline::default());
        assert_eq!(Baseline::from_block(b"A=1"), Err(BaselineError::Unended));
        assert!(Baseline::from_block(b"\0=\0==\0A\0").unwrap().is_unchanged(b"A", b""));
        assert!(matches!(Baseline::from_base64("?"), Err(BaselineError::NotBase64(_))));
        assert!(Baseline::from_base64("QT0xAA==").unwrap().is_unchanged(b"A", b"1"));
        let many = b"A\0".repeat(MAX_ENTRIES + 1);
        assert_eq!(Baseline::from_block(&many), Err(BaselineError::TooMany));
    }

    #[test]
    fn no_value_can_be_read_back() {
        let shown = format!("{:?}", Baseline::from_block(b"TOKEN=hunter2\0").unwrap());
        assert!(!shown.contains("hunter2"));
    }
}
