//! The sections beside the rules: `allowed_paths`, `unshimmed`, `env` and `jails`.

use std::collections::BTreeMap;
use std::path::Path;

use super::node::Node;
use super::report::Report;
use crate::env::EnvRules;
use crate::matchers::glob::{Glob, Kind};
use crate::matchers::paths;
use crate::places::is_system_folder;
use crate::policy::{DEFAULT_HOLD, DEFAULT_RECONNECT, Jail, MAX_RECONNECT};

/// Most jails in one policy.
const MAX_JAILS: usize = 1_000;

pub(super) const ENV_KEYS: &[&str] = &["keep", "strip", "dangerous", "ignore_dangerous"];
pub(super) const JAIL_KEYS: &[&str] =
    &["commands", "hardened", "hold", "reconnect", "rules", "workspace"];

pub(super) fn allowed_paths(node: &Node, report: &mut Report<'_>) -> Option<Vec<Glob>> {
    let words = report.words(node, "a path")?;
    let mut globs = Vec::with_capacity(words.len());
    for (at, text) in words {
        if !text.starts_with('/') || paths::climbs(text.as_bytes()) {
            let help = "write an absolute path without `..`, such as `/app/*`";
            report.add(at.at, format!("bad path `{text}`"), help);
            continue;
        }
        let plain = String::from_utf8_lossy(&paths::normalise(text.as_bytes())).into_owned();
        globs.extend(report.glob(at, &plain, Kind::Tree));
    }
    Some(globs)
}

/// Names and globs of commands.
pub(super) fn unshimmed(node: &Node, report: &mut Report<'_>) -> Option<Vec<Glob>> {
    let words = report.words(node, "a command such as `awk`, or a list of them")?;
    Some(words.into_iter().filter_map(|(at, text)| report.glob(at, text, Kind::Text)).collect())
}

pub(super) fn env(node: &Node, report: &mut Report<'_>) -> Option<EnvRules> {
    let mut rules = EnvRules::default();
    for (key, node) in report.fields(node, "environment lists", ENV_KEYS)? {
        let names = variables(node, report);
        match key {
            "keep" => rules.keep = names,
            "strip" => rules.strip = names,
            "dangerous" => rules.dangerous = names,
            _ => rules.ignore = names,
        }
    }
    Some(rules)
}

fn variables(node: &Node, report: &mut Report<'_>) -> Vec<Box<str>> {
    let mut names = Vec::new();
    for (at, name) in report.list(node, "variable").unwrap_or_default() {
        let fits =
            |c: char| c.is_ascii_graphic() && !matches!(c, '=' | '?' | '[' | ']' | '{' | '}');
        if name.is_empty() || name.len() > 255 || !name.chars().all(fits) {
            let help = "a name, where `*` may stand for any text: `MY_TOKEN`, `MY_*`";
            report.add(at.at, format!("bad variable name `{name}`"), help);
        } else {
            names.push(name.into());
        }
    }
    names
}

/// Folders that a jail shares with its ghosts: each by itself, and none of the system's.
fn workspace(node: &Node, report: &mut Report<'_>) -> Vec<String> {
    let mut folders = Vec::new();
    for (at, text) in report.words(node, "a folder such as `/work`").unwrap_or_default() {
        let plain = String::from_utf8_lossy(&paths::normalise(text.as_bytes())).into_owned();
        let is_system = is_system_folder(Path::new(&plain));
        if !text.starts_with('/') || paths::climbs(text.as_bytes()) {
            let help = "write an absolute path without `..`, such as `/work`";
            report.add(at.at, format!("bad folder `{text}`"), help);
        } else if text.contains(|c: char| matches!(c, '*' | '?' | '[' | ':') || c.is_control()) {
            let help = "name each folder by itself, without globs and colons";
            report.add(at.at, format!("bad folder `{text}`"), help);
        } else if is_system {
            let help = "share a folder of the prisoner's work alone";
            report.add(at.at, format!("`{text}` is the system's and no workspace"), help);
        } else {
            folders.push(plain);
        }
    }
    folders
}

pub(super) fn jails(node: &Node, report: &mut Report<'_>) -> Option<BTreeMap<String, Jail>> {
    let mut jails = BTreeMap::new();
    let entries = report.entries(node, "jail names to jails")?;
    if entries.len() > MAX_JAILS {
        report.add(node.at, format!("more than {MAX_JAILS} jails"), "");
        return None;
    }
    for (key, name, value) in entries {
        let name = report.jail_name(key, name);
        if let (Some(jail), Some(name)) = (jail(value, report), name) {
            jails.insert(name, jail);
        }
    }
    Some(jails)
}

fn jail(node: &Node, report: &mut Report<'_>) -> Option<Jail> {
    let mut jail = Jail {
        commands: Vec::new(),
        hardened: false,
        hold: Some(DEFAULT_HOLD),
        reconnect: DEFAULT_RECONNECT,
        workspace: Vec::new(),
    };
    for (key, node) in report.fields(node, "what the jail is", JAIL_KEYS)? {
        match key {
            "commands" => {
                for (at, name) in report.list(node, "tool").unwrap_or_default() {
                    jail.commands.extend(report.tool_name(at, name));
                }
            }
            // They are a layer of their own.
            "rules" => {}
            "workspace" => jail.workspace = workspace(node, report),
            "hardened" => jail.hardened = report.boolean(node).unwrap_or(false),
            "reconnect" => {
                jail.reconnect = report.duration(node).flatten().unwrap_or_default();
                if jail.reconnect > MAX_RECONNECT {
                    report.add(node.at, "`reconnect` is too long", "it is `18h` at most");
                }
            }
            _ => jail.hold = report.duration(node).flatten(),
        }
    }
    Some(jail)
}
