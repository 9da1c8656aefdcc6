//! Exact: whether an `allow` of the structured form fits. Either the whole command was read with
//! knowledge of the tool, or every word counts as everything that it may be.

use super::super::argv::{Reading, Subcommand};
use super::super::flag::{flag_like, may_be_flag};
use super::super::reader::MAX_WORDS;
use super::super::unknown;
use super::flags::split;
use super::places::Here;
use super::subcommand::SubPattern;
use super::{Structured, Unmet};
use crate::tools::Tool;

const UNREAD: Unmet<'_> = Unmet { key: "unread", wanted: "" };
const NO_SUBCOMMAND: Unmet<'_> = Unmet { key: "no subcommand", wanted: "" };

impl Structured {
    /// Whether an `allow` with this pattern may take the command; else the first key that keeps it out.
    pub(in super::super) fn fits(
        &self,
        argv: &[&[u8]],
        reading: Option<&Reading<'_>>,
        here: Here<'_>,
    ) -> Result<(), Unmet<'_>> {
        if let Some(script) = &self.script {
            let plain = argv.len() <= MAX_WORDS && (script.value)(argv);
            return if plain { Ok(()) } else { Err(script.unmet("script")) };
        }
        match reading {
            _ if argv.len() > MAX_WORDS => Err(UNREAD),
            _ if argv.iter().skip(1).any(|word| unknown::is_open(word) || may_be_flag(word)) => {
                Err(UNREAD)
            }
            Some(reading) if reading.certain => self.fits_as_read(reading, here),
            _ => self.fits_as_written(argv, reading, here),
        }
    }

    fn fits_as_read(&self, reading: &Reading<'_>, here: Here<'_>) -> Result<(), Unmet<'_>> {
        let has_sub = matches!(reading.sub, Subcommand::Known { .. });
        let from = match &self.sub {
            Some(sub) => {
                let found = sub.value.iter().find_map(|pattern| pattern.fits(reading));
                found.ok_or_else(|| sub.unmet("subcommand"))?
            }
            None if has_sub => return Err(NO_SUBCOMMAND),
            None => 0,
        };
        self.flags.fit(has_sub, reading)?;
        let own = reading.operands.get(from..).unwrap_or_default();
        let words: Vec<(&[u8], bool)> =
            own.iter().map(|word| (word.word.raw(), word.certain)).collect();
        let values = reading.flags.iter().filter(|flag| !flag.foreign);
        let values =
            values.filter(|flag| !self.flags.says_value(flag)).filter_map(|flag| flag.value);
        self.fits_operands(&words, values, here)
    }

    /// Without knowledge: a word with a dash must be listed as it stands, and the word behind it may be
    /// its value or an operand.
    fn fits_as_written(
        &self,
        argv: &[&[u8]],
        reading: Option<&Reading<'_>>,
        here: Here<'_>,
    ) -> Result<(), Unmet<'_>> {
        let mut rest = argv.get(1..).unwrap_or_default();
        let has_subs = reading.and_then(|reading| reading.tool).is_some_and(Tool::has_subs);
        if let Some(sub) = &self.sub {
            let find = |pattern: &SubPattern| pattern.fits_words(rest);
            let taken = sub.value.iter().find_map(find).ok_or_else(|| sub.unmet("subcommand"))?;
            rest = &rest[taken..];
        }
        let mut words: Vec<(&[u8], bool)> = Vec::new();
        let mut flags: Vec<(&[u8], bool)> = Vec::new();
        let mut values: Vec<&[u8]> = Vec::new();
        let (mut doubt, mut ended) = (false, false);
        for &word in rest {
            let after_flag = std::mem::take(&mut doubt);
            if word == b"--" && !ended {
                if after_flag {
                    return Err(UNREAD);
                }
                ended = true;
            } else if flag_like(word) {
                let (_, value) = split(word);
                doubt = !ended && value.is_none();
                let attached = if word.starts_with(b"--") { None } else { word.get(2..) };
                values.extend(value.into_iter().chain(attached.filter(|text| !text.is_empty())));
                flags.push((word, !after_flag && !ended));
                if after_flag || ended {
                    words.push((word, ended && !after_flag));
                }
            } else {
                if has_subs && self.sub.is_none() {
                    return Err(NO_SUBCOMMAND);
                }
                words.push((word, !after_flag));
            }
        }
        self.flags.fit_words(&flags)?;
        if let Some(reading) = reading {
            // What is known to be a flag is one, however it was written: `+main` of `git push`.
            for flag in reading.flags.iter().filter(|flag| flag.known.is_some() && !flag.foreign) {
                self.flags.admit(false, flag)?;
            }
            let bundles = reading.tool.is_some_and(|tool| tool.bundled);
            if bundles && rest.first().is_some_and(|word| !flag_like(word)) {
                return Err(UNREAD);
            }
        }
        self.fits_operands(&words, values.into_iter(), here)
    }

    fn fits_operands<'w>(
        &self,
        words: &[(&'w [u8], bool)],
        values: impl Iterator<Item = &'w [u8]>,
        here: Here<'_>,
    ) -> Result<(), Unmet<'_>> {
        self.operands.fit(words)?;
        let plain: Vec<&[u8]> = words.iter().map(|(word, _)| *word).collect();
        self.operands.fit_none(&plain, here.cwd)?;
        let Some(inside) = &self.inside else { return Ok(()) };
        let has_operand = words.iter().any(|(_, sure)| *sure);
        let all = plain.into_iter().chain(values);
        let holds = inside.value.hold(all, has_operand, here);
        if holds { Ok(()) } else { Err(inside.unmet("inside")) }
    }
}
