//! Matchers: each compares one side of a request with one kind of pattern.
//! For `deny` and `ask` they may match more than was meant, for `allow` only less.

pub(crate) mod args;
pub(crate) mod argv;
pub(crate) mod flag;
pub(crate) mod glob;
pub(crate) mod name;
pub(crate) mod names;
pub(crate) mod operand;
pub(crate) mod paths;
pub(crate) mod reader;
pub(crate) mod regexes;
pub(crate) mod structured;
pub(crate) mod unknown;
pub(crate) mod words;

/// A text that a command must hold for a pattern to match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need<'p> {
    /// The name of a flag.
    Flag(&'p [u8]),
    /// A word that is no flag, in one of its spellings.
    Word(&'p [u8]),
}

/// How surely a `deny` or `ask` pattern matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Overmatch {
    /// It may have, by a word that only a shell will know.
    ByUnknown,
    /// It may have: the search goes on.
    Perhaps,
    /// It did.
    Surely,
}

#[cfg(test)]
mod tests;
