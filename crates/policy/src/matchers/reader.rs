//! Reader: the walk along an argument vector, with what is known about the tool.
//! It never drops a word: what it cannot place is kept as every thing that it may be.

use super::argv::{FlagUse, Name, OperandUse, Reading, Subcommand};
use super::flag::flag_like;
use super::operand::Operand;
use super::{names, unknown};
use crate::tools::{Arity, Flag, Flags, Sub, Tool};

/// Whether options have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    /// A `--` that may have been the value of an unknown option.
    Perhaps,
    /// What follows belongs to another command (`docker run IMAGE …`), or to a tool that is not
    /// known: operands, which a pattern may still mean as flags.
    Foreign,
    Yes,
}

/// Most words that are read. A longer vector is not understood: every `deny` and `ask` that names
/// its command may mean it, and no `allow` with `args` does.
pub(crate) const MAX_WORDS: usize = 100_000;

struct Reader<'a> {
    argv: &'a [&'a [u8]],
    at: usize,
    cwd: Option<&'a [u8]>,
    scope: Scope<'a>,
    ended: Ended,
    /// The word before was an unknown option that may take this one as its value.
    doubt: bool,
    /// An unknown option stood before the subcommand.
    doubtful_sub: bool,
    group: Option<&'a [u8]>,
    pending_sub: bool,
    /// Letters that are in already, so that `-vvvv` costs no more than `-v`: known, and guessed.
    letters: [Vec<u8>; 2],
    out: Reading<'a>,
}

/// Which options are known at this place.
#[derive(Clone, Copy)]
struct Scope<'a> {
    here: Option<&'a Flags>,
    also: Option<&'a Flags>,
    single_dash: bool,
    stops: bool,
}

impl<'a> Scope<'a> {
    const UNKNOWN: Self = Self { here: None, also: None, single_dash: false, stops: false };

    fn get(&self, name: &[u8]) -> Option<&'a Flag> {
        let of = |flags: Option<&'a Flags>| flags.and_then(|flags| flags.get(name));
        of(self.here).or_else(|| of(self.also)).or_else(|| {
            let plain = if self.single_dash { name.strip_prefix(b"-") } else { None }?;
            self.here.and_then(|flags| flags.get(plain))
        })
    }

    fn abbreviated(&self, head: &[u8]) -> Option<&'a Flag> {
        let of = |flags: Option<&'a Flags>| flags.and_then(|flags| flags.abbreviated(head));
        match (of(self.here), of(self.also)) {
            (Some(flag), None) | (None, Some(flag)) => Some(flag),
            _ => None,
        }
    }
}

/// Reads `argv` (its first word is the command itself) as `tool` would.
pub(crate) fn read<'a>(
    tool: Option<&'a Tool>,
    argv: &'a [&'a [u8]],
    cwd: Option<&'a [u8]>,
) -> Reading<'a> {
    let scope = Scope {
        here: tool.map(|tool| &tool.flags),
        also: None,
        single_dash: tool.is_some_and(|tool| tool.single_dash),
        stops: tool.is_some_and(|tool| tool.stops),
    };
    let mut reader = Reader {
        argv,
        at: 1,
        cwd,
        scope,
        ended: Ended::No,
        doubt: false,
        doubtful_sub: false,
        letters: [Vec::new(), Vec::new()],
        group: None,
        pending_sub: tool.is_some_and(Tool::has_subs),
        out: Reading {
            tool,
            sub: Subcommand::None,
            flags: Vec::new(),
            operands: Vec::new(),
            certain: tool.is_some(),
            too_long: argv.len() > MAX_WORDS,
            unknown: false,
            wild: false,
            planted: false,
            any_planted: false,
        },
    };
    if reader.out.too_long {
        reader.out.certain = false;
    } else {
        reader.run();
    }
    reader.out
}

impl<'a> Reader<'a> {
    fn run(&mut self) {
        while let Some(&word) = self.argv.get(self.at) {
            self.at += 1;
            let certain = !std::mem::take(&mut self.doubt);
            self.out.certain &= certain;
            if unknown::is_in(word) {
                self.unseen(word, certain);
            } else if self.ended == Ended::Foreign {
                self.operand(word, certain);
                if flag_like(word) {
                    self.foreign(word);
                }
            } else if self.ended == Ended::Yes || !flag_like(word) {
                self.operand(word, certain && self.ended != Ended::Perhaps);
            } else if word == b"--" {
                self.end(word, certain);
            } else {
                if self.ended == Ended::Perhaps {
                    self.operand(word, false);
                }
                self.flag(word, certain && self.ended == Ended::No);
            }
        }
        self.imply();
    }

    /// A word of which only a shell will know the whole: everything that it may be.
    fn unseen(&mut self, word: &'a [u8], certain: bool) {
        self.see_unknown(word);
        let open = unknown::is_open(word);
        if names::are_no_flags(word) {
            self.operand(word, false);
            return;
        }
        if names::may_be_planted(word) && matches!(self.ended, Ended::No | Ended::Perhaps) {
            self.operand(word, false);
            self.out.planted = true;
            self.out.any_planted |= names::is_any_planted(word);
            self.unknown(true);
            return;
        }
        if matches!(self.ended, Ended::Foreign | Ended::Yes) {
            self.operand(word, certain && !unknown::is_many(word));
            // Behind a `--` of the tool's own, names of files are no more than that.
            self.out.wild |= (unknown::is_many(word)
                && !(self.ended == Ended::Yes && names::may_be_planted(word)))
                || (self.ended == Ended::Foreign && (open || flag_like(word)));
        } else if open {
            let ended = self.ended;
            self.operand(word, false);
            self.out.wild = true;
            self.unknown(true);
            if matches!(ended, Ended::No | Ended::Perhaps) {
                self.ended = Ended::Perhaps;
            }
        } else if flag_like(word) {
            if self.ended == Ended::Perhaps {
                self.operand(word, false);
            }
            self.flag(word, certain && self.ended == Ended::No);
        } else {
            self.operand(word, certain && self.ended != Ended::Perhaps);
        }
    }

    fn see_unknown(&mut self, word: &[u8]) {
        let seen = unknown::is_in(word);
        self.out.unknown |= seen;
        self.out.certain &= !seen;
    }

    fn end(&mut self, word: &'a [u8], certain: bool) {
        let own = self.out.tool.is_some_and(|tool| !tool.has_subs()) && !self.scope.stops;
        self.ended = match (certain, own) {
            (false, _) => Ended::Perhaps,
            (true, false) => Ended::Foreign,
            (true, true) => Ended::Yes,
        };
        if !certain {
            self.operand(word, false);
        }
    }

    /// A word of another command, taken for a flag in case the pattern means that command.
    fn foreign(&mut self, word: &'a [u8]) {
        let known = std::mem::replace(&mut self.scope, Scope::UNKNOWN);
        let (certain, doubt) = (self.out.certain, self.doubt);
        let from = self.out.flags.len();
        self.flag(word, false);
        for flag in &mut self.out.flags[from..] {
            flag.foreign = true;
        }
        (self.out.certain, self.doubt) = (certain, doubt);
        self.scope = known;
    }

    fn operand(&mut self, word: &'a [u8], certain: bool) {
        let first = self.out.operands.is_empty();
        if first && certain && self.out.tool.is_some_and(|tool| tool.bundled) {
            self.out.certain = false;
            let mut letters = word.to_vec();
            letters.sort_unstable();
            letters.dedup();
            for letter in letters {
                self.push(Name::Letter([b'-', letter]), None, None, None, false);
            }
        }
        self.out.operands.push(OperandUse { word: Operand::new(word, self.cwd), certain });
        if self.pending_sub {
            self.subcommand(word, certain);
        } else if self.scope.stops {
            self.ended = Ended::Foreign;
        }
    }

    fn subcommand(&mut self, word: &'a [u8], certain: bool) {
        let Some(tool) = self.out.tool else { return };
        if !certain || self.doubtful_sub {
            self.pending_sub = false;
            self.out.sub = Subcommand::Uncertain;
            self.scope = Scope::UNKNOWN;
            return;
        }
        if self.group.is_none() && tool.skips(word) {
            return;
        }
        if self.group.is_none() && tool.is_group(word) {
            self.group = Some(word);
            return;
        }
        self.pending_sub = false;
        self.letters = [Vec::new(), Vec::new()];
        let sub = match self.group {
            Some(group) => tool.in_group(group, word),
            None => tool.sub(word),
        };
        let at = self.out.operands.len() - 1;
        self.out.sub = Subcommand::Known { at, sub };
        self.scope = Scope {
            here: sub.and_then(|sub| sub.flags.as_ref()),
            also: tool.anywhere.then_some(&tool.flags),
            single_dash: tool.single_dash,
            stops: sub.is_some_and(|sub| sub.stops),
        };
    }

    fn flag(&mut self, word: &'a [u8], certain: bool) {
        if word.starts_with(b"--") || self.scope.single_dash {
            self.long(word, certain);
        } else {
            self.cluster(word, certain);
        }
    }

    fn long(&mut self, word: &'a [u8], certain: bool) {
        let (name, attached) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        if unknown::is_in(name) {
            self.out.wild = true;
            self.unknown(true);
            if self.ended == Ended::No {
                self.ended = Ended::Perhaps;
            }
            return;
        }
        let exact = self.scope.get(name);
        // The table may lack the option that is meant, so a shortened one does not swallow a word.
        let known = exact.or_else(|| {
            let flag = self.scope.abbreviated(name)?;
            (flag.arity != Arity::Required || attached.is_some()).then_some(flag)
        });
        // A shortened name is not what an `allow` names, even where it is clear.
        self.out.certain &= exact.is_some();
        match known {
            Some(flag) if flag.arity == Arity::Required && attached.is_none() => {
                let value = self.take_next();
                self.push(Name::Word(name), known, value, None, certain);
            }
            Some(_) => self.push(Name::Word(name), known, attached, None, certain),
            None => {
                let next = self.argv.get(self.at).copied().filter(|_| attached.is_none());
                self.unknown(attached.is_none());
                self.push(Name::Word(name), None, attached, next, certain);
            }
        }
    }

    fn cluster(&mut self, word: &'a [u8], certain: bool) {
        if word[1..].iter().all(u8::is_ascii_digit)
            && let Some(flag) = self.scope.get(b"-#")
        {
            self.push(Name::Number, Some(flag), Some(&word[1..]), None, certain);
            return;
        }
        let next = self.argv.get(self.at).copied();
        let mut sure = certain;
        for (position, &letter) in word.iter().enumerate().skip(1) {
            if letter == unknown::MARK {
                self.out.wild = true;
                self.unknown(true);
                if position == 1 && self.ended == Ended::No {
                    self.ended = Ended::Perhaps;
                }
                return;
            }
            let name = [b'-', letter];
            let rest = Some(&word[position + 1..]).filter(|rest| !rest.is_empty());
            match self.scope.get(&name) {
                Some(flag) if flag.arity == Arity::Required => {
                    let value = rest.or_else(|| self.take_next());
                    self.push(Name::Letter(name), Some(flag), value, None, sure);
                    return;
                }
                Some(flag) if flag.arity == Arity::Optional => {
                    self.push(Name::Letter(name), Some(flag), rest, None, sure);
                    return;
                }
                Some(flag) => {
                    if !sure || self.is_new(letter, 0) {
                        self.push(Name::Letter(name), Some(flag), None, None, sure);
                    }
                }
                None => {
                    // The rest may be its value, or further letters; and so may the next word.
                    if position == 1 && word.len() > 2 {
                        self.whole(word, certain);
                    }
                    let value = rest.or(next);
                    if position == 1 || self.is_new(letter, 1) {
                        self.push(Name::Letter(name), None, None, value, sure && word.len() == 2);
                    }
                    sure = false;
                    self.unknown(rest.is_none());
                }
            }
        }
    }

    fn is_new(&mut self, letter: u8, kind: usize) -> bool {
        let seen = &mut self.letters[kind];
        let new = !seen.contains(&letter);
        if new {
            seen.push(letter);
        }
        new
    }

    /// The cluster as one word with one dash: `-delete`, `-Dkey=value`.
    fn whole(&mut self, word: &'a [u8], certain: bool) {
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        self.push(Name::Word(name), None, value, self.argv.get(self.at).copied(), certain);
    }

    fn unknown(&mut self, may_take_next: bool) {
        self.out.certain = false;
        self.doubt |= may_take_next;
        self.doubtful_sub |= may_take_next;
    }

    fn take_next(&mut self) -> Option<&'a [u8]> {
        let next = self.argv.get(self.at).copied();
        self.at += usize::from(next.is_some());
        if let Some(word) = next {
            self.see_unknown(word);
            self.out.wild |= unknown::is_many(word) && !names::is_single(word);
        }
        next
    }

    fn push(
        &mut self,
        name: Name<'a>,
        known: Option<&'a Flag>,
        value: Option<&'a [u8]>,
        next: Option<&'a [u8]>,
        certain: bool,
    ) {
        let shortened =
            matches!(name, Name::Word(word) if word.starts_with(b"--") && word.len() > 2);
        let anywhere = self.out.tool.is_some_and(|tool| tool.anywhere);
        let uncertain = matches!(self.out.sub, Subcommand::Uncertain);
        self.out.flags.push(FlagUse {
            name,
            known,
            kin: self.out.tool.filter(|_| uncertain),
            value,
            next,
            certain,
            before_sub: self.pending_sub && !anywhere,
            cwd: self.cwd,
            foreign: false,
            shortened,
            single_dash: self.scope.single_dash,
        });
    }

    /// Operands that mean a flag, as `+main` of `git push` means `--force`.
    fn imply(&mut self) {
        let (subs, from, certain): (&'a [Sub], _, _) = match (self.out.sub, self.out.tool) {
            (Subcommand::Known { at, sub: Some(sub) }, _) => {
                (std::slice::from_ref(sub), at + 1, true)
            }
            (Subcommand::Uncertain, Some(tool)) => (&tool.subs, 0, false),
            _ => return,
        };
        for (sub, (head, flag)) in
            subs.iter().flat_map(|sub| sub.implied.iter().map(move |pair| (sub, pair)))
        {
            let meant = self.out.operands[from..]
                .iter()
                .any(|operand| operand.word.raw().starts_with(head.as_bytes()));
            if meant {
                let known = sub.flags.as_ref().and_then(|flags| flags.get(flag.as_bytes()));
                self.out.certain = false;
                self.push(Name::Word(flag.as_bytes()), known, None, None, certain);
            }
        }
    }
}
