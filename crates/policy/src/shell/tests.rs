//! Shell lines and what is found in them: a corpus, properties, and the answers of a real bash.

mod corpus;
mod properties;
mod real;
mod structure;

use super::{Dialect, Script, Simple, Unparsed, Word, parse};

/// A word as the corpus writes it: what is not known is `…`, and `~` behind it says that it may be many.
fn shown(word: &Word) -> String {
    let mut text: String = word
        .parts
        .iter()
        .map(|part| part.as_ref().map_or("…".into(), |text| text.escape_ascii().to_string()))
        .collect();
    if text.is_empty() {
        text.push_str("''");
    }
    text = text.replace(' ', "\\s");
    if word.may_be_many {
        text.push('+');
    }
    text
}

/// A command as the corpus writes it: assignments, words, redirections.
fn command(simple: &Simple) -> String {
    let mut parts = Vec::new();
    for (name, value) in &simple.assignments {
        parts.push(format!("{}={}", name.escape_ascii(), shown(value)));
    }
    parts.extend(simple.words.iter().map(shown));
    for redirect in &simple.redirects {
        parts.push(format!(
            "{}{}",
            if redirect.writes { ">" } else { "<" },
            shown(&redirect.target)
        ));
    }
    parts.join(" ")
}

fn commands(script: &Script) -> Vec<String> {
    script.commands.iter().map(command).collect()
}

fn bash(line: &str) -> Result<Script, Unparsed> {
    parse(line.as_bytes(), Dialect::Bash)
}

fn words(script: &Script) -> Vec<Vec<Option<Vec<u8>>>> {
    let words = |simple: &Simple| {
        simple.words.iter().map(|word| word.literal().map(<[u8]>::to_vec)).collect()
    };
    script.commands.iter().map(words).collect()
}
