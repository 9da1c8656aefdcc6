//! Tools: what is known about how well-known tools read their arguments, from one data file.
//! What is not in the file is unknown, and the matchers treat it so; nothing here is a judgement.

mod own;
mod table;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

const DATA: &str = include_str!("tools.txt");

/// A word of the data: of the built-in table, or of a policy file.
type Text = Cow<'static, str>;

pub(crate) use own::{Extension, OwnTools};

static TOOLS: LazyLock<HashMap<&'static str, Tool>> = LazyLock::new(|| {
    let (tools, _) = table::read(DATA);
    tools
});

/// Whether an option is followed by a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// Never.
    None,
    /// Always: attached, or the next word.
    Required,
    /// Only when attached.
    Optional,
}

/// One option under all its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) names: Vec<Text>,
    pub(crate) arity: Arity,
}

/// The options that are known at one place of a command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    list: Vec<Flag>,
    by_name: HashMap<Text, usize>,
}

/// A subcommand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sub {
    /// All its names, the main one first.
    pub(crate) names: Vec<Text>,
    /// `None` when its options are not known.
    pub(crate) flags: Option<Flags>,
    /// An operand that starts with the text means the flag: `+main` of `git push` is `--force`.
    pub(crate) implied: Vec<(Text, Text)>,
    /// The first operand of its own ends the options.
    pub(crate) stops: bool,
}

/// What is known about one tool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tool {
    /// The options before the subcommand, or all of them where there is none.
    pub(crate) flags: Flags,
    pub(crate) subs: Vec<Sub>,
    sub_by_name: HashMap<Text, usize>,
    /// `container run` is `run`: the group word, the word after it, the subcommand meant.
    same: Vec<(Text, Text, Text)>,
    /// Operands that start so stand before the subcommand.
    skipped: Vec<Text>,
    /// Long options have one dash (`find -delete`), and there are no clusters.
    pub(crate) single_dash: bool,
    /// The global options may also stand after the subcommand.
    pub(crate) anywhere: bool,
    /// The first operand ends the options.
    pub(crate) stops: bool,
    /// The first word may be a cluster without its dash (`tar xzf`).
    pub(crate) bundled: bool,
    /// A subcommand may be shortened to any unambiguous beginning.
    pub(crate) abbreviates: bool,
}

/// Adds an option in the notation of the data file, for other tables.
pub(crate) fn add_flag(flags: &mut Flags, word: &'static str) -> Result<(), String> {
    table::add_flags(flags, &[Cow::Borrowed(word)])
}

/// What is known about the tool of this name.
pub(crate) fn find(name: &[u8]) -> Option<&'static Tool> {
    std::str::from_utf8(name).ok().and_then(|name| TOOLS.get(name))
}

impl Flags {
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Flag> {
        let name = std::str::from_utf8(name).ok()?;
        self.by_name.get(name).map(|at| &self.list[*at])
    }

    /// The one long option that starts with `head`, as GNU's getopt takes it.
    pub(crate) fn abbreviated(&self, head: &[u8]) -> Option<&Flag> {
        let head = std::str::from_utf8(head).ok()?;
        let mut fitting =
            self.list.iter().filter(|flag| flag.names.iter().any(|name| name.starts_with(head)));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    /// A name that this one begins.
    fn longer(&self, name: &str) -> Option<&str> {
        let mut names = self.list.iter().flat_map(|flag| &flag.names).map(|known| &**known);
        names.find(|known| *known != name && known.starts_with(name))
    }

    fn add(&mut self, flag: Flag) -> Option<Text> {
        let at = self.list.len();
        let mut twice = None;
        for name in &flag.names {
            if self.by_name.insert(name.clone(), at).is_some() {
                twice = Some(name.clone());
            }
        }
        self.list.push(flag);
        twice
    }
}

impl Tool {
    pub(crate) fn has_subs(&self) -> bool {
        !self.subs.is_empty()
    }

    pub(crate) fn sub(&self, name: &[u8]) -> Option<&Sub> {
        let name = std::str::from_utf8(name).ok()?;
        self.sub_by_name.get(name).map(|at| &self.subs[*at])
    }

    /// The options of this name, of whichever subcommand.
    pub(crate) fn flags_called<'t>(&'t self, name: &'t [u8]) -> impl Iterator<Item = &'t Flag> {
        let of_subs = self.subs.iter().filter_map(|sub| sub.flags.as_ref());
        std::iter::once(&self.flags).chain(of_subs).filter_map(move |flags| flags.get(name))
    }

    /// Whether `word` only stands before the subcommand, as in `cargo +nightly build`.
    pub(crate) fn skips(&self, word: &[u8]) -> bool {
        self.skipped.iter().any(|head| word.starts_with(head.as_bytes()))
    }

    /// Whether `word` opens a group such as `docker container …`.
    pub(crate) fn is_group(&self, word: &[u8]) -> bool {
        self.same.iter().any(|(group, _, _)| group.as_bytes() == word)
    }

    /// The words that mean this subcommand in a group: `remove` of `image remove`, for `rmi`.
    pub(crate) fn in_groups<'t>(&'t self, sub: &'t Sub) -> impl Iterator<Item = &'t [u8]> {
        let of = self.same.iter().filter(|(_, _, meant)| sub.names.contains(meant));
        of.map(|(_, word, _)| word.as_bytes())
    }

    /// The subcommand that a group word and the word after it stand for.
    pub(crate) fn in_group(&self, group: &[u8], word: &[u8]) -> Option<&Sub> {
        let (_, _, meant) = self
            .same
            .iter()
            .find(|(first, second, _)| first.as_bytes() == group && second.as_bytes() == word)?;
        self.sub(meant.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_errors() {
        let (tools, errors) = table::read(DATA);
        assert_eq!(errors, Vec::<String>::new());
        assert!(tools.len() > 40);
    }

    #[test]
    fn names_of_one_option_lead_to_the_same_flag() {
        let rm = find(b"rm").unwrap();
        assert_eq!(rm.flags.get(b"-R"), rm.flags.get(b"--recursive"));
        assert_eq!(rm.flags.abbreviated(b"--recurs"), rm.flags.get(b"-r"));
        assert!(rm.flags.abbreviated(b"--").is_none());
        assert!(find(b"no-such-tool").is_none() && find(b"\xff").is_none());
    }

    #[test]
    fn a_group_word_leads_to_its_subcommand() {
        let docker = find(b"docker").unwrap();
        assert_eq!(docker.in_group(b"container", b"run").unwrap().names[0], "run");
        assert_eq!(find(b"npm").unwrap().sub(b"i").unwrap().names[0], "install");
    }
}
