//! Moves: in which folders the commands of a shell line may run, where the line goes only to folders that
//! it spells out. A command may run in any folder that was gone to before it: a `cd` may fail, and a
//! subshell ends. What cannot be told is left unknown.

use crate::matchers::paths;
use crate::shell::{Script, Simple, Word};

/// Builtins after which the working directory may be another.
pub(super) const MOVE: &[&[u8]] =
    &[b"cd", b"pushd", b"popd", b"chdir", b"command", b"builtin", b"eval", b"source", b"."];

/// Words by which commands may run again, or later than they stand.
const AGAIN: &[&[u8]] = &[
    b"for",
    b"while",
    b"until",
    b"select",
    b"repeat",
    b"foreach",
    b"trap",
    b"function",
    b"coproc",
];

/// Builtins that may change what the operand of a `cd` means.
const MEANS: &[&[u8]] = &[
    b"shopt",
    b"setopt",
    b"unsetopt",
    b"emulate",
    b"hash",
    b"read",
    b"printf",
    b"mapfile",
    b"readarray",
    b"getopts",
    b"enable",
    b"alias",
    b"autoload",
    b"zmodload",
];

/// Most folders that one command is judged in, beside the one that the line begins in.
const MAX_PLACES: usize = 6;

/// For each command the folders, as seen from where the line begins, in which it may run beside that one.
/// None where nothing is told: either the line has not moved by then, or nobody knows where to.
pub(super) fn places(line: &[u8], script: &Script) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(script.commands.len());
    if !script.doubts.is_empty() || !script.commands.iter().any(moves) {
        return all;
    }
    let begins = line.trim_ascii_start().starts_with(b"cd ");
    let mut behind = script.commands.iter().skip(usize::from(begins));
    // What only comes behind the one `cd` that begins the line is too late for it.
    if behind.clone().any(changes_meaning) && (!begins || behind.any(moves)) {
        return all;
    }
    let words = || line.split(|byte| !byte.is_ascii_alphanumeric());
    let again = script.functions || words().any(|word| AGAIN.contains(&word));
    let mut dirs: Vec<Vec<u8>> = Vec::new();
    for (number, simple) in script.commands.iter().enumerate() {
        // What stands before a `cd` in a loop may run behind it.
        all.push(if simple.cwd_is_known { Vec::new() } else { dirs.clone() });
        if !moves(simple) {
            continue;
        }
        // With loops only a `cd` is followed that the line begins with.
        let goes = (!again || (number == 0 && begins)).then(|| goes_to(simple)).flatten();
        let Some(dir) = goes.filter(|_| dirs.len() * 2 < MAX_PLACES) else {
            if again {
                return Vec::new();
            }
            // From here on nothing is known.
            return all;
        };
        let further: Vec<Vec<u8>> = dirs.iter().map(|from| paths::join(from, dir)).collect();
        for dir in further.into_iter().chain([dir.to_vec()]) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
    }
    all
}

/// Whether a `cd` behind the command may look for its folder elsewhere.
fn changes_meaning(simple: &Simple) -> bool {
    simple.assignments.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"CDPATH"))
        || simple.words.first().and_then(Word::literal).is_some_and(|name| MEANS.contains(&name))
}

/// Whether the command may change the working directory.
fn moves(simple: &Simple) -> bool {
    let Some(name) = simple.words.first() else { return false };
    let shows = || matches!(simple.words.get(1).and_then(Word::literal), Some(b"-v" | b"-V"));
    match name.literal() {
        None => true,
        Some(b"command") if shows() => false,
        Some(name) => MOVE.contains(&name),
    }
}

/// The folder that a `cd` spells out.
fn goes_to(simple: &Simple) -> Option<&[u8]> {
    let [name, dir] = simple.words.as_slice() else { return None };
    let dir = dir.literal().filter(|dir| !dir.is_empty() && !dir.starts_with(b"-"))?;
    (name.literal() == Some(b"cd")).then_some(dir)
}
