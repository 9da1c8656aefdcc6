//! Sed: whether a script of the stream editor only edits. What is not plainly so is in doubt, for a
//! script can run commands (`e`) and write files (`w`).

use super::found::Inside;
use crate::matchers::argv::Reading;
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
            b'y' => match delimited(behind, 2) {
                Some(rest) => rest,
                None => return false,
            },
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
            Some(b'/') => trim(delimited(text, 1)?, b"I"),
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
    Some(trim(delimited(text, 2)?, b"gpiImM0123456789"))
}

/// What stands between a bracket and its end.
fn bracket(text: &[u8]) -> Option<&[u8]> {
    let first = 1 + usize::from(text.first() == Some(&b'^'));
    let end = text.get(first..)?.iter().position(|byte| *byte == b']')?;
    Some(&text[..first + end])
}

/// What follows `parts` texts, each ended by the first byte.
fn delimited(text: &[u8], parts: usize) -> Option<&[u8]> {
    let (&mark, mut rest) = text.split_first()?;
    if mark == b'\\' || mark == b'\n' {
        return None;
    }
    for _ in 0..parts {
        loop {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            match byte {
                b'\\' => rest = rest.split_first()?.1,
                byte if byte == mark => break,
                // Within brackets the mark stands for itself.
                b'[' if bracket(rest)?.contains(&mark) => return None,
                _ => {}
            }
        }
    }
    Some(rest)
}
