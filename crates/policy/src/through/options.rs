//! Options: the options of a tool that run a command, or write a file, whatever else the tool does.
//! How the tool reads its arguments comes from the table of tools, guesses included.

use std::borrow::Cow;

use super::found::{Inside, Kind, Place, Word};
use super::lines::{self, Line};
use super::table::{Effect, Entry, Opt, Then, is_key};
use super::{awk, sed};
use crate::matchers::argv::{Reading, Subcommand};
use crate::matchers::names::{self, Names};
use crate::matchers::unknown;
use crate::tools::Arity;

/// Adds what the options and the subcommand run.
pub(super) fn read<'a>(
    entry: &'static Entry,
    reading: &Reading<'a>,
    argv: &[&'a [u8]],
    inside: &mut Inside<'a>,
) {
    for opt in &entry.opts {
        for flag in &reading.flags {
            let Some(how) = opt
                .names
                .iter()
                .find(|name| flag.is(name.as_bytes()) || flag.may_be(name.as_bytes()))
            else {
                continue;
            };
            use_value(opt, how, flag.value.or(flag.next), inside);
        }
    }
    // A file that is called as files are names no program, and one that is written lies here.
    let harmless = |opt: &Opt| matches!(opt.effect, Effect::Write | Effect::Program);
    let planted = reading.planted && (reading.any_planted || !entry.opts.iter().all(harmless));
    if (reading.wild || planted || (reading.planted && !entry.literal.is_empty()))
        && !(entry.opts.is_empty() && entry.literal.is_empty())
    {
        inside.doubt("an option that only a shell will know may run a command");
    }
    if entry.sed {
        sed::read(reading, inside);
    }
    if entry.awk {
        awk::read(argv, inside);
    }
    if !entry.literal.is_empty() {
        literal(entry, reading, argv, inside);
    }
    for operand in &reading.operands {
        let raw = operand.word.raw();
        let holds = |text: &&str| unknown::is_in(raw) || contains(raw, text.as_bytes());
        if entry.holds.iter().any(holds) {
            inside.doubt("a program for the tool itself that may run commands or write files");
        }
    }
    subcommand(entry, reading, inside);
    if entry.elsewhere {
        for run in
            inside.runs.iter_mut().filter(|run| !matches!(run.kind, Kind::Write | Kind::Read))
        {
            run.place = Place::Unknown;
        }
    }
}

/// Options that are words of their own, each with what follows it.
fn literal<'a>(
    entry: &'static Entry,
    reading: &Reading<'a>,
    argv: &[&'a [u8]],
    inside: &mut Inside<'a>,
) {
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        at += 1;
        let is_open = unknown::is_open(word) && !names::are_no_flags(word);
        if !(reading.wild || reading.planted) && (is_open || may_become(word, entry)) {
            inside.doubt("an option that only a shell will know may run a command");
        }
        for opt in &entry.literal {
            for how in &opt.names {
                let attached = match word.strip_prefix(how.as_bytes()) {
                    Some([]) => None,
                    Some([b'=', value @ ..]) => Some(value),
                    Some(value) if how.len() == 2 => Some(value),
                    _ => continue,
                };
                match opt.effect {
                    Effect::Until => at = until(argv, at, how, inside),
                    _ => use_value(opt, how, attached.or(argv.get(at).copied()), inside),
                }
            }
        }
        let flag = reading.tool.and_then(|tool| tool.flags.get(word));
        at += usize::from(flag.is_some_and(|flag| flag.arity == Arity::Required));
    }
}

/// Whether a word that begins as an option does may be one of the tool's that run something.
fn may_become(word: &[u8], entry: &Entry) -> bool {
    let head = word.split(|byte| *byte == unknown::MARK).next().unwrap_or_default();
    let names = || entry.literal.iter().flat_map(|opt| &opt.names).map(|name| name.as_bytes());
    unknown::is_in(word)
        && head.first() == Some(&b'-')
        && names().any(|name| name.starts_with(head) || head.starts_with(name))
}

/// `find -exec … ;`: the words up to the end of the command, `{}` being a path that is found.
/// Gives the place behind them.
fn until<'a>(argv: &[&'a [u8]], at: usize, how: &'static str, inside: &mut Inside<'a>) -> usize {
    let behind = argv.get(at..).unwrap_or_default();
    let end = behind.iter().enumerate().position(|(at, word)| {
        *word == b";" || (*word == b"+" && at > 0 && behind[at - 1] == b"{}")
    });
    let Some(end) = end else {
        inside.doubt("the end of the command is missing");
        return argv.len();
    };
    let many = behind.get(end) == Some(&b"+".as_slice());
    let path = found_by(argv, !many);
    let words = behind[..end].iter().map(|word| match *word {
        b"{}" => Cow::Owned(path.clone()),
        word => lines::punch(word, b"{}"),
    });
    inside.run(words.collect(), how, Kind::Program);
    at + end + 1
}

/// The paths that `find` finds: the places where it looks, and what lies below. They start as those
/// places do, so they are no options.
fn found_by(argv: &[&[u8]], single: bool) -> Vec<u8> {
    let mut own = argv.get(1..).unwrap_or_default();
    while let [b"-H" | b"-L" | b"-P", rest @ ..] = own {
        own = rest;
    }
    // Options of some that stand before the places, or name one.
    if own.first().is_some_and(|word| matches!(word.get(..2), Some(b"--" | b"-D" | b"-O" | b"-f")))
    {
        return unknown::MANY.to_vec();
    }
    let begins = |word: &&[u8]| word.starts_with(b"-") || matches!(*word, b"(" | b")" | b"!");
    let places = own.get(..own.iter().position(begins).unwrap_or(own.len())).unwrap_or_default();
    let mut texts = Vec::new();
    let here: &[&[u8]] = &[b"."];
    for &place in if places.is_empty() { here } else { places } {
        match names::of(place) {
            Some((b'g', _)) => return unknown::MANY.to_vec(),
            Some((_, known)) => texts.extend(names::split(known)),
            None if unknown::is_in(place) || place.is_empty() => return unknown::MANY.to_vec(),
            None => texts.push(place.to_vec()),
        }
    }
    let below = |text: &Vec<u8>| {
        let slash: &[u8] = if text.ends_with(b"/") { b"" } else { b"/" };
        [text.as_slice(), slash, names::DEEP].concat()
    };
    texts.extend(texts.iter().map(below).collect::<Vec<_>>());
    Names { texts, single }.word().unwrap_or_else(|| unknown::MANY.to_vec())
}

fn subcommand<'a>(entry: &'static Entry, reading: &Reading<'a>, inside: &mut Inside<'a>) {
    let Subcommand::Known { at, .. } = reading.sub else { return };
    let words: Vec<&'a [u8]> = reading.operands.iter().map(|operand| operand.word.raw()).collect();
    let name = words.get(at).copied().unwrap_or_default();
    if !entry.subs.is_empty() && unknown::is_in(name) {
        inside.doubt("a subcommand that only a shell will know");
    }
    let named = |names: &[&'static str]| {
        names.iter().any(|wanted| {
            wanted.as_bytes() == name
                || reading.sub_names().next().is_some_and(|main| main == wanted.as_bytes())
        })
    };
    let Some(sub) = entry.subs.iter().find(|sub| named(&sub.names)) else { return };
    let rest = words.get(at + 1 + sub.after..).unwrap_or_default();
    // Behind the name of a pod or of a package a `--` may stand.
    let rest = rest.strip_prefix(&[b"--".as_slice()]).unwrap_or(rest);
    if rest.is_empty() {
        return;
    }
    let words: Vec<Word<'a>> = rest.iter().map(|word| Cow::Borrowed(*word)).collect();
    match sub.then {
        Then::Argv => inside.run(words, sub.names[0], Kind::Program),
        Then::Shell => {
            let line = words.join(&b' ');
            lines::read(&line, Line { how: sub.names[0], ..Line::default() }, inside);
        }
        _ => inside.run(words, sub.names[0], Kind::Guess),
    }
    if let Some(run) = inside.runs.last_mut() {
        run.place =
            if entry.elsewhere { super::found::Place::Unknown } else { super::found::Place::Here };
    }
}

/// What an option's value means, where that is the same for every tool.
pub(super) fn use_value<'a>(
    opt: &Opt,
    how: &'static str,
    value: Option<&'a [u8]>,
    inside: &mut Inside<'a>,
) {
    let value = match (opt.keys.as_slice(), value) {
        ([], value) => value,
        (keys, Some(value)) => {
            let separator = |byte: &u8| matches!(byte, b'=' | b' ' | b'\t');
            let end = value.iter().position(separator).unwrap_or(value.len());
            if unknown::is_in(&value[..end]) {
                inside.doubt("a setting that only a shell will know may run a command");
                return;
            }
            if !keys.iter().any(|key| is_key(key, &value[..end])) {
                return;
            }
            Some(value.get(end + 1..).unwrap_or_default())
        }
        (_, None) => return,
    };
    let text = value.unwrap_or_default();
    match opt.effect {
        Effect::Opaque => inside.doubt(format!("what `{how}` runs is not looked into")),
        _ if text.is_empty() => {}
        Effect::Line => lines::read(text, Line { how, ..Line::default() }, inside),
        Effect::Prefix => lines::read(text, Line { how, more: true, ..Line::default() }, inside),
        Effect::Alias => match text.strip_prefix(b"!") {
            Some(line) => lines::read(line, Line { how, more: true, ..Line::default() }, inside),
            None => {
                let line = [b"git ", text].concat();
                lines::read(&line, Line { how, more: true, ..Line::default() }, inside);
            }
        },
        Effect::Program => {
            inside.run(vec![Cow::Borrowed(text), Cow::Borrowed(unknown::MANY)], how, Kind::Program);
        }
        Effect::Write => inside.write(text, how),
        _ => {}
    }
}

/// The words of a text between blanks, quotes honoured; `None` where more than that is in it.
pub(crate) fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for &byte in text {
        match (quote, byte) {
            (_, b'\\' | b'$' | b'#' | unknown::MARK) => return None,
            (Some(open), _) if open == byte => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A `>` before `=` compares.
fn contains(text: &[u8], part: &[u8]) -> bool {
    let compares = |at: usize| part == b">" && text.get(at + 1) == Some(&b'=');
    text.windows(part.len()).enumerate().any(|(at, window)| window == part && !compares(at))
}
