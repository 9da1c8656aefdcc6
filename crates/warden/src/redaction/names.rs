//! Names that say that a secret follows: of options, variables, headers and fields.

use super::runs::{DIGIT, LETTER, NOT_RANDOM, kinds, span};

/// A word that ends the name of a secret.
pub(super) struct Name {
    pub(super) word: &'static str,
    /// What it is called in a mark.
    pub(super) kind: &'static str,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Whatever the value, it is one.
    Always,
    /// Unless the value is a word that switches something, a small number or a path.
    Likely,
    /// Only as a word of its own within the name, and otherwise as [`How::Likely`].
    Short,
    /// As [`How::Short`], and only if the value looks like one.
    Random,
}

const fn name(word: &'static str, kind: &'static str, how: How) -> Name {
    Name { word, kind, how }
}

/// All of them, in small letters.
pub(super) const NAMES: &[Name] = &[
    name("password", "password", How::Always),
    name("passwd", "password", How::Always),
    name("passphrase", "password", How::Always),
    name("passcode", "password", How::Always),
    name("passwort", "password", How::Always),
    name("pass", "password", How::Short),
    name("pwd", "password", How::Short),
    name("pw", "password", How::Short),
    name("secret", "secret", How::Likely),
    name("token", "token", How::Likely),
    name("credential", "secret", How::Likely),
    name("apikey", "api-key", How::Likely),
    name("api_key", "api-key", How::Likely),
    name("api-key", "api-key", How::Likely),
    name("access_key", "key", How::Likely),
    name("access-key", "key", How::Likely),
    name("accesskey", "key", How::Likely),
    name("secret_key", "key", How::Likely),
    name("secret-key", "key", How::Likely),
    name("secretkey", "key", How::Likely),
    name("private_key", "key", How::Likely),
    name("private-key", "key", How::Likely),
    name("account_key", "key", How::Likely),
    name("account-key", "key", How::Likely),
    name("encryption_key", "key", How::Likely),
    name("signing_key", "key", How::Likely),
    name("auth", "secret", How::Random),
    name("key", "key", How::Random),
    name("sig", "secret", How::Random),
    name("signature", "secret", How::Random),
    name("jwt", "token", How::Random),
    name("pat", "token", How::Random),
    name("dsn", "secret", How::Random),
];

/// Headers whose value is a secret, in small letters with their colon.
pub(super) const HEADERS: &[&str] = &[
    "authorization:",
    "x-api-key:",
    "x-auth-token:",
    "x-vault-token:",
    "x-goog-api-key:",
    "api-key:",
    "apikey:",
    "private-token:",
    "job-token:",
    "deploy-token:",
    "cookie:",
];

/// The secret's name that `name` ends with, as an option or a variable has it.
pub(super) fn of(name: &[u8]) -> Option<&'static Name> {
    let longest = NAMES.iter().filter(|found| {
        let word = found.word.as_bytes();
        let from = name.len().checked_sub(word.len());
        from.is_some_and(|from| name[from..].eq_ignore_ascii_case(word) && found.fits(name, from))
    });
    longest.max_by_key(|found| found.word.len())
}

impl Name {
    /// Whether the name whose part from `from` on is this word speaks of a secret.
    pub(super) fn fits(&self, name: &[u8], from: usize) -> bool {
        if name.eq_ignore_ascii_case(b"PWD") || name.eq_ignore_ascii_case(b"OLDPWD") {
            return false;
        }
        let Some(&before) = from.checked_sub(1).and_then(|at| name.get(at)) else { return true };
        let is_capital = name.get(from).is_some_and(u8::is_ascii_uppercase);
        match self.how {
            How::Always | How::Likely => true,
            How::Short | How::Random => {
                !before.is_ascii_alphanumeric() || (before.is_ascii_lowercase() && is_capital)
            }
        }
    }

    /// Whether `value` may be one; `looks_random` as [`looks_random`].
    pub(super) fn holds(&self, value: &[u8], looks_random: impl FnOnce() -> bool) -> bool {
        // What a shell puts in is not there; what is a mark already is none.
        let begins = |with: &[u8]| value.starts_with(with);
        if value.is_empty() || begins(b"$") || begins(b"<") || is_mark(value) {
            return false;
        }
        if span(value, |b| b == b'*') == value.len() {
            return false;
        }
        match self.how {
            How::Always => true,
            How::Likely | How::Short => !is_plain(value),
            How::Random => looks_random() && !is_plain(value),
        }
    }
}

/// Whatever stands behind a mark was looked at when it was made.
fn is_mark(value: &[u8]) -> bool {
    value.starts_with(super::MARK.as_bytes())
}

/// A switch, a small number, a file, or what says where it is.
fn is_plain(value: &[u8]) -> bool {
    const WORDS: [&str; 18] = [
        "true", "false", "yes", "no", "on", "off", "none", "null", "auto", "stdin", "env", "file",
        "required", "basic", "bearer", "inherit", "-", "=",
    ];
    let is_word = WORDS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    let is_number = value.len() <= 6 && value.iter().all(u8::is_ascii_digit);
    let path = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-~".contains(&b);
    let is_path = [&b"/"[..], b"./", b"../", b"~/"].iter().any(|begin| value.starts_with(begin))
        && span(value, path) == value.len();
    let is_reference = [&b"id="[..], b"@", b"op://", b"env:", b"file:", b"arn:", b"projects/"];
    is_word || is_number || is_path || is_reference.iter().any(|begin| value.starts_with(begin))
}

/// Bytes of what looks like chance, at least.
pub(super) const LEAST_RANDOM: usize = 16;

/// Long, of letters and digits, and no sentence.
pub(super) fn looks_random(value: &[u8]) -> bool {
    value.len() >= LEAST_RANDOM && kinds(value) & (NOT_RANDOM | DIGIT | LETTER) == DIGIT | LETTER
}
