//! Args: one pattern of a rule's `args`, against the arguments of a command.
//! `overmatches` serves `deny` and `ask` and may match more, `fits` serves `allow` and only less.

use super::argv::Reading;
use super::flag::{FlagPattern, Wanted, flag_like};
use super::operand::OperandPattern;
use super::reader::MAX_WORDS as MAX_WORDS_READ;
use super::structured::Here;
use super::structured::{Structured, Unmet};
use super::{Need, Overmatch, glob, names, unknown, words};
use crate::action::Action;
use crate::facts::Links;

mod order;

use order::{overmatches_from, sub_names};

/// Most words in one pattern.
const MAX_WORDS: usize = 64;

/// One pattern of a rule, in either of its forms.
#[derive(Debug)]
pub(crate) enum ArgsPattern {
    Text(TextPattern),
    Structured(Box<Structured>),
}

/// A compiled pattern of the text form.
#[derive(Debug)]
pub(crate) struct TextPattern {
    source: Box<str>,
    words: Vec<Word>,
    rest: Rest,
}

#[derive(Debug)]
enum Word {
    Flag(FlagPattern),
    /// `--`: everything after it is an operand.
    End,
    Operand(OperandPattern),
}

/// What may follow the words of an `allow` pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    Nothing,
    /// `...`: any operands.
    Operands,
    /// `**`: any operands and any flags.
    Anything,
}

/// The first thing in which a command differs from a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss<'p> {
    /// No such flag was used.
    Flag(&'p str),
    /// No operand fits.
    Operand(&'p str),
    /// The subcommand is another one.
    Subcommand(&'p str),
    /// A key of the structured form is not met.
    Key(Unmet<'p>),
}

impl ArgsPattern {
    /// Compiles a pattern of the text form.
    pub(crate) fn compile(source: &str, action: Action) -> Result<Vec<Self>, String> {
        Ok(TextPattern::compile(source, action)?.into_iter().map(Self::Text).collect())
    }

    /// Texts one set of which must be among the texts of every command that the pattern matches.
    /// Each inner list holds the alternatives of one word; an empty outer list promises nothing.
    pub(crate) fn needs(&self) -> Vec<Vec<Need<'_>>> {
        match self {
            Self::Text(pattern) => pattern.needs(),
            Self::Structured(pattern) => pattern.needs(),
        }
    }

    /// Whether a `deny` or an `ask` with this pattern must take the command.
    pub(crate) fn overmatches<'p>(
        &'p self,
        reading: &Reading<'_>,
        links: Option<&dyn Links>,
    ) -> Result<Overmatch, Miss<'p>> {
        match self {
            Self::Text(pattern) => pattern.overmatches(reading),
            Self::Structured(pattern) => pattern.overmatches(reading, links).map_err(Miss::Key),
        }
    }

    /// Whether it matters to the pattern where links lead.
    pub(crate) fn follows_links(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Structured(pattern) => pattern.follows_links(),
        }
    }

    /// Whether an `allow` with this pattern may take the command. `reading` is how the tool on the
    /// PATH reads it; what names no tool is never taken for one.
    pub(crate) fn fits(
        &self,
        argv: &[&[u8]],
        reading: Option<&Reading<'_>>,
        here: Here<'_>,
    ) -> bool {
        match self {
            Self::Text(pattern) => pattern.fits(argv, reading),
            Self::Structured(pattern) => pattern.fits(argv, reading, here).is_ok(),
        }
    }

    /// Why an `allow` with this pattern does not take the command, as a sentence about it.
    pub(crate) fn misfit(
        &self,
        argv: &[&[u8]],
        reading: Option<&Reading<'_>>,
        here: Here<'_>,
    ) -> String {
        match self {
            Self::Text(pattern) => format!("this is not `{}`", pattern.source),
            Self::Structured(pattern) => {
                let unmet = pattern.fits(argv, reading, here).err();
                unmet.map_or_else(String::new, |unmet| unmet.to_string())
            }
        }
    }
}

impl TextPattern {
    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Compiles a pattern for a rule with this action; the error says what would be right.
    ///
    /// Braces around or in a flag are spelled out first, because `{-a,--all}` is one flag or the
    /// other and never an operand: so one text may give several patterns, any of which may match.
    fn compile(source: &str, action: Action) -> Result<Vec<Self>, String> {
        let mut split = words::split(source)?;
        if split.is_empty() {
            return Err("the pattern is empty; leave `args` out to match any arguments".into());
        }
        if split.len() > MAX_WORDS {
            return Err(format!("a pattern has at most {MAX_WORDS} words"));
        }
        let rest = match split.last().map(String::as_str) {
            Some("**") => Rest::Anything,
            Some("...") => Rest::Operands,
            _ => Rest::Nothing,
        };
        if rest != Rest::Nothing {
            split.pop();
        }
        spell_out(split)?
            .iter()
            .map(|words| {
                let words = Self::words(words, action)?;
                Ok(Self { source: source.into(), words, rest })
            })
            .collect()
    }

    fn words(split: &[String], action: Action) -> Result<Vec<Word>, String> {
        let mut ended = false;
        let mut words = Vec::with_capacity(split.len());
        for text in split {
            if text == "**" || text == "..." {
                return Err(format!("`{text}` can only be the last word"));
            }
            if !ended && text == "--" {
                ended = true;
                words.push(Word::End);
            } else if !ended && flag_like(text.as_bytes()) {
                words.push(Word::Flag(FlagPattern::new(text, action)?));
            } else {
                words.push(Word::Operand(OperandPattern::compile(text, action)?));
            }
        }
        Ok(words)
    }

    fn needs(&self) -> Vec<Vec<Need<'_>>> {
        let mut needs = Vec::new();
        for word in &self.words {
            let of: Vec<Need<'_>> = match word {
                Word::Flag(flag) => flag.exact_name().map(Need::Flag).into_iter().collect(),
                Word::Operand(pattern) if pattern.is_path() => {
                    pattern.plain_paths().map(Need::Word).collect()
                }
                Word::Operand(pattern) => pattern.plain_words().map(Need::Word).collect(),
                Word::End => Vec::new(),
            };
            if !of.is_empty() {
                needs.push(of);
            }
        }
        needs
    }

    fn overmatches<'p>(&'p self, reading: &Reading<'_>) -> Result<Overmatch, Miss<'p>> {
        if reading.too_long {
            return Ok(Overmatch::Perhaps);
        }
        let mut operands = Vec::new();
        overmatches_from(&self.words, Overmatch::Surely, &mut operands, &mut 0, reading)
    }

    /// Word by word as it stands, or, if the whole command could be read with knowledge of the tool,
    /// flags in any order and spelling.
    fn fits(&self, argv: &[&[u8]], reading: Option<&Reading<'_>>) -> bool {
        (argv.len() <= MAX_WORDS_READ && self.fits_in_order(argv.get(1..).unwrap_or_default()))
            || reading.is_some_and(|reading| reading.certain && self.fits_as_read(reading))
    }

    fn fits_in_order(&self, argv: &[&[u8]]) -> bool {
        let mut argv = argv.iter().copied().peekable();
        let mut ended = false;
        for word in &self.words {
            match word {
                Word::End => {
                    ended = true;
                    if argv.next() != Some(b"--") {
                        return false;
                    }
                }
                Word::Flag(flag) if flag.is_any() => {
                    let is_flag =
                        |word: &&[u8]| flag_like(word) && *word != b"--" && unknown::is_named(word);
                    while argv.next_if(is_flag).is_some() {}
                }
                Word::Flag(flag) if flag.is_any_long() => {
                    let is_long = |word: &&[u8]| {
                        word.len() > 2 && word.starts_with(b"--") && unknown::is_named(word)
                    };
                    while argv.next_if(is_long).is_some() {}
                }
                Word::Flag(flag) => {
                    if !argv.next().is_some_and(|word| flag.fits_word(word)) {
                        return false;
                    }
                }
                Word::Operand(pattern) => {
                    let fits = |word: &[u8]| {
                        (names::is_single(word)
                            || !unknown::is_many(word)
                                && (ended || !(flag_like(word) || unknown::is_open(word))))
                            && pattern.fits(word)
                    };
                    if !argv.next().is_some_and(fits) {
                        return false;
                    }
                }
            }
        }
        match self.rest {
            Rest::Nothing => argv.next().is_none(),
            Rest::Operands => argv.all(|word| {
                ended || names::are_no_flags(word) || !(flag_like(word) || unknown::is_open(word))
            }),
            Rest::Anything => true,
        }
    }

    fn fits_as_read(&self, reading: &Reading<'_>) -> bool {
        let mut operands: Vec<&OperandPattern> = Vec::new();
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        let places = reading.tool.is_some_and(|tool| tool.has_subs() && !tool.anywhere);
        let mut words = self.words.iter().peekable();
        while let Some(word) = words.next() {
            match word {
                Word::End => {}
                Word::Operand(pattern) => operands.push(pattern),
                Word::Flag(flag) => {
                    let before_sub = places && operands.is_empty();
                    let next = words.peek().and_then(|word| word.operand());
                    let took_next = flag.want(next, reading, before_sub, &mut wanted);
                    if took_next {
                        words.next();
                    }
                }
            }
        }
        let named = reading.flags.iter().filter(|flag| !flag.foreign).all(|flag| {
            let free = self.rest == Rest::Anything && !flag.before_sub;
            free || wanted.iter().any(|wanted| wanted.covers(flag))
        });
        let present = wanted.iter().all(|wanted| {
            let mut own = reading.flags.iter().filter(|flag| !flag.foreign);
            wanted.optional() || own.any(|flag| wanted.covers(flag))
        });
        named && present && self.fits_operands(&operands, reading)
    }

    fn fits_operands(&self, patterns: &[&OperandPattern], reading: &Reading<'_>) -> bool {
        let enough = match self.rest {
            Rest::Nothing => reading.operands.len() == patterns.len(),
            Rest::Operands | Rest::Anything => reading.operands.len() >= patterns.len(),
        };
        enough
            && patterns.iter().zip(&reading.operands).enumerate().all(|(at, (pattern, operand))| {
                pattern.fits(operand.word.raw())
                    || sub_names(reading, at)
                        .any(|name| pattern.plain_words().any(|word| word == name))
            })
    }
}

impl Word {
    fn operand(&self) -> Option<&OperandPattern> {
        match self {
            Self::Operand(pattern) => Some(pattern),
            Self::Flag(_) | Self::End => None,
        }
    }
}

/// Every way to choose from the braces of flags.
fn spell_out(split: Vec<String>) -> Result<Vec<Vec<String>>, String> {
    if !split.iter().any(|word| word.contains('{')) {
        return Ok(vec![split]);
    }
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    let mut ended = false;
    for word in &split {
        let name = word.split('=').next().unwrap_or_default();
        let choices = if !ended && name.contains('{') && word.starts_with(['-', '{']) {
            let choices = glob::spellings(word).map_err(|error| error.to_string())?;
            let flags = choices.iter().any(|choice| flag_like(choice.as_bytes()));
            if flags { choices } else { vec![word.clone()] }
        } else {
            vec![word.clone()]
        };
        ended |= word == "--";
        if let [only] = &choices[..] {
            all.iter_mut().for_each(|words| words.push(only.clone()));
            continue;
        }
        if all.len() * choices.len() > glob::MAX_ALTERNATIVES {
            return Err(glob::GlobError::TooManyAlternatives.to_string());
        }
        let longer = |head: &Vec<String>, tail: &String| {
            let mut words = head.clone();
            words.push(tail.clone());
            words
        };
        all = all
            .iter()
            .flat_map(|head| choices.iter().map(move |tail| longer(head, tail)))
            .collect();
    }
    Ok(all)
}
