//! Structured: the form of `args` that names subcommand, flags, operands and places one by one.
//! For `deny` and `ask` every key may hold by a guess; for `allow` each must hold for certain.

mod exact;
mod flags;
mod operands;
mod places;
mod subcommand;

use std::fmt;

use regex::bytes::Regex;

use self::flags::FlagSets;
use self::operands::Operands;
pub(crate) use self::places::Here;
use self::places::Places;
use self::subcommand::SubPattern;
use super::argv::{Reading, Subcommand};
use super::flag::FlagPattern;
use super::operand::OperandPattern;
use super::{Need, Overmatch};
use crate::action::Action;
use crate::facts::Links;

pub(crate) use self::operands::Match;
pub(crate) use self::places::PLACE_HELP;

/// A compiled pattern of the structured form. A key that is not written holds always, but an `allow`
/// without `flags` takes none.
#[derive(Debug, Default)]
pub(crate) struct Structured {
    sub: Option<Key<Vec<SubPattern>>>,
    flags: FlagSets,
    operands: Operands,
    inside: Option<Key<Places>>,
    /// In an `allow`, alone: the arguments are a program in this language that only prints.
    script: Option<Key<Plain>>,
}

/// Whether arguments are surely a program that only edits and prints, and options that say how.
pub(crate) type Plain = fn(&[&[u8]]) -> bool;

/// The value of one key, and how it was written.
#[derive(Debug)]
pub(super) struct Key<T> {
    value: T,
    source: Box<str>,
}

/// A key that a command does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unmet<'p> {
    key: &'static str,
    wanted: &'p str,
}

/// A set of flags or of operands in a policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Any,
    All,
    None,
    Only,
    /// Options before the subcommand that an `allow` admits.
    Globals,
}

impl<T> Key<T> {
    fn new(value: T, words: &[&str]) -> Self {
        let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        Self { value, source: quoted.join(", ").into() }
    }

    fn unmet(&self, key: &'static str) -> Unmet<'_> {
        Unmet { key, wanted: &self.source }
    }
}

impl Structured {
    /// Sets `subcommand`; the error names the word and says what would be right.
    pub(crate) fn set_subcommands(&mut self, words: &[&str]) -> Result<(), (usize, String)> {
        let value = each(words, SubPattern::new)?;
        self.sub = Some(Key::new(value, words));
        Ok(())
    }

    /// Sets one of the sets below `flags`.
    pub(crate) fn set_flags(
        &mut self,
        set: Set,
        words: &[&str],
        action: Action,
    ) -> Result<(), (usize, String)> {
        let value = each(words, |text| flags::compile(text, action))?;
        self.flags.set(set, Key::new(value, words));
        Ok(())
    }

    /// Sets one of the sets below `operands`.
    pub(crate) fn set_operands(
        &mut self,
        set: Set,
        words: &[&str],
        action: Action,
    ) -> Result<(), (usize, String)> {
        let value = each(words, |text| OperandPattern::compile(text, action))?;
        self.operands.set(set, Key::new(value, words));
        Ok(())
    }

    /// Sets `min` or `max` of `operands`.
    pub(crate) fn set_count(&mut self, is_least: bool, count: usize) {
        self.operands.set_count(is_least, Key::new(count, &[&count.to_string()]));
    }

    /// Whether the bounds on the number of operands leave no number.
    pub(crate) fn counts_cross(&self) -> bool {
        self.operands.counts_cross()
    }

    /// Sets `inside`.
    pub(crate) fn set_inside(&mut self, words: &[&str]) -> Result<(), (usize, String)> {
        let value = Places::new(words)?;
        self.inside = Some(Key::new(value, words));
        Ok(())
    }

    /// Whether it matters where links lead.
    pub(crate) fn follows_links(&self) -> bool {
        self.inside.is_some()
    }

    /// Sets `script` to the language of this name.
    pub(crate) fn set_script(&mut self, name: &str, is_plain: Plain) {
        self.script = Some(Key::new(is_plain, &[name]));
    }

    /// Adds one entry of `matches`: the expression as it was written, and compiled.
    pub(crate) fn add_match(&mut self, which: Match, text: &str, regex: Regex) {
        self.operands.add_match(which, text, regex);
    }

    /// Texts one set of which must be among the texts of every command that the pattern matches.
    pub(super) fn needs(&self) -> Vec<Vec<Need<'_>>> {
        let mut needs = Vec::new();
        if let Some(sub) = &self.sub {
            needs.push(sub.value.iter().filter_map(SubPattern::need).collect());
        }
        self.flags.needs(&mut needs);
        self.operands.needs(&mut needs);
        needs
    }

    /// Whether a `deny` or an `ask` with this pattern must take the command.
    pub(super) fn overmatches(
        &self,
        reading: &Reading<'_>,
        links: Option<&dyn Links>,
    ) -> Result<Overmatch, Unmet<'_>> {
        if reading.too_long {
            return Ok(Overmatch::Perhaps);
        }
        match self.overmatches_known(reading, links) {
            // A word that only a shell will know may be whatever is missing, but not another subcommand.
            Err(unmet)
                if (reading.wild || reading.planted)
                    && !(unmet.key == "subcommand"
                        && matches!(reading.sub, Subcommand::Known { .. })) =>
            {
                Ok(Overmatch::ByUnknown)
            }
            found => found,
        }
    }

    fn overmatches_known(
        &self,
        reading: &Reading<'_>,
        links: Option<&dyn Links>,
    ) -> Result<Overmatch, Unmet<'_>> {
        let mut surety = Overmatch::Surely;
        let mut from = subcommand::end(reading);
        if let Some(sub) = &self.sub {
            let found = sub.value.iter().filter_map(|pattern| pattern.overmatches(reading)).max();
            let found = found.ok_or_else(|| sub.unmet("subcommand"))?;
            surety = surety.min(found.surety);
            from = found.end;
        }
        surety = surety.min(self.flags.overmatch(reading)?);
        surety = surety.min(self.operands.overmatch(reading, from)?);
        if let Some(inside) = &self.inside {
            let found = inside.value.overmatch(reading, from, links);
            surety = surety.min(found.ok_or_else(|| inside.unmet("inside"))?);
        }
        Ok(surety)
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, wanted } = self;
        match *key {
            "subcommand" => write!(f, "the subcommand is not {wanted}"),
            "no subcommand" => f.write_str("it has a subcommand, and the rule names none"),
            "unread" => f.write_str("how it reads its arguments is not known for certain"),
            "globals" => {
                write!(f, "a flag stands before the subcommand that `globals` does not name")
            }
            "flags" if wanted.is_empty() => f.write_str("it has a flag, and the rule names none"),
            "flags" => write!(f, "it has a flag that is not known or not among {wanted}"),
            "flags.any" => write!(f, "none of the flags {wanted} is used"),
            "flags.all" => write!(f, "not all of the flags {wanted} are used"),
            "flags.none" => write!(f, "one of the flags {wanted} is used"),
            "flags.only" => write!(f, "it has a flag that is not among {wanted}"),
            "operands.any" => write!(f, "no operand fits {wanted}"),
            "operands.all" => write!(f, "an operand does not fit {wanted}"),
            "operands.none" => write!(f, "an operand fits {wanted}"),
            "operands.min" => write!(f, "it has fewer than {wanted} operands"),
            "operands.max" => write!(f, "it has more than {wanted} operands"),
            "inside" => {
                write!(f, "something lies outside {wanted}, or where it lies cannot be told")
            }
            "script" => write!(f, "it is no {wanted} that is known to print only"),
            "matches" => write!(f, "no argument there matches {wanted}"),
            other => write!(f, "{other} is not met: {wanted}"),
        }
    }
}

fn each<T>(
    words: &[&str],
    mut compile: impl FnMut(&str) -> Result<T, String>,
) -> Result<Vec<T>, (usize, String)> {
    words.iter().enumerate().map(|(at, word)| compile(word).map_err(|error| (at, error))).collect()
}

/// Flags as [`Structured`] keeps them.
type FlagList = Vec<FlagPattern>;
/// Globs as [`Structured`] keeps them.
type OperandList = Vec<OperandPattern>;

#[cfg(test)]
mod tests;
