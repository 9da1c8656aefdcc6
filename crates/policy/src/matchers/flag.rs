//! Flag: one flag of a pattern, against the flags of a command.
//! Which spelling is which flag comes from the reading of the command, not from the pattern.

use super::Overmatch;
use super::argv::{FlagUse, Reading};
use super::glob::{Glob, Kind};
use super::operand::{Operand, OperandPattern};
use super::{names, unknown};
use crate::action::Action;
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

/// How surely a flag of a `deny` or `ask` pattern was used; `None` is not at all.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    /// The pattern's next word is still to be found.
    pub(crate) alone: Option<Overmatch>,
    /// The pattern's next word was its value.
    pub(crate) with_next: Option<Overmatch>,
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

/// Whether the word may be a flag, or more words than one, because of what is not known in it.
pub(crate) fn may_be_flag(word: &[u8]) -> bool {
    (unknown::is_open(word) && !names::are_no_flags(word))
        || (flag_like(word) && !unknown::is_named(word))
}

impl FlagPattern {
    pub(crate) fn new(text: &str, action: Action) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let value = value.map(|value| OperandPattern::compile(value, action)).transpose()?;
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

    /// For `deny` and `ask`: how surely the flag was used, with the pattern's next word as its value
    /// and without.
    pub(crate) fn overmatches(&self, next: Option<&OperandPattern>, reading: &Reading<'_>) -> Used {
        let best = |is: &dyn Fn(&FlagUse<'_>) -> Option<Overmatch>| {
            let of = |flag| Some(self.value_overmatches(next, flag).at_most(is(flag)?));
            reading.flags.iter().filter_map(of).fold(Used::NOT, Used::or)
        };
        let used = match &self.name {
            FlagName::Any => best(&|flag| Some(sure(flag.certain))),
            FlagName::AnyLong => best(&|flag| flag.has_long_name().then(|| sure(flag.certain))),
            FlagName::Glob(glob) => best(&|flag| {
                flag.names().any(|name| glob.matches(name)).then(|| sure(flag.certain))
            }),
            FlagName::One(name) => best(&|flag| is(flag, name)),
            FlagName::Cluster(whole) => best(&|flag| is(flag, whole))
                .or(self.letters_overmatch(whole, next, reading).unwrap_or(Used::NOT)),
        };
        let by_unknown = Some(Overmatch::ByUnknown);
        if reading.wild {
            return used.or(Used { alone: by_unknown, with_next: next.and(by_unknown) });
        }
        if !reading.planted {
            return used;
        }
        // The name of a file has no slash in it, so what such a flag could be given lies here.
        let here = |value: &&OperandPattern| !value.source().contains('/');
        if let Some(value) = &self.value {
            let any = reading.any_planted && value.is_any();
            return if any { used.or(Used { alone: by_unknown, with_next: None }) } else { used };
        }
        used.or(Used { alone: by_unknown, with_next: next.filter(here).and(by_unknown) })
    }

    /// Each letter of the cluster was used, wherever.
    fn letters_overmatch(
        &self,
        whole: &[u8],
        next: Option<&OperandPattern>,
        reading: &Reading<'_>,
    ) -> Option<Used> {
        let mut surety = Overmatch::Surely;
        for (position, letter) in whole.iter().enumerate().skip(1) {
            let name = [b'-', *letter];
            let rest = &whole[position + 1..];
            let mut used = reading.flags.iter().filter(|flag| flag.is(&name)).peekable();
            used.peek()?;
            if rest.is_empty() {
                let of = |flag: &FlagUse<'_>| {
                    self.value_overmatches(next, flag).at_most(sure(flag.certain))
                };
                return Some(used.map(of).fold(Used::NOT, Used::or).at_most(surety));
            }
            let mut valued = used.clone().filter(|flag| flag.takes_value()).peekable();
            if valued.peek().is_some() {
                let found = valued.find(|flag| flag.value == Some(rest))?;
                return Some(Used::alone(surety.min(sure(found.certain))));
            }
            let certain = used.any(|flag| flag.certain);
            surety = surety.min(sure(certain));
        }
        Some(Used::alone(surety))
    }

    fn value_overmatches(&self, next: Option<&OperandPattern>, flag: &FlagUse<'_>) -> Used {
        let hits =
            |pattern: &OperandPattern, value: &[u8]| pattern.hits(&Operand::new(value, flag.cwd));
        if let Some(pattern) = &self.value {
            let alone = match (flag.value, flag.next) {
                (Some(value), _) => hits(pattern, value),
                (None, Some(next)) => hits(pattern, next).map(|sure| sure.min(Overmatch::Perhaps)),
                (None, None) => None,
            };
            return Used { alone, ..Used::NOT };
        }
        let Some(next) = next else { return Used::alone(Overmatch::Surely) };
        match (flag.known.map(|known| known.arity), flag.value.or(flag.next)) {
            (Some(Arity::Required), Some(value)) => {
                Used { with_next: hits(next, value), ..Used::NOT }
            }
            (Some(Arity::Required), None) => Used::NOT,
            (Some(Arity::Optional) | None, Some(value)) => {
                let with_next = hits(next, value).map(|sure| sure.min(Overmatch::Perhaps));
                Used { with_next, ..Used::alone(Overmatch::Surely) }
            }
            _ => Used::alone(Overmatch::Surely),
        }
    }

    /// What follows the `=` of the pattern.
    pub(crate) fn value(&self) -> Option<&OperandPattern> {
        self.value.as_ref()
    }

    /// Whether the flag that was used goes by this name; of a cluster, by one of its letters.
    pub(crate) fn names(&self, flag: &FlagUse<'_>) -> bool {
        match &self.name {
            FlagName::Any => true,
            FlagName::AnyLong => flag.has_long_name(),
            FlagName::Glob(glob) => flag.names().any(|name| glob.matches(name)),
            FlagName::One(name) => flag.is(name),
            FlagName::Cluster(whole) => {
                let is_letter = |name: &[u8]| name.len() == 2 && whole[1..].contains(&name[1]);
                flag.is(whole) || (!flag.single_dash && flag.names().any(is_letter))
            }
        }
    }

    /// Whether a name that stands there means this flag without any knowledge of the tool.
    pub(crate) fn is_spelled(&self, name: &[u8]) -> bool {
        match &self.name {
            FlagName::Any | FlagName::AnyLong => false,
            FlagName::Glob(glob) => {
                flag_like(name) && name != b"--" && !unknown::is_in(name) && glob.matches(name)
            }
            FlagName::One(wanted) | FlagName::Cluster(wanted) => **wanted == *name,
        }
    }

    /// For `allow`: whether the word is this flag, spelled as in the pattern.
    pub(crate) fn fits_word(&self, word: &[u8]) -> bool {
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        self.is_spelled(name)
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

impl Used {
    const NOT: Self = Self { alone: None, with_next: None };

    fn alone(surety: Overmatch) -> Self {
        Self { alone: Some(surety), ..Self::NOT }
    }

    fn or(self, other: Self) -> Self {
        Self { alone: self.alone.max(other.alone), with_next: self.with_next.max(other.with_next) }
    }

    fn at_most(self, bound: Overmatch) -> Self {
        let bounded = |surety: Option<Overmatch>| surety.map(|surety| surety.min(bound));
        Self { alone: bounded(self.alone), with_next: bounded(self.with_next) }
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
