//! Reading examples: `match` and `not_match` of rules, and the `tests` of a file.
//! It checks how they are written, and judges nothing.

use super::super::node::{At, Node, Value};
use super::super::report::Report;
use crate::action::Action;
use crate::matchers::words;

/// Most examples in one file: those of rules and `tests` together.
const MAX_EXAMPLES: usize = 10_000;
/// Longest command of an example, in bytes.
const MAX_COMMAND: usize = 4_096;
/// The jail of an example that does not say, of a rule that is for every jail.
const USUAL_JAIL: &str = "default";

pub(in crate::load) const EXAMPLE_KEYS: &[&str] = &["command", "cwd", "uid", "gid", "jail"];
pub(in crate::load) const TEST_KEYS: &[&str] =
    &["command", "cwd", "uid", "gid", "jail", "expect", "rule"];

/// A command, and what must come of it.
pub(super) struct Example<'n> {
    pub(super) at: At,
    pub(super) argv: Vec<String>,
    pub(super) cwd: Option<&'n str>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) jail: &'n str,
    pub(super) wanted: Wanted<'n>,
}

pub(super) enum Wanted<'n> {
    /// The rule at this place decides.
    Taken(usize),
    /// The rule at this place does not speak of it.
    Passed(usize),
    /// This is what happens, by the rule of this name where there is one.
    Decided { action: (At, Action), rule: Option<(At, &'n str)> },
}

pub(super) fn read<'n>(root: &'n Node, report: &mut Report<'_>) -> Vec<Example<'n>> {
    let mut examples = Vec::new();
    let items = get(root, "rules").map(items).unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        let jail = get(item, "jail");
        for (key, wanted) in
            [("match", Wanted::Taken as fn(usize) -> _), ("not_match", Wanted::Passed)]
        {
            let Some(node) = get(item, key) else { continue };
            let Value::List(list) = &node.value else {
                examples.extend(of_rule(node, jail, wanted(at), report));
                continue;
            };
            if list.is_empty() {
                report.add(node.at, "the list is empty", "give an example, or leave the key out");
            }
            examples.extend(list.iter().filter_map(|node| of_rule(node, jail, wanted(at), report)));
        }
    }
    if let Some(node) = get(root, "tests") {
        match &node.value {
            Value::List(list) => {
                examples.extend(list.iter().filter_map(|node| test(node, report)));
            }
            _ => report.wrong_type(node, "a list of tests, each `- {command: …, expect: …}`"),
        }
    }
    examples
}

/// Whether there are too many examples, which is reported. Nothing of them is looked at.
pub(in crate::load) fn are_too_many(root: &Node, report: &mut Report<'_>) -> bool {
    let of_rules = get(root, "rules").map(items).unwrap_or_default().iter();
    let of_rules = of_rules.flat_map(|rule| {
        ["match", "not_match"].into_iter().filter_map(|key| get(rule, key)).flat_map(one_or_many)
    });
    let tests = get(root, "tests").map(items).unwrap_or_default();
    let Some(beyond) = of_rules.chain(tests).nth(MAX_EXAMPLES) else { return false };
    let help =
        "give those that show what a rule is for, or put some of the rules into another file";
    report.add(beyond.at, format!("more than {MAX_EXAMPLES} examples in one file"), help);
    true
}

fn one_or_many(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// The value of a key of a mapping. Duplicates were reported when the rest was read.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(pairs) = &node.value else { return None };
    let is_key = |node: &Node| matches!(&node.value, Value::Scalar { text, .. } if text == key);
    pairs.iter().find(|(found, _)| is_key(found)).map(|(_, value)| value)
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// A line, a list of words, or a mapping that says more than the command.
fn of_rule<'n>(
    node: &'n Node,
    jail: Option<&'n Node>,
    wanted: Wanted<'n>,
    report: &mut Report<'_>,
) -> Option<Example<'n>> {
    let mut example = if let Value::Map(_) = node.value {
        let fields = report.fields(node, "an example's keys", EXAMPLE_KEYS)?;
        with_facts(node, &fields, wanted, report)?
    } else {
        plain(node, command(node, report)?, wanted)
    };
    let is_said = matches!(node.value, Value::Map(_)) && get(node, "jail").is_some();
    if let (Some(Value::Scalar { text, .. }), false) = (jail.map(|node| &node.value), is_said) {
        if text.contains(['*', '?', '[', '{', '\\']) {
            let help = "say in which: `{command: …, jail: …}`";
            report.add(node.at, format!("the rule is for the jails `{text}`"), help);
        }
        example.jail = text;
    }
    Some(example)
}

fn test<'n>(node: &'n Node, report: &mut Report<'_>) -> Option<Example<'n>> {
    let fields = report.fields(node, "a test's keys", TEST_KEYS)?;
    let field = |key| fields.iter().find(|(found, _)| *found == key).map(|(_, node)| *node);
    let rule = field("rule").and_then(|node| {
        let name = report.word(node, "the name of a rule")?;
        Some((node.at, name))
    });
    let Some(expect) = field("expect") else {
        let help = "a test is at least `{command: git push -f, expect: deny}`";
        report.add(node.at, "the test has no `expect`", help);
        return None;
    };
    let action = (expect.at, report.action(expect)?);
    with_facts(node, &fields, Wanted::Decided { action, rule }, report)
}

fn with_facts<'n>(
    node: &'n Node,
    fields: &[(&'n str, &'n Node)],
    wanted: Wanted<'n>,
    report: &mut Report<'_>,
) -> Option<Example<'n>> {
    let field = |key| fields.iter().find(|(found, _)| *found == key).map(|(_, node)| *node);
    let Some(line) = field("command") else {
        report.add(node.at, "the example has no `command`", "write `command: git push -f`");
        return None;
    };
    let mut example = plain(line, command(line, report)?, wanted);
    if let Some(node) = field("cwd") {
        let cwd = report.word(node, "a directory such as `/app`")?;
        if !cwd.starts_with('/') || crate::matchers::paths::climbs(cwd.as_bytes()) {
            let help = "write an absolute path without `..`, such as `/app`";
            report.add(node.at, format!("bad path `{cwd}`"), help);
        }
        example.cwd = Some(cwd);
    }
    example.uid = field("uid").and_then(|node| number(node, report));
    example.gid = field("gid").and_then(|node| number(node, report));
    if let Some(node) = field("jail") {
        let jail = report.word(node, "a jail's name")?;
        report.jail_name(node, jail)?;
        example.jail = jail;
    }
    Some(example)
}

fn plain<'n>(node: &Node, argv: Vec<String>, wanted: Wanted<'n>) -> Example<'n> {
    Example { at: node.at, argv, cwd: None, uid: None, gid: None, jail: USUAL_JAIL, wanted }
}

fn command(node: &Node, report: &mut Report<'_>) -> Option<Vec<String>> {
    const EXPECTED: &str = "a command such as `git push -f`";
    let (argv, length) = if let Value::List(items) = &node.value {
        let word = |item: &Node| match &item.value {
            // In a vector an empty word is a word.
            Value::Scalar { text, plain: false } => Some(text.to_string()),
            _ => report.word(item, "a word of a command").map(str::to_owned),
        };
        let words: Option<Vec<String>> = items.iter().map(word).collect();
        let words = words?;
        let length = words.iter().map(|word| word.len() + 1).sum();
        (words, length)
    } else {
        let line = report.word(node, EXPECTED)?;
        match words::split_plain(line) {
            Ok(words) => (words, line.len()),
            Err(help) => {
                report.add(node.at, format!("bad command `{line}`"), help);
                return None;
            }
        }
    };
    if argv.first().is_none_or(String::is_empty) {
        report.add(node.at, "the command is empty", "");
        return None;
    }
    if length > MAX_COMMAND {
        report.add(node.at, format!("the command has more than {MAX_COMMAND} bytes"), "");
        return None;
    }
    Some(argv)
}

fn number(node: &Node, report: &mut Report<'_>) -> Option<u32> {
    let text = report.word(node, "a number such as `1000`")?;
    let found = text.parse().ok();
    if found.is_none() {
        report.add(node.at, format!("bad number `{text}`"), "write a number such as `1000`");
    }
    found
}
