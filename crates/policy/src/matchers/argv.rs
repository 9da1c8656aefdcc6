//! Argv: reads an argument vector into flags and operands, with what is known about the tool.
//! Where the reading is a guess it says so; a guess may make `deny` and `ask` match, never `allow`.

use super::operand::Operand;
use crate::tools::{Arity, Flag, Sub, Tool};

/// A command's arguments, read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) tool: Option<&'a Tool>,
    pub(crate) sub: Subcommand<'a>,
    pub(crate) flags: Vec<FlagUse<'a>>,
    pub(crate) operands: Vec<OperandUse<'a>>,
    /// Every word was read with knowledge of the tool, none by guess.
    pub(crate) certain: bool,
    /// The vector has more words than are read; nothing is known about it.
    pub(crate) too_long: bool,
    /// One of the words, or a part of one, only a shell will know.
    pub(crate) unknown: bool,
    /// One of them may be any flag, or any number of words.
    pub(crate) wild: bool,
    /// One of them may be any flag, as far as that can be the name of a file that was put there.
    pub(crate) planted: bool,
    /// And that file may have any name.
    pub(crate) any_planted: bool,
}

/// What the first operand of a tool with subcommands turned out to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subcommand<'a> {
    /// The tool has none, or the command names none.
    None,
    /// The operand at `at` is it; `sub` is what is known about it.
    Known { at: usize, sub: Option<&'a Sub> },
    /// An unknown option before it may have swallowed it.
    Uncertain,
}

/// One flag as it was used.
#[derive(Clone, Debug)]
pub(crate) struct FlagUse<'a> {
    pub(super) name: Name<'a>,
    pub(crate) known: Option<&'a Flag>,
    /// The tool, where it is not known of which of its subcommands the flag is.
    pub(super) kin: Option<&'a Tool>,
    /// Attached, or the next word where the flag is known to take one.
    pub(crate) value: Option<&'a [u8]>,
    /// The next word, where it is unknown whether the flag takes it.
    pub(crate) next: Option<&'a [u8]>,
    pub(crate) certain: bool,
    pub(crate) before_sub: bool,
    /// The working directory, for values that are paths.
    pub(crate) cwd: Option<&'a [u8]>,
    /// It belongs to another command, and only a pattern of `deny` or `ask` may mean it.
    pub(crate) foreign: bool,
    /// A `--long` name that may have been shortened.
    pub(super) shortened: bool,
    pub(super) single_dash: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    /// As it stands, dashes included, without a value.
    Word(&'a [u8]),
    /// One letter of a cluster.
    Letter([u8; 2]),
    /// `-5`, as `head -5`: any number.
    Number,
}

/// One operand as it was used.
#[derive(Debug)]
pub(crate) struct OperandUse<'a> {
    pub(crate) word: Operand<'a>,
    pub(crate) certain: bool,
}

impl<'a> Reading<'a> {
    /// All names of the subcommand that was used.
    pub(crate) fn sub_names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let sub = if let Subcommand::Known { sub, .. } = self.sub { sub } else { None };
        sub.into_iter().flat_map(|sub| sub.names.iter().map(|name| name.as_bytes()))
    }

    /// What a pattern may call the subcommand beside its names; where it is not certain which word it
    /// is, that of every word. `None` when it cannot be told.
    pub(crate) fn sub_aliases(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let uncertain = matches!(self.sub, Subcommand::Uncertain);
        if uncertain && self.tool.is_some_and(|tool| tool.abbreviates) {
            return None;
        }
        let here = if let Subcommand::Known { sub, .. } = self.sub { sub } else { None };
        let words = self.operands.iter().filter(move |_| uncertain);
        let maybe = words.filter_map(|word| self.tool?.sub(word.word.raw()));
        Some(here.into_iter().chain(maybe).flat_map(|sub| {
            let grouped = self.tool.into_iter().flat_map(move |tool| tool.in_groups(sub));
            sub.names.iter().map(|name| name.as_bytes()).chain(grouped)
        }))
    }

    /// Whether the subcommand may be a beginning of another word, which the tool would take.
    pub(crate) fn sub_may_be_shortened(&self) -> bool {
        let unknown = matches!(self.sub, Subcommand::Known { sub: None, .. });
        unknown && self.tool.is_some_and(|tool| tool.abbreviates)
    }
}

impl FlagUse<'_> {
    pub(crate) fn name(&self) -> &[u8] {
        match &self.name {
            Name::Word(word) => word,
            Name::Letter(letter) => letter,
            Name::Number => b"-#",
        }
    }

    /// Whether the flag goes by this name, synonyms included.
    pub(crate) fn is(&self, wanted: &[u8]) -> bool {
        self.names().any(|name| name == wanted)
            || (self.single_dash && bare(self.name()) == bare(wanted))
            || (matches!(self.name, Name::Number) && wanted.get(1..) == self.value)
    }

    /// Whether the flag may be this one, written short (`--recurs`).
    pub(crate) fn may_be(&self, wanted: &[u8]) -> bool {
        self.may_be_shortened() && wanted.starts_with(self.name())
    }

    pub(crate) fn may_be_shortened(&self) -> bool {
        self.known.is_none() && self.shortened
    }

    /// All names it goes by; under an unknown subcommand, those of every one that has it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let kin = self.kin.into_iter().flat_map(|tool| tool.flags_called(self.name()));
        let synonyms = self.known.into_iter().chain(kin).flat_map(|flag| &flag.names);
        std::iter::once(self.name()).chain(synonyms.map(|name| name.as_bytes()))
    }

    pub(crate) fn is_long(&self) -> bool {
        self.name().starts_with(b"--")
    }

    /// Whether it could have been written as a long one.
    pub(crate) fn has_long_name(&self) -> bool {
        self.names().any(|name| name.starts_with(b"--"))
    }

    pub(crate) fn takes_value(&self) -> bool {
        self.known.is_some_and(|flag| flag.arity != Arity::None)
    }
}

fn bare(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"--").or_else(|| name.strip_prefix(b"-")).unwrap_or(name)
}
