//! Subcommand: `push`, or two words as `remote add`, behind whatever global options.
//! A word that only may be the subcommand is a guess, and never enough for an `allow`.

use super::super::argv::{Reading, Subcommand};
use super::super::unknown;
use super::super::{Need, Overmatch};
use crate::tools::Tool;

/// Most words of one subcommand.
const MAX_WORDS: usize = 3;

/// One entry of `subcommand`.
#[derive(Debug)]
pub(super) struct SubPattern {
    words: Vec<Box<str>>,
}

/// Where a subcommand was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) surety: Overmatch,
    /// The place of the first operand behind it.
    pub(super) end: usize,
}

/// The place of the first operand that is no subcommand.
pub(super) fn end(reading: &Reading<'_>) -> usize {
    if let Subcommand::Known { at, .. } = reading.sub { at + 1 } else { 0 }
}

impl SubPattern {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let words: Vec<Box<str>> = text.split(' ').map(Into::into).collect();
        if words.iter().any(|word| word.is_empty() || word.starts_with('-')) {
            return Err(
                "a subcommand is a word such as `push`, or two such as `remote add`; flags \
                        belong to `flags`"
                    .into(),
            );
        }
        if let Some(word) = words.iter().find(|word| word.contains(['*', '?', '[', '{', '\\'])) {
            return Err(format!("`{word}` is no name; write each subcommand out, in a list"));
        }
        if words.len() > MAX_WORDS {
            return Err(format!("a subcommand has at most {MAX_WORDS} words"));
        }
        Ok(Self { words })
    }

    /// What every command that is meant holds: the last word as it is, or as another name of the same.
    pub(super) fn need(&self) -> Option<Need<'_>> {
        self.words.last().map(|word| Need::Word(word.as_bytes()))
    }

    /// For `deny` and `ask`: where the subcommand is, or may be.
    pub(super) fn overmatches(&self, reading: &Reading<'_>) -> Option<Found> {
        match reading.sub {
            Subcommand::Known { at, .. } => {
                self.at(at, reading).or_else(|| self.by_group(at, reading))
            }
            Subcommand::None if reading.tool.is_some_and(Tool::has_subs) => None,
            Subcommand::None => self.from(0, reading),
            Subcommand::Uncertain => {
                let found = (0..reading.operands.len()).find_map(|at| self.at(at, reading));
                found.map(|found| Found { surety: found.surety.min(Overmatch::Perhaps), ..found })
            }
        }
    }

    /// For `allow`: whether the command certainly has this subcommand; gives the place behind it.
    pub(super) fn fits(&self, reading: &Reading<'_>) -> Option<usize> {
        let Subcommand::Known { at, .. } = reading.sub else { return None };
        let tool = reading.tool?;
        // Such as the toolchain of `cargo +nightly build`, which no rule has named.
        if !reading.operands[..at].iter().all(|operand| tool.is_group(operand.word.raw())) {
            return None;
        }
        let found = self.at(at, reading).or_else(|| self.by_group(at, reading))?;
        (found.surety == Overmatch::Surely).then_some(found.end)
    }

    /// For `allow`, without knowledge: whether the words begin with it; gives how many it takes.
    pub(super) fn fits_words(&self, words: &[&[u8]]) -> Option<usize> {
        let fits = words.len() >= self.words.len()
            && self.words.iter().zip(words).all(|(wanted, word)| wanted.as_bytes() == *word);
        fits.then_some(self.words.len())
    }

    /// The word that opens a group, and what follows it there.
    fn by_group(&self, at: usize, reading: &Reading<'_>) -> Option<Found> {
        let first = self.words[0].as_bytes();
        let group =
            reading.operands[..at].iter().position(|operand| operand.word.raw() == first)?;
        reading.tool.filter(|tool| tool.is_group(first))?;
        self.rest(Found { surety: Overmatch::Surely, end: group + 1 }, reading)
    }

    fn rest(&self, found: Found, reading: &Reading<'_>) -> Option<Found> {
        self.words[1..].iter().try_fold(found, |found, word| {
            let next = find(word.as_bytes(), found.end, reading)?;
            Some(Found { surety: found.surety.min(next.surety), end: next.end })
        })
    }

    /// The subcommand at or, where the words before it are a guess, behind this operand.
    fn from(&self, mut at: usize, reading: &Reading<'_>) -> Option<Found> {
        let mut surety = Overmatch::Surely;
        loop {
            let operand = reading.operands.get(at)?;
            if let Some(found) = self.at(at, reading) {
                return Some(Found { surety: found.surety.min(surety), ..found });
            }
            if operand.certain {
                return None;
            }
            surety = Overmatch::Perhaps;
            at += 1;
        }
    }

    fn at(&self, at: usize, reading: &Reading<'_>) -> Option<Found> {
        let operand = reading.operands.get(at)?;
        let certain = |sure: bool| if sure { Overmatch::Surely } else { Overmatch::Perhaps };
        let first = self.words[0].as_bytes();
        let raw = operand.word.raw();
        if unknown::is_in(raw) {
            return self.rest(Found { surety: Overmatch::ByUnknown, end: at + 1 }, reading);
        }
        if let [_, second] = &*self.words
            && let Some(sub) = reading.tool.and_then(|tool| tool.in_group(first, second.as_bytes()))
            && (reading.sub_names().any(|name| sub.names.iter().any(|own| own.as_bytes() == name))
                || sub.names.iter().any(|own| own.as_bytes() == raw))
        {
            return Some(Found { surety: certain(operand.certain), end: at + 1 });
        }
        let synonyms = || reading.tool.and_then(|tool| tool.sub(first));
        let known = matches!(reading.sub, Subcommand::Known { at: place, .. } if place == at);
        let named = raw == first
            || (known && reading.sub_names().any(|name| name == first))
            || (!known
                && synonyms().is_some_and(|sub| sub.names.iter().any(|n| n.as_bytes() == raw)));
        let abbreviates = reading.tool.is_some_and(|tool| tool.abbreviates);
        let surety = if named {
            // Behind a group word it is that group's own word, and the name may mean another thing.
            certain(operand.certain && (!known || at == 0 || raw != first || self.is_own(reading)))
        } else if abbreviates && !raw.is_empty() && first.starts_with(raw) {
            Overmatch::Perhaps
        } else {
            return None;
        };
        self.rest(Found { surety, end: at + 1 }, reading)
    }

    /// Whether what was read is the very subcommand of this name.
    fn is_own(&self, reading: &Reading<'_>) -> bool {
        let first = self.words[0].as_bytes();
        reading.sub_names().any(|name| name == first)
    }
}

/// The next operand, or one behind guesses, that is `word`.
fn find(word: &[u8], from: usize, reading: &Reading<'_>) -> Option<Found> {
    let mut surety = Overmatch::Surely;
    for (at, operand) in reading.operands.iter().enumerate().skip(from) {
        if !operand.certain {
            surety = Overmatch::Perhaps;
        }
        if unknown::is_in(operand.word.raw()) {
            return Some(Found { surety: Overmatch::ByUnknown, end: at + 1 });
        }
        if operand.word.raw() == word {
            return Some(Found { surety, end: at + 1 });
        }
        if operand.certain {
            return None;
        }
    }
    None
}
