//! The conditions of a rule: `cwd`, `caller`, `tty`, `env` and `container`.

use super::node::{Node, Value};
use super::report::Report;
use super::sections;
use crate::conditions::{Conditions, Container, Variable};
use crate::matchers::glob::{Glob, Kind};

/// The keys of a rule that are conditions.
pub(super) const CALLER_KEYS: &[&str] = &["uid", "gid", "user", "group"];
pub(super) const CONTAINER_KEYS: &[&str] = &["image", "name", "labels"];
pub(super) const KEYS: &[&str] = &["cwd", "caller", "tty", "env", "container"];

/// Longest name of a user or a group.
const MAX_NAME: usize = 32;

/// Longest name of a container's label.
const MAX_LABEL: usize = 255;

/// Reads one of [`KEYS`] into `found`.
pub(super) fn read(key: &str, node: &Node, found: &mut Conditions, report: &mut Report<'_>) {
    match key {
        "cwd" => found.cwd = sections::allowed_paths(node, report),
        "caller" => caller(node, found, report),
        "tty" => found.tty = report.boolean(node),
        "env" => env(node, found, report),
        _ => found.container = container(node, report),
    }
}

fn caller(node: &Node, found: &mut Conditions, report: &mut Report<'_>) {
    let what = "who is asking, as {uid: 1000} or {user: ann}";
    let Some(fields) = report.fields(node, what, CALLER_KEYS) else { return };
    if fields.is_empty() {
        report.add(node.at, "the caller is empty", "write `uid`, `gid`, `user` or `group`");
    }
    for (key, node) in fields {
        match key {
            "uid" => found.uid = numbers(node, "user", report),
            "gid" => found.gid = numbers(node, "group", report),
            "user" => found.user = names(node, report),
            _ => found.group = names(node, report),
        }
    }
}

fn numbers(node: &Node, named: &str, report: &mut Report<'_>) -> Option<Vec<u32>> {
    let words = report.words(node, "a number such as 1000, or a list of them")?;
    let mut numbers = Vec::with_capacity(words.len());
    for (at, text) in words {
        match text.parse() {
            Ok(number) if number != u32::MAX => numbers.push(number),
            _ => {
                let help =
                    format!("write a number from 0 to 4294967294; a name belongs to `{named}`");
                report.add(at.at, format!("bad number `{text}`"), &help);
            }
        }
    }
    Some(numbers)
}

fn names(node: &Node, report: &mut Report<'_>) -> Option<Vec<Box<str>>> {
    let words = report.words(node, "a name, or a list of them")?;
    let mut names: Vec<Box<str>> = Vec::with_capacity(words.len());
    for (at, text) in words {
        let of_names = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(of_names) {
            let help = "a name as in /etc/passwd or /etc/group: letters, digits, `_`, `.`, `-`, 32 at most";
            report.add(at.at, format!("bad name `{text}`"), help);
        } else {
            names.push(text.into());
        }
    }
    Some(names)
}

fn env(node: &Node, found: &mut Conditions, report: &mut Report<'_>) {
    let Some(entries) = report.entries(node, "variables to globs, as {CI: true, DEBUG: absent}")
    else {
        return;
    };
    if entries.is_empty() {
        report.add(node.at, "the environment is empty", "name a variable, or leave the key out");
    }
    for (key, name, value) in entries {
        let fits = |c: char| c.is_ascii_graphic() && c != '=';
        if name.is_empty() || name.len() > 255 || !name.chars().all(fits) {
            report.add(key.at, format!("bad variable name `{name}`"), "a name such as `CI`");
            continue;
        }
        let absent =
            matches!(&value.value, Value::Scalar { text, plain: true } if text == "absent");
        let wanted = if absent {
            Some(Variable::Absent)
        } else {
            let text = report.word(value, "a glob over its value, or `absent`");
            text.and_then(|text| report.glob(value, text, Kind::Text)).map(Variable::Is)
        };
        found.env.extend(wanted.map(|wanted| (name.into(), wanted)));
    }
}

fn container(node: &Node, report: &mut Report<'_>) -> Option<Container> {
    let what = "the caller's container, as {image: 'node:*'} or {labels: {team: web}}";
    let fields = report.fields(node, what, CONTAINER_KEYS)?;
    if fields.is_empty() {
        report.add(node.at, "the container is empty", "write `image`, `name` or `labels`");
    }
    let mut found = Container::default();
    for (key, node) in fields {
        match key {
            "image" => found.image = globs(node, report),
            "name" => found.name = globs(node, report),
            _ => labels(node, &mut found, report),
        }
    }
    Some(found)
}

fn globs(node: &Node, report: &mut Report<'_>) -> Option<Vec<Glob>> {
    let words = report.words(node, "a glob, or a list of them")?;
    Some(words.into_iter().filter_map(|(at, text)| report.glob(at, text, Kind::Text)).collect())
}

fn labels(node: &Node, found: &mut Container, report: &mut Report<'_>) {
    let Some(entries) = report.entries(node, "labels to globs over their values, as {team: web}")
    else {
        return;
    };
    if entries.is_empty() {
        report.add(node.at, "the list of labels is empty", "name a label, or leave the key out");
    }
    for (key, name, value) in entries {
        if name.is_empty() || name.len() > MAX_LABEL || !name.chars().all(|c| c.is_ascii_graphic())
        {
            report.add(key.at, format!("bad label `{name}`"), "a name such as `clawrden.jail`");
            continue;
        }
        let text = report.word(value, "a glob over its value");
        let glob = text.and_then(|text| report.glob(value, text, Kind::Text));
        found.labels.extend(glob.map(|glob| (name.into(), glob)));
    }
}
