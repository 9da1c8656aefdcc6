//! Budget: how much a file may make of its text. A pattern, a list and a tool each have a bound of their own; here
//! is the one for all of them together, so that no file takes long to be refused.

use super::node::{At, Node};
use super::report::{Budget, Report};
use crate::matchers::glob;

/// Most bytes that braces may spell out in one file, each spelling counted with [`EACH_WORD`] for every word.
const MAX_SPELLED: usize = 8_500_000;
/// What a word of a spelling takes beside its bytes.
const EACH_WORD: usize = 128;
/// Most flags of all tools of a file.
const MAX_FLAGS: usize = 20_000;
/// Most flags that the subcommands of one file may take over from others by `like`.
const MAX_COPIED: usize = 20_000;

impl Report<'_> {
    /// Whether the braces of a pattern may still be spelled out; the first that may not is reported.
    pub(super) fn may_spell_out(&mut self, node: &Node, text: &str) -> bool {
        let spellings = glob::count_spellings(text);
        if spellings == 1 {
            return true;
        }
        let words = 1 + text.bytes().filter(|byte| *byte == b' ').count();
        // One of more spellings is refused by itself, before they are made.
        let spellings = spellings.min(glob::MAX_ALTERNATIVES);
        let within = self.budget.spelled <= MAX_SPELLED;
        self.budget.spelled += spellings * (text.len() + words * EACH_WORD);
        if self.budget.spelled <= MAX_SPELLED {
            return true;
        }
        if within {
            let help = "write lists of patterns in place of braces, or several files";
            self.add(node.at, "the braces of this file spell out too much", help);
        }
        false
    }

    /// Whether nothing more is to be made of this file: what it may take is used up, and that was reported.
    pub(super) fn is_spent(&self) -> bool {
        let Budget { spelled, copied, flags, regexes } = &self.budget;
        let used_up = *spelled > MAX_SPELLED
            || *copied > MAX_COPIED
            || *flags > MAX_FLAGS
            || regexes.is_spent();
        // What is used up to the last bit is all there was to be made, unless something was reported.
        used_up && !self.is_clean()
    }

    /// Whether so many flags of a tool may still be named.
    pub(super) fn may_name(&mut self, at: At, flags: usize) -> bool {
        let within = self.budget.flags <= MAX_FLAGS;
        self.budget.flags += flags;
        if self.budget.flags <= MAX_FLAGS {
            return true;
        }
        if within {
            let fact = format!("the tools of this file have more than {MAX_FLAGS} flags");
            self.add(at, fact, "name those that take a value: of others nothing has to be known");
        }
        false
    }

    /// Whether so many flags may still be taken over from another subcommand.
    pub(super) fn may_copy(&mut self, at: At, flags: usize) -> bool {
        let within = self.budget.copied <= MAX_COPIED;
        self.budget.copied += flags;
        if self.budget.copied <= MAX_COPIED {
            return true;
        }
        if within {
            let fact = format!("`like` repeats more than {MAX_COPIED} flags in this file");
            self.add(
                at,
                fact,
                "name the flags that the subcommands share under the tool's `flags`",
            );
        }
        false
    }
}

#[cfg(test)]
mod tests;
