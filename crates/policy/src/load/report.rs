//! Report: collects every error of one file, each with the line it stands on.
//! Nothing is returned early: as much as can be found wrong at once is told at once.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::node::{At, Node, Value};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::matchers::regexes::Regexes;

/// Most keys of a mapping that are compared with each other; of more, a table is made.
const FEW: usize = 16;

/// Most characters of a reason; it is sent to the agent and shown to the approver.
const MAX_REASON: usize = 1_000;

/// What is used up so far.
#[derive(Default)]
pub(super) struct Budget {
    pub(super) spelled: usize,
    pub(super) copied: usize,
    pub(super) flags: usize,
    pub(super) regexes: Regexes,
}

pub(super) struct Report<'t> {
    name: &'t str,
    text: &'t str,
    /// Its lines, once one is shown.
    lines: OnceCell<Vec<&'t str>>,
    found: Diagnostics,
    pub(super) budget: Budget,
}

impl<'t> Report<'t> {
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        Self {
            name,
            text,
            lines: OnceCell::new(),
            found: Diagnostics::default(),
            budget: Budget::default(),
        }
    }

    /// Adds one error: the fact, and what would be right.
    pub(super) fn add(&mut self, at: At, message: impl AsRef<str>, help: &str) {
        if self.found.is_full() {
            self.found.omit();
            return;
        }
        let position = usize::try_from(at.line.max(1) - 1).unwrap_or(usize::MAX);
        let lines = self.lines.get_or_init(|| self.text.lines().collect());
        let line = lines.get(position).copied().unwrap_or_default();
        let place = (at.line, at.column, at.width);
        self.found.push(Diagnostic::new(self.name, place, (message.as_ref(), help), line));
    }

    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let fact = format!("expected {expected}, found {}", node.kind());
        self.add(node.at, fact, "");
    }

    /// Whether nothing was found wrong so far.
    pub(super) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether another error would only be counted.
    pub(super) fn is_full(&self) -> bool {
        self.found.is_full()
    }

    pub(super) fn finish(mut self) -> Option<Diagnostics> {
        self.found.sort();
        (!self.found.is_empty()).then_some(self.found)
    }

    /// The text of a scalar that says something.
    pub(super) fn word<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n str> {
        let said = node.said();
        if said.is_none() {
            self.wrong_type(node, expected);
        }
        said
    }

    /// Text for people: one line, bounded, nothing in it that a terminal would obey.
    pub(super) fn sentence<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let text = self.word(node, "a sentence")?.trim_end_matches('\n');
        if text.trim().is_empty() {
            self.add(node.at, "the text is empty", "say something, or leave the key out");
        } else if text.chars().count() > MAX_REASON {
            self.add(node.at, format!("the text has more than {MAX_REASON} characters"), "");
        } else if text.chars().any(|c| c.is_control() && c != '\n') {
            self.add(node.at, "the text holds control characters", "remove them");
        } else {
            return Some(text);
        }
        None
    }

    /// One word, or a list of words; an empty list is refused.
    pub(super) fn words<'n>(
        &mut self,
        node: &'n Node,
        expected: &str,
    ) -> Option<Vec<(&'n Node, &'n str)>> {
        let Value::List(items) = &node.value else {
            return self.word(node, expected).map(|word| vec![(node, word)]);
        };
        if items.is_empty() {
            self.add(node.at, "the list is empty", "name something, or leave the key out");
            return None;
        }
        let words: Vec<_> = items
            .iter()
            .filter_map(|item| self.word(item, expected).map(|word| (item, word)))
            .collect();
        (words.len() == items.len()).then_some(words)
    }

    /// A list of words, which may be empty.
    pub(super) fn list<'n>(
        &mut self,
        node: &'n Node,
        expected: &str,
    ) -> Option<Vec<(&'n Node, &'n str)>> {
        match &node.value {
            Value::List(items) if items.is_empty() => Some(Vec::new()),
            Value::List(_) => self.words(node, expected),
            _ => {
                self.wrong_type(node, &format!("a list of {expected}s, as [a, b]"));
                None
            }
        }
    }

    /// The entries of a mapping, each key once. Keys are free; `what` says what they name.
    pub(super) fn entries<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
    ) -> Option<Vec<(&'n Node, &'n str, &'n Node)>> {
        let Value::Map(pairs) = &node.value else {
            self.wrong_type(node, &format!("a mapping of {what}"));
            return None;
        };
        let mut entries: Vec<(&Node, &str, &Node)> = Vec::with_capacity(pairs.len());
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for (key, value) in pairs {
            let Some(word) = self.word(key, "a key") else { continue };
            let first = if pairs.len() > FEW {
                seen.insert(word, key.at.line)
            } else {
                let same = entries.iter().find(|(_, other, _)| *other == word);
                same.map(|(key, ..)| key.at.line)
            };
            if let Some(line) = first {
                let help = format!("it stands on line {line} already; keep one of them");
                self.add(key.at, format!("duplicate key `{word}`"), &help);
                continue;
            }
            entries.push((key, word, value));
        }
        Some(entries)
    }

    /// The entries of a mapping whose keys are fixed; unknown ones are reported.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Vec<(&'n str, &'n Node)>> {
        let entries = self.entries(node, what)?;
        let mut fields = Vec::with_capacity(entries.len());
        for (key, word, value) in entries {
            if known.contains(&word) {
                fields.push((word, value));
            } else if self.found.is_full() {
                self.found.omit();
            } else {
                let help = suggest(word, known);
                self.add(key.at, format!("unknown key `{word}`"), &help);
            }
        }
        Some(fields)
    }

    /// One of a few words; the error names them all.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        // Put together for an error alone: there is one of them in every rule.
        let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<&str>>();
        let Some(word) = node.said() else {
            self.wrong_type(node, &one_of(&words()));
            return None;
        };
        let found = choices.iter().find(|(choice, _)| *choice == word).map(|(_, value)| *value);
        if found.is_none() {
            self.add(node.at, format!("unknown {what} `{word}`"), &suggest(word, &words()));
        }
        found
    }
}

/// "did you mean `x`?" where one is near, and otherwise the whole list.
fn suggest(word: &str, known: &[&str]) -> String {
    let lower = word.to_lowercase().replace('-', "_");
    let near = known
        .iter()
        .map(|candidate| (distance(&lower, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None => format!("valid are {}", one_of(known)),
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Edits between two words, a swap of neighbours counting as one. Long words are far from anything.
fn distance(left: &str, right: &str) -> usize {
    const LONGEST: usize = 40;
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len() > LONGEST || right.len() > LONGEST {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
                let mut least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_gets_the_list() {
        let known = &["action", "args", "command"];
        assert_eq!(suggest("acton", known), "did you mean `action`?");
        assert_eq!(suggest("atcion", known), "did you mean `action`?");
        assert_eq!(suggest("Action", known), "did you mean `action`?");
        assert_eq!(suggest("zzz", known), "valid are `action`, `args` or `command`");
        assert_eq!(distance(&"x".repeat(1000), "x"), usize::MAX);
    }
}
