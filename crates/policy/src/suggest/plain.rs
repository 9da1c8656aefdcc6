//! Plain: whether a command is one that a rule may be suggested for, and which files it names.
//! What runs something else, is not understood or is not what it seems gets none.

use super::known;
use super::request::{Past, tool};
use crate::facts::Facts;
use crate::matchers::argv::Subcommand;
use crate::matchers::flag::flag_like;
use crate::matchers::glob::escape_into;
use crate::matchers::reader;
use crate::policy::Policy;
use crate::through::{self, Seen, Standing, Via, Visit};

/// Longest command, in bytes, that is looked at: a ledger holds longer ones in part only.
const MAX_BYTES: usize = 4 * 1024;
/// Most words of one that is.
const MAX_WORDS: usize = 48;

/// Why no rule is suggested for a command; `None` where one may be.
pub(super) fn objection(policy: &Policy, past: &Past) -> Option<String> {
    let Some(tool) = tool(&past.argv) else {
        return Some("it is called by a path, and no rule for a tool takes that".into());
    };
    if past.cwd.as_deref().is_none_or(|cwd| !cwd.starts_with('/')) {
        return Some("where it ran is not known".into());
    }
    let bytes: usize = past.argv.iter().map(|word| word.len() + 1).sum();
    if bytes > MAX_BYTES || past.argv.len() > MAX_WORDS {
        return Some("it is too long for a rule".into());
    }
    if past.argv.iter().any(|word| word.contains('\u{fffd}') || word.contains(char::is_control)) {
        return Some("it has bytes that no rule can spell".into());
    }
    if known::runs_others(tool) {
        return Some(format!("`{tool}` runs whatever it is told"));
    }
    if let Some(sub) = known::runs_by(tool, &past.argv[1..]) {
        return Some(format!("`{tool} {sub}` runs something else"));
    }
    let argv: Vec<&[u8]> = past.argv.iter().map(String::as_bytes).collect();
    let facts = Facts {
        jail: &past.jail,
        name: tool.as_bytes(),
        tool: Some(tool.as_bytes()),
        argv: &argv,
        cwd: past.cwd.as_deref().map(str::as_bytes),
        ..Facts::default()
    };
    let mut inside = Inside(0);
    through::walk(&facts, &policy.env, &mut inside);
    (inside.0 > 0).then(|| "it would run another command, or write by an option".into())
}

/// The command that stands alone in a shell line, word by word as it is written there.
pub(super) fn alone(policy: &Policy, past: &Past) -> Option<Vec<String>> {
    let [_, option, line] = past.argv.as_slice() else { return None };
    let is_shell = matches!(tool(&past.argv)?, "sh" | "bash" | "dash" | "zsh");
    if !is_shell || !matches!(option.as_str(), "-c" | "-lc") {
        return None;
    }
    let words = through::split(line.as_bytes())?;
    let argv: Vec<&[u8]> = past.argv.iter().map(String::as_bytes).collect();
    let name = argv.first().copied().unwrap_or_default();
    let cwd = past.cwd.as_deref().map(str::as_bytes);
    let facts =
        Facts { jail: &past.jail, name, tool: Some(name), argv: &argv, cwd, ..Facts::default() };
    let mut found = Alone { words: &words, cwd, is_it: false, is_other: false };
    through::walk(&facts, &policy.env, &mut found);
    if !found.is_it || found.is_other {
        return None;
    }
    words.into_iter().map(|word| String::from_utf8(word).ok()).collect()
}

/// Whether a line runs just these words, where it is.
struct Alone<'w> {
    words: &'w [Vec<u8>],
    cwd: Option<&'w [u8]>,
    is_it: bool,
    is_other: bool,
}

impl Visit for Alone<'_> {
    fn command(&mut self, seen: &Seen<'_>) {
        let facts = &seen.facts;
        let is_same = seen.depth == 1
            && seen.standing == Standing::Own
            && facts.argv == self.words
            && facts.cwd == self.cwd
            && facts.changed_env.is_empty();
        self.is_other |= seen.depth > 0 && (self.is_it || !is_same);
        self.is_it |= is_same;
    }

    fn doubt(&mut self, _: &str, _: Via<'_>, _: usize) {
        self.is_other = true;
    }
}

/// How much a command has in it.
struct Inside(usize);

impl Visit for Inside {
    fn command(&mut self, seen: &Seen<'_>) {
        self.0 += usize::from(seen.depth > 0);
    }

    fn doubt(&mut self, _: &str, _: Via<'_>, _: usize) {
        self.0 += 1;
    }
}

/// A command whose operands are files, all of them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Files {
    pub(super) sub: Option<String>,
    /// Its flags as a pattern writes them, sorted.
    pub(super) flags: Vec<String>,
    pub(super) operands: Vec<String>,
}

/// Reads such a command; `None` where that is not certain.
pub(super) fn files(policy: &Policy, past: &Past) -> Option<Files> {
    let name = tool(&past.argv)?;
    let argv: Vec<&[u8]> = past.argv.iter().map(String::as_bytes).collect();
    let reading = reader::read(
        policy.tools.find(name.as_bytes()),
        &argv,
        past.cwd.as_deref().map(str::as_bytes),
    );
    reading.tool.filter(|_| reading.certain)?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let (sub, from) = match reading.sub {
        Subcommand::None => (None, 0),
        Subcommand::Known { at: 0, .. } => (Some(text(reading.operands.first()?.word.raw())?), 1),
        _ => return None,
    };
    if !known::takes_files(name, sub.as_deref()) {
        return None;
    }
    let mut flags = Vec::new();
    for flag in reading.flags.iter().filter(|flag| !flag.foreign) {
        let (name, value) = (text(flag.name())?, flag.value);
        if flag.before_sub && sub.is_some() || name == "-#" || flag.known.is_none() {
            return None;
        }
        let mut pattern = name;
        if let Some(value) = value {
            pattern.push('=');
            text(value)?.chars().for_each(|c| escape_into(c, &mut pattern));
        }
        flags.push(pattern);
    }
    flags.sort_unstable();
    flags.dedup();
    let operands = reading.operands[from..].iter().map(|operand| text(operand.word.raw()));
    let operands: Vec<String> = operands.collect::<Option<_>>()?;
    let is_plain = |word: &String| !flag_like(word.as_bytes()) && word != "-";
    operands.iter().all(is_plain).then_some(Files { sub, flags, operands })
}
