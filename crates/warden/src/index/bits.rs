//! A set of requests within one block, and how it is kept: as a list of places while it is small, else as a bitmap.

/// Sequence numbers of one block.
pub(super) const BLOCK: u64 = 8192;

const WORDS: usize = 128;

/// Places up to which a list is kept: beyond it, it would be longer than the bitmap.
const MAX_LIST: usize = 8 * WORDS / 2 - 1;

/// A set of places, each the low bits of a request's sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub(super) const NONE: Self = Self([0; WORDS]);

    pub(super) fn insert(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place) / 64) {
            *word |= 1 << (place % 64);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn and(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn or(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// The places, the last first.
    pub(super) fn descending(&self) -> impl Iterator<Item = u16> {
        self.0.iter().enumerate().rev().flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = 63u32.checked_sub(left.leading_zeros())?;
                left &= !(1 << bit);
                u16::try_from(at * 64 + bit as usize).ok()
            })
        })
    }

    /// Adds what was kept.
    pub(super) fn add_kept(&mut self, kept: &[u8]) {
        if kept.len() == 8 * WORDS {
            for (word, bytes) in self.0.iter_mut().zip(kept.chunks_exact(8)) {
                *word |= u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
            return;
        }
        for place in kept.chunks_exact(2) {
            self.insert(u16::from_le_bytes([place[0], place[1]]));
        }
    }

    /// What to keep.
    pub(super) fn to_kept(&self) -> Vec<u8> {
        if self.count() > MAX_LIST {
            return self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        }
        self.descending().flat_map(u16::to_le_bytes).collect()
    }
}

/// The block that a sequence number is in.
pub(super) fn block_of(sequence: u64) -> u64 {
    sequence / BLOCK
}

/// Its place there.
pub(super) fn place_of(sequence: u64) -> u16 {
    u16::try_from(sequence % BLOCK).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_the_same_whether_list_or_bitmap() {
        for step in [1, 3, 16, 17, 4096, 8191] {
            let mut bits = Bits::NONE;
            let places: Vec<u16> = (0..8192).step_by(step).collect();
            places.iter().for_each(|&place| bits.insert(place));
            let kept = bits.to_kept();
            assert!(kept.len() <= 1024);
            let mut again = Bits::NONE;
            again.add_kept(&kept);
            assert_eq!(again, bits);
            let back: Vec<u16> = again.descending().collect();
            assert_eq!(back, places.iter().rev().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn sets_are_joined_and_cut() {
        let (mut a, mut b) = (Bits::NONE, Bits::NONE);
        a.insert(0);
        a.insert(8191);
        b.insert(8191);
        b.insert(64);
        let mut both = a.clone();
        both.and(&b);
        assert_eq!(both.descending().collect::<Vec<_>>(), [8191]);
        a.or(&b);
        assert_eq!(a.descending().collect::<Vec<_>>(), [8191, 64, 0]);
        both.and(&Bits::NONE);
        assert_eq!(both.count(), 0);
    }
}
