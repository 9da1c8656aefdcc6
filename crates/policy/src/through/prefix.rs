//! Prefix: a wrapper's own options and operands, up to the command that it runs.
//! An option that is not known leaves two places where the command may begin; both are guesses.

use std::borrow::Cow;

use super::found::{Inside, Kind, Place, Run, Word, assignment};
use super::lines::{self, Line};
use super::options::{self, use_value};
use super::table::{Effect, Entry, Then};
use crate::matchers::flag::flag_like;
use crate::matchers::{names, unknown};
use crate::tools::Arity;

struct Prefix<'a, 'w> {
    entry: &'static Entry,
    name: &'a [u8],
    argv: &'w [&'a [u8]],
    at: usize,
    cwd: Option<&'w [u8]>,
    place: Place,
    assigned: Vec<(Vec<u8>, Vec<u8>)>,
    skip: usize,
    then: Then,
    hole: Option<&'a [u8]>,
    /// It was told to run nothing.
    quiet: bool,
    needs: bool,
    /// The command stands here.
    rest: Option<Vec<Word<'a>>>,
    how: &'static str,
    /// The words that it reads and adds, where they are known.
    input: Option<&'w [u8]>,
}

/// What the wrapper of this name runs.
pub(super) fn read<'a>(
    entry: &'static Entry,
    name: &'a [u8],
    argv: &[&'a [u8]],
    cwd: Option<&[u8]>,
    input: Option<&[u8]>,
) -> Inside<'a> {
    let mut inside = Inside::default();
    let mut prefix = Prefix {
        entry,
        name,
        argv,
        at: 1,
        cwd,
        place: if entry.elsewhere { Place::Unknown } else { Place::Here },
        assigned: Vec::new(),
        skip: entry.skip,
        then: entry.then,
        hole: None,
        quiet: false,
        needs: !entry.needs.is_empty(),
        rest: None,
        how: "",
        input: input.filter(|_| name == b"xargs"),
    };
    prefix.walk(&mut inside);
    prefix.finish(&mut inside);
    inside.passes = entry.passes && inside.doubts.is_empty() && !inside.runs.is_empty();
    inside
}

impl<'a> Prefix<'a, '_> {
    fn walk(&mut self, inside: &mut Inside<'a>) {
        let mut ended = false;
        while self.rest.is_none()
            && let Some(&word) = self.argv.get(self.at)
        {
            self.at += 1;
            let open = unknown::is_open(word) && !names::is_single(word);
            if !ended && (open || (flag_like(word) && !unknown::is_named(word))) {
                inside.doubt("an option before the command that only a shell will know");
                self.guess(inside);
                return;
            }
            if !ended && word == b"--" {
                ended = true;
            } else if !ended && flag_like(word) {
                if !self.flag(word, inside) {
                    inside.doubt(format!(
                        "the option `{}` of `{}` is not known",
                        crate::diagnostics::show_bytes(word, 40),
                        crate::diagnostics::show_bytes(self.name, 40),
                    ));
                    self.guess(inside);
                    return;
                }
            } else if self.entry.assigns && (word == b"-" || assignment(word).is_some()) {
                let pair = assignment(word);
                self.assigned.extend(pair.map(|(name, value)| (name.to_vec(), value.to_vec())));
            } else if self.needs {
                if !self.entry.needs.iter().any(|needed| needed.as_bytes() == word) {
                    self.quiet |= !unknown::is_in(word);
                    if unknown::is_in(word) {
                        inside.doubt("a subcommand that only a shell will know");
                    }
                    return;
                }
                self.needs = false;
            } else if self.skip > 0 {
                self.skip -= usize::from(self.skip != usize::MAX);
            } else {
                self.at -= 1;
                self.take_rest();
            }
        }
    }

    fn take_rest(&mut self) {
        let rest = self.argv.get(self.at..).unwrap_or_default();
        self.rest = Some(rest.iter().map(|word| Cow::Borrowed(*word)).collect());
    }

    /// The command may begin at the next word, or at the one behind it.
    fn guess(&mut self, inside: &mut Inside<'a>) {
        for from in [self.at, self.at + 1] {
            let rest = self.argv.get(from..).unwrap_or_default();
            if !rest.is_empty() && !self.quiet && self.then != Then::Nothing {
                let mut words: Vec<Word<'a>> =
                    rest.iter().map(|word| Cow::Borrowed(*word)).collect();
                if self.entry.more {
                    words.push(Cow::Borrowed(unknown::MANY));
                }
                inside.run(words, "", Kind::Guess);
            }
        }
        self.quiet = true;
    }

    /// One option word; false when it is not known.
    fn flag(&mut self, word: &'a [u8], inside: &mut Inside<'a>) -> bool {
        let flags = &self.entry.flags;
        let (name, attached) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let exact = flags.get(name).filter(|_| name.len() > 2);
        let long =
            exact.or_else(|| name.starts_with(b"--").then(|| flags.abbreviated(name)).flatten());
        if let Some(flag) = long {
            let value = match flag.arity {
                Arity::Required => attached.or_else(|| self.next()),
                Arity::Optional | Arity::None => attached,
            };
            self.used(&flag.names[0], value, inside);
            return true;
        }
        if word.starts_with(b"--") {
            return false;
        }
        if word[1..].iter().all(u8::is_ascii_digit) && flags.get(b"-#").is_some() {
            return true;
        }
        for (position, &letter) in word.iter().enumerate().skip(1) {
            let Some(flag) = flags.get(&[b'-', letter]) else { return false };
            let rest = Some(&word[position + 1..]).filter(|rest| !rest.is_empty());
            match flag.arity {
                Arity::None => self.used(&flag.names[0], None, inside),
                Arity::Optional => {
                    self.used(&flag.names[0], rest, inside);
                    return true;
                }
                Arity::Required => {
                    let value = rest.or_else(|| self.next());
                    self.used(&flag.names[0], value, inside);
                    return true;
                }
            }
        }
        true
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let next = self.argv.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    /// `name` is the first of the option's names in `flags`; effects are written for any of them.
    fn used(&mut self, name: &'static str, value: Option<&'a [u8]>, inside: &mut Inside<'a>) {
        let Some(flag) = self.entry.flags.get(name.as_bytes()) else { return };
        if flag.names.iter().any(|name| matches!(name.as_ref(), "-a" | "-d")) {
            self.input = None;
            if self.name == b"xargs" && name == "-a" {
                inside.read(value.unwrap_or_default(), "-a");
            }
        }
        if value.is_some_and(unknown::is_many) {
            inside.doubt("the value of an option may be several words");
        }
        for opt in &self.entry.opts {
            let Some(how) = opt.names.iter().find(|name| flag.names.iter().any(|own| own == *name))
            else {
                continue;
            };
            match opt.effect {
                Effect::Quiet => self.quiet = true,
                Effect::Elsewhere => self.place = Place::Unknown,
                Effect::Join => self.then = Then::Shell,
                Effect::Exec => self.then = Then::Argv,
                Effect::Command => self.skip = 0,
                Effect::Dir => {
                    self.place = value.map_or(Place::Unknown, |dir| Place::of(dir, self.cwd));
                }
                Effect::Assign => {
                    let pair = value.and_then(assignment);
                    self.assigned.extend(pair.map(|(name, value)| (name.to_vec(), value.to_vec())));
                }
                Effect::Replace => self.hole = Some(value.unwrap_or(b"{}")),
                Effect::Rest => {
                    self.how = how;
                    self.then = if self.then == Then::Nothing { Then::Argv } else { self.then };
                    let mut rest: Vec<Word<'a>> = value.map(Cow::Borrowed).into_iter().collect();
                    let behind = self.argv.get(self.at..).unwrap_or_default();
                    rest.extend(behind.iter().map(|word| Cow::Borrowed(*word)));
                    self.rest = Some(rest);
                }
                Effect::Split => self.split(value.unwrap_or_default(), inside),
                _ => use_value(opt, how, value, inside),
            }
        }
    }

    /// `env -S`: the text becomes words in front of those that follow, options of `env` among them.
    fn split(&mut self, text: &'a [u8], inside: &mut Inside<'a>) {
        let Some(words) = options::split(text) else {
            inside.doubt("the text behind `-S` is more than plain words");
            self.quiet = true;
            self.rest = Some(Vec::new());
            return;
        };
        let mut rest: Vec<Word<'a>> = vec![Cow::Borrowed(self.name)];
        rest.extend(words.into_iter().map(Cow::Owned));
        let behind = self.argv.get(self.at..).unwrap_or_default();
        rest.extend(behind.iter().map(|word| Cow::Borrowed(*word)));
        (self.rest, self.how, self.then) = (Some(rest), "-S", Then::Argv);
    }

    fn finish(&mut self, inside: &mut Inside<'a>) {
        let from = inside.runs.len();
        let mut words = self.rest.take().unwrap_or_default();
        if !self.quiet && !words.is_empty() {
            let holes: &[&[u8]] = match (self.then, self.hole.as_ref()) {
                (_, Some(hole)) => std::slice::from_ref(hole),
                (_, None) if self.entry.fills || self.then == Then::Template => {
                    &[b"{}", b"{.}", b"{/}", b"{//}", b"{/.}", b"{#}", b"{%}"]
                }
                _ => &[],
            };
            for word in &mut words {
                for hole in holes {
                    if let Some(input) = self.input.filter(|_| word.as_ref() == *hole) {
                        *word = Cow::Owned(input.to_vec());
                        break;
                    }
                    if let Cow::Owned(punched) = lines::punch(word, hole) {
                        // What is told of a word is told of the hole as well.
                        let told = unknown::is_many(word);
                        *word = Cow::Owned(if told { unknown::MANY.to_vec() } else { punched });
                    }
                }
            }
            let filled = words.iter().any(|word| unknown::is_in(word));
            let more = self.entry.more && self.hole.is_none() && (holes.is_empty() || !filled);
            match self.then {
                Then::Nothing => {}
                Then::Opaque => inside.doubt("a shell's own command that runs what it is told"),
                Then::Argv | Then::Hint => {
                    if more {
                        let added = self.input.unwrap_or(unknown::MANY);
                        words.push(Cow::Owned(added.to_vec()));
                    }
                    let kind = if self.then == Then::Hint { Kind::Guess } else { Kind::Program };
                    inside.run(words, self.how, kind);
                }
                Then::Shell => {
                    let line = words.join(&b' ');
                    lines::read(&line, Line { how: self.how, more, ..Line::default() }, inside);
                }
                Then::Template => template(&words, self.how, more, inside),
                Then::Lines => {
                    for line in &words {
                        lines::read(line, Line { how: self.how, ..Line::default() }, inside);
                    }
                }
            }
        }
        for Run { place, assigned, .. } in &mut inside.runs[from..] {
            if *place == Place::Here {
                place.clone_from(&self.place);
            } else if self.place != Place::Here {
                *place = Place::Unknown;
            }
            let own = std::mem::take(assigned);
            assigned.extend(self.assigned.iter().cloned().chain(own));
        }
    }
}

/// A command for a shell in which some words are filled in later, quoted.
fn template<'a>(words: &[Word<'a>], how: &'static str, more: bool, inside: &mut Inside<'a>) {
    let special = |byte: &u8| b"|&;<>()$`\\\"'*?[#~!\n".contains(byte);
    if words.iter().any(|word| word.iter().any(special)) && words.len() > 1
        || words.len() == 1 && words[0].iter().any(special)
    {
        if words.iter().any(|word| unknown::is_in(word)) {
            inside.doubt("a shell line with places that are filled in later");
            return;
        }
        let line = words.join(&b' ');
        lines::read(&line, Line { how, more, ..Line::default() }, inside);
        return;
    }
    let split = words.iter().flat_map(|word| word.split(u8::is_ascii_whitespace));
    let mut words: Vec<Word<'a>> =
        split.filter(|word| !word.is_empty()).map(|word| Cow::Owned(word.to_vec())).collect();
    if more {
        words.push(Cow::Borrowed(unknown::MANY));
    }
    inside.run(words, how, Kind::Shell);
}
