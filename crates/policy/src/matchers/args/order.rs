//! The words and operands of a pattern among those of a command, in their order.

use super::{Miss, Word};
use crate::matchers::Overmatch;
use crate::matchers::argv::{Reading, Subcommand};
use crate::matchers::operand::OperandPattern;

/// Most times that a pattern is read in two ways; one with more may mean the command.
const MAX_FORKS: usize = 64;

/// The rest of a pattern's words, behind those of which `surety` and `operands` are left. Where a word
/// may be a flag's value or an operand, both ways are gone.
pub(super) fn overmatches_from<'p>(
    mut words: &'p [Word],
    mut surety: Overmatch,
    operands: &mut Vec<&'p OperandPattern>,
    forks: &mut usize,
    reading: &Reading<'_>,
) -> Result<Overmatch, Miss<'p>> {
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        let flag = match word {
            Word::End => continue,
            Word::Operand(pattern) => {
                operands.push(pattern);
                continue;
            }
            Word::Flag(flag) => flag,
        };
        let next = rest.first().and_then(Word::operand);
        let used = flag.overmatches(next, reading);
        match (used.alone, used.with_next) {
            (None, None) => return Err(Miss::Flag(flag.source())),
            (Some(sure), None) => surety = surety.min(sure),
            (None, Some(sure)) => {
                surety = surety.min(sure);
                words = &rest[1..];
            }
            (Some(alone), Some(with_next)) => {
                *forks += 1;
                if *forks > MAX_FORKS {
                    return Ok(Overmatch::Perhaps);
                }
                let left = operands.len();
                let taken =
                    overmatches_from(&rest[1..], surety.min(with_next), operands, forks, reading);
                operands.truncate(left);
                let left = overmatches_from(rest, surety.min(alone), operands, forks, reading);
                return match (taken, left) {
                    (Ok(taken), Ok(left)) => Ok(taken.max(left)),
                    (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
                    (Err(_), Err(miss)) => Err(miss),
                };
            }
        }
    }
    Ok(surety.min(find_operands(operands, reading)?))
}

/// All names of the subcommand, where the operand at this place is it.
pub(super) fn sub_names<'a>(
    reading: &Reading<'a>,
    at: usize,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let here = matches!(reading.sub, Subcommand::Known { at: place, .. } if place == at);
    here.then(|| reading.sub_names()).into_iter().flatten()
}

/// The operands of a pattern anywhere among those of the command, in order. At the front and read
/// for certain is a sure match, anything else is not. A pattern that starts with a subcommand of
/// the tool means that one.
fn find_operands<'p>(
    patterns: &[&'p OperandPattern],
    reading: &Reading<'_>,
) -> Result<Overmatch, Miss<'p>> {
    let Some(first) = patterns.first() else { return Ok(Overmatch::Surely) };
    let names_sub = first.plain_words().next().is_some()
        && first.plain_words().all(|word| {
            reading.tool.is_some_and(|tool| tool.sub(word).is_some() || tool.is_group(word))
        });
    match reading.sub {
        Subcommand::Known { at, .. } if names_sub => {
            let by_group = if at > 0 { match_words(patterns, 0, 0, reading) } else { None };
            let beginning = || {
                let raw = reading.operands[at].word.raw();
                reading.sub_may_be_shortened()
                    && first.plain_words().any(|word| word.starts_with(raw))
            };
            let here = hits(first, at, reading);
            let rest = || match_in_order(&patterns[1..], at + 1, at + 1, reading);
            let found = match here {
                Some(Overmatch::Surely) => rest(),
                Some(sure) => rest().or(by_group).map(|rest| rest.min(sure)),
                None if by_group.is_some() => by_group,
                None if beginning() => rest().map(|rest| rest.min(Overmatch::Perhaps)),
                None => return Err(Miss::Subcommand(first.source())),
            };
            found.ok_or_else(|| Miss::Operand(missing(&patterns[1..], at + 1, reading)))
        }
        Subcommand::None if names_sub && reading.operands.is_empty() && !reading.wild => {
            Err(Miss::Subcommand(first.source()))
        }
        _ => match_in_order(patterns, 0, 0, reading)
            .ok_or_else(|| Miss::Operand(missing(patterns, 0, reading))),
    }
}

fn hits(pattern: &OperandPattern, at: usize, reading: &Reading<'_>) -> Option<Overmatch> {
    if sub_names(reading, at).any(|name| pattern.plain_words().any(|word| word == name)) {
        return Some(Overmatch::Surely);
    }
    reading.operands.get(at).and_then(|operand| pattern.hits(&operand.word))
}

/// The first operand from `from` on that the pattern hits at least so surely.
fn find(
    pattern: &OperandPattern,
    from: usize,
    least: Overmatch,
    reading: &Reading<'_>,
) -> Option<(usize, Overmatch)> {
    (from..reading.operands.len()).find_map(|at| {
        let sure = hits(pattern, at, reading).filter(|sure| *sure >= least)?;
        Some((at, sure))
    })
}

/// The same, where words that only a shell will know may be any of them.
fn match_in_order(
    patterns: &[&OperandPattern],
    from: usize,
    front: usize,
    reading: &Reading<'_>,
) -> Option<Overmatch> {
    let by_unknown = reading.wild.then_some(Overmatch::ByUnknown);
    match_words(patterns, from, front, reading).or(by_unknown)
}

/// Known words come first: what they suffice for is not held to be by an unknown one.
fn match_words(
    patterns: &[&OperandPattern],
    from: usize,
    front: usize,
    reading: &Reading<'_>,
) -> Option<Overmatch> {
    let with = |least: Overmatch| {
        let mut place = from;
        let mut surety = Overmatch::Surely;
        for (position, pattern) in patterns.iter().enumerate() {
            let (at, sure) = find(pattern, place, least, reading)?;
            surety = surety.min(sure);
            if at != front + position || !reading.operands[at].certain {
                surety = surety.min(Overmatch::Perhaps);
            }
            // A word that may become several is an operand for each of them.
            place = if reading.operands[at].word.may_be_several() { at } else { at + 1 };
        }
        Some(surety)
    };
    let known = with(Overmatch::Perhaps);
    if known.is_none() && reading.unknown { with(Overmatch::ByUnknown) } else { known }
}

/// The first pattern that finds no operand, of some of which one does not.
fn missing<'p>(patterns: &[&'p OperandPattern], from: usize, reading: &Reading<'_>) -> &'p str {
    let Some((last, others)) = patterns.split_last() else { return "" };
    let mut place = from;
    for pattern in others {
        match find(pattern, place, Overmatch::ByUnknown, reading) {
            Some((at, _)) => place = at + 1,
            None => return pattern.source(),
        }
    }
    // It is not looked for once more: on the way of a request nearly every pattern comes to this.
    last.source()
}
