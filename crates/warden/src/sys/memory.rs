//! What this process keeps in memory, beyond what it needs.

use std::fs;
use std::ops::Range;

/// Gives large pieces of memory back to the system as soon as they are free. The C library else learns from the first
/// one that is freed to keep all that are as large.
pub(crate) fn give_back_at_once() {
    #[cfg(target_env = "gnu")]
    // SAFETY: both calls set a number inside the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives back what the allocator keeps of a larger work that is done.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only looks at memory that is free, under the allocator's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Where the kernel tells what is mapped.
const MAPS: &str = "/proc/self/smaps";

/// Lets go of the program's code and constants, as far as they are as its file has them: most of it only a start needs. It comes
/// back from the page cache, piece by piece, as it is needed.
pub(crate) fn forget_program() {
    let maps = fs::read_to_string(MAPS).unwrap_or_default();
    for pages in unchanged(&maps).into_iter().filter(is_programs) {
        // SAFETY: this function or one of its constants lies in the mapping, which therefore is the program's own and stays where
        // it is for as long as the process lives, whatever other threads map and unmap since it was read. No page of it is of
        // this process's making, and nobody can write to it: what is read there next is what was read there before.
        let done =
            unsafe { libc::madvise(pages.start as *mut _, pages.len(), libc::MADV_DONTNEED) };
        if done != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "pages of the program stay in memory");
        }
    }
}

/// Whether code or constants of this module lie there.
fn is_programs(pages: &Range<usize>) -> bool {
    let (code, constant) = (forget_program as fn() as usize, MAPS.as_ptr() as usize);
    pages.contains(&code) || pages.contains(&constant)
}

/// The addresses of all mappings in `/proc/self/smaps` that are private ones of files, cannot be written to, and have not been
/// changed either.
fn unchanged(maps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        match first.strip_suffix(':') {
            None => mapping = of_a_file(first, words),
            // Pages of our own, in memory or swapped out.
            Some("Anonymous" | "Swap") => mapping = mapping.filter(|_| words.next() == Some("0")),
            // The last line of each.
            Some("VmFlags") => found.extend(mapping.take()),
            Some(_) => {}
        }
    }
    found
}

/// The addresses of a mapping, told by the words of its first line.
fn of_a_file<'a>(
    addresses: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Option<Range<usize>> {
    let (start, end) = addresses.split_once('-')?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    let (access, inode) = (words.next()?, words.nth(2)?);
    let is_meant = matches!(access, "r-xp" | "r--p") && inode != "0";
    is_meant.then_some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kilobytes of the program's own code and constants that are in memory.
    fn of_program() -> u64 {
        let maps = fs::read_to_string(MAPS).unwrap();
        let (mut kilobytes, mut is_ours) = (0, false);
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap();
            match first.strip_suffix(':') {
                None => is_ours = of_a_file(first, words).is_some_and(|pages| is_programs(&pages)),
                Some("Rss") if is_ours => {
                    kilobytes += words.next().unwrap().parse::<u64>().unwrap();
                }
                Some(_) => {}
            }
        }
        kilobytes
    }

    #[test]
    fn what_was_let_go_comes_back_when_it_is_needed() {
        let shown = || format!("{:?} {:?}", std::net::Ipv6Addr::LOCALHOST, f64::MIN_POSITIVE);
        let (text, before) = (shown(), of_program());
        forget_program();
        let after = of_program();
        assert!(after < before / 2, "{after} kB of {before}");
        assert_eq!(shown(), text);
    }

    #[test]
    fn only_mappings_that_stay_for_the_life_of_the_process_are_let_go() {
        let maps = fs::read_to_string(MAPS).unwrap();
        let (ours, others): (Vec<_>, Vec<_>) = unchanged(&maps).into_iter().partition(is_programs);
        // Code and constants; libraries are mapped as well, and could be unmapped.
        assert!(matches!(ours.len(), 1 | 2), "{ours:?}");
        assert!(!others.is_empty());
    }

    const CODE: &str = "\
55d0c0a00000-55d0c0b00000 r-xp 00010000 fe:00 1234    /usr/bin/clawrden
Size:               1024 kB
Rss:                 512 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me sd
";

    #[test]
    fn only_what_is_as_its_file_has_it_is_let_go() {
        let code = 0x55d0_c0a0_0000..0x55d0_c0b0_0000;
        assert_eq!(unchanged(&CODE.repeat(2)), [code.clone(), code.clone()]);
        assert_eq!(unchanged(&CODE.replace("r-xp", "r--p")), [code]);
        for (is, other) in [
            ("r-xp", "rw-p"),
            ("r-xp", "r-xs"),
            ("1234", "0"),
            ("Anonymous:             0", "Anonymous:             4"),
            ("Swap:                  0", "Swap:                  4"),
            ("55d0c0a00000-", ""),
        ] {
            let maps = CODE.replace(is, other);
            assert_ne!(maps, CODE);
            assert!(unchanged(&maps).is_empty(), "{other}");
        }
        assert!(unchanged("").is_empty());
    }
}
