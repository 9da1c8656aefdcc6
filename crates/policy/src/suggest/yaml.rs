//! Yaml: a suggested rule as text that can be pasted below `rules:`.
//! Every word is quoted so that it means itself; what cannot be is no rule.

use std::fmt::Write as _;

use super::request::tool;
use super::shapes::Shape;
use crate::action::Action;
use crate::matchers::flag::flag_like;
use crate::matchers::glob::escape_into;

/// Longest line, in bytes, that a rule is written on.
const LINE: usize = 100;

/// What a rule has beside its command and arguments.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Folders, `/*` behind those with what lies below them.
    pub(super) cwd: Vec<String>,
    pub(super) jail: Option<String>,
    pub(super) uid: Option<u32>,
    pub(super) reason: Option<String>,
    /// How they run.
    pub(super) kept: Vec<(&'static str, Value)>,
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    /// As it is written.
    Flow(String),
}

/// The rule as an item of a list, without indentation; `None` where a word cannot be spelled.
pub(super) fn rule(
    action: Action,
    shape: &Shape,
    commands: &[&[String]],
    bounds: &Bounds,
) -> Option<String> {
    let first = commands.first()?;
    let mut keys = vec![("command", Value::Text(tool(first)?.to_owned()))];
    keys.push((
        "args",
        match shape {
            // An empty text is no pattern.
            Shape::Exact if first.len() == 1 => {
                Value::Flow("{flags: {only: []}, operands: {max: 0}}".to_owned())
            }
            Shape::Exact | Shape::Seen => {
                let mut texts: Vec<String> =
                    commands.iter().map(|argv| pattern(argv)).collect::<Option<_>>()?;
                texts.dedup();
                match texts.as_slice() {
                    [one] => Value::Text(one.clone()),
                    _ => Value::List(texts),
                }
            }
            Shape::Files(files) => {
                let mut parts = Vec::new();
                parts.extend(files.sub.as_ref().map(|sub| format!("subcommand: {}", scalar(sub))));
                if !files.flags.is_empty() {
                    parts.push(format!("flags: {{all: {}}}", list(&files.flags)));
                }
                parts.push(format!("operands: {{min: 1, max: {}}}", files.most));
                parts.push("inside: .".to_owned());
                Value::Flow(format!("{{{}}}", parts.join(", ")))
            }
        },
    ));
    match bounds.cwd.as_slice() {
        [] => {}
        [one] => keys.push(("cwd", Value::Text(one.clone()))),
        more => keys.push(("cwd", Value::List(more.to_vec()))),
    }
    keys.extend(bounds.jail.clone().map(|jail| ("jail", Value::Text(jail))));
    keys.extend(bounds.uid.map(|uid| ("caller", Value::Flow(format!("{{uid: {uid}}}")))));
    keys.push(("action", Value::Text(action.as_str().to_owned())));
    keys.extend(bounds.reason.clone().map(|reason| ("reason", Value::Text(reason))));
    keys.extend(bounds.kept.iter().cloned());
    Some(written(&keys))
}

pub(super) fn written(keys: &[(&str, Value)]) -> String {
    let pairs: Vec<String> =
        keys.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
    let line = format!("- {{{}}}", pairs.join(", "));
    if line.len() <= LINE {
        return line;
    }
    let block = keys.iter().map(|(key, value)| match value {
        Value::List(items) if list(items).len() + key.len() > LINE => {
            let items: Vec<String> =
                items.iter().map(|item| format!("\n    - {}", scalar(item))).collect();
            format!("{key}:{}", items.concat())
        }
        value => format!("{key}: {}", flow(value)),
    });
    format!("- {}", block.collect::<Vec<_>>().join("\n  "))
}

fn flow(value: &Value) -> String {
    match value {
        Value::Text(text) => scalar(text),
        Value::Flow(text) => text.clone(),
        Value::List(items) => list(items),
    }
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A scalar of YAML that is this text, in whatever place.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | ' ');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.'));
    let means_nothing = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off"
    );
    if begins && text.chars().all(is_plain) && !text.ends_with(' ') && !means_nothing {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            // What a terminal obeys, or shows as something else, is pasted as what it is.
            c => drop(write!(quoted, "\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// The pattern that takes these arguments and no others. Without arguments it is empty.
fn pattern(argv: &[String]) -> Option<String> {
    let words: Vec<String> = argv.get(1..)?.iter().map(|text| word(text)).collect::<Option<_>>()?;
    Some(words.join(" "))
}

fn word(word: &str) -> Option<String> {
    // These open a pattern up, and some do so in quotes as well.
    let opens = matches!(word, "..." | "**" | "*" | "-*" | "--*");
    let name = word.split('=').next().unwrap_or_default();
    if opens || flag_like(word.as_bytes()) && name.contains(['*', '?', '[', '{', '\\']) {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Some(word.to_owned());
    }
    Some(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A folder as a pattern of `cwd` that means this folder alone.
pub(super) fn folder(path: &str) -> String {
    let mut text = String::new();
    path.chars().for_each(|c| escape_into(c, &mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn a_scalar_that_says_something_else_plainly_is_quoted() {
        assert_eq!(scalar("push origin main"), "push origin main");
        for text in ["-x", "null", "a: b", "a #b", "", "[a]", "1", "a\"b\\c", "{a}", "*x", "no"] {
            let yaml =
                format!("rules: [{{command: x, args: ls, action: ask, reason: {}}}]", scalar(text));
            let loaded = Policy::from_yaml("p.yaml", &yaml);
            assert!(text.is_empty() || loaded.is_ok(), "{yaml}: {loaded:?}");
        }
        assert_eq!(scalar("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }

    #[test]
    fn nothing_in_it_acts_on_a_terminal_and_it_still_means_the_same() {
        let odd = "/w/\u{202e}a\u{1b}[2J\n\u{e9}\u{1f600}";
        let text = scalar(&folder(odd));
        let harmless = |c: char| c.is_ascii_graphic() || c == ' ' || c == 'é';
        assert!(text.chars().all(harmless), "{text}");
        let yaml = format!("rules: [{{command: x, cwd: {text}, action: allow}}]");
        let policy = Policy::from_yaml("p.yaml", &yaml).unwrap();
        let facts = crate::Facts {
            name: b"x",
            tool: Some(b"x"),
            argv: &[b"x"],
            cwd: Some(odd.as_bytes()),
            ..crate::Facts::default()
        };
        assert_eq!(policy.decide(&facts).action, Action::Allow);
    }

    #[test]
    fn a_word_means_itself_or_is_refused() {
        assert_eq!(word("it's *").as_deref(), Some(r"'it'\''s *'"));
        assert_eq!(word(""), Some("''".into()));
        for open in ["...", "**", "*", "-*", "--*", "--fo*=x"] {
            assert_eq!(word(open), None, "{open}");
        }
    }

    #[test]
    fn a_long_rule_stands_on_lines_of_its_own() {
        let argv: Vec<Vec<String>> = (0..9)
            .map(|n| vec!["git".into(), "push".into(), format!("a-name-of-some-length-{n}")])
            .collect();
        let commands: Vec<&[String]> = argv.iter().map(Vec::as_slice).collect();
        let text = rule(Action::Allow, &Shape::Seen, &commands, &Bounds::default()).unwrap();
        assert!(
            text.starts_with("- command: git\n  args:\n    - push a-name-of-some-length-0\n"),
            "{text}"
        );
        let yaml = format!("rules:\n{text}\n");
        assert_eq!(Policy::from_yaml("p.yaml", &yaml).unwrap().rule_count(), 1);
    }
}
