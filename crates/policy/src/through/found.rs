//! Found: what one command was seen to run, and what of it was not understood.
//! Words are raw; what only a shell will know stands in them as `matchers::unknown` has it.

use std::borrow::Cow;

use crate::matchers::{name, paths, unknown};

/// A word of a command that is run.
pub(super) type Word<'a> = Cow<'a, [u8]>;

/// What one command runs besides itself.
#[derive(Debug, Default)]
pub(super) struct Inside<'a> {
    pub(super) runs: Vec<Run<'a>>,
    pub(super) doubts: Vec<Cow<'static, str>>,
    /// It only passes on, and all that it passes on is in `runs`.
    pub(super) passes: bool,
    /// It is a shell that reads what it runs from its input.
    pub(super) by_input: bool,
}

/// One command that is run.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) words: Vec<Word<'a>>,
    /// The option, or the word, that says so; empty for the operands of a wrapper.
    pub(super) how: &'static str,
    pub(super) place: Place,
    pub(super) assigned: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) kind: Kind,
    /// What it reads, as words, where that is known.
    pub(super) input: Option<Vec<u8>>,
    /// It may run, or run once more, after what follows it.
    pub(super) again: bool,
}

/// Where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the command around it runs.
    #[default]
    Here,
    At(Vec<u8>),
    /// In this directory, as seen from there.
    Below(Vec<u8>),
    Unknown,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program.
    Program,
    /// A word of a shell line: the name may be a builtin.
    Shell,
    /// It may be a command, or not: only rules that speak of it count.
    Guess,
    /// A file that is written.
    Write,
    /// A file that is read.
    Read,
}

impl<'a> Inside<'a> {
    pub(super) fn doubt(&mut self, why: impl Into<Cow<'static, str>>) {
        self.doubts.push(why.into());
    }

    pub(super) fn run(&mut self, words: Vec<Word<'a>>, how: &'static str, kind: Kind) {
        let (place, assigned) = (Place::Here, Vec::new());
        self.runs.push(Run { words, how, place, assigned, kind, input: None, again: false });
    }

    /// A file that is written, as the command `>` with it as its operand.
    pub(super) fn write(&mut self, target: &[u8], how: &'static str) {
        self.redirect(name::WRITE, target, how, Kind::Write);
    }

    /// A file that is read, as the command `<`.
    pub(super) fn read(&mut self, target: &[u8], how: &'static str) {
        self.redirect(name::READ, target, how, Kind::Read);
    }

    fn redirect(&mut self, name: &'static [u8], target: &[u8], how: &'static str, kind: Kind) {
        let target = if target.first() == Some(&b'-') && target.len() > 1 {
            [b"./", target].concat()
        } else {
            target.to_vec()
        };
        self.run(vec![Cow::Borrowed(name), Cow::Owned(target)], how, kind);
    }
}

impl Place {
    /// The directory `dir` as seen from here.
    pub(super) fn of(dir: &[u8], cwd: Option<&[u8]>) -> Self {
        match cwd {
            _ if unknown::is_in(dir) => Self::Unknown,
            Some(cwd) => Self::At(paths::join(cwd, dir)),
            None if dir.first() == Some(&b'/') => Self::At(paths::normalise(dir).into_owned()),
            None => Self::Unknown,
        }
    }
}

/// `NAME=value`, where the word is one.
pub(super) fn assignment(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = word.iter().position(|byte| *byte == b'=')?;
    (at > 0 && !unknown::is_in(&word[..at])).then(|| (&word[..at], &word[at + 1..]))
}
