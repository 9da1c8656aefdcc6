//! Flags: which are used, and which are not. A flag that another one may have taken back, as
//! `--no-x` does with `--x`, is not surely used.

use super::super::argv::FlagUse;
use super::super::argv::Reading;
use super::super::flag::{FlagPattern, flag_like};
use super::super::{Need, Overmatch};
use super::{FlagList, Key, Set, Unmet};
use crate::action::Action;
use crate::tools::Arity;

/// The key `flags`, and `globals` beside it.
#[derive(Debug, Default)]
pub(super) struct FlagSets {
    any: Option<Key<FlagList>>,
    all: Option<Key<FlagList>>,
    none: Option<Key<FlagList>>,
    only: Option<Key<FlagList>>,
    globals: Option<Key<FlagList>>,
}

/// Whether a flag is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Presence {
    No,
    Perhaps,
    Surely,
}

/// Compiles one flag; the error says what would be right.
pub(super) fn compile(text: &str, action: Action) -> Result<FlagPattern, String> {
    if !flag_like(text.as_bytes()) || text == "--" || text.contains(char::is_whitespace) {
        return Err("a flag begins with a dash: `-f`, `--force`, `--format=json`, `--no-*`".into());
    }
    FlagPattern::new(text, action)
}

impl FlagSets {
    pub(super) fn set(&mut self, set: Set, list: Key<FlagList>) {
        let place = match set {
            Set::Any => &mut self.any,
            Set::All => &mut self.all,
            Set::None => &mut self.none,
            Set::Only => &mut self.only,
            Set::Globals => &mut self.globals,
        };
        *place = Some(list);
    }

    pub(super) fn needs<'p>(&'p self, needs: &mut Vec<Vec<Need<'p>>>) {
        if let Some(any) = &self.any {
            let of: Option<Vec<_>> =
                any.value.iter().map(|flag| flag.exact_name().map(Need::Flag)).collect();
            needs.extend(of.filter(|of| !of.is_empty()));
        }
        let all = self.all.iter().flat_map(|all| &all.value);
        needs.extend(all.filter_map(|flag| Some(vec![Need::Flag(flag.exact_name()?)])));
    }

    /// For `deny` and `ask`.
    pub(super) fn overmatch(&self, reading: &Reading<'_>) -> Result<Overmatch, Unmet<'_>> {
        let used = |flag: &FlagPattern| flag.overmatches(None, reading).alone;
        let mut surety = Overmatch::Surely;
        if let Some(any) = &self.any {
            let best = any.value.iter().filter_map(used).max();
            surety = surety.min(best.ok_or_else(|| any.unmet("flags.any"))?);
        }
        if let Some(all) = &self.all {
            for flag in &all.value {
                surety = surety.min(used(flag).ok_or_else(|| all.unmet("flags.all"))?);
            }
        }
        if let Some(none) = &self.none {
            match none.value.iter().map(|flag| presence(flag, reading)).max() {
                Some(Presence::Surely) => return Err(none.unmet("flags.none")),
                Some(Presence::Perhaps) => surety = surety.min(Overmatch::Perhaps),
                Some(Presence::No) | None => {}
            }
        }
        if let Some(only) = &self.only {
            for flag in reading.flags.iter().filter(|flag| !flag.foreign) {
                if only.value.iter().any(|pattern| pattern.names(flag) && has_value(pattern, flag))
                {
                    continue;
                }
                let told = flag.known.is_some() || flag.is_long();
                let may_be = only.value.iter().any(|pattern| {
                    pattern.names(flag) || pattern.exact_name().is_some_and(|n| flag.may_be(n))
                });
                if flag.certain && told && !may_be {
                    return Err(only.unmet("flags.only"));
                }
                surety = surety.min(Overmatch::Perhaps);
            }
        }
        Ok(surety)
    }

    /// For `allow`, where everything was read for certain. `has_sub` says whether there is a
    /// subcommand that options can stand before.
    pub(super) fn fit(&self, has_sub: bool, reading: &Reading<'_>) -> Result<(), Unmet<'_>> {
        for flag in reading.flags.iter().filter(|flag| !flag.foreign) {
            self.admit(has_sub, flag)?;
        }
        if let Some(none) = &self.none
            && none.value.iter().any(|flag| presence(flag, reading) > Presence::No)
        {
            return Err(none.unmet("flags.none"));
        }
        let used = |flag: &FlagPattern| presence(flag, reading) == Presence::Surely;
        if let Some(all) = self.all.as_ref().filter(|all| !all.value.iter().all(used)) {
            return Err(all.unmet("flags.all"));
        }
        match &self.any {
            Some(any) if !any.value.iter().any(used) => Err(any.unmet("flags.any")),
            _ => Ok(()),
        }
    }

    /// For `allow`: whether one flag may be there.
    pub(super) fn admit(&self, has_sub: bool, flag: &FlagUse<'_>) -> Result<(), Unmet<'_>> {
        let names = |list: &Key<FlagList>| {
            list.value.iter().any(|pattern| pattern.names(flag) && has_value(pattern, flag))
        };
        if has_sub && flag.before_sub {
            let listed = self.globals.as_ref().is_some_and(names);
            return if listed { Ok(()) } else { Err(Unmet { key: "globals", wanted: "" }) };
        }
        let named = [&self.only, &self.any, &self.all].into_iter().flatten().any(names);
        // To leave some out is to admit the rest, as far as it is known.
        let rest = self.only.is_none() && self.none.is_some() && flag.known.is_some();
        if named || rest { Ok(()) } else { Err(self.unlisted()) }
    }

    /// For `allow`, without knowledge of the tool: the words that look like flags, each with whether
    /// it surely is one.
    pub(super) fn fit_words(&self, words: &[(&[u8], bool)]) -> Result<(), Unmet<'_>> {
        let spelled = |pattern: &FlagPattern, word: &[u8]| {
            let (name, value) = split(word);
            pattern.is_spelled(name)
                && pattern
                    .value()
                    .is_none_or(|wanted| value.is_some_and(|value| wanted.fits(value)))
        };
        let lists = || [&self.only, &self.any, &self.all].into_iter().flatten();
        for (word, _) in words {
            if !lists().flat_map(|list| &list.value).any(|pattern| spelled(pattern, word)) {
                return Err(self.unlisted());
            }
        }
        if let Some(none) = &self.none
            && none.value.iter().any(|pattern| {
                words.iter().any(|(word, _)| pattern.is_any() || pattern.is_spelled(split(word).0))
            })
        {
            return Err(none.unmet("flags.none"));
        }
        let used = |pattern: &FlagPattern| {
            let mut own = words.iter().filter(|(word, sure)| *sure && spelled(pattern, word));
            let undone = words.iter().any(|(word, _)| {
                pattern.exact_name().is_some_and(|name| negates(name, split(word).0))
            });
            own.next().is_some() && !undone
        };
        if let Some(all) = self.all.as_ref().filter(|all| !all.value.iter().all(used)) {
            return Err(all.unmet("flags.all"));
        }
        match &self.any {
            Some(any) if !any.value.iter().any(used) => Err(any.unmet("flags.any")),
            _ => Ok(()),
        }
    }

    /// Whether the rule itself says which values the flag may have.
    pub(super) fn says_value(&self, flag: &FlagUse<'_>) -> bool {
        let lists = [&self.only, &self.any, &self.all, &self.globals].into_iter().flatten();
        let mut own = lists.flat_map(|list| &list.value);
        own.any(|pattern| {
            pattern.value().is_some() && pattern.names(flag) && has_value(pattern, flag)
        })
    }

    fn unlisted(&self) -> Unmet<'_> {
        let list = self.only.as_ref().or(self.any.as_ref()).or(self.all.as_ref());
        Unmet { key: "flags", wanted: list.map_or("", |list| &list.source) }
    }
}

/// A word that looks like a flag, at its first `=`.
pub(super) fn split(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    }
}

/// Whether the value is one that the pattern takes; one without a value takes any.
fn has_value(pattern: &FlagPattern, flag: &FlagUse<'_>) -> bool {
    pattern.value().is_none_or(|wanted| flag.value.is_some_and(|value| wanted.fits(value)))
}

fn presence(pattern: &FlagPattern, reading: &Reading<'_>) -> Presence {
    match pattern.overmatches(None, reading).alone {
        None => return Presence::No,
        Some(Overmatch::ByUnknown | Overmatch::Perhaps) => return Presence::Perhaps,
        Some(Overmatch::Surely) => {}
    }
    let mut own = reading.flags.iter().filter(|flag| pattern.names(flag));
    let as_meant = own.all(|flag| {
        let arity = flag.known.map(|known| known.arity);
        let may_be_off =
            pattern.value().is_none() && flag.value.is_some() && arity != Some(Arity::Required);
        has_value(pattern, flag) && !may_be_off && is_whole(flag) && !is_undone(flag, reading)
    });
    if as_meant { Presence::Surely } else { Presence::Perhaps }
}

/// Whether the name is written out. The table may lack the option that a shortened one means.
fn is_whole(flag: &FlagUse<'_>) -> bool {
    let listed = |name: &str| name.as_bytes() == flag.name();
    !flag.is_long() || flag.known.is_none_or(|known| known.names.iter().any(|name| listed(name)))
}

/// Whether another flag of the command takes this one back.
fn is_undone(flag: &FlagUse<'_>, reading: &Reading<'_>) -> bool {
    reading.flags.iter().any(|other| flag.names().any(|name| negates(name, other.name())))
}

/// Whether `other` is `--no-x` for `--x`, or the other way round, or may be that one shortened.
fn negates(name: &[u8], other: &[u8]) -> bool {
    let Some(own) = name.strip_prefix(b"--") else { return false };
    let Some(other) = other.strip_prefix(b"--") else { return false };
    match (own.strip_prefix(b"no-"), other.strip_prefix(b"no-")) {
        (Some(plain), None) => !other.is_empty() && plain.starts_with(other),
        (None, Some(plain)) => !plain.is_empty() && own.starts_with(plain),
        _ => false,
    }
}
