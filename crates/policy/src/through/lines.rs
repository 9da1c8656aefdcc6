//! Lines: the commands of a shell line, with what the line assigns and where it stands.
//! What the parser is in doubt about is a doubt here too.

use std::borrow::Cow;

// The one place that says who parses shell lines.
use crate::shell::{Dialect, Script, Simple, Word as ShellWord, parse};

use super::found::{Inside, Kind, Place, Run, Word, assignment};
use super::values::Values;
use crate::matchers::unknown;

/// Builtins whose operands may be assignments that hold for what follows.
const DECLARE: &[&[u8]] = &[b"export", b"declare", b"typeset", b"readonly", b"local"];

/// Builtins that set the variables which they are given the names of.
const SET: &[&[u8]] = &[b"read", b"readarray", b"mapfile", b"printf", b"getopts"];

/// Builtins after which the working directory may be another.
const MOVE: &[&[u8]] =
    &[b"cd", b"pushd", b"popd", b"chdir", b"command", b"builtin", b"eval", b"source", b"."];

/// How the words of a line are to be understood beyond a shell's reading.
#[derive(Clone, Copy, Default)]
pub(super) struct Line<'l> {
    pub(super) how: &'static str,
    /// The tool adds words of its own to the last command.
    pub(super) more: bool,
    /// Which text a template replaces, as `{}`.
    pub(super) hole: Option<&'l [u8]>,
    pub(super) shell: &'l [u8],
    /// Nothing around the line sets its variables or parameters.
    pub(super) top: bool,
}

/// Adds what `line` runs.
pub(super) fn read(line: &[u8], form: Line<'_>, inside: &mut Inside<'_>) {
    if unknown::is_in(line) {
        inside.doubt("a shell line that only its caller will know");
        return;
    }
    let dialect = match form.shell {
        b"bash" => Dialect::Bash,
        b"zsh" => Dialect::Zsh,
        _ => Dialect::Posix,
    };
    match parse(line, dialect) {
        Err(found) => inside.doubt(format!("{} at byte {} of the shell line", found.why, found.at)),
        Ok(script) => {
            let cwd = moved(line, &script);
            add(&script, form, cwd.as_deref(), inside);
        }
    }
}

fn add(script: &Script, form: Line<'_>, moved: Option<&[u8]>, inside: &mut Inside<'_>) {
    let values = Values::new(script, form.top);
    for doubt in &script.doubts {
        inside.doubt(format!("{} at byte {} of the shell line", doubt.why, doubt.at));
    }
    let mut lasting: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let sets: Vec<usize> = script.commands.iter().enumerate().filter_map(sets).collect();
    let last = script.commands.iter().rposition(|simple| !simple.words.is_empty());
    for (number, simple) in script.commands.iter().enumerate() {
        let place = if simple.cwd_is_known { Place::Here } else { Place::Unknown };
        let own = simple.assignments.iter().map(|(name, value)| (name.clone(), raw(value, None)));
        let mut assigned = lasting.clone();
        assigned.extend(own);
        let set = assigned.len();
        if simple.behind > number {
            // What the line sets behind it holds for its next turn.
            let later = sets.iter().filter(|later| (number + 1..simple.behind).contains(later));
            let later = later.flat_map(|&later| &script.commands[later].assignments);
            assigned.extend(later.map(|(name, value)| (name.clone(), raw(value, None))));
        }
        let mut words: Vec<Word<'_>> = simple
            .words
            .iter()
            .map(|word| Cow::Owned(told(&values, (number, simple), word, form)))
            .collect();
        let Some(name) = words.first() else {
            assigned.truncate(set);
            lasting = assigned;
            redirect(&values, (number, simple), form, &place, moved, inside);
            continue;
        };
        if DECLARE.contains(&name.as_ref()) {
            for word in &words[1..] {
                if let Some((name, value)) = assignment(word) {
                    lasting.push((name.to_vec(), value.to_vec()));
                } else if unknown::is_in(word) {
                    inside.doubt("a variable is assigned whose name is not known");
                }
            }
        }
        if SET.contains(&name.as_ref()) {
            // What stands before `read` holds for it alone.
            let own = assigned.get(lasting.len()..set).unwrap_or_default();
            let own: Vec<_> = own.iter().filter(|(name, _)| name != b"IFS").cloned().collect();
            lasting.extend(own);
        }
        if name.as_ref() == b"unset" && simple.assignments.iter().any(|(name, _)| name == b"PATH") {
            // Without one, a shell looks in the folder where it is.
            lasting.push((b"PATH".to_vec(), Vec::new()));
        }
        if form.more && Some(number) == last {
            words.push(Cow::Borrowed(unknown::MANY));
        }
        let input = values.input(simple);
        let kind = Kind::Shell;
        let run = Run { words, how: form.how, place: place.clone(), assigned, kind, input };
        if run.place == Place::Unknown
            && let Some(dir) = moved
        {
            // The `cd` may have failed.
            inside.runs.push(Run { place: Place::Below(dir.to_vec()), ..run.clone() });
            inside.runs.push(Run { place: Place::Here, ..run });
        } else {
            inside.runs.push(run);
        }
        redirect(&values, (number, simple), form, &place, moved, inside);
    }
}

/// The number of a command that sets variables for those which come after it.
fn sets((number, simple): (usize, &Simple)) -> Option<usize> {
    let name = simple.words.first().map(ShellWord::literal);
    let lasts = match name {
        None => true,
        Some(Some(name)) => DECLARE.contains(&name) || SET.contains(&name),
        Some(None) => false,
    };
    (lasts && !simple.assignments.is_empty()).then_some(number)
}

/// The files that a command is connected to, behind it: what it writes is not there before it runs.
fn redirect(
    values: &Values<'_>,
    (number, simple): (usize, &Simple),
    form: Line<'_>,
    place: &Place,
    moved: Option<&[u8]>,
    inside: &mut Inside<'_>,
) {
    for redirect in &simple.redirects {
        // What is written must be known, of what is read it is enough what it may be.
        let told = if redirect.writes {
            values.word(&redirect.target, None, number).filter(|word| !unknown::is_in(word))
        } else {
            values.read(&redirect.target, number)
        };
        let target = told.unwrap_or_else(|| raw(&redirect.target, form.hole));
        let from = inside.runs.len();
        let places = match moved.filter(|_| *place == Place::Unknown) {
            Some(dir) => vec![Place::Below(dir.to_vec()), Place::Here],
            None => vec![place.clone()],
        };
        for _ in &places {
            if redirect.writes {
                inside.write(&target, ">");
            } else {
                inside.read(&target, "<");
            }
        }
        for (run, place) in inside.runs[from..].iter_mut().zip(places) {
            run.place = place;
        }
    }
}

/// The directory to which the line goes first of all, where it goes nowhere else.
fn moved(line: &[u8], script: &Script) -> Option<Vec<u8>> {
    let first = script.commands.first()?;
    let [name, dir] = first.words.as_slice() else { return None };
    let dir = dir.literal().filter(|dir| !dir.is_empty() && !dir.starts_with(b"-"))?;
    let at_once = line.trim_ascii_start().starts_with(b"cd ") && name.literal() == Some(b"cd");
    let stays = |simple: &Simple| {
        simple.words.first().is_none_or(|name| name.literal().is_some_and(|it| !MOVE.contains(&it)))
    };
    let only = script.doubts.is_empty() && script.commands.iter().skip(1).all(stays);
    (at_once && only && first.cwd_is_known).then(|| dir.to_vec())
}

/// The bytes of a word, with what the line tells of its unknown parts.
fn told(
    values: &Values<'_>,
    (number, simple): (usize, &Simple),
    word: &ShellWord,
    form: Line<'_>,
) -> Vec<u8> {
    let holed = form.hole.is_some_and(|hole| {
        word.parts.iter().flatten().any(|part| part.windows(hole.len()).any(|it| it == hole))
    });
    if word.literal().is_none()
        && !holed
        && let Some(told) = values.word(word, Some(simple), number)
    {
        return told;
    }
    raw(word, form.hole)
}

/// The bytes of a word, unknown parts marked.
fn raw(word: &ShellWord, hole: Option<&[u8]>) -> Vec<u8> {
    if let Some(text) = word.literal() {
        return hole.map_or_else(|| text.to_vec(), |hole| punch(text, hole).into_owned());
    }
    if word.may_be_many {
        return unknown::MANY.to_vec();
    }
    let parts = word.parts.iter().map(|part| part.as_deref().unwrap_or(unknown::ONE));
    // Two unknown parts side by side are one.
    let mut bytes: Vec<u8> = Vec::new();
    for part in parts {
        if !(part == unknown::ONE && bytes.last() == Some(&unknown::MARK)) {
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// The word with every `hole` in it taken for unknown.
pub(super) fn punch<'w>(word: &'w [u8], hole: &[u8]) -> Cow<'w, [u8]> {
    let may_hold = hole.first().is_some_and(|first| word.contains(first));
    if !may_hold || !word.windows(hole.len()).any(|window| window == hole) {
        return Cow::Borrowed(word);
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, others)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(hole) {
            if bytes.last() != Some(&unknown::MARK) {
                bytes.push(unknown::MARK);
            }
            rest = behind;
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    Cow::Owned(bytes)
}
