//! Lines: the commands of a shell line, with what the line assigns and where it stands.
//! What the parser is in doubt about is a doubt here too.

use std::borrow::Cow;

// The one place that says who parses shell lines.
use crate::shell::{Dialect, Origin, Script, Simple, Word as ShellWord, parse};

use super::found::{Inside, Kind, Place, Run, Word, assignment};
use super::moves;
use super::values::Values;
use crate::matchers::unknown;

/// Builtins whose operands may be assignments that hold for what follows.
const DECLARE: &[&[u8]] = &[b"export", b"declare", b"typeset", b"readonly", b"local"];

/// Builtins that set the variables which they are given the names of.
const SET: &[&[u8]] = &[b"read", b"readarray", b"mapfile", b"printf", b"getopts"];

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
    /// The variables of the request, where they are known.
    pub(super) env: Option<&'l [&'l [u8]]>,
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
            let moved = moves::places(line, &script);
            add(&script, form, &moved, inside);
        }
    }
}

fn add(script: &Script, form: Line<'_>, moved: &[Vec<Vec<u8>>], inside: &mut Inside<'_>) {
    let values = Values::new(script, form.top, form.env);
    for doubt in &script.doubts {
        inside.doubt(format!("{} at byte {} of the shell line", doubt.why, doubt.at));
    }
    let mut lasting: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let sets: Vec<usize> = script.commands.iter().enumerate().filter_map(sets).collect();
    let last = script.commands.iter().rposition(|simple| !simple.words.is_empty());
    let repository = stays_in_repository(script);
    for (number, simple) in script.commands.iter().enumerate() {
        let git = simple.words.first().and_then(ShellWord::literal) == Some(b"git");
        let here = simple.cwd_is_known || (git && repository);
        let place = if here { Place::Here } else { Place::Unknown };
        let dirs = moved.get(number).map(Vec::as_slice).unwrap_or_default();
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
            redirect(&values, (number, simple), form, &place, dirs, inside);
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
        let (how, again) = (form.how, simple.again);
        let run = Run { words, how, place: place.clone(), assigned, kind, input, again };
        if run.place == Place::Unknown && !dirs.is_empty() {
            for dir in dirs {
                inside.runs.push(Run { place: Place::Below(dir.clone()), ..run.clone() });
            }
            // The `cd` may have failed, or be over.
            inside.runs.push(Run { place: Place::Here, ..run });
        } else {
            inside.runs.push(run);
        }
        redirect(&values, (number, simple), form, &place, dirs, inside);
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
    dirs: &[Vec<u8>],
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
        let places = if *place == Place::Unknown && !dirs.is_empty() {
            dirs.iter().cloned().map(Place::Below).chain([Place::Here]).collect()
        } else {
            vec![place.clone()]
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

/// Whether the line goes nowhere but to the top of the repository that it stands in, which is the same
/// one for git.
fn stays_in_repository(script: &Script) -> bool {
    let top: [&[u8]; 3] = [b"git", b"rev-parse", b"--show-toplevel"];
    let is_top = |word: &ShellWord| match (word.parts.as_slice(), word.origins.as_slice()) {
        ([None], [Origin::Output(range)]) => {
            let commands = script.commands.get(range.clone()).unwrap_or_default();
            matches!(commands, [only] if only.words.iter().map(ShellWord::literal).eq(top.map(Some)))
        }
        _ => false,
    };
    script.commands.iter().all(|simple| match simple.words.as_slice() {
        [] => true,
        [name, rest @ ..] => match (name.literal(), rest) {
            (Some(b"cd"), [dir]) => is_top(dir),
            (Some(name), _) => !moves::MOVE.contains(&name),
            (None, _) => false,
        },
    })
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
