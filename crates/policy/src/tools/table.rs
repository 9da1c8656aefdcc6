//! Reads the data file about tools. The grammar is at the head of `tools.txt`.
//! Never fails as a whole: a bad line is left out and named, and a test keeps the list empty.

use std::collections::HashMap;

use super::{Arity, Flag, Flags, Sub, Text, Tool};

/// Reads every entry; the second part names each line that could not be understood.
pub(super) fn read(data: &'static str) -> (HashMap<&'static str, Tool>, Vec<String>) {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(data.lines()) {
        let mut words = line.split_whitespace().peekable();
        match words.peek() {
            None => {}
            Some(word) if word.starts_with('#') => {}
            Some(_) => {
                let (Some(keyword), rest) = (words.next(), words.collect::<Vec<_>>()) else {
                    continue;
                };
                if let Err(error) = reader.line(keyword, &rest) {
                    reader.errors.push(format!("line {number}: {error}"));
                }
            }
        }
    }
    reader.finish_tool();
    (reader.tools, reader.errors)
}

#[derive(Default)]
struct Reader {
    tools: HashMap<&'static str, Tool>,
    errors: Vec<String>,
    names: Vec<&'static str>,
    /// The lines of the tool that is being read, kept for each further name it goes by.
    lines: Vec<(&'static str, Vec<Text>)>,
}

impl Reader {
    fn line(&mut self, keyword: &'static str, words: &[&'static str]) -> Result<(), String> {
        if keyword == "tool" {
            self.finish_tool();
            self.names = words.to_vec();
            return if words.is_empty() { Err("a tool without a name".into()) } else { Ok(()) };
        }
        if self.names.is_empty() {
            return Err("no tool before this line".into());
        }
        self.lines.push((keyword, words.iter().map(|word| Text::Borrowed(word)).collect()));
        Ok(())
    }

    fn finish_tool(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        for name in std::mem::take(&mut self.names) {
            let mut tool = Tool::default();
            for (keyword, words) in &lines {
                if let Err(error) = apply(&mut tool, keyword, words) {
                    self.errors.push(format!("tool {name}: {error}"));
                }
            }
            if self.tools.insert(name, tool).is_some() {
                self.errors.push(format!("tool {name} stands there twice"));
            }
        }
    }
}

pub(super) fn apply(tool: &mut Tool, keyword: &str, words: &[Text]) -> Result<(), String> {
    match keyword {
        "style" => {
            for word in words {
                match &**word {
                    "single-dash" => tool.single_dash = true,
                    "anywhere" => tool.anywhere = true,
                    "stops" => tool.stops = true,
                    "bundled" => tool.bundled = true,
                    "abbreviates" => tool.abbreviates = true,
                    other => return Err(format!("unknown style {other}")),
                }
            }
            Ok(())
        }
        "flags" => add_flags(&mut tool.flags, words),
        "names" => words.iter().try_for_each(|word| add_sub(tool, word)),
        "sub" => match words {
            [name] => add_sub(tool, name),
            _ => Err("a sub line names one subcommand".into()),
        },
        "with" => add_flags(last_sub(tool)?.flags.get_or_insert_default(), words),
        "like" => match words {
            [name] => {
                let model = tool.sub(name.as_bytes()).and_then(|sub| sub.flags.clone());
                let model = model.ok_or_else(|| format!("{name} has no flags to share"))?;
                last_sub(tool)?.flags = Some(model);
                Ok(())
            }
            _ => Err("like names one subcommand".into()),
        },
        "skips" => {
            tool.skipped.extend_from_slice(words);
            Ok(())
        }
        "halts" => {
            last_sub(tool)?.stops = true;
            Ok(())
        }
        "implies" => match words {
            [head, flag] => {
                last_sub(tool)?.implied.push((head.clone(), flag.clone()));
                Ok(())
            }
            _ => Err("implies takes a beginning and a flag".into()),
        },
        "same" => match words {
            [group, word, meant] => {
                tool.same.push((group.clone(), word.clone(), meant.clone()));
                Ok(())
            }
            _ => Err("same takes a group, a word and a subcommand".into()),
        },
        other => Err(format!("unknown keyword {other}")),
    }
}

fn last_sub(tool: &mut Tool) -> Result<&mut Sub, String> {
    tool.subs.last_mut().ok_or_else(|| "no sub before this line".to_owned())
}

/// `install,i,add` is one subcommand under three names.
fn add_sub(tool: &mut Tool, names: &Text) -> Result<(), String> {
    let names = split(names);
    for name in &names {
        if tool.sub_by_name.insert(name.clone(), tool.subs.len()).is_some() {
            return Err(format!("subcommand {name} stands there twice"));
        }
    }
    tool.subs.push(Sub { names, ..Sub::default() });
    Ok(())
}

/// `-n,--lines=` takes a value, `--color=?` only an attached one.
pub(super) fn add_flags(flags: &mut Flags, words: &[Text]) -> Result<(), String> {
    for word in words {
        let (end, arity) = if let Some(names) = word.strip_suffix("=?") {
            (names.len(), Arity::Optional)
        } else if let Some(names) = word.strip_suffix('=') {
            (names.len(), Arity::Required)
        } else {
            (word.len(), Arity::None)
        };
        let names = split(&head(word, end));
        if let Some(bad) = names.iter().find(|name| !name.starts_with('-') || name.contains('=')) {
            return Err(format!("{bad} is no flag"));
        }
        if let Some(twice) = flags.add(Flag { names, arity }) {
            return Err(format!("flag {twice} stands there twice"));
        }
    }
    Ok(())
}

fn head(word: &Text, end: usize) -> Text {
    match word {
        Text::Borrowed(word) => Text::Borrowed(&word[..end]),
        Text::Owned(word) => Text::Owned(word[..end].to_owned()),
    }
}

/// The names that commas part.
fn split(names: &Text) -> Vec<Text> {
    match names {
        Text::Borrowed(names) => names.split(',').map(Text::Borrowed).collect(),
        Text::Owned(names) => names.split(',').map(|name| Text::Owned(name.to_owned())).collect(),
    }
}
