//! Table: which tools run other commands, and where these stand, from two data files beside the code.
//! The grammar is at the head of `wrappers.txt`. A bad line is left out and named; a test keeps the list empty.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::matchers::name::Names;
use crate::tools::{self, Flags};

const WRAPPERS: &str = include_str!("wrappers.txt");
const OPTIONS: &str = include_str!("options.txt");

/// Both data files.
pub(super) const DATA: &[&str] = &[WRAPPERS, OPTIONS];

static TABLE: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(|| read(DATA).0);

/// What is known about one tool that runs others.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// It is read by `flags` of its own up to the command, not as the table of tools has it.
    pub(super) wraps: bool,
    pub(super) passes: bool,
    pub(super) builtin: bool,
    pub(super) shell: bool,
    pub(super) assigns: bool,
    pub(super) more: bool,
    pub(super) fills: bool,
    /// Options end at the first word that can only be an operand.
    pub(super) stops: bool,
    pub(super) elsewhere: bool,
    pub(super) flags: Flags,
    /// How many operands stand before the command.
    pub(super) skip: usize,
    pub(super) then: Then,
    /// One of these words stands before the command; without it there is none.
    pub(super) needs: Vec<&'static str>,
    pub(super) opts: Vec<Opt>,
    pub(super) subs: Vec<Sub>,
    /// Words of `find`'s kind: the flag as a word of its own, and what follows.
    pub(super) literal: Vec<Opt>,
    /// Texts that make an operand a program that is not understood.
    pub(super) holds: Vec<&'static str>,
    pub(super) sed: bool,
    /// `-m NAME` is followed by the words of the tool of that name.
    pub(super) modules: bool,
    /// Its operands are files that it may write.
    pub(super) writes: bool,
    /// It runs what lies in files of such names in the working directory.
    pub(super) runs: Vec<&'static str>,
    /// Options before a subcommand by which it works in another directory.
    pub(super) at: Vec<&'static str>,
    /// Its program is one for awk.
    pub(super) awk: bool,
    /// Called by a link, it is the command that `argv[0]` says.
    pub(super) applets: bool,
}

/// What an option does.
#[derive(Clone, Debug)]
pub(super) struct Opt {
    pub(super) names: Vec<&'static str>,
    pub(super) effect: Effect,
    /// Its value is `KEY=VALUE` or `KEY VALUE`, and means this only for these keys, `*` being any text.
    pub(super) keys: Vec<&'static str>,
}

/// Where the command stands that a subcommand runs.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    pub(super) names: Vec<&'static str>,
    pub(super) after: usize,
    pub(super) then: Then,
}

/// What the words behind a wrapper's own are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// A command, word by word.
    Argv,
    /// Words that are joined by blanks and given to a shell.
    Shell,
    /// The same, where `{}` and its like are replaced and words are added.
    Template,
    /// Shell lines, one a word.
    Lines,
    /// Perhaps a command, perhaps another kind of thing of its name.
    Hint,
    /// Something that is not looked at.
    #[default]
    Nothing,
    /// Something that is not understood.
    Opaque,
}

/// What the value of an option is, or what the option does to the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Line,
    Prefix,
    Program,
    Alias,
    Dir,
    Quiet,
    Opaque,
    Write,
    Split,
    Replace,
    Rest,
    Until,
    Join,
    Exec,
    Command,
    Elsewhere,
    Assign,
}

/// What is known about the tool of this name.
pub(super) fn find(name: &[u8]) -> Option<&'static Entry> {
    std::str::from_utf8(name).ok().and_then(|name| TABLE.get(name))
}

/// Whether a command of one of these names may run another.
pub(crate) fn concerns(names: &Names<'_>) -> bool {
    names.bare().any(|name| find(name).is_some())
}

/// Whether a tool of this name is a wrapper, a shell or an interpreter: it runs what it is told, and not by some
/// option only.
pub(crate) fn runs_any(name: &[u8]) -> bool {
    find(name).is_some_and(|entry| {
        entry.wraps || entry.shell || entry.stops || entry.then != Then::Nothing
    })
}

/// Reads the data; the second part names each line that could not be understood.
pub(super) fn read(data: &[&'static str]) -> (HashMap<&'static str, Entry>, Vec<String>) {
    let mut table: HashMap<&'static str, Entry> = HashMap::new();
    let mut errors = Vec::new();
    for text in data {
        let mut names: Vec<&'static str> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&'static str> = line.split_whitespace().collect();
            let Some((&keyword, rest)) = words.split_first() else { continue };
            if keyword.starts_with('#') {
                continue;
            }
            if matches!(keyword, "wrap" | "tool") {
                names = rest.to_vec();
                for name in &names {
                    let entry = table.entry(name).or_default();
                    if keyword == "wrap" {
                        if entry.wraps {
                            errors.push(format!("line {number}: {name} stands there twice"));
                        }
                        entry.wraps = true;
                        entry.then = Then::Argv;
                    }
                }
                continue;
            }
            for name in &names {
                let Some(entry) = table.get_mut(name) else { continue };
                if let Err(error) = apply(entry, keyword, rest) {
                    errors.push(format!("line {number}, {name}: {error}"));
                }
            }
            if names.is_empty() {
                errors.push(format!("line {number}: no tool before this line"));
            }
        }
    }
    (table, errors)
}

fn apply(entry: &mut Entry, keyword: &str, words: &[&'static str]) -> Result<(), String> {
    let count = |words: &[&'static str]| match words {
        ["all"] => Ok(usize::MAX),
        [count] => count.parse().map_err(|_| format!("{count} is no number")),
        _ => Err("one number is wanted".to_owned()),
    };
    match keyword {
        "is" => {
            for word in words {
                match *word {
                    "passing" => entry.passes = true,
                    "builtin" => entry.builtin = true,
                    "shell" => entry.shell = true,
                    "assigning" => entry.assigns = true,
                    "adding" => entry.more = true,
                    "stopping" => entry.stops = true,
                    "filling" => entry.fills = true,
                    "elsewhere" => entry.elsewhere = true,
                    "sed" => entry.sed = true,
                    "modules" => entry.modules = true,
                    "writing" => entry.writes = true,
                    "awk" => entry.awk = true,
                    "applets" => entry.applets = true,
                    other => return Err(format!("nothing is {other}")),
                }
            }
        }
        "flags" => {
            for word in words {
                tools::add_flag(&mut entry.flags, word)?;
            }
        }
        "skip" => entry.skip = count(words)?,
        "needs" => entry.needs.extend(words),
        "holds" => entry.holds.extend(words),
        "runs" => entry.runs.extend(words),
        "at" => entry.at.extend(words),
        "then" => match words {
            [form] => {
                let form = then(form)?;
                match entry.subs.last_mut() {
                    Some(sub) => sub.then = form,
                    None => entry.then = form,
                }
            }
            _ => return Err("one form is wanted".into()),
        },
        "sub" => {
            entry.subs.push(Sub { names: words.to_vec(), after: 0, then: Then::Argv });
        }
        "after" => {
            let sub = entry.subs.last_mut().ok_or("no sub before this line")?;
            sub.after = count(words)?;
        }
        "opt" | "word" => match words {
            [names, named, keys @ ..] => {
                let names: Vec<&'static str> = names.split(',').collect();
                let opt = Opt { names, effect: effect(named)?, keys: keys.to_vec() };
                let list = if keyword == "opt" { &mut entry.opts } else { &mut entry.literal };
                list.push(opt);
            }
            _ => return Err("an option and an effect are wanted".into()),
        },
        other => return Err(format!("unknown keyword {other}")),
    }
    Ok(())
}

fn then(word: &str) -> Result<Then, String> {
    Ok(match word {
        "argv" => Then::Argv,
        "shell" => Then::Shell,
        "template" => Then::Template,
        "lines" => Then::Lines,
        "hint" => Then::Hint,
        "nothing" => Then::Nothing,
        "opaque" => Then::Opaque,
        other => return Err(format!("{other} is no form")),
    })
}

fn effect(word: &str) -> Result<Effect, String> {
    Ok(match word {
        "line" => Effect::Line,
        "prefix" => Effect::Prefix,
        "program" => Effect::Program,
        "alias" => Effect::Alias,
        "dir" => Effect::Dir,
        "quiet" => Effect::Quiet,
        "opaque" => Effect::Opaque,
        "write" => Effect::Write,
        "split" => Effect::Split,
        "replace" => Effect::Replace,
        "rest" => Effect::Rest,
        "until" => Effect::Until,
        "join" => Effect::Join,
        "exec" => Effect::Exec,
        "command" => Effect::Command,
        "elsewhere" => Effect::Elsewhere,
        "assign" => Effect::Assign,
        other => return Err(format!("{other} is no effect")),
    })
}

/// Whether `text` is what `pattern` says, in either case of letters; `*` is any text.
pub(super) fn is_key(pattern: &str, text: &[u8]) -> bool {
    let mut parts = pattern.split('*').map(str::as_bytes);
    let first = parts.next().unwrap_or_default();
    if text.len() < first.len() || !text[..first.len()].eq_ignore_ascii_case(first) {
        return false;
    }
    let mut rest = &text[first.len()..];
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.len() >= part.len()
                && rest[rest.len() - part.len()..].eq_ignore_ascii_case(part);
        }
        let place = (0..=rest.len().saturating_sub(part.len())).find(|at| {
            rest[*at..].get(..part.len()).is_some_and(|it| it.eq_ignore_ascii_case(part))
        });
        let Some(at) = place else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}
