//! What each layer's file may say, what packs it uses, and how files become one policy.
//! Whatever could give more than a higher layer gives is refused where it stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::node::{Node, Value};
use super::report::Report;
use super::{KEYS, MAX_JAIL_RULES, examples, file, ghosts, limits, rules};
use crate::diagnostics::{Diagnostics, LoadError};
use crate::index::Index;
use crate::layers::{Layer, Source};
use crate::packs::Pack;
use crate::policy::{Policy, fingerprint};

/// Most files of one policy.
const MAX_FILES: usize = 256;
/// What a `use` starts with.
const PREFIX: &str = "pack:";

/// Keys that a file of this layer may have; `None` is all.
fn keys(layer: Layer) -> Option<&'static [&'static str]> {
    match layer {
        Layer::Host => None,
        Layer::Rules | Layer::Pack => Some(&["rules", "tests", "use"]),
        Layer::Ceiling => Some(&[
            "default_action",
            "default_timeout",
            "on_unparsed",
            "approval_timeout",
            "defaults",
            "allowed_paths",
            "tools",
            "rules",
            "tests",
            "use",
        ]),
        Layer::Jail | Layer::Repository => Some(&[
            "default_action",
            "default_timeout",
            "on_unparsed",
            "approval_timeout",
            "defaults",
            "allowed_paths",
            "tools",
            "rules",
            "tests",
        ]),
    }
}

fn why_not(layer: Layer) -> &'static str {
    match layer {
        Layer::Ceiling => "it bounds what policies give, and gives nothing itself",
        Layer::Rules | Layer::Pack => "it has rules only; write it into the policy itself",
        Layer::Jail | Layer::Repository => "it can only narrow what the host's policy gives",
        Layer::Host => "",
    }
}

/// Reports what stands in a file of this layer and must not.
pub(super) fn keep_to(layer: Layer, root: &Node, report: &mut Report<'_>) {
    let Some(allowed) = keys(layer) else { return };
    for (key, word, value) in pairs(root) {
        if KEYS.contains(&word) && !allowed.contains(&word) {
            report.add(key.at, format!("{layer} has no `{word}`"), why_not(layer));
        }
        match word {
            "rules" => keep_rules_to(layer, value, report),
            "defaults" => {
                for (key, word, value) in pairs(value) {
                    refuse(layer, (key, word, value), report);
                }
            }
            _ => {}
        }
    }
}

fn keep_rules_to(layer: Layer, list: &Node, report: &mut Report<'_>) {
    let Value::List(items) = &list.value else { return };
    for pair in items.iter().flat_map(pairs) {
        refuse(layer, pair, report);
    }
}

/// Reports a key of a rule that would give something.
fn refuse(layer: Layer, (key, word, value): (&Node, &str, &Node), report: &mut Report<'_>) {
    let is = |wanted: &str| matches!(&value.value, Value::Scalar { text, .. } if text == wanted);
    let gives = match (layer, word) {
        (Layer::Ceiling, "executor") => is("local"),
        (Layer::Jail | Layer::Repository, "dangerous_env") => is("allow"),
        // A recording fills the disk that the ledger is on.
        (Layer::Jail | Layer::Repository, "executor" | "run_as")
        | (Layer::Ceiling, "run_as")
        | (Layer::Repository, "record" | "record_bytes") => true,
        (Layer::Jail | Layer::Repository | Layer::Ceiling, word) => {
            ghosts::RULE_KEYS.contains(&word) || word == "supervised"
        }
        _ => false,
    };
    if gives {
        let fact = match word {
            "run_as" => format!("{layer} has no `run_as`"),
            word if ghosts::RULE_KEYS.contains(&word) => format!("{layer} has no `{word}`"),
            _ if is("local") || is("allow") => {
                let Value::Scalar { text, .. } = &value.value else { return };
                format!("{layer} has no `{word}: {text}`")
            }
            _ => format!("{layer} has no `{word}`"),
        };
        report.add(key.at, fact, why_not(layer));
    }
}

/// The pairs of a mapping whose keys are words.
fn pairs(node: &Node) -> impl Iterator<Item = (&Node, &str, &Node)> {
    let pairs = match &node.value {
        Value::Map(pairs) => pairs.as_slice(),
        _ => &[],
    };
    pairs.iter().filter_map(|(key, value)| match &key.value {
        Value::Scalar { text, .. } => Some((key, &**text, value)),
        _ => None,
    })
}

/// Puts the rules of the packs that `use` names behind those of `policy`. `within` are the packs that are being read.
pub(super) fn take_packs(
    policy: &mut Policy,
    root: &Node,
    (packs, within): (&[Pack], &[&'static str]),
    report: &mut Report<'_>,
) {
    policy.own_rules = policy.rules.len();
    let Some((_, _, node)) = pairs(root).find(|(_, word, _)| *word == "use") else { return };
    for (at, word) in report.words(node, "a pack such as `pack:git`").unwrap_or_default() {
        let known = packs.iter().find(|(name, _)| word.strip_prefix(PREFIX) == Some(*name));
        let Some((name, text)) = known else {
            let mut help = String::from("there are");
            for (position, (name, _)) in packs.iter().enumerate() {
                let _ = write!(help, "{} `{PREFIX}{name}`", if position > 0 { "," } else { "" });
            }
            report.add(at.at, format!("there is no `{word}`"), &help);
            continue;
        };
        if within.contains(name) {
            let way: Vec<&str> = within.iter().copied().chain([*name]).collect();
            report.add(at.at, "packs use each other in a circle", &way.join(" uses "));
            continue;
        }
        if policy.packs.contains(name) {
            continue;
        }
        let deeper: Vec<&'static str> = within.iter().copied().chain([*name]).collect();
        match file((Layer::Pack, &format!("{PREFIX}{name}"), text), (packs, &deeper)) {
            Ok(pack) => {
                policy.packs.push(name);
                policy.packs.extend(pack.packs.iter().filter(|name| !within.contains(name)));
                add_new(policy, pack.rules);
            }
            Err(error) => report.add(at.at, format!("`{word}` cannot be used"), &error.to_string()),
        }
    }
}

/// Adds the rules of packs whose rules are not there already.
fn add_new(policy: &mut Policy, rules: Vec<crate::rule::Rule>) {
    let mut is_there: Vec<Arc<str>> = Vec::new();
    for rule in policy.rules.get(policy.own_rules..).unwrap_or_default() {
        if is_there.last() != Some(&rule.id.file) {
            is_there.push(Arc::clone(&rule.id.file));
        }
    }
    policy.rules.extend(rules.into_iter().filter(|rule| !is_there.contains(&rule.id.file)));
}

/// Reads the `rules` inside jails, each a layer below the file.
pub(super) fn jail_rules(
    policy: &mut Policy,
    root: &Node,
    name: &Arc<str>,
    report: &mut Report<'_>,
) {
    let jails = pairs(root).find(|(_, word, _)| *word == "jails").map(|(_, _, jails)| jails);
    let mut total = 0;
    for (_, jail, node) in jails.into_iter().flat_map(pairs) {
        let Some((_, _, list)) = pairs(node).find(|(_, word, _)| *word == "rules") else {
            continue;
        };
        keep_rules_to(Layer::Jail, list, report);
        let known = rules::Known { executor: policy.default_executor, secrets: &BTreeMap::new() };
        let found = rules::rules(list, name, &known, report).unwrap_or_default();
        total += found.len();
        if total > MAX_JAIL_RULES {
            report.add(list.at, format!("jails have more than {MAX_JAIL_RULES} rules"), "");
            return;
        }
        let mut layer = Policy { rules: found, ..Policy::closed() };
        layer.on_unparsed = policy.on_unparsed;
        layer.tools = Arc::clone(&policy.tools);
        layer.index = Index::new(&layer.rules);
        layer.own_rules = layer.rules.len();
        layer.env = policy.env.clone();
        layer.approval_timeout = policy.approval_timeout;
        layer.approvers = policy.approvers.clone();
        policy.examples += examples::check(&layer, node, Some(jail), report);
        policy.jail_rules.insert(jail.to_owned(), layer);
    }
}

/// Loads every file and makes one policy of them.
pub(crate) fn assemble(sources: &[Source], packs: &[Pack]) -> Result<Policy, LoadError> {
    if sources.len() > MAX_FILES {
        return Err(LoadError::TooMany { limit: MAX_FILES });
    }
    let mut host: Option<Policy> = None;
    let (mut above, mut further, mut below) = (Vec::new(), Vec::new(), Vec::new());
    let mut problems = Diagnostics::default();
    for Source { layer, name, text } in sources {
        let loaded = match file((*layer, name, text), (packs, &[])) {
            Ok(loaded) => loaded,
            Err(LoadError::Refused(found)) => {
                problems.append(found);
                continue;
            }
            Err(error) => return Err(error),
        };
        match layer {
            Layer::Ceiling => above.push(loaded),
            Layer::Host if host.is_none() => host = Some(loaded),
            Layer::Host | Layer::Rules | Layer::Pack => further.push(loaded),
            Layer::Jail | Layer::Repository => below.push(loaded),
        }
    }
    if !problems.is_empty() {
        return Err(LoadError::Refused(problems));
    }
    let mut policy = host.unwrap_or_else(Policy::closed);
    if !further.is_empty() {
        let of_packs = policy.rules.split_off(policy.own_rules);
        let mut packs = vec![of_packs];
        for mut more in further {
            packs.push(more.rules.split_off(more.own_rules));
            policy.rules.append(&mut more.rules);
            policy.examples += more.examples;
            policy.packs.append(&mut more.packs);
        }
        policy.own_rules = policy.rules.len();
        packs.into_iter().for_each(|rules| add_new(&mut policy, rules));
        policy.index = Index::new(&policy.rules);
    }
    above.iter_mut().for_each(|layer| layer.called = "the ceiling");
    below.iter_mut().for_each(|layer| layer.called = "the repository's own file");
    for layer in above.iter_mut().chain(&mut below) {
        layer.env = policy.env.clone();
        if !layer.says.approval_timeout {
            layer.approval_timeout = policy.approval_timeout;
        }
    }
    // A ceiling that says nothing of what is not understood has it asked about, as any policy does.
    for layer in below.iter_mut().filter(|layer| !layer.says.on_unparsed) {
        layer.on_unparsed = policy.on_unparsed;
    }
    // A ceiling's hold for everything, its own rules included: see `bound_by_ceilings`.
    std::iter::once(&mut policy).chain(&mut below).for_each(limits::fill);
    policy.above = above;
    policy.below = below;
    policy.fingerprint = match sources {
        [Source { layer: Layer::Host, text, .. }] => fingerprint(text),
        _ => {
            let mut all = String::new();
            for Source { layer, text, .. } in sources {
                let _ = write!(all, "{layer} {}\n{text}\n", text.len());
            }
            fingerprint(&all)
        }
    };
    Ok(policy)
}

#[cfg(test)]
mod tests;
