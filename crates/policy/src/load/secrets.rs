//! `secrets`: names to where their values come from on the warden's side, and in which form a tool gets them.
//! No value ever stands in a policy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::node::Node;
use super::report::Report;
use crate::ghosts::{Secret, SecretForm, SecretSource};
use crate::matchers::paths;

pub(super) const KEYS: &[&str] = &["from_file", "from_variable", "as_file", "as_variable"];

/// Most secrets.
const MAX_SECRETS: usize = 1_000;
/// Longest name.
const MAX_NAME: usize = 128;

/// Reads the section.
pub(super) fn secrets(
    node: &Node,
    report: &mut Report<'_>,
) -> Option<BTreeMap<String, Arc<Secret>>> {
    let entries = report.entries(node, "names to secrets")?;
    if entries.len() > MAX_SECRETS {
        report.add(node.at, format!("more than {MAX_SECRETS} secrets"), "");
        return None;
    }
    let mut secrets = BTreeMap::new();
    for (key, name, value) in entries {
        let secret = secret(name, value, report);
        if let (Some(name), Some(secret)) = (plain(key, name, report), secret) {
            secrets.insert(name, Arc::new(secret));
        }
    }
    Some(secrets)
}

fn secret(name: &str, node: &Node, report: &mut Report<'_>) -> Option<Secret> {
    let (mut source, mut form) = (None, None);
    for (key, node) in report.fields(node, "a secret's keys", KEYS)? {
        let taken = match key {
            "from_file" => {
                file(node, report).map(|path| source.replace(SecretSource::File(path)).is_some())
            }
            "from_variable" => variable(node, report)
                .map(|name| source.replace(SecretSource::Variable(name)).is_some()),
            "as_file" => {
                let word = report.word(node, "a file's name, such as `npm-token`")?;
                plain(node, word, report).map(|name| form.replace(SecretForm::File(name)).is_some())
            }
            _ => variable(node, report)
                .map(|name| form.replace(SecretForm::Variable(name)).is_some()),
        };
        if taken == Some(true) {
            let help = "it comes from one place and goes to one: a file or a variable each";
            report.add(node.at, format!("`{key}` beside its other form"), help);
        }
    }
    let Some(source) = source else {
        let help = "say where its value comes from: `from_file: /path` or `from_variable: NAME`";
        report.add(
            node.at,
            format!("the secret `{name}` comes from nowhere, or from a bad place"),
            help,
        );
        return None;
    };
    let form = form.unwrap_or_else(|| SecretForm::File(name.to_owned()));
    Some(Secret { name: name.to_owned(), source, form })
}

/// A word that is one component of a path.
fn plain(node: &Node, name: &str, report: &mut Report<'_>) -> Option<String> {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let fits = |b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    if first && name.len() <= MAX_NAME && name.bytes().all(fits) {
        return Some(name.to_owned());
    }
    let help = "letters, digits, `_`, `.` and `-`, no `.` or `-` first, 128 at most";
    report.add(node.at, format!("bad name of a secret `{name}`"), help);
    None
}

fn file(node: &Node, report: &mut Report<'_>) -> Option<PathBuf> {
    let text = report.word(node, "an absolute path")?;
    if text.starts_with('/') && !paths::climbs(text.as_bytes()) && !text.contains('\0') {
        return Some(text.into());
    }
    let help = "write an absolute path without `..`, such as `/etc/clawrden/secrets/npm`";
    report.add(node.at, format!("bad path `{text}`"), help);
    None
}

fn variable(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let text = report.word(node, "a variable's name, such as `NPM_TOKEN`")?;
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !first || text.len() > MAX_NAME || !text.bytes().all(fits) {
        let help = "letters, digits and `_`, no digit first";
        report.add(node.at, format!("bad variable name `{text}`"), help);
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests;
