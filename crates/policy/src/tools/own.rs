//! Own: what a policy file says about tools, beside the built-in table.
//! It adds what the table does not have and never changes what it has.

use std::collections::HashMap;

use super::{Flags, Sub, Text, Tool, table};

/// The tools of one policy.
#[derive(Debug, Default)]
pub(crate) struct OwnTools(HashMap<Box<str>, Tool>);

/// One tool while it is read: the built-in entry, if there is one, and what is added to it.
pub(crate) struct Extension {
    tool: Tool,
    is_known: bool,
}

impl OwnTools {
    /// What is known about the tool of this name, here or in the built-in table.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Tool> {
        let own = || std::str::from_utf8(name).ok().and_then(|name| self.0.get(name));
        if self.0.is_empty() { super::find(name) } else { own().or_else(|| super::find(name)) }
    }

    /// Adds a tool that was read; a later one of the same name takes its place.
    pub(crate) fn add(&mut self, name: &str, extension: Extension) {
        self.0.insert(name.into(), extension.tool);
    }
}

impl Extension {
    pub(crate) fn of(name: &str) -> Self {
        match super::find(name.as_bytes()) {
            Some(known) => Self { tool: known.clone(), is_known: true },
            None => Self { tool: Tool::default(), is_known: false },
        }
    }

    /// How the tool reads its arguments; the error says what would be right.
    pub(crate) fn style(&mut self, words: &[&str]) -> Result<(), String> {
        self.only_new("how it reads its arguments")?;
        self.apply("style", words)
    }

    /// Options before the subcommand, or all of them where there is none.
    pub(crate) fn flags(&mut self, words: &[&str]) -> Result<(), String> {
        check_flags(words)?;
        if self.is_known {
            check_new(&self.tool.flags, words)?;
        }
        self.apply("flags", words)
    }

    /// Operands that begin so stand before the subcommand.
    pub(crate) fn skips(&mut self, words: &[&str]) -> Result<(), String> {
        self.only_new("what stands before its subcommand")?;
        self.apply("skips", words)
    }

    /// Two words that are one subcommand.
    pub(crate) fn group(&mut self, pair: &str, meant: &str) -> Result<(), String> {
        self.only_new("its groups")?;
        let Some((group, word)) = pair.split_once(' ') else {
            return Err("a group is two words and a subcommand: `container rm: rm`".into());
        };
        if self.tool.sub(meant.as_bytes()).is_none() {
            return Err(format!("there is no subcommand `{meant}`; name it under `subcommands`"));
        }
        self.apply("same", &[group, word, meant])
    }

    /// Adds a subcommand, all its names parted by commas; `flags` is `None` when its options are not known.
    /// One that the table has can only be given options that it lacks.
    pub(crate) fn subcommand(
        &mut self,
        names: &str,
        flags: Option<&[&str]>,
        (like, stops): (Option<&str>, bool),
    ) -> Result<(), String> {
        let is_name = |name: &str| {
            let bad = |c: char| c.is_whitespace() || c.is_control() || "=*?[{\\".contains(c);
            !name.is_empty() && !name.starts_with('-') && !name.contains(bad)
        };
        if let Some(bad) = names.split(',').find(|name| !is_name(name)) {
            return Err(format!("`{bad}` is no subcommand; write names, parted by commas"));
        }
        check_flags(flags.unwrap_or_default())?;
        let place = names.split(',').find_map(|name| self.tool.sub_by_name.get(name).copied());
        let Some(place) = place else {
            if self.is_known && !self.tool.has_subs() {
                return Err("the built-in table knows this tool as one without subcommands".into());
            }
            let shortens = |name: &str| {
                let mut known = self.tool.subs.iter().flat_map(|sub| &sub.names);
                known.any(|known| known.starts_with(name))
            };
            if self.tool.abbreviates && self.is_known && names.split(',').any(shortens) {
                return Err("the tool takes that for another subcommand, shortened".into());
            }
            self.apply("sub", &[names])?;
            if let Some(model) = like {
                self.apply("like", &[model])?;
            }
            if let Some(flags) = flags {
                self.apply("with", flags)?;
            }
            return if stops { self.apply("halts", &[]) } else { Ok(()) };
        };
        let Some(sub) = self.tool.subs.get_mut(place).filter(|_| self.is_known) else {
            return Err("that subcommand stands there twice".into());
        };
        if names.contains(',') || like.is_some() || stops {
            return Err(
                "the built-in table has that subcommand; only `flags` that it lacks can be added"
                    .into(),
            );
        }
        extend(sub, flags.unwrap_or_default())
    }

    /// How many options a subcommand has.
    pub(crate) fn flags_of(&self, sub: &str) -> usize {
        let flags = self.tool.sub(sub.as_bytes()).and_then(|sub| sub.flags.as_ref());
        flags.map_or(0, |flags| flags.list.len())
    }

    fn only_new(&self, what: &str) -> Result<(), String> {
        if !self.is_known {
            return Ok(());
        }
        Err(format!(
            "the built-in table says {what}; only flags and subcommands that it lacks can be added"
        ))
    }

    fn apply(&mut self, keyword: &str, words: &[&str]) -> Result<(), String> {
        let words: Vec<Text> = words.iter().map(|word| Text::Owned((*word).to_owned())).collect();
        let before = (keyword == "flags").then(|| self.tool.flags.clone());
        let done = table::apply(&mut self.tool, keyword, &words);
        if let (Some(before), Err(_)) = (before, &done) {
            self.tool.flags = before;
        }
        done
    }
}

fn extend(sub: &mut Sub, flags: &[&str]) -> Result<(), String> {
    let words: Vec<Text> = flags.iter().map(|word| Text::Owned((*word).to_owned())).collect();
    let mut longer: Flags = sub.flags.clone().unwrap_or_default();
    check_new(&longer, flags)?;
    table::add_flags(&mut longer, &words)?;
    sub.flags = Some(longer);
    Ok(())
}

/// A name that begins a known one would hide what the tool takes it for, shortened.
fn check_new(known: &Flags, words: &[&str]) -> Result<(), String> {
    let names =
        words.iter().flat_map(|word| word.trim_end_matches("=?").trim_end_matches('=').split(','));
    for name in names.filter(|name| name.starts_with("--")) {
        if let Some(longer) = known.longer(name) {
            return Err(format!("the tool takes `{name}` for `{longer}`, shortened"));
        }
    }
    Ok(())
}

/// Names of flags are what a command line could hold.
fn check_flags(words: &[&str]) -> Result<(), String> {
    for word in words {
        let names = word.trim_end_matches("=?").trim_end_matches('=');
        let is_name = |name: &str| {
            let odd = |c: char| c.is_whitespace() || c.is_control() || "=*?[{\\".contains(c);
            name.len() > 1 && name.starts_with('-') && name != "--" && !name.contains(odd)
        };
        if !names.split(',').all(is_name) {
            return Err(format!(
                "`{word}` is no flag; write `-v,--verbose`, `-o,--output=` for one that takes a value, \
                 `--color=?` for one that takes an attached value only"
            ));
        }
    }
    Ok(())
}
