//! Operands: globs over them, their number, and a regular expression on one of them.
//! The subcommand is none of them; a word that only may be one counts both ways.

use regex::bytes::Regex;

use super::super::argv::{OperandUse, Reading};
use super::super::operand::{Operand, OperandPattern};
use super::super::{Need, Overmatch};
use super::super::{paths, unknown};
use super::{Key, OperandList, Set, Unmet};

/// Which argument a regular expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// One of the operands, or the value of a flag.
    Some,
    /// The operand at this place behind the subcommand, from 1.
    At(usize),
}

/// The keys `operands` and `matches`.
#[derive(Debug, Default)]
pub(super) struct Operands {
    any: Option<Key<OperandList>>,
    all: Option<Key<OperandList>>,
    none: Option<Key<OperandList>>,
    min: Option<Key<usize>>,
    max: Option<Key<usize>>,
    matches: Vec<Key<(Match, Regex)>>,
}

/// One operand for an `allow`: the word, and whether it surely is one.
pub(super) type Word<'a> = (&'a [u8], bool);

impl Operands {
    pub(super) fn set(&mut self, set: Set, list: Key<OperandList>) {
        match set {
            Set::Any => self.any = Some(list),
            Set::All => self.all = Some(list),
            _ => self.none = Some(list),
        }
    }

    pub(super) fn set_count(&mut self, is_least: bool, count: Key<usize>) {
        *(if is_least { &mut self.min } else { &mut self.max }) = Some(count);
    }

    pub(super) fn counts_cross(&self) -> bool {
        self.min.as_ref().zip(self.max.as_ref()).is_some_and(|(min, max)| min.value > max.value)
    }

    pub(super) fn add_match(&mut self, which: Match, text: &str, regex: Regex) {
        self.matches.push(Key::new((which, regex), &[text]));
    }

    pub(super) fn needs<'p>(&'p self, needs: &mut Vec<Vec<Need<'p>>>) {
        let Some(any) = &self.any else { return };
        let mut of = Vec::new();
        for pattern in &any.value {
            let before = of.len();
            if pattern.is_path() {
                of.extend(pattern.plain_paths().map(Need::Word));
            } else {
                of.extend(pattern.plain_words().map(Need::Word));
            }
            if of.len() == before {
                return;
            }
        }
        needs.extend(Some(of).filter(|of| !of.is_empty()));
    }

    /// For `deny` and `ask`, over the operands from `from` on.
    pub(super) fn overmatch(
        &self,
        reading: &Reading<'_>,
        from: usize,
    ) -> Result<Overmatch, Unmet<'_>> {
        let own = reading.operands.get(from..).unwrap_or_default();
        let sure = |sure: bool| if sure { Overmatch::Surely } else { Overmatch::Perhaps };
        let mut surety = Overmatch::Surely;
        let hit = |list: &OperandList, operand: &OperandUse<'_>| {
            list.iter().filter_map(|pattern| pattern.hits(&operand.word)).max()
        };
        if let Some(any) = &self.any {
            let of = |operand| Some(hit(&any.value, operand)?.min(sure(operand.certain)));
            let found = own.iter().filter_map(of).max();
            // What was taken for the subcommand may be meant as well.
            let before = || {
                let before = reading.operands[..from].iter();
                let found = before.filter_map(|word| hit(&any.value, word)).max();
                found.map(|sure| sure.min(Overmatch::Perhaps))
            };
            let found = found.or_else(before).ok_or_else(|| any.unmet("operands.any"))?;
            surety = surety.min(found);
        }
        if let Some(all) = &self.all {
            for operand in own {
                match hit(&all.value, operand) {
                    None if operand.certain => return Err(all.unmet("operands.all")),
                    None => surety = surety.min(Overmatch::Perhaps),
                    Some(found) => surety = surety.min(found.min(sure(operand.certain))),
                }
            }
        }
        if let Some(none) = &self.none {
            for operand in own {
                let fits = |pattern: &OperandPattern| pattern.fits(operand.word.raw());
                if operand.certain && none.value.iter().any(fits) {
                    return Err(none.unmet("operands.none"));
                }
                if hit(&none.value, operand).is_some() {
                    surety = surety.min(Overmatch::Perhaps);
                }
            }
        }
        let certain = own.iter().filter(|operand| operand.certain).count();
        surety = surety.min({
            let several = own.iter().any(|operand| operand.word.may_be_several());
            self.overcount(certain, if several { usize::MAX } else { own.len() })?
        });
        for entry in &self.matches {
            let found = overmatch_regex(&entry.value, own, reading);
            surety = surety.min(found.ok_or_else(|| entry.unmet("matches"))?);
        }
        Ok(surety)
    }

    fn overcount(&self, least: usize, most: usize) -> Result<Overmatch, Unmet<'_>> {
        let mut surety = Overmatch::Surely;
        if let Some(min) = &self.min {
            if most < min.value {
                return Err(min.unmet("operands.min"));
            }
            if least < min.value {
                surety = Overmatch::Perhaps;
            }
        }
        if let Some(max) = &self.max {
            if least > max.value {
                return Err(max.unmet("operands.max"));
            }
            if most > max.value {
                surety = Overmatch::Perhaps;
            }
        }
        Ok(surety)
    }

    /// For `allow`.
    pub(super) fn fit(&self, own: &[Word<'_>]) -> Result<(), Unmet<'_>> {
        let fits = |list: &Key<OperandList>, word: &[u8]| list.value.iter().any(|p| p.fits(word));
        if let Some(any) = &self.any
            && !own.iter().any(|(word, sure)| *sure && fits(any, word))
        {
            return Err(any.unmet("operands.any"));
        }
        if let Some(all) =
            self.all.as_ref().filter(|all| !own.iter().all(|(word, _)| fits(all, word)))
        {
            return Err(all.unmet("operands.all"));
        }
        let least = own.iter().filter(|(_, sure)| *sure).count();
        if let Some(min) = self.min.as_ref().filter(|min| least < min.value) {
            return Err(min.unmet("operands.min"));
        }
        if let Some(max) = self.max.as_ref().filter(|max| own.len() > max.value) {
            return Err(max.unmet("operands.max"));
        }
        for entry in &self.matches {
            let (which, regex) = &entry.value;
            let found = match which {
                Match::Some => own.iter().any(|(word, sure)| *sure && is_match(regex, word)),
                Match::At(place) => {
                    let upto = own.get(..*place).filter(|upto| upto.iter().all(|(_, sure)| *sure));
                    upto.and_then(<[_]>::last).is_some_and(|(word, _)| is_match(regex, word))
                }
            };
            if !found {
                return Err(entry.unmet("matches"));
            }
        }
        Ok(())
    }

    /// For `allow`: whether `none` leaves these words alone, in every spelling.
    pub(super) fn fit_none(&self, words: &[&[u8]], cwd: Option<&[u8]>) -> Result<(), Unmet<'_>> {
        let Some(none) = &self.none else { return Ok(()) };
        let hit = |word: &&[u8]| {
            let operand = Operand::new(word, cwd);
            none.value.iter().any(|pattern| pattern.hits(&operand).is_some())
        };
        if words.iter().any(hit) { Err(none.unmet("operands.none")) } else { Ok(()) }
    }
}

fn overmatch_regex(
    (which, regex): &(Match, Regex),
    own: &[OperandUse<'_>],
    reading: &Reading<'_>,
) -> Option<Overmatch> {
    let of = |operand: &OperandUse<'_>| {
        let found = hit(regex, &operand.word)?;
        Some(if operand.certain { found } else { found.min(Overmatch::Perhaps) })
    };
    match which {
        Match::Some => {
            let values = reading.flags.iter().filter_map(|flag| {
                let hits = |value| hit(regex, &Operand::new(value, flag.cwd));
                let own = flag.value.and_then(hits);
                let next = || flag.next.and_then(hits).map(|sure| sure.min(Overmatch::Perhaps));
                let found = own.or_else(next)?;
                Some(if flag.certain { found } else { found.min(Overmatch::Perhaps) })
            });
            own.iter().filter_map(of).chain(values).max()
        }
        Match::At(place) => match own.get(..*place) {
            Some(upto) if upto.iter().all(|operand| operand.certain) => upto.last().and_then(of),
            // Which one it is cannot be told.
            _ if own.iter().any(|operand| !operand.certain) => {
                own.iter().filter_map(of).max().map(|sure| sure.min(Overmatch::Perhaps))
            }
            _ => None,
        },
    }
}

/// For `allow`: a word that only a shell will know is not matched.
fn is_match(regex: &Regex, word: &[u8]) -> bool {
    !unknown::is_in(word) && regex.is_match(word)
}

/// Whether a word is matched in one of its spellings.
fn hit(regex: &Regex, word: &Operand<'_>) -> Option<Overmatch> {
    if unknown::is_in(word.raw()) {
        return Some(Overmatch::ByUnknown);
    }
    if regex.is_match(word.raw()) || regex.is_match(&paths::normalise(word.raw())) {
        return Some(Overmatch::Surely);
    }
    match word.all_spellings() {
        Some(mut spellings) => {
            spellings.any(|text| regex.is_match(text)).then_some(Overmatch::Perhaps)
        }
        None => Some(Overmatch::Perhaps),
    }
}
