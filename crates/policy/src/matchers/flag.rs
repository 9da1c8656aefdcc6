//! Flag: one flag of a pattern, against the flags of a command.
//! Which spelling is which flag comes from the reading of the command, not from the pattern.

use super::args::Overmatch;
use super::argv::{FlagUse, Reading};
use super::glob::{Glob, Kind};
use super::operand::{Operand, OperandPattern};
use crate::decision::Action;
use crate::tools::Arity;

/// One flag of a pattern.
#[derive(Debug)]
pub(crate) struct FlagPattern {
    source: Box<str>,
    name: FlagName,
    /// What follows a `=`.
    value: Option<OperandPattern>,
}

#[derive(Debug)]
enum FlagName {
    /// `-*`
    Any,
    /// `--*`
    AnyLong,
    /// A name with other wildcards in it.
    Glob(Glob),
    /// `--force`, or `-f`.
    One(Box<[u8]>),
    /// `-rf`: a cluster, or one name with one dash.
    Cluster(Box<[u8]>),
}

/// What one flag of an `allow` pattern covers.
pub(crate) struct Wanted<'p> {
    name: WantedName<'p>,
    value: Option<&'p OperandPattern>,
    before_sub: bool,
}

enum WantedName<'p> {
    Any,
    AnyLong,
    Glob(&'p Glob),
    One(&'p [u8]),
    Letter([u8; 2]),
    /// Cannot be told apart from a value.
    Never,
}

/// Whether a word looks like a flag; a lone dash is an operand.
pub(crate) fn flag_like(word: &[u8]) -> bool {
    word.len() > 1 && word[0] == b'-'
}

impl FlagPattern {
    pub(crate) fn new(text: &str, action: Action) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let value = value.map(|value| super::args::operand(value, action)).transpose()?;
        let name = match name {
            "-*" => FlagName::Any,
            "--*" => FlagName::AnyLong,
            name if name.contains(['*', '?', '[', '{', '\\']) => {
                FlagName::Glob(Glob::new(name, Kind::Text).map_err(|error| error.to_string())?)
            }
            name if name.starts_with("--") || name.len() == 2 => {
                FlagName::One(name.as_bytes().into())
            }
            name => FlagName::Cluster(name.as_bytes().into()),
        };
        Ok(Self { source: text.into(), name, value })
    }

    /// The flag as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn is_any(&self) -> bool {
        matches!(self.name, FlagName::Any)
    }

    pub(crate) fn is_any_long(&self) -> bool {
        matches!(self.name, FlagName::AnyLong)
    }

    /// The name that a command must use, where that can be told without knowing its tool.
    pub(crate) fn exact_name(&self) -> Option<&[u8]> {
        match &self.name {
            FlagName::One(name) => Some(name),
            _ => None,
        }
    }

    /// For `deny` and `ask`: how surely the flag was used, and whether the pattern's next word was
    /// its value.
    pub(crate) fn overmatches(
        &self,
        next: Option<&OperandPattern>,
        reading: &Reading<'_>,
    ) -> Option<(Overmatch, bool)> {
        let best = |is: &dyn Fn(&FlagUse<'_>) -> Option<Overmatch>| {
            reading
                .flags
                .iter()
                .filter_map(|flag| {
                    let surety = is(flag)?;
                    let (value, took_next) = self.value_overmatches(next, flag)?;
                    Some((surety.min(value), took_next))
                })
                .max_by_key(|(surety, _)| *surety)
        };
        match &self.name {
            FlagName::Any => best(&|flag| Some(sure(flag.certain))),
            FlagName::AnyLong => best(&|flag| flag.is_long().then(|| sure(flag.certain))),
            FlagName::Glob(glob) => best(&|flag| {
                flag.names().any(|name| glob.matches(name)).then(|| sure(flag.certain))
            }),
            FlagName::One(name) => best(&|flag| is(flag, name)),
            FlagName::Cluster(whole) => best(&|flag| is(flag, whole))
                .or_else(|| self.letters_overmatch(whole, next, reading)),
        }
    }

    /// Each letter of the cluster was used, wherever.
    fn letters_overmatch(
        &self,
        whole: &[u8],
        next: Option<&OperandPattern>,
        reading: &Reading<'_>,
    ) -> Option<(Overmatch, bool)> {
        let mut surety = Overmatch::Surely;
        for (position, letter) in whole.iter().enumerate().skip(1) {
            let name = [b'-', *letter];
            let rest = &whole[position + 1..];
            let mut used = reading.flags.iter().filter(|flag| flag.is(&name)).peekable();
            used.peek()?;
            if rest.is_empty() {
                let (sure, took_next) = used
                    .filter_map(|flag| {
                        let (value, took_next) = self.value_overmatches(next, flag)?;
                        Some((value.min(sure(flag.certain)), took_next))
                    })
                    .max_by_key(|(surety, _)| *surety)?;
                return Some((surety.min(sure), took_next));
            }
            let mut valued = used.clone().filter(|flag| flag.takes_value()).peekable();
            if valued.peek().is_some() {
                let found = valued.find(|flag| flag.value == Some(rest))?;
                return Some((surety.min(sure(found.certain)), false));
            }
            let certain = used.any(|flag| flag.certain);
            surety = surety.min(sure(certain));
        }
        Some((surety, false))
    }

    fn value_overmatches(
        &self,
        next: Option<&OperandPattern>,
        flag: &FlagUse<'_>,
    ) -> Option<(Overmatch, bool)> {
        let hits =
            |pattern: &OperandPattern, value: &[u8]| pattern.hits(&Operand::new(value, flag.cwd));
        if let Some(pattern) = &self.value {
            return match (flag.value, flag.next) {
                (Some(value), _) => hits(pattern, value).then_some((Overmatch::Surely, false)),
                (None, Some(next)) => hits(pattern, next).then_some((Overmatch::Perhaps, false)),
                (None, None) => None,
            };
        }
        let Some(next) = next else { return Some((Overmatch::Surely, false)) };
        match (flag.known.map(|known| known.arity), flag.value.or(flag.next)) {
            (Some(Arity::Required), Some(value)) => {
                hits(next, value).then_some((Overmatch::Surely, true))
            }
            (Some(Arity::Required), None) => None,
            (Some(Arity::Optional) | None, Some(value)) if hits(next, value) => {
                Some((Overmatch::Perhaps, true))
            }
            _ => Some((Overmatch::Surely, false)),
        }
    }

    /// For `allow`: whether the word is this flag, spelled as in the pattern.
    pub(crate) fn fits_word(&self, word: &[u8]) -> bool {
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let named = match &self.name {
            FlagName::Any | FlagName::AnyLong => false,
            FlagName::Glob(glob) => flag_like(name) && name != b"--" && glob.matches(name),
            FlagName::One(wanted) | FlagName::Cluster(wanted) => **wanted == *name,
        };
        named
            && match (&self.value, value) {
                (None, None) => true,
                (Some(pattern), Some(value)) => pattern.fits(value),
                _ => false,
            }
    }

    /// For `allow`: adds what this flag covers; gives whether the pattern's next word is its value.
    pub(crate) fn want<'p>(
        &'p self,
        next: Option<&'p OperandPattern>,
        reading: &Reading<'_>,
        before_sub: bool,
        wanted: &mut Vec<Wanted<'p>>,
    ) -> bool {
        let required = |name: &[u8]| {
            let used = reading.flags.iter().find(|flag| flag.is(name));
            used.and_then(|flag| flag.known).is_some_and(|flag| flag.arity == Arity::Required)
        };
        let mut add = |name, value| wanted.push(Wanted { name, value, before_sub });
        let value = self.value.as_ref();
        match &self.name {
            FlagName::Any => add(WantedName::Any, None),
            FlagName::AnyLong => add(WantedName::AnyLong, None),
            FlagName::Glob(glob) => add(WantedName::Glob(glob), value),
            FlagName::Cluster(whole) if !reading.flags.iter().any(|flag| flag.is(whole)) => {
                let mut letters = whole.iter().skip(1).map(|letter| [b'-', *letter]).peekable();
                while let Some(letter) = letters.next() {
                    if letters.peek().is_none() {
                        let takes_next = value.is_none() && next.is_some() && required(&letter);
                        add(WantedName::Letter(letter), if takes_next { next } else { value });
                        return takes_next;
                    }
                    let name = if required(&letter) {
                        WantedName::Never
                    } else {
                        WantedName::Letter(letter)
                    };
                    add(name, None);
                }
            }
            FlagName::One(name) | FlagName::Cluster(name) => {
                let takes_next = value.is_none() && next.is_some() && required(name);
                add(WantedName::One(name), if takes_next { next } else { value });
                return takes_next;
            }
        }
        false
    }
}

fn sure(certain: bool) -> Overmatch {
    if certain { Overmatch::Surely } else { Overmatch::Perhaps }
}

fn is(flag: &FlagUse<'_>, name: &[u8]) -> Option<Overmatch> {
    if flag.is(name) {
        Some(sure(flag.certain))
    } else {
        flag.may_be(name).then_some(Overmatch::Perhaps)
    }
}

impl Wanted<'_> {
    /// `-*` and `--*` cover what is there, and need nothing.
    pub(crate) fn optional(&self) -> bool {
        matches!(self.name, WantedName::Any | WantedName::AnyLong)
    }

    pub(crate) fn covers(&self, flag: &FlagUse<'_>) -> bool {
        let named = match &self.name {
            WantedName::Any => true,
            WantedName::AnyLong => flag.is_long(),
            WantedName::Glob(glob) => glob.matches(flag.name()),
            WantedName::One(name) => flag.is(name),
            WantedName::Letter(name) => flag.is(name),
            WantedName::Never => false,
        };
        let valued = match (self.value, flag.value) {
            (None, None) => true,
            (None, Some(_)) => self.optional(),
            (Some(pattern), Some(value)) => pattern.fits(value),
            (Some(_), None) => false,
        };
        named && valued && self.before_sub == flag.before_sub
    }
}
