//! Keeping secrets out of recordings: the values that a command was given, wherever they stand in its streams.

use std::borrow::Cow;
use std::sync::Arc;

/// What stands in the place of a secret.
const MARK: &[u8] = b"[redacted:secret]";

/// Bytes of a secret, at least: shorter ones stand in too much that is none.
const LEAST: usize = 5;

/// Values that a command was given.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<[Vec<u8>]>);

impl Secrets {
    /// These, and each of their lines.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for value in values {
            for part in std::iter::once(value).chain(value.split(|&b| b == b'\n')) {
                let part = part.trim_ascii();
                if part.len() >= LEAST && !all.iter().any(|other| other == part) {
                    all.push(part.to_vec());
                }
            }
        }
        // Of those that begin alike the longest is looked for first.
        all.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(all.into())
    }

    /// The secret that `bytes` begin with.
    fn at_start(&self, bytes: &[u8]) -> Option<&[u8]> {
        self.0.iter().map(Vec::as_slice).find(|secret| bytes.starts_with(secret))
    }

    /// Whether more bytes could make a secret of these.
    fn may_become(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|secret| secret.len() > bytes.len() && secret.starts_with(bytes))
    }

    fn may_begin(&self, byte: u8) -> bool {
        self.0.iter().any(|secret| secret.first() == Some(&byte))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// One stream without its secrets.
#[derive(Debug)]
pub(super) struct Filter {
    secrets: Secrets,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
}

impl Filter {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self { secrets, held: Vec::new() }
    }

    /// What of these bytes, and of those that were held back, may be shown.
    pub(super) fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.secrets.0.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let (out, held_from) = self.marked(&all, true);
        self.held = all.split_off(held_from);
        Cow::Owned(out)
    }

    /// What was held back, once nothing more comes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        self.marked(&held, false).0
    }

    /// The bytes with their secrets marked, and from where on they are held back, if they are to be.
    fn marked(&self, all: &[u8], holds: bool) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(all.len());
        let mut at = 0;
        while let Some(&byte) = all.get(at) {
            let rest = &all[at..];
            if !self.secrets.may_begin(byte) {
                out.push(byte);
                at += 1;
            } else if holds && self.secrets.may_become(rest) {
                break;
            } else if let Some(secret) = self.secrets.at_start(rest) {
                out.extend_from_slice(MARK);
                at += secret.len();
            } else {
                out.push(byte);
                at += 1;
            }
        }
        (out, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(secrets: &[&str], text: &str, size: usize) -> String {
        let mut filter = Filter::new(Secrets::of(secrets.iter().map(|s| s.as_bytes())));
        let mut out = Vec::new();
        for part in text.as_bytes().chunks(size) {
            out.extend_from_slice(&filter.pass(part));
        }
        out.extend(filter.rest());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_secret_is_marked_however_it_is_cut() {
        let text = "x hunter22 y hunter2 huntehunter22";
        for size in 1..text.len() {
            assert_eq!(
                filtered(&["hunter22"], text, size),
                "x [redacted:secret] y hunter2 hunte[redacted:secret]",
                "in parts of {size}"
            );
        }
    }

    #[test]
    fn of_secrets_that_begin_alike_the_longest_is_marked() {
        for size in [1, 3, 40] {
            let text = "abcdefgh abcdef abcde";
            assert_eq!(
                filtered(&["abcde", "abcdefgh"], text, size),
                "[redacted:secret] [redacted:secret]f [redacted:secret]"
            );
        }
    }

    #[test]
    fn lines_of_a_secret_are_secrets_and_short_ones_are_not() {
        let secrets = Secrets::of([&b"first-line\nab\nsecond-line\n"[..]]);
        assert_eq!(secrets.0.len(), 3);
        assert_eq!(format!("{secrets:?}"), "3 secrets");
        assert_eq!(
            filtered(&["first-line\nab\nsecond-line"], "ab second-line", 2),
            "ab [redacted:secret]"
        );
        assert_eq!(filtered(&[], "abc", 1), "abc");
    }
}
