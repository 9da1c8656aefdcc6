//! Named: the paths among the words of a command and of what it would run, for whoever is asked about it. It decides
//! nothing. Of an option's value it knows what stands behind its `=`, and what the option is known to write or read.

use crate::facts::Facts;
use crate::matchers::argv::Subcommand;
use crate::matchers::flag::flag_like;
use crate::matchers::name::{READ, WRITE};
use crate::matchers::{reader, unknown};
use crate::policy::Policy;
use crate::suggest::known;
use crate::through::{self, Seen, Standing, Via, Visit};
use crate::tools::OwnTools;

/// Most paths that are told of.
const MOST: usize = 64;
/// Bytes of the longest word that can be a path.
const LONGEST: usize = 4096;

/// A path that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Absolute, and otherwise as it is written: behind a link, `..` leads elsewhere than its text says.
    pub path: Vec<u8>,
    /// It is a path whether or not anything is there: a redirection, or an operand of a tool all of whose operands are.
    /// Any other word is one only where something of that name is there.
    pub sure: bool,
}

impl Policy {
    /// The paths that a command names, and what it would run, in their order; 64 at most.
    #[must_use]
    pub fn named(&self, facts: &Facts<'_>) -> Vec<Named> {
        let mut found = Found { tools: &self.tools, named: Vec::new() };
        through::walk(facts, &self.env, &mut found);
        found.named
    }
}

struct Found<'p> {
    tools: &'p OwnTools,
    named: Vec<Named>,
}

impl Visit for Found<'_> {
    fn command(&mut self, seen: &Seen<'_>) {
        let facts = &seen.facts;
        let files = files(self.tools, facts, seen.standing);
        let mut options = true;
        for word in facts.argv.iter().skip(1) {
            let sure = files.iter().any(|file| std::ptr::eq(*file, *word));
            let is_option = options && !sure && flag_like(word);
            options &= *word != b"--";
            if !is_option {
                self.name(word, facts.cwd, sure);
            }
            // `of=/dev/sda`, `--output=x`.
            if let Some(at) = word.iter().position(|byte| *byte == b'=') {
                self.name(&word[at + 1..], facts.cwd, false);
            }
        }
    }

    fn doubt(&mut self, _: &str, _: Via<'_>, _: usize) {}
}

impl Found<'_> {
    fn name(&mut self, word: &[u8], cwd: Option<&[u8]>, sure: bool) {
        if word.is_empty() || word.len() > LONGEST || unknown::is_in(word) {
            return;
        }
        let cwd = cwd.filter(|cwd| cwd.first() == Some(&b'/') && !unknown::is_in(cwd));
        let path = match cwd {
            _ if word.first() == Some(&b'/') => word.to_vec(),
            Some(cwd) => [cwd, b"/", word].concat(),
            None => return,
        };
        if let Some(same) = self.named.iter_mut().find(|named| named.path == path) {
            same.sure |= sure;
        } else if self.named.len() < MOST {
            self.named.push(Named { path, sure });
        }
    }
}

/// The words that surely name files, by place and not by text.
fn files<'s>(tools: &'s OwnTools, facts: &Facts<'s>, standing: Standing) -> Vec<&'s [u8]> {
    let Some(name) = facts.tool.and_then(|name| std::str::from_utf8(name).ok()) else {
        return Vec::new();
    };
    if matches!(name.as_bytes(), WRITE | READ) && facts.path.is_none() {
        return facts.argv.iter().skip(1).copied().collect();
    }
    // What only passes something on may be no command at all.
    if standing == Standing::Passes {
        return Vec::new();
    }
    let reading = reader::read(tools.find(name.as_bytes()), facts.argv, facts.cwd);
    if reading.tool.is_none() || !reading.certain {
        return Vec::new();
    }
    let (sub, from) = match reading.sub {
        Subcommand::None => (None, 0),
        Subcommand::Known { at, .. } => (Some(reading.operands[at].word.raw()), at + 1),
        Subcommand::Uncertain => return Vec::new(),
    };
    let sub = sub.map(|sub| std::str::from_utf8(sub).unwrap_or_default());
    if !known::names_files(name, sub) {
        return Vec::new();
    }
    let own = reading.operands[from..].iter().map(|operand| operand.word.raw());
    own.filter(|word| *word != b"-").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(argv: &[&str]) -> Vec<(String, bool)> {
        let policy = Policy::from_yaml("policy.yaml", "default_action: ask").unwrap();
        let words: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
        let facts = Facts {
            jail: "default",
            name: words[0],
            tool: Some(words[0]),
            argv: &words,
            cwd: Some(b"/w"),
            ..Facts::default()
        };
        let named = policy.named(&facts).into_iter();
        named.map(|one| (String::from_utf8(one.path).unwrap(), one.sure)).collect()
    }

    /// Those that are paths whether or not anything is there.
    fn sure(argv: &[&str]) -> Vec<String> {
        named(argv).into_iter().filter(|(_, sure)| *sure).map(|(path, _)| path).collect()
    }

    #[test]
    fn operands_of_tools_that_take_files_are_paths_for_sure() {
        assert_eq!(
            sure(&["rm", "-rf", "build", "/tmp/x", "../y"]),
            ["/w/build", "/tmp/x", "/w/../y"]
        );
        assert_eq!(sure(&["touch", "-d", "yesterday", "--", "-a"]), ["/w/-a"]);
        assert_eq!(sure(&["git", "add", "src"]), ["/w/src"]);
        assert_eq!(sure(&["git", "push", "origin", "main"]), Vec::<String>::new());
        assert_eq!(sure(&["chmod", "755", "x"]), Vec::<String>::new());
    }

    #[test]
    fn another_word_is_one_if_something_is_there() {
        let maybe = |path: &str| (path.to_owned(), false);
        assert_eq!(
            named(&["git", "push", "--force", "origin"]),
            [maybe("/w/push"), maybe("/w/origin")]
        );
        assert_eq!(
            named(&["dd", "if=a=b", "of=/dev/sda"]),
            [maybe("/w/if=a=b"), maybe("/w/a=b"), maybe("/w/of=/dev/sda"), maybe("/dev/sda")]
        );
        assert_eq!(
            named(&["mytool", "--out=x", "-y", "--", "-z"]),
            [maybe("/w/x"), maybe("/w/-z")]
        );
    }

    #[test]
    fn what_a_shell_line_does_is_named_from_where_it_does_it() {
        let found = sure(&["sh", "-c", "cd sub && rm -r a b > /tmp/log 2>&1; rm $x; cat < in"]);
        // Where a folder may not be there, both places may be meant.
        let both = |name: &str| [format!("/w/sub/{name}"), format!("/w/{name}")];
        let log = ["/tmp/log".to_owned()];
        let mut expected = [&both("a")[..], &both("b"), &log, &both("in")].concat();
        expected.sort_unstable();
        let mut found = found;
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn there_is_a_bound_and_none_of_them_comes_twice() {
        let many: Vec<String> = (0..200).map(|n| format!("f{}", n / 2)).collect();
        let argv: Vec<&str> =
            std::iter::once("rm").chain(many.iter().map(String::as_str)).collect();
        let found = sure(&argv);
        assert_eq!((found.len(), &*found[1]), (MOST, "/w/f1"));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(named(&["rm", &long]), Vec::new());
    }
}
