//! The environment: which variables a supervised run keeps, and which changed ones matter.
//! It judges names and values only; it never reads this process's own environment.

mod table;

use std::sync::LazyLock;

use table::{DANGEROUS, Harmless, KEPT, MILD, MOVES, PLAIN_TOOLS, Reach, Row, SAFE};

/// The `env:` section of a policy, on top of the built-in tables.
#[derive(Clone, Debug, Default)]
pub struct EnvRules {
    pub(crate) keep: Vec<Box<str>>,
    pub(crate) strip: Vec<Box<str>>,
    pub(crate) dangerous: Vec<Box<str>>,
    pub(crate) ignore: Vec<Box<str>>,
}

impl EnvRules {
    /// Whether this variable, with this value, makes a tool load or run something else, as the
    /// built-in table and the policy's `dangerous` and `ignore_dangerous` see it.
    #[must_use]
    pub fn is_dangerous(&self, name: &[u8], value: &[u8]) -> bool {
        if is_function(name, value) || any(&self.dangerous, name) {
            return true;
        }
        !any(&self.ignore, name) && is_dangerous(name, value)
    }

    /// Whether the `local` executor passes this variable on. `strip` wins over `keep`; a dangerous
    /// variable is kept only where `keep` spells out its whole name.
    #[must_use]
    pub fn keeps(&self, name: &[u8], value: &[u8]) -> bool {
        if any(&self.strip, name) || is_function(name, value) {
            return false;
        }
        if self.keep.iter().any(|kept| kept.as_bytes() == name) {
            return true;
        }
        let listed = any(&self.keep, name) || KEPT.iter().any(|kept| star(kept.as_bytes(), name));
        listed && !self.is_dangerous(name, value)
    }

    /// Whether a changed variable of this name can matter to `tool`. Unknown tools are always
    /// concerned; a few plain ones (`ls`, `sed` …) read nothing but what every program reads.
    #[must_use]
    pub fn concerns(&self, name: &[u8], tool: Option<&[u8]>) -> bool {
        let plain = tool.is_some_and(|tool| PLAIN_TOOLS.iter().any(|it| it.as_bytes() == tool));
        if !plain || any(&self.dangerous, name) {
            return true;
        }
        row(name).is_none_or(|row| row.reach == Reach::Everyone)
    }

    /// Whether this variable, where it is set on a command line in front of `tool`, is as good as
    /// code on that line. The policy's own `dangerous` names are for its rules to weigh.
    pub(crate) fn gives_code(&self, name: &[u8], value: &[u8], tool: Option<&[u8]>) -> bool {
        if is_function(name, value) {
            return true;
        }
        if any(&self.ignore, name) || !self.concerns(name, tool) {
            return false;
        }
        match row(name) {
            None => MOVES.iter().any(|it| it.as_bytes() == name),
            Some(row) if is_harmless(row, value) => false,
            Some(_) => !(MILD.iter().any(|it| it.as_bytes() == name) && is_plain(value)),
        }
    }

    /// The names and patterns that `local` keeps when the policy adds none.
    pub fn stock_kept() -> impl Iterator<Item = &'static str> {
        KEPT.iter().copied()
    }
}

/// Whether this variable, with this value, makes a tool load or run something else, or act with
/// somebody else's authority. Exported shell functions are recognised by their value.
#[must_use]
pub fn is_dangerous(name: &[u8], value: &[u8]) -> bool {
    why_dangerous(name, value).is_some()
}

/// What a dangerous variable can do, as the end of a sentence that starts with its name.
#[must_use]
pub fn why_dangerous(name: &[u8], value: &[u8]) -> Option<&'static str> {
    if is_function(name, value) {
        return Some("defines a shell function that takes a command's place");
    }
    let row = row(name)?;
    (!is_harmless(row, value)).then_some(row.why)
}

/// The value test is sudo's: an exported function's value starts with `()`.
fn is_function(name: &[u8], value: &[u8]) -> bool {
    value.starts_with(b"()") || name.starts_with(b"BASH_FUNC_")
}

/// The rows of names that begin with the same byte, found fast: every variable of every request is looked up, and few
/// are any row's. A hash of each would take longer than all else that is done with it.
struct Rows {
    /// A bit for the length of each exact name, the last one for all that are longer.
    lengths: u64,
    exact: Vec<(&'static [u8], &'static Row)>,
    /// In their order, each with what its name says before its star.
    starred: Vec<(&'static [u8], &'static Row)>,
}

static ROWS: LazyLock<[Rows; 256]> = LazyLock::new(|| {
    let mut all = [const { Rows { lengths: 0, exact: Vec::new(), starred: Vec::new() } }; 256];
    for row in DANGEROUS {
        let name = row.name.as_bytes();
        let rows = &mut all[usize::from(name[0])];
        match name.iter().position(|&byte| byte == b'*') {
            Some(at) => rows.starred.push((&name[..at], row)),
            None => {
                rows.lengths |= length_bit(name);
                rows.exact.push((name, row));
            }
        }
    }
    all
});

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

/// A precise name wins over a starred one, and of these the first.
fn row(name: &[u8]) -> Option<&'static Row> {
    let rows = &ROWS[usize::from(*name.first()?)];
    let exact = || rows.exact.iter().find(|(other, _)| *other == name);
    let fits = |(start, row): &&(&[u8], &'static Row)| {
        name.starts_with(start) && star(row.name.as_bytes(), name)
    };
    let exact = (rows.lengths & length_bit(name) != 0).then(exact).flatten();
    let (_, row) = exact.or_else(|| rows.starred.iter().find(fits))?;
    let is_safe = SAFE.iter().any(|safe| safe.as_bytes() == name);
    (!is_safe).then_some(*row)
}

fn is_harmless(row: &Row, value: &[u8]) -> bool {
    match row.harmless {
        Harmless::Nothing => false,
        Harmless::Values(values) => {
            value.is_empty() || values.iter().any(|harmless| harmless.as_bytes() == value)
        }
        Harmless::MakeOwn => is_makes_own(value),
    }
}

/// What GNU make exports by itself: a first word of plain letters, `-jN` and the job server.
fn is_makes_own(value: &[u8]) -> bool {
    value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).enumerate().all(
        |(at, word)| {
            let letters = word.strip_prefix(b"-").unwrap_or(word);
            let plain = |byte: &u8| b"BbeiknqrRsStw".contains(byte);
            let jobs = letters
                .strip_prefix(b"j")
                .is_some_and(|count| count.iter().all(u8::is_ascii_digit));
            let letters_allowed = at == 0 || word.starts_with(b"-");
            word.starts_with(b"--jobserver-")
                || matches!(word, b"--no-print-directory" | b"--print-directory" | b"--")
                || (letters_allowed && (jobs || letters.iter().all(plain)))
        },
    )
}

/// Whether a value has nothing in it that names a program, code or a place outside of the project.
fn is_plain(value: &[u8]) -> bool {
    let named = |word: &str| value.windows(word.len()).any(|it| it == word.as_bytes());
    let absolute = value
        .split(|byte| b" :=,".contains(byte))
        .any(|part| part.starts_with(b"/") || part.starts_with(b"~"));
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=,+ ".contains(byte);
    value.iter().all(known) && !absolute && !named("..") && !CODE.iter().any(|word| named(word))
}

/// Parts of options by which a tool runs or loads something.
const CODE: &[&str] = &[
    "require", "import", "loader", "linker", "wrapper", "plugin", "exec", "eval", "inspect",
    "agent", "config", "overlay", "env-file", "-p",
];

fn any(patterns: &[Box<str>], name: &[u8]) -> bool {
    patterns.iter().any(|pattern| star(pattern.as_bytes(), name))
}

/// `*` is any text; everything else is itself.
fn star(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut resume = None;
    while pos < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                resume = Some((at, pos));
                at += 1;
            }
            Some(byte) if *byte == name[pos] => {
                at += 1;
                pos += 1;
            }
            _ => {
                let Some((star, taken)) = resume else { return false };
                resume = Some((star, taken + 1));
                at = star + 1;
                pos = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests;
