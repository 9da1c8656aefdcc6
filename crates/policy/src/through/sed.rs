//! Sed: whether a script of the stream editor only edits. What is not plainly so is in doubt, for a
//! script can run commands (`e`) and write files (`w`).

use super::found::Inside;
use crate::matchers::argv::Reading;
use crate::matchers::flag::{flag_like, may_be_flag};
use crate::matchers::unknown;

/// Longest script that is read, in bytes: some commands look at all that follows. A longer one is in doubt.
const MAX_SCRIPT: usize = 4096;

/// Commands that take nothing and only edit or show.
const PLAIN: &[u8] = b"=dDgGhHlnNpPxF{}";

/// Adds a doubt for each script that does more than edit.
pub(super) fn read(reading: &Reading<'_>, inside: &mut Inside<'_>) {
    let mut scripts: Vec<&[u8]> = Vec::new();
    let mut given = false;
    for flag in &reading.flags {
        given |= flag.is(b"-e") || flag.is(b"-f") || flag.may_be(b"--expression");
        scripts.extend(flag.value.filter(|_| flag.is(b"-e") || flag.may_be(b"--expression")));
        if flag.is(b"-f") || flag.may_be(b"--file") {
            inside.doubt("a script for sed that is read from a file");
        }
        if flag.is(b"--sandbox") {
            return;
        }
    }
    if !given {
        scripts.extend(reading.operands.first().map(|operand| operand.word.raw()));
    }
    if !scripts.into_iter().all(only_edits) {
        inside.doubt("a script for sed that may run commands or write files");
    }
}

/// Options that only say how lines are read and printed.
const LONG: &[&[u8]] = &[
    b"--quiet",
    b"--silent",
    b"--regexp-extended",
    b"--null-data",
    b"--separate",
    b"--unbuffered",
    b"--posix",
    b"--debug",
    b"--help",
    b"--version",
];

/// Whether every script among the arguments only edits, and every option only says how: nothing is
/// written but the output, and nothing is run.
pub(super) fn is_plain(argv: &[&[u8]]) -> bool {
    let mut words = argv.iter().copied().skip(1);
    let (mut given, mut ended) = (false, false);
    while let Some(word) = words.next() {
        if may_be_flag(word) && !ended {
            return false;
        }
        if ended || !flag_like(word) {
            // The first operand is the script, where none was given by an option.
            if !std::mem::replace(&mut given, true) && !only_edits(word) {
                return false;
            }
        } else if word == b"--" {
            ended = true;
        } else if let Some(script) = word.strip_prefix(b"--expression=") {
            given = true;
            if !only_edits(script) {
                return false;
            }
        } else if word.starts_with(b"--") {
            if !LONG.contains(&word) {
                return false;
            }
            given |= matches!(word, b"--help" | b"--version");
        } else {
            let plain = word.iter().skip(1).take_while(|byte| b"nErsuz".contains(byte)).count();
            match word.get(1 + plain..) {
                None | Some([]) => {}
                Some([b'e', attached @ ..]) => {
                    given = true;
                    let script = if attached.is_empty() { words.next() } else { Some(attached) };
                    if !script.is_some_and(only_edits) {
                        return false;
                    }
                }
                Some(_) => return false,
            }
        }
    }
    given
}

fn only_edits(script: &[u8]) -> bool {
    if unknown::is_in(script) || script.len() > MAX_SCRIPT {
        return false;
    }
    let mut rest = script;
    loop {
        rest = trim(rest, b" \t\n;");
        rest = match address(rest) {
            Some(rest) => trim(rest, b" \t!"),
            None => return false,
        };
        let Some((&command, behind)) = rest.split_first() else { return true };
        rest = match command {
            b's' => match substitution(behind) {
                Some(rest) => rest,
                None => return false,
            },
            b'y' => match delimited(behind, 0, 2) {
                Some(rest) => rest,
                None => return false,
            },
            // A label ends where every `sed` has it end.
            b':' | b'b' | b't' | b'T' => {
                let behind = trim(behind, b" \t");
                let named = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                behind.iter().position(|byte| !named(byte)).map_or(&[], |end| &behind[end..])
            }
            b'q' | b'Q' => trim(behind, b"0123456789 "),
            b'#' => behind.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default(),
            b'a' | b'i' | b'c' if !behind.contains(&b'\\') => {
                behind.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default()
            }
            command if PLAIN.contains(&command) => behind,
            _ => return false,
        };
        let next = trim(rest, b" \t").first();
        let took_line = matches!(command, b'a' | b'i' | b'c' | b'#');
        if !took_line && !matches!(next, None | Some(b';' | b'\n' | b'}')) && command != b'{' {
            return false;
        }
    }
}

fn trim<'s>(text: &'s [u8], bytes: &[u8]) -> &'s [u8] {
    let end = text.iter().position(|byte| !bytes.contains(byte)).unwrap_or(text.len());
    &text[end..]
}

/// What follows an address, or two of them.
fn address(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text.first() {
            Some(b'0'..=b'9' | b'$' | b'+' | b'~') => trim(text, b"0123456789$+~"),
            Some(b'/') => trim(delimited(text, 1, 0)?, b"I"),
            _ => return Some(text),
        };
        text = trim(text, b" \t");
        match text.strip_prefix(b",") {
            Some(rest) => text = trim(rest, b" \t"),
            None => return Some(text),
        }
    }
}

fn substitution(text: &[u8]) -> Option<&[u8]> {
    Some(trim(delimited(text, 1, 1)?, b"gpiImM0123456789"))
}

/// What stands between a bracket and its end.
fn bracket(text: &[u8]) -> Option<&[u8]> {
    let negated = usize::from(text.first() == Some(&b'^'));
    let first = negated + usize::from(text.get(negated) == Some(&b']'));
    let end = text.get(first..)?.iter().position(|byte| *byte == b']')?;
    Some(&text[..first + end])
}

/// What follows `patterns` and then `texts`, each ended by the first byte.
fn delimited(text: &[u8], patterns: usize, texts: usize) -> Option<&[u8]> {
    let (&mark, mut rest) = text.split_first()?;
    if mark == b'\\' || mark == b'\n' {
        return None;
    }
    for part in 0..patterns + texts {
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            match byte {
                b'\\' => rest = rest.split_first()?.1,
                byte if byte == mark => break,
                // Within brackets the mark stands for itself: a pattern that ended there would not
                // be one.
                b'[' if part < patterns => {
                    let inside = bracket(rest)?;
                    if inside.contains(&mark) {
                        if inside.iter().any(|byte| matches!(byte, b'\\' | b'[')) {
                            return None;
                        }
                        rest = rest.get(inside.len() + 1..)?;
                    }
                }
                _ => {}
            }
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::{is_plain, only_edits};

    #[test]
    fn a_script_that_edits_is_plain() {
        for script in [
            "1,5p",
            "/^#/d",
            "s/a/b/g",
            "s#.*/##",
            "s/[^/]*$//",
            "s/(/\\n[/",
            ":a;N;$!ba;s/\\n/ /g",
            "y/abc/xyz/",
            "/x/,/y/{s/a/b/;p}",
            "$!N;P;D",
        ] {
            assert!(only_edits(script.as_bytes()), "{script}");
        }
    }

    #[test]
    fn a_script_that_runs_or_writes_is_not() {
        for script in [
            "e id",
            "1e",
            "s/a/b/e",
            "s/[/]x/y/e",
            "s/[\\/]/x/;w y/",
            "w x",
            "r /etc/shadow",
            ":a;e id",
            "bx;w y",
            "s/a/b/w x",
            "y/[/]/w x;/;w z",
            "s/[[:x:]/]/w y/",
        ] {
            assert!(!only_edits(script.as_bytes()), "{script}");
        }
    }

    #[test]
    fn only_options_that_say_how_are_taken() {
        let fits = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            is_plain(&words)
        };
        assert!(fits(&["sed", "-nE", "s/a/b/p", "x"]) && fits(&["sed", "-ne", "1p", "-e", "2p"]));
        assert!(fits(&["sed", "--expression=p", "--", "x"]) && fits(&["sed", "--version"]));
        assert!(!fits(&["sed", "-i", "s/a/b/", "x"]) && !fits(&["sed", "-ni", "p", "x"]));
        assert!(!fits(&["sed", "p", "x", "-i"]) && !fits(&["sed", "-f", "x"]) && !fits(&["sed"]));
        assert!(!fits(&["sed", "p", "\0"]) && !fits(&["sed", "\0"]) && !fits(&["sed", "p", "-\0"]));
    }
}
