//! Module: `python -m NAME WORDS`, which is most often the tool of that name.
//! What is found is a guess: rules that speak of the name count, and nothing else does.

use std::borrow::Cow;

use super::found::{Inside, Kind, Word};

/// Options of an interpreter that take the next word as their value.
const VALUED: &[u8] = b"WXQ";

/// Adds the module that is run, as a command of its name.
pub(super) fn read<'a>(argv: &[&'a [u8]], inside: &mut Inside<'a>) {
    let mut words = argv.iter().copied().skip(1);
    while let Some(word) = words.next() {
        let Some((b'-', letters)) = word.split_first() else { return };
        if letters.is_empty() || letters.starts_with(b"-") {
            continue;
        }
        let Some(end) = letters.iter().position(|letter| b"mcWXQ".contains(letter)) else {
            continue;
        };
        let attached = Some(&letters[end + 1..]).filter(|rest| !rest.is_empty());
        match letters[end] {
            b'm' => {
                let Some(name) = attached.or_else(|| words.next()) else { return };
                let mut module: Vec<Word<'a>> = vec![Cow::Borrowed(name)];
                module.extend(words.map(Cow::Borrowed));
                inside.run(module, "-m", Kind::Guess);
                return;
            }
            letter if VALUED.contains(&letter) => {
                if attached.is_none() {
                    words.next();
                }
            }
            _ => return,
        }
    }
}
