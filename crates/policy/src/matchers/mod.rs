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

#[cfg(test)]
mod tests;
