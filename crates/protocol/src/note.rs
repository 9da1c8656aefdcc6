//! How a shim is recognised: an ELF note, wherever the file lies and whatever it is called.

/// The note's owner name, with the NUL that ELF counts.
pub const NAME: &[u8; 9] = b"Clawrden\0";

/// The note's type.
pub const TYPE: u32 = 1;

/// How many bytes from the start of a file are enough to find the note of a shim of ours.
pub const HEAD: usize = 4096;

const PT_NOTE: u32 = 4;

/// Bytes of an entry of the table of segments.
const HEADER: usize = 56;

/// Whether `head`, the first [`HEAD`] bytes of a file (or all of a shorter one), is that of a shim.
///
/// Understands 64-bit little-endian ELF, which is what shims are. Anything else is not a shim.
#[must_use]
pub fn is_shim(head: &[u8]) -> bool {
    segments(head).is_some_and(|mut notes| notes.any(holds_note))
}

fn segments(head: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    if head.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let table = usize::try_from(u64_at(head, 32)?).ok()?;
    let size = usize::from(u16_at(head, 54)?);
    // The kernel executes nothing else; and entries that overlap would let a small file take long.
    if size != HEADER {
        return None;
    }
    let count = usize::from(u16_at(head, 56)?);
    Some((0..count).filter_map(move |i| {
        let at = table.checked_add(size.checked_mul(i)?)?;
        if u32_at(head, at)? != PT_NOTE {
            return None;
        }
        let from = usize::try_from(u64_at(head, at.checked_add(8)?)?).ok()?;
        let len = usize::try_from(u64_at(head, at.checked_add(32)?)?).ok()?;
        head.get(from..from.checked_add(len)?)
    }))
}

fn holds_note(mut segment: &[u8]) -> bool {
    let mut step = || -> Option<bool> {
        let name_len = usize::try_from(u32_at(segment, 0)?).ok()?;
        let desc_len = usize::try_from(u32_at(segment, 4)?).ok()?;
        let kind = u32_at(segment, 8)?;
        let name_end = 12usize.checked_add(name_len)?;
        let found = kind == TYPE && segment.get(12..name_end)? == NAME;
        let desc_at = 12usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let next = desc_at.checked_add(desc_len.checked_next_multiple_of(4)?)?;
        segment = segment.get(next..).unwrap_or_default();
        Some(found)
    };
    // Each step takes at least the twelve bytes of a note's head, so this ends.
    while let Some(found) = step() {
        if found {
            return true;
        }
    }
    false
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    b.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    b.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn elf_with_note(name: &[u8], kind: u32) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        elf[32..40].copy_from_slice(&64u64.to_le_bytes());
        elf[54..56].copy_from_slice(&56u16.to_le_bytes());
        elf[56..58].copy_from_slice(&1u16.to_le_bytes());
        elf[64..68].copy_from_slice(&PT_NOTE.to_le_bytes());
        let at = elf.len() as u64;
        elf[72..80].copy_from_slice(&at.to_le_bytes());
        let mut note = Vec::new();
        note.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
        note.extend(0u32.to_le_bytes());
        note.extend(kind.to_le_bytes());
        note.extend(name);
        note.resize(note.len().next_multiple_of(4), 0);
        elf[96..104].copy_from_slice(&(note.len() as u64).to_le_bytes());
        elf.extend(note);
        elf
    }

    #[test]
    fn a_file_with_our_note_is_a_shim() {
        assert!(is_shim(&elf_with_note(NAME, TYPE)));
    }

    #[test]
    fn another_owner_or_type_is_no_shim() {
        assert!(!is_shim(&elf_with_note(b"GNU\0", TYPE)));
        assert!(!is_shim(&elf_with_note(NAME, 3)));
    }

    #[test]
    fn no_prefix_of_a_shim_panics_or_counts_as_one() {
        let whole = elf_with_note(NAME, TYPE);
        for cut in 0..whole.len() - 3 {
            assert!(!is_shim(&whole[..cut]), "cut at {cut}");
        }
    }

    #[test]
    fn entries_that_overlap_are_not_looked_at() {
        let mut elf = elf_with_note(NAME, TYPE);
        for size in [0u16, 1, 55, 57] {
            elf[54..56].copy_from_slice(&size.to_le_bytes());
            assert!(!is_shim(&elf), "{size}");
        }
    }

    #[test]
    fn absurd_offsets_are_survived() {
        let mut elf = elf_with_note(NAME, TYPE);
        elf[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(!is_shim(&elf));
        let mut elf = elf_with_note(NAME, TYPE);
        elf[96..104].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(!is_shim(&elf));
    }
}
