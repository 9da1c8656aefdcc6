//! Values: what the words of a shell line may become, as far as the line itself tells: variables that
//! it sets, patterns, the home directory, and what well-known commands print. What is not told stays
//! unknown; nothing is guessed but what `ordinary` says.

use std::cell::Cell;

use super::outputs;
use super::readers::reads;
use crate::matchers::names::{self, DEEP, FLAT, MAX_BYTES, MAX_TEXTS, Names};
use crate::shell::{Origin, Script, Simple, Word};

/// Values within values that are looked through.
const MAX_DEPTH: usize = 6;
/// Steps for all words of one line: a part of a word, or a command that is looked at, is one.
const FUEL: usize = 20_000;

/// The name of a file of which nothing is known but that somebody else chose it.
pub(super) const ORDINARY: &[u8] = &[names::ORDINARY];

/// Where home directories are.
const HOMES: [&[u8]; 3] = [b"/root", b"/home/\0f", b"/Users/\0f"];

/// Parts of the names of variables that hold secrets or places of them, options, or a part of the line.
const NOT_ORDINARY: &[&str] = &[
    "TOKEN", "SECRET", "KEY", "PASS", "CRED", "AUTH", "CONFIG", "NETRC", "COOKIE", "SESSION",
    "HIST", "GNUPG", "SSH", "AWS", "FLAG", "OPT", "ARG", "BASH", "REPLY", "MAPFILE", "DIRSTACK",
    "OLDPWD", "FUNC", "COPROC", "COMP_", "PIPE", "ENV", "SHELL", "PROMPT", "MAIL", "XDG_",
];

/// Variables that a shell sets by itself, whatever the line sets them to.
const SET_BY_THE_SHELL: &[&[u8]] = &[
    b"_",
    b"OPTARG",
    b"OPTIND",
    b"REPLY",
    b"MAPFILE",
    b"DIRSTACK",
    b"OLDPWD",
    b"COPROC",
    b"RANDOM",
];

/// What is known of one line.
pub(super) struct Values<'s> {
    pub(super) script: &'s Script,
    /// It is the line of the request itself, which nothing else sets variables or parameters for.
    top: bool,
    /// What the request itself comes with, where that is known.
    env: Option<&'s [&'s [u8]]>,
    /// Steps that may still be taken.
    fuel: Cell<usize>,
}

impl<'s> Values<'s> {
    pub(super) fn new(script: &'s Script, top: bool, env: Option<&'s [&'s [u8]]>) -> Self {
        Self { script, top, env, fuel: Cell::new(FUEL) }
    }

    /// Bounds the work of one line: values may name others, many times over.
    fn spend(&self, steps: usize) -> Option<()> {
        self.fuel.set(self.fuel.get().checked_sub(steps)?);
        Some(())
    }

    /// The word for the matchers, where something is known of it; `of` is whose word it is.
    pub(super) fn word(&self, word: &Word, of: Option<&Simple>, here: usize) -> Option<Vec<u8>> {
        self.names(word, of.is_some_and(reads), 0, here)?.word()
    }

    /// The same for a file that is only read.
    pub(super) fn read(&self, word: &Word, here: usize) -> Option<Vec<u8>> {
        let mut names = self.names(word, true, 0, here)?;
        names.single = true;
        names.word()
    }

    /// What the command of this number reads, as the words that are made of it.
    pub(super) fn input(&self, simple: &Simple) -> Option<Vec<u8>> {
        let mut names = outputs::of(self, simple.input?, 0)?;
        // Who reads words takes them apart at blanks, and quotes away.
        let parts = |byte: &u8| byte.is_ascii_whitespace() || b"'\"\\".contains(byte);
        if names.texts.iter().any(|text| text.iter().any(parts)) {
            return None;
        }
        names.single = false;
        names.word()
    }

    /// What a word of the command number `here` may become. `reads`: it is only read.
    pub(super) fn names(
        &self,
        word: &Word,
        reads: bool,
        depth: usize,
        here: usize,
    ) -> Option<Names> {
        if let Some(text) = word.literal() {
            return Some(Names::one(text));
        }
        if depth > MAX_DEPTH {
            return None;
        }
        self.spend(word.parts.len())?;
        let mut whole = Names { texts: vec![Vec::new()], single: !word.may_be_many };
        // Of an ordinary value next to known text one word is made, quoted or not.
        let mut stays = word.parts.len() > 1;
        let mut origins = word.origins.iter();
        let alone = word.parts.len() == 1;
        for (number, part) in word.parts.iter().enumerate() {
            let first = number == 0;
            let more = match part {
                Some(text) => vec![text.clone()],
                None => match origins.next()? {
                    Origin::Any => return None,
                    Origin::Pattern => {
                        stays = false;
                        vec![if self.finds_hidden() { DEEP.to_vec() } else { FLAT.to_vec() }]
                    }
                    Origin::Home => homes().filter(|_| first)?,
                    Origin::Pipe => vec![b"/dev/fd/63".to_vec()],
                    Origin::Variable(name) => {
                        let found = self.variable(name, (first, alone), reads, depth, here)?;
                        self.split(found, word.may_be_many, alone, &mut whole)?
                    }
                    Origin::Output(range) => {
                        stays = false;
                        let found = outputs::of_all(self, range.clone(), depth + 1)?;
                        self.split(found, word.may_be_many, alone, &mut whole)?
                    }
                },
            };
            whole.texts = joined(&whole.texts, &more)?;
        }
        whole.single |= stays;
        Some(whole)
    }

    /// What a value becomes where it is not quoted.
    fn split(
        &self,
        found: Names,
        unquoted: bool,
        alone: bool,
        whole: &mut Names,
    ) -> Option<Vec<Vec<u8>>> {
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        let splits = |text: &Vec<u8>| {
            text.is_empty() || text.iter().any(|byte| blank(byte) || b"*?[\\".contains(byte))
        };
        if !unquoted || !found.texts.iter().any(splits) {
            // One value that cannot be split is one word.
            whole.single |= unquoted && alone && found.single && self.splits_plainly();
            return Some(found.texts);
        }
        if !alone || !self.splits_plainly() {
            return None;
        }
        let words = found.texts.iter().flat_map(|text| text.split(|byte| blank(byte)));
        let words: Vec<Vec<u8>> =
            words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect();
        let patterns = words.iter().any(|word| word.iter().any(|byte| b"*?[\\".contains(byte)));
        (!patterns && !words.is_empty()).then_some(words)
    }

    /// Whether patterns may find names that begin with a dot.
    fn finds_hidden(&self) -> bool {
        self.script.commands.iter().any(|simple| {
            simple.name() == b"shopt"
                || simple.assignments.iter().any(|(name, _)| name == b"GLOBIGNORE")
        })
    }

    /// Whether blanks alone split words.
    fn splits_plainly(&self) -> bool {
        let sets = |simple: &Simple| simple.assignments.iter().any(|(name, _)| name == b"IFS");
        !self.script.commands.iter().any(sets)
    }

    /// What a variable may be for the command number `here`; `place` says whether it begins the word, and
    /// is the whole of it.
    fn variable(
        &self,
        name: &[u8],
        place: (bool, bool),
        reads: bool,
        depth: usize,
        here: usize,
    ) -> Option<Names> {
        self.spend(self.script.commands.len())?;
        let sets = |simple: &Simple| simple.assignments.iter().any(|(set, _)| set == name);
        if SET_BY_THE_SHELL.contains(&name)
            || name.starts_with(b"BASH_")
            || (name == b"PWD" && self.script.commands.iter().any(sets))
        {
            return None;
        }
        let mut all: Option<Names> = None;
        let mut surely = false;
        for (number, simple) in self.script.commands.iter().enumerate() {
            for (_, value) in simple.assignments.iter().filter(|(set, _)| set == name) {
                surely |= simple.surely && number < here;
                surely |= simple.body.as_ref().is_some_and(|body| body.contains(&here));
                let values = match (&simple.turns, simple.name()) {
                    (Some(values), _) => values.as_slice(),
                    (None, b"read") => {
                        all = Some(merged(all, self.was_read(simple, depth)?)?);
                        continue;
                    }
                    _ => std::slice::from_ref(value),
                };
                for value in values {
                    let mut found = self.names(value, reads, depth + 1, number)?;
                    // A variable has one value at a time, whatever number of words it came from.
                    found.single = simple.turns.is_some() || found.single;
                    all = Some(merged(all, found)?);
                }
            }
        }
        if all.is_some() && surely {
            return all;
        }
        merged(all, self.outer(name, place, reads)?)
    }

    /// What a `read` sets its variables to: lines that are told word by word, and that it takes whole.
    fn was_read(&self, simple: &Simple, depth: usize) -> Option<Names> {
        let plain = |word: &Word| {
            word.literal().is_some_and(|text| text == b"-r" || !text.starts_with(b"-"))
        };
        let whole = |(name, value): &(Vec<u8>, Word)| {
            name != b"IFS" || value.literal().is_some_and(|text| matches!(text, b"" | b"\n"))
        };
        let options = simple.words.iter().skip(1);
        if !options.clone().all(plain) || !simple.assignments.iter().all(whole) {
            return None;
        }
        let one = options.filter(|word| word.literal() != Some(b"-r")).count() == 1;
        let mut found = outputs::of(self, simple.input?, depth + 1)?;
        let cut = |byte: &u8| *byte == b'\\' || (byte.is_ascii_whitespace() && !one);
        if found.texts.iter().any(|text| text.iter().any(cut)) {
            return None;
        }
        found.single = false;
        Some(found)
    }

    /// What the variable is where the line has not set it.
    fn outer(&self, name: &[u8], (first, alone): (bool, bool), reads: bool) -> Option<Names> {
        match name {
            _ if !self.top => None,
            b"HOME" => Some(Names { texts: homes().filter(|_| first)?, single: true }),
            b"PWD" if first => Some(Names::one(b".")),
            b"PWD" => Some(Names { texts: vec![DEEP.to_vec()], single: true }),
            _ if reads && self.is_ordinary(name) => {
                let found = ordinary(first, alone);
                match self.given(name) {
                    Some(value) => merged(Some(found), Names::one(value)),
                    None => Some(found),
                }
            }
            _ => None,
        }
    }

    /// The value that the request itself comes with.
    fn given(&self, name: &[u8]) -> Option<&'s [u8]> {
        let value = |entry: &&'s [u8]| entry.strip_prefix(name)?.strip_prefix(b"=");
        self.env?.iter().find_map(value).filter(|value| !value.is_empty())
    }

    /// Whether what the variable holds was there before the line, and is nothing in particular.
    fn is_ordinary(&self, name: &[u8]) -> bool {
        let sets = |simple: &Simple| {
            matches!(simple.name(), b"set" | b"shift" | b"getopts" | b"read")
                && simple.words.len() > 1
        };
        if matches!(name, [b'@' | b'*' | b'0'..=b'9']) {
            return !self.script.functions && !self.script.commands.iter().any(sets);
        }
        let upper = name.to_ascii_uppercase();
        let holds = |part: &&str| upper.windows(part.len()).any(|window| window == part.as_bytes());
        name != b"_" && !NOT_ORDINARY.iter().any(holds)
    }
}

/// The value of a variable that is nothing in particular: a name, or, with more behind it, also a home
/// directory.
pub(super) fn ordinary(first: bool, alone: bool) -> Names {
    let mut texts = vec![if first { ORDINARY.to_vec() } else { FLAT.to_vec() }];
    if first && !alone {
        texts.extend(homes().unwrap_or_default());
    }
    // It may be empty as well, and then an unquoted one is no word.
    Names { texts, single: !(first && alone) }
}

fn homes() -> Option<Vec<Vec<u8>>> {
    Some(HOMES.iter().map(|home| home.to_vec()).collect())
}

fn merged(all: Option<Names>, more: Names) -> Option<Names> {
    let mut all = all.unwrap_or(Names { texts: Vec::new(), single: true });
    all.single &= more.single;
    for text in more.texts {
        if !all.texts.contains(&text) {
            all.texts.push(text);
        }
    }
    (all.texts.len() <= MAX_TEXTS).then_some(all)
}

/// Every text with every continuation. A gap beside a gap is one.
fn joined(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if heads.len() * tails.len() > MAX_TEXTS {
        return None;
    }
    let mut all = Vec::with_capacity(heads.len() * tails.len());
    for head in heads {
        for tail in tails {
            // Behind an ordinary name stands another one, not just anything.
            let follows = head.starts_with(ORDINARY) && tail.as_slice() == FLAT;
            let tail: &[u8] = if follows { ORDINARY } else { tail };
            let apart = !(ends_in_gap(head) && tail.first() == Some(&0));
            let text = if apart { [head.as_slice(), tail].concat() } else { deepened(head, tail) };
            if text.len() > MAX_BYTES {
                return None;
            }
            all.push(text);
        }
    }
    Some(all)
}

fn ends_in_gap(text: &[u8]) -> bool {
    text.ends_with(DEEP) || text.ends_with(FLAT)
}

/// Two gaps side by side are as one deep one.
fn deepened(head: &[u8], tail: &[u8]) -> Vec<u8> {
    let (Some(head), Some(tail)) = (head.get(..head.len() - FLAT.len()), tail.get(FLAT.len()..))
    else {
        return DEEP.to_vec();
    };
    [head, DEEP, tail].concat()
}
