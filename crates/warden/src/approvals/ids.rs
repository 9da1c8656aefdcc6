//! Ids of entries: how they are made, and how a person's prefix finds one.
//! No id is made twice, and a prefix that could mean two entries means none.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::ledger::Id;

/// The fewest digits that name an entry.
pub const MIN_PREFIX: usize = 4;

const DIGITS: usize = 32;

/// Makes ids that nobody can foretell who does not know the seed.
#[derive(Debug)]
pub(super) struct Maker {
    seed: [u8; 32],
    made: u64,
}

impl Maker {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, made: 0 }
    }

    /// A seed for another one, which makes other ids.
    pub(super) fn another(&mut self) -> [u8; 32] {
        self.made += 1;
        let of = Sha256::new_with_prefix(b"another").chain_update(self.seed);
        of.chain_update(self.made.to_be_bytes()).finalize().into()
    }

    pub(super) fn make(&mut self) -> Id {
        self.made += 1;
        let digest =
            Sha256::new_with_prefix(self.seed).chain_update(self.made.to_be_bytes()).finalize();
        let mut id = [0; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Id(id)
    }
}

/// The first digits of an id, 4 to 32 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    low: Id,
    high: Id,
}

impl Prefix {
    /// `None` for what is no such prefix. Capital digits are taken too.
    pub(super) fn new(text: &str) -> Option<Self> {
        if !(MIN_PREFIX..=DIGITS).contains(&text.len()) {
            return None;
        }
        let (mut low, mut high) = ([0u8; 16], [0xFFu8; 16]);
        for (at, c) in text.chars().enumerate() {
            let digit = u8::try_from(c.to_digit(16)?).ok()?;
            let (shift, mask) = if at % 2 == 0 { (4, 0x0F) } else { (0, 0xF0) };
            let (low, high) = (low.get_mut(at / 2)?, high.get_mut(at / 2)?);
            *low |= digit << shift;
            *high = (*high & mask) | (digit << shift);
        }
        Some(Self { low: Id(low), high: Id(high) })
    }

    pub(super) fn fits(&self, id: &Id) -> bool {
        (self.low..=self.high).contains(id)
    }

    /// The ids among the keys of `map` that begin so.
    pub(super) fn among<'a, T>(
        &self,
        map: &'a BTreeMap<Id, T>,
    ) -> impl Iterator<Item = Id> + use<'a, T> {
        map.range(self.low..=self.high).map(|(&id, _)| id)
    }
}

/// How many digits `id` needs so that no other key of `map` begins like it.
pub(super) fn digits_needed<T>(id: Id, map: &BTreeMap<Id, T>) -> usize {
    let before = map.range(..id).next_back();
    let after = map.range(id..).find(|&(&other, _)| other != id);
    let shared = |other: Option<(&Id, &T)>| other.map_or(0, |(other, _)| common(id, *other) + 1);
    shared(before).max(shared(after)).max(MIN_PREFIX)
}

/// The first `digits` digits of `id`.
pub(super) fn shortened(id: Id, digits: usize) -> String {
    let mut text = id.to_string();
    text.truncate(digits);
    text
}

/// How many digits each id needs so that none of the others begins like it, of ids in their order.
pub(super) fn digits_among(ids: impl Iterator<Item = Id>) -> Vec<usize> {
    let mut needed: Vec<usize> = Vec::with_capacity(ids.size_hint().0);
    let mut before = None;
    for id in ids {
        let shared = before.map_or(0, |before| common(before, id) + 1);
        if let Some(last) = needed.last_mut() {
            *last = shared.max(*last);
        }
        needed.push(shared.max(MIN_PREFIX));
        before = Some(id);
    }
    needed
}

fn common(Id(a): Id, Id(b): Id) -> usize {
    let unlike = u128::from_be_bytes(a) ^ u128::from_be_bytes(b);
    unlike.leading_zeros() as usize / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        format!("{text:0<32}").parse().unwrap()
    }

    #[test]
    fn ids_are_not_made_twice_and_differ_by_seed() {
        let mut maker = Maker::new([1; 32]);
        let mut other = Maker::new([2; 32]);
        let mut all: Vec<Id> = (0..1000).flat_map(|_| [maker.make(), other.make()]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2000);
    }

    #[test]
    fn a_prefix_finds_what_begins_so_and_nothing_else() {
        let map: BTreeMap<Id, ()> =
            ["7f3a", "7f3b", "7f3a5", "8000", "7f39ffff"].map(|t| (id(t), ())).into();
        let found = |text| Prefix::new(text).unwrap().among(&map).count();
        assert_eq!(found("7f3a"), 2);
        assert_eq!(found("7F3A5"), 1);
        assert_eq!(found("7f3a50"), 1);
        assert_eq!(found("7f3a6"), 0);
        assert_eq!(found(&id("7f3b").to_string()), 1);
        let prefix = Prefix::new("7f3a5").unwrap();
        assert!(prefix.fits(&id("7f3a5")) && !prefix.fits(&id("7f3a")));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "7f3", "7f3g", "7f3a ", "../..", "+f3a", "7fé"] {
            assert_eq!(Prefix::new(text), None, "{text}");
        }
        assert_eq!(Prefix::new(&"a".repeat(33)), None);
    }

    #[test]
    fn a_short_id_is_as_long_as_its_neighbours_need() {
        let map: BTreeMap<Id, ()> = ["7f3a", "7f3a5", "8000"].map(|t| (id(t), ())).into();
        assert_eq!(digits_needed(id("8000"), &map), 4);
        assert_eq!(digits_needed(id("7f3a"), &map), 5);
        assert_eq!(digits_needed(id("7f3a51"), &map), 6);
        assert_eq!(shortened(id("7f3a51"), 6), "7f3a51");
        let each: Vec<_> = map.keys().map(|&id| digits_needed(id, &map)).collect();
        assert_eq!(digits_among(map.keys().copied()), each);
        assert_eq!(common(id("7f3a"), id("7f3a")), DIGITS);
    }
}
