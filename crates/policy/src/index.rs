//! Index: which rules can speak of a request, found without looking at the others.
//! It only leaves out rules that cannot match; what it gives is still matched in full.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::conditions::Conditions;
use crate::matchers::Need;
use crate::matchers::args::ArgsPattern;
use crate::matchers::argv::Reading;
use crate::matchers::glob::Trait;
use crate::matchers::name::{NamePattern, Names};
use crate::matchers::operand::Operand;
use crate::matchers::unknown;
use crate::rule::Rule;

/// A command whose rules have at most this many patterns is not indexed by its arguments: looking is as fast.
const SMALL: usize = 16;

/// Rules by the name of their command.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Rules that spell the whole name out.
    whole: HashMap<Vec<u8>, Bucket>,
    heads: Affixes,
    tails: Affixes,
    /// The variables that conditions look at, sorted, each once.
    pub(crate) variables: Vec<Box<str>>,
    /// A condition asks for the name of a user or a group.
    pub(crate) names_users: bool,
    /// Whether a rule looks at the caller's container.
    pub(crate) names_containers: bool,
    /// A rule cares where links lead.
    pub(crate) follows_links: bool,
}

/// Rules whose pattern starts, or ends, with a text.
#[derive(Debug, Default)]
struct Affixes {
    by_text: HashMap<Vec<u8>, Bucket>,
    /// The lengths of those texts, rising.
    lengths: Vec<usize>,
}

/// The rules for one name, by a text that their arguments need.
#[derive(Debug, Default)]
struct Bucket {
    all: Vec<u32>,
    /// Whether the rest is filled.
    split: bool,
    /// Rules that need nothing in particular.
    open: Vec<u32>,
    words: HashMap<Box<[u8]>, Vec<u32>>,
    /// Ordered, because a shortened flag means every name that it starts.
    flags: BTreeMap<Box<[u8]>, Vec<u32>>,
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (number, rule) in (0..).zip(rules) {
            for common in rule.commands.iter().flat_map(NamePattern::traits) {
                let bucket = match common {
                    Trait::Whole(name) => index.whole.entry(name).or_default(),
                    Trait::Head(text) => index.heads.by_text.entry(text).or_default(),
                    Trait::Tail(text) => index.tails.by_text.entry(text).or_default(),
                };
                push(&mut bucket.all, number);
            }
        }
        let conditions = || rules.iter().filter_map(|rule| rule.conditions.as_deref());
        index.names_users = conditions().any(Conditions::name_users);
        index.names_containers = conditions().any(Conditions::name_containers);
        let mut patterns = rules.iter().filter_map(|rule| rule.args.as_deref()).flatten();
        index.follows_links = patterns.any(ArgsPattern::follows_links);
        index.variables =
            conditions().flat_map(|found| &found.env).map(|(name, _)| name.clone()).collect();
        index.variables.sort_unstable();
        index.variables.dedup();
        for affixes in [&mut index.heads, &mut index.tails] {
            affixes.lengths = affixes.by_text.keys().map(Vec::len).collect();
            affixes.lengths.sort_unstable();
            affixes.lengths.dedup();
        }
        let affixes = index.heads.by_text.values_mut().chain(index.tails.by_text.values_mut());
        for bucket in index.whole.values_mut().chain(affixes) {
            bucket.fill(rules);
        }
        index
    }

    /// Every rule that may speak of a command of this name, in the order of the file, each once.
    pub(crate) fn by_name(&self, names: &Names<'_>) -> Candidates<'_> {
        let lists = self.buckets(names).into_iter().map(|bucket| &*bucket.all).collect();
        Candidates { lists, by_unknown: Vec::new() }
    }

    /// The same, without rules whose arguments cannot match what was read.
    pub(crate) fn by_arguments<'i, 'r, 'a: 'r>(
        &'i self,
        names: &Names<'_>,
        argv: &[&'r [u8]],
        readings: impl FnOnce() -> &'r [Reading<'a>],
    ) -> Candidates<'i> {
        let buckets = self.buckets(names);
        let mut lists: Vec<&[u32]> = Vec::with_capacity(buckets.len());
        let (split, small): (Vec<&Bucket>, Vec<&Bucket>) =
            buckets.into_iter().partition(|bucket| bucket.split);
        lists.extend(small.iter().map(|bucket| bucket.all.as_slice()));
        let mut by_unknown: Vec<&[u32]> = Vec::new();
        if !split.is_empty() {
            if argv.iter().any(|word| unknown::is_in(word)) {
                by_unknown.extend(split.iter().map(|bucket| bucket.all.as_slice()));
            }
            let held = Held::of(argv, readings());
            for bucket in split {
                bucket.collect(held.as_ref(), &mut lists);
            }
        }
        Candidates { lists, by_unknown }
    }

    fn buckets(&self, names: &Names<'_>) -> Vec<&Bucket> {
        let mut buckets = Vec::new();
        for name in names.bare() {
            buckets.extend(self.whole.get(name));
            for length in self.heads.fitting(name) {
                buckets.extend(self.heads.by_text.get(&name[..length]));
            }
            for length in self.tails.fitting(name) {
                buckets.extend(self.tails.by_text.get(&name[name.len() - length..]));
            }
        }
        buckets
    }
}

impl Affixes {
    fn fitting(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        self.lengths.iter().copied().take_while(move |length| *length <= name.len())
    }
}

impl Bucket {
    /// Files every rule under the rarest text that its arguments need.
    fn fill(&mut self, rules: &[Rule]) {
        let rule = |number: &u32| rules.get(usize::try_from(*number).ok()?);
        let patterns = |rule: &Rule| rule.args.as_deref().map_or(1, <[_]>::len);
        if self.all.iter().filter_map(rule).map(patterns).sum::<usize>() <= SMALL {
            return;
        }
        self.split = true;
        let mine = || {
            self.all.iter().filter_map(|number| {
                let rule = rules.get(usize::try_from(*number).ok()?)?;
                Some((*number, rule.args.as_deref()?))
            })
        };
        let mut counts: HashMap<Need<'_>, usize> = HashMap::new();
        for (_, patterns) in mine() {
            for need in patterns.iter().flat_map(|pattern| pattern.needs()).flatten() {
                *counts.entry(need).or_default() += 1;
            }
        }
        let mut filed: Vec<(u32, Vec<Need<'_>>)> = Vec::new();
        for (number, patterns) in mine() {
            // One pattern that needs nothing makes the rule one to be looked at always.
            let chosen: Option<Vec<_>> =
                patterns.iter().map(|pattern| rarest(pattern.needs(), &counts)).collect();
            filed.push((number, chosen.unwrap_or_default().into_iter().flatten().collect()));
        }
        let mut filed = filed.into_iter().peekable();
        for number in &self.all {
            match filed.next_if(|(filed, _)| filed == number) {
                Some((_, needs)) if !needs.is_empty() => {
                    for need in needs {
                        let list = match need {
                            Need::Word(text) => self.words.entry(text.into()).or_default(),
                            Need::Flag(text) => self.flags.entry(text.into()).or_default(),
                        };
                        push(list, *number);
                    }
                }
                _ => self.open.push(*number),
            }
        }
    }

    fn collect<'b>(&'b self, held: Option<&Held<'_>>, lists: &mut Vec<&'b [u32]>) {
        let Some(held) = held else {
            lists.push(&self.all);
            return;
        };
        lists.push(&self.open);
        lists.extend(
            held.words.iter().filter_map(|word| self.words.get(&**word).map(Vec::as_slice)),
        );
        for flag in &held.flags {
            lists.extend(self.flags.get(*flag).map(Vec::as_slice));
            if let Some(twin) = flag.strip_prefix(b"-") {
                // Tools with one dash for long names take two as well, and the other way round.
                lists.extend(self.flags.get(twin).map(Vec::as_slice));
            }
            let doubled = [b"-", *flag].concat();
            lists.extend(self.flags.get(doubled.as_slice()).map(Vec::as_slice));
        }
        for head in &held.shortened {
            let from = (Bound::Excluded(*head), Bound::Unbounded);
            let longer = self.flags.range::<[u8], _>(from);
            lists.extend(
                longer
                    .take_while(|(name, _)| name.starts_with(head))
                    .map(|(_, list)| list.as_slice()),
            );
        }
    }
}

fn rarest<'p>(
    needs: Vec<Vec<Need<'p>>>,
    counts: &HashMap<Need<'_>, usize>,
) -> Option<Vec<Need<'p>>> {
    let count = |list: &Vec<Need<'p>>| -> usize {
        list.iter().map(|need| counts.get(need).copied().unwrap_or_default()).sum()
    };
    needs.into_iter().min_by_key(count)
}

/// Every text of a command that a pattern may need.
struct Held<'r> {
    words: Vec<Cow<'r, [u8]>>,
    flags: Vec<&'r [u8]>,
    shortened: Vec<&'r [u8]>,
}

impl<'r> Held<'r> {
    /// `None` when the command may hold texts that cannot be told.
    fn of<'a: 'r>(argv: &[&'r [u8]], readings: &'r [Reading<'a>]) -> Option<Self> {
        let own = argv.get(1..).unwrap_or_default();
        let words = own.iter().map(|word| Cow::Borrowed(*word)).collect();
        let mut held = Self { words, flags: own.to_vec(), shortened: Vec::new() };
        for reading in readings {
            if reading.too_long || reading.sub_may_be_shortened() {
                return None;
            }
            for operand in &reading.operands {
                held.words.extend(operand.word.all_spellings()?.map(Cow::Borrowed));
            }
            held.words.extend(reading.sub_names().map(|name| Cow::Borrowed(name as &[u8])));
            held.words.extend(reading.sub_aliases()?.map(Cow::Borrowed));
            for flag in &reading.flags {
                for value in flag.value.into_iter().chain(flag.next) {
                    let value = Operand::new(value, flag.cwd);
                    let spellings = value.all_spellings()?.map(|text| Cow::Owned(text.to_vec()));
                    held.words.extend(spellings);
                }
                held.flags.extend(flag.names());
                held.shortened.extend(flag.may_be_shortened().then(|| flag.name()));
            }
        }
        held.words.sort_unstable();
        held.words.dedup();
        for texts in [&mut held.flags, &mut held.shortened] {
            texts.sort_unstable();
            texts.dedup();
        }
        Some(held)
    }
}

fn push(list: &mut Vec<u32>, number: u32) {
    if list.last() != Some(&number) {
        list.push(number);
    }
}

/// Merges several rising lists into one.
pub(crate) struct Candidates<'i> {
    lists: Vec<&'i [u32]>,
    /// Rules that hold a text which the command does not: a word of it may only be that text by
    /// being unknown.
    by_unknown: Vec<&'i [u32]>,
}

impl Candidates<'_> {
    /// Leaves out what only matches by an unknown word, because no stricter answer comes of it.
    pub(crate) fn leave_unknown(&mut self) {
        self.by_unknown.clear();
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let lists = self.lists.iter().chain(&self.by_unknown);
        let least = lists.filter_map(|list| list.first()).min().copied()?;
        for list in self.lists.iter_mut().chain(&mut self.by_unknown) {
            if let [first, rest @ ..] = *list
                && *first == least
            {
                *list = rest;
            }
        }
        Some(least)
    }
}
