//! Look: what one command runs, by each of its names: as a shell, as what starts another command, by its options.

use std::borrow::Cow;

use super::found::{Inside, Kind};
use super::lines::{self, Line};
use super::table::{self, Entry};
use super::{module, options, prefix};
use crate::facts::Facts;
use crate::matchers::name::Names;
use crate::matchers::{paths, reader, unknown};
use crate::tools;

/// What stands for the standard input among files.
const INPUTS: &[&[u8]] = &[b"/dev/stdin", b"/dev/fd/0", b"/proc/self/fd/0"];

/// Options of shells that take no value, beside letters.
const SHELL_OPTIONS: &[&[u8]] = &[
    b"--help",
    b"--login",
    b"--noprofile",
    b"--norc",
    b"--posix",
    b"--restricted",
    b"--verbose",
    b"--version",
    b"--noediting",
    b"--emulate",
    b"--no-rcs",
    b"--no-globalrcs",
];

/// Options of `-O` that leave the names which a pattern finds as they are read here.
const PATTERNS: &[&[u8]] = &[b"globstar", b"nullglob", b"failglob", b"inherit_errexit", b"extglob"];

/// What the command runs, by whichever of its names.
pub(super) fn look<'a>(
    facts: &Facts<'a>,
    names: &Names<'a>,
    top: bool,
    input: Option<&[u8]>,
) -> Inside<'a> {
    let mut all = Inside::default();
    for name in names.bare() {
        let Some(entry) = table::find(name) else { continue };
        let found = match applet(entry, name, names, facts) {
            Some(applet) => applet,
            None => of_entry(entry, name, facts, top, input),
        };
        all.passes |= found.passes;
        all.by_input |= found.by_input;
        all.runs.extend(found.runs);
        all.doubts.extend(found.doubts);
    }
    all
}

/// What a link to a program of many commands runs besides the command of the link's name: the program goes by `argv[0]`,
/// which is the caller's choice. `None` where it is called by its own name and reads the command from its words.
fn applet<'a>(
    entry: &Entry,
    name: &[u8],
    names: &Names<'a>,
    facts: &Facts<'a>,
) -> Option<Inside<'a>> {
    if !entry.applets || names.asked == name {
        return None;
    }
    let (mut inside, word) = (Inside::default(), facts.argv.first().copied().unwrap_or_default());
    // A login shell has a dash before its name.
    let base = paths::basename(word);
    let called = base.strip_prefix(b"-").unwrap_or(base);
    if called == name {
        return None;
    }
    if called != names.asked {
        let words = std::iter::once(called).chain(facts.argv.iter().copied().skip(1));
        inside.run(words.map(Cow::Borrowed).collect(), "by argv[0]", Kind::Program);
    }
    Some(inside)
}

fn of_entry<'a>(
    entry: &'static Entry,
    name: &'a [u8],
    facts: &Facts<'a>,
    top: bool,
    input: Option<&[u8]>,
) -> Inside<'a> {
    let argv = facts.argv;
    if argv.len() > reader::MAX_WORDS {
        let mut inside = Inside::default();
        inside.doubt("more words than are read");
        return inside;
    }
    let mut inside = if entry.shell {
        shell(name, argv, top, facts.env)
    } else if entry.wraps {
        prefix::read(entry, name, argv, facts.cwd, input)
    } else {
        Inside::default()
    };
    if entry.modules {
        module::read(argv, &mut inside);
    }
    if !entry.wraps {
        let argv = if entry.stops { own_words(argv) } else { argv };
        let reading = reader::read(tools::find(name), argv, facts.cwd);
        options::read(entry, &reading, argv, &mut inside);
    }
    inside
}

/// The words before a program's file, and the file: what follows belongs to the program. A word behind
/// an option may be its value.
fn own_words<'w, 'a>(argv: &'w [&'a [u8]]) -> &'w [&'a [u8]] {
    let plain = |word: &[u8]| !word.starts_with(b"-") && !unknown::is_open(word);
    let file = argv.windows(2).skip(1).position(|pair| plain(pair[0]) && plain(pair[1]));
    match argv {
        [_, first, ..] if plain(first) => &argv[..2],
        _ => argv.get(..file.map_or(argv.len(), |at| at + 3)).unwrap_or(argv),
    }
}

/// `sh -c LINE`. A script in a file, or one that is read from elsewhere, is the shell's own affair.
fn shell<'a>(name: &'a [u8], argv: &[&'a [u8]], top: bool, env: Option<&[&[u8]]>) -> Inside<'a> {
    let mut inside = Inside::default();
    let (mut is_line, mut is_fed) = (false, false);
    let mut words = argv.iter().copied().skip(1);
    let line = loop {
        let Some(word) = words.next() else { break None };
        if unknown::is_open(word) {
            inside.doubt("an option of a shell that only another will know");
            return inside;
        }
        match word {
            b"--" | b"-" => break words.next(),
            b"--rcfile" | b"--init-file" => {
                inside.doubt("a shell reads a file of commands first");
                words.next();
            }
            _ if word.starts_with(b"--") => {
                if !SHELL_OPTIONS.contains(&word) {
                    inside.doubt("an option of a shell that is not known");
                }
            }
            [b'-' | b'+', letters @ ..] if !letters.is_empty() => {
                if unknown::is_in(letters) {
                    inside.doubt("an option of a shell that only another will know");
                }
                is_line |= word[0] == b'-' && letters.contains(&b'c');
                is_fed |= word[0] == b'-' && letters.contains(&b's');
                for letter in letters.iter().filter(|letter| matches!(letter, b'o' | b'O')) {
                    let option = words.next();
                    if option.is_some_and(unknown::is_many) {
                        inside.doubt("an option of a shell that only another will know");
                        return inside;
                    }
                    if *letter == b'O' && !option.is_some_and(|it| PATTERNS.contains(&it)) {
                        inside.doubt("an option of a shell that may change how its line is read");
                    }
                }
            }
            word => break Some(word),
        }
    };
    if is_line {
        if let Some(line) = line {
            // What follows the line are its parameters.
            let top = top && words.next().is_none();
            lines::read(
                line,
                Line { how: "-c", shell: name, top, env, ..Line::default() },
                &mut inside,
            );
        }
        // A line that was understood and runs nothing sets variables, counts or compares.
        inside.passes = inside.doubts.is_empty() && line.is_some();
    } else {
        let tells = |word: &&[u8]| matches!(*word, b"--version" | b"--help");
        let is_input = |file: &[u8]| INPUTS.contains(&file);
        inside.by_input = (is_fed || line.is_none_or(is_input)) && !argv.iter().any(tells);
    }
    inside
}
