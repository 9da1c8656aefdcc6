//! `ghost_images`: tools to images, each alone or with what its containers get; and what a rule says of its ghosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{Node, Value};
use super::report::Report;
use crate::action::Executor;
use crate::bounds::Limits;
use crate::ghosts::{GhostImage, GhostImages, GhostRule, GhostUser, Pull, Secret};
use crate::matchers::glob::Kind;

/// Those of a rule that only a ghost can keep.
pub(super) const RULE_KEYS: &[&str] = &["image", "network", "secrets", "fallback"];

pub(super) const KEYS: &[&str] = &["image", "network", "memory", "user", "pull"];

/// Most entries.
const MAX_IMAGES: usize = 1_000;
/// Least memory that a container can be given; engines refuse less.
const MIN_MEMORY: u64 = 6 * 1024 * 1024;

/// Reads the section.
pub(super) fn ghost_images(node: &Node, report: &mut Report<'_>) -> Option<GhostImages> {
    let entries = report.entries(node, "tools to images")?;
    if entries.len() > MAX_IMAGES {
        report.add(node.at, format!("more than {MAX_IMAGES} images"), "");
        return None;
    }
    let mut images = Vec::with_capacity(entries.len());
    for (key, tool, value) in entries {
        let is_glob = tool.contains(['*', '?', '[', '{', '\\']);
        let glob = if is_glob && !tool.contains('/') {
            report.glob(key, tool, Kind::Text)
        } else {
            report.tool_name(key, tool).and_then(|name| report.glob(key, &name, Kind::Text))
        };
        if let (Some(glob), Some(image)) = (glob, entry(value, report)) {
            images.push((glob, image));
        }
    }
    Some(GhostImages(images))
}

/// What a rule whose commands run at `place` says of its ghosts, which it keeps to `limits`.
pub(super) fn rule(
    fields: &[(&str, &Node)],
    (place, limits): (Executor, Limits),
    known: &BTreeMap<String, Arc<Secret>>,
    report: &mut Report<'_>,
) -> Option<GhostRule> {
    let mut found = GhostRule { limits, ..GhostRule::default() };
    let said: Vec<_> = fields.iter().filter(|(key, _)| RULE_KEYS.contains(key)).collect();
    let falls_back = said.iter().any(|(key, _)| *key == "fallback");
    for &&(key, node) in &said {
        if place != Executor::Ghost {
            let help = match (key, place) {
                ("secrets", Executor::Mirror) => {
                    "the prisoner can read whatever a process of its own has; write `executor: ghost` beside it"
                }
                _ => "only a ghost keeps to it: write `executor: ghost` beside it",
            };
            report.add(node.at, format!("`{key}` without `executor: ghost`"), help);
            continue;
        }
        if falls_back && matches!(key, "secrets" | "network") {
            let help = "a local run would not keep to it; leave one of them out";
            report.add(node.at, format!("`{key}` beside `fallback: local`"), help);
        }
        match key {
            "image" => found.image = image(node, report),
            "network" => found.network = network(node, report),
            "secrets" => found.secrets = secrets(node, known, report),
            _ => {
                found.falls_back =
                    report.choice(node, "fallback", &[("local", true)]).unwrap_or_default();
            }
        }
    }
    let is_bound = place == Executor::Ghost && !limits.is_empty();
    (is_bound || !said.is_empty()).then_some(found)
}

fn secrets(
    node: &Node,
    known: &BTreeMap<String, Arc<Secret>>,
    report: &mut Report<'_>,
) -> Vec<Arc<Secret>> {
    let mut found: Vec<Arc<Secret>> = Vec::new();
    for (at, name) in report.words(node, "a secret's name, or a list of them").unwrap_or_default() {
        let Some(secret) = known.get(name) else {
            let help =
                "name it in `secrets` of the policy itself; further files and packs have none";
            report.add(at.at, format!("there is no secret `{name}`"), help);
            continue;
        };
        if found.iter().any(|other| other.form == secret.form) {
            let help = "two secrets cannot be the same file or variable";
            report.add(at.at, format!("the place of the secret `{name}` is taken"), help);
            continue;
        }
        found.push(Arc::clone(secret));
    }
    found
}

fn entry(node: &Node, report: &mut Report<'_>) -> Option<GhostImage> {
    let mut found = GhostImage::plain("");
    if !matches!(node.value, Value::Map(_)) {
        found.image = image(node, report)?;
        return Some(found);
    }
    let mut named = None;
    for (key, node) in report.fields(node, "an image's keys", KEYS)? {
        match key {
            "image" => named = image(node, report),
            "network" => found.network = network(node, report).flatten(),
            "memory" => found.memory = memory(node, report),
            "user" => found.user = user(node, report).unwrap_or_default(),
            _ => {
                let choices =
                    [("missing", Pull::Missing), ("always", Pull::Always), ("never", Pull::Never)];
                found.pull = report.choice(node, "pull policy", &choices).unwrap_or_default();
            }
        }
    }
    let Some(image) = named else {
        let help = "it is at least `{image: node:22-alpine}`";
        report.add(node.at, "there is no `image`, or a bad one", help);
        return None;
    };
    found.image = image;
    Some(found)
}

fn image(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let image = report.word(node, "an image such as `node:22-alpine`")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let starts = image.starts_with(|c: char| c.is_ascii_alphanumeric());
    if image.len() > 512 || !starts || !image.chars().all(fits) {
        let help = "an image is named as `node:22-alpine` or `registry.example/tools/node:22`";
        report.add(node.at, format!("bad image `{image}`"), help);
        return None;
    }
    Some(image.to_owned())
}

/// `none`, or the name of a network that the engine has. Those that are the host's own are no network of a ghost's.
fn network(node: &Node, report: &mut Report<'_>) -> Option<Option<String>> {
    let name = report.word(node, "a network's name, or `none`")?;
    if name == "none" {
        return Some(None);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() > 128 || !starts || !name.chars().all(fits) {
        let help = "a network is named with letters, digits, `.`, `_` and `-`";
        report.add(node.at, format!("bad network `{name}`"), help);
    } else if matches!(name, "host" | "container") {
        let help = "name a network that was made for it, or `none`";
        report.add(node.at, format!("a ghost has no network `{name}`"), help);
    } else {
        return Some(Some(name.to_owned()));
    }
    None
}

/// A number of bytes with a unit of 1,024.
pub(super) fn memory(node: &Node, report: &mut Report<'_>) -> Option<u64> {
    size(node, MIN_MEMORY, "at least `6m`", report)
}

pub(super) fn size(
    node: &Node,
    least: u64,
    help_of_least: &str,
    report: &mut Report<'_>,
) -> Option<u64> {
    let text = report.word(node, "a size such as `512m`")?;
    let shift = match text.bytes().last() {
        Some(b'k') => 10,
        Some(b'm') => 20,
        Some(b'g') => 30,
        _ => 0,
    };
    let digits = if shift == 0 { "" } else { text.get(..text.len() - 1).unwrap_or_default() };
    let size = if digits.bytes().all(|b| b.is_ascii_digit()) {
        digits.parse::<u64>().ok().and_then(|size| size.checked_mul(1 << shift))
    } else {
        None
    };
    let help = "write a number and a unit, such as `512m` or `2g`";
    match size {
        Some(size) if size >= least && i64::try_from(size).is_ok() => return Some(size),
        Some(_) => report.add(node.at, format!("`{text}` is out of bounds"), help_of_least),
        None => report.add(node.at, format!("bad size `{text}`"), help),
    }
    None
}

/// `caller`, or `UID:GID`.
fn user(node: &Node, report: &mut Report<'_>) -> Option<GhostUser> {
    let text = report.word(node, "`caller`, or a user and a group such as `1000:1000`")?;
    if text == "caller" {
        return Some(GhostUser::Caller);
    }
    let ids = text.split_once(':').and_then(|(uid, gid)| {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|id| is_number && *id != u32::MAX)
        };
        Some((number(uid)?, number(gid)?))
    });
    match ids {
        Some((0, _)) => {
            let help = "what root makes in the workspace can be root's on the host";
            report.add(node.at, "a ghost does not run as root", help);
        }
        Some((uid, gid)) => return Some(GhostUser::Ids { uid, gid }),
        None => {
            let help = "write `caller`, or a user and a group by number, such as `1000:1000`";
            report.add(node.at, format!("bad user `{text}`"), help);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::{GhostImage, GhostUser, Policy, Pull};

    fn policy(section: &str) -> Policy {
        Policy::from_yaml("p.yaml", section).unwrap_or_else(|error| panic!("{error}"))
    }

    fn plain(image: &str) -> GhostImage {
        GhostImage {
            image: image.to_owned(),
            network: None,
            memory: None,
            user: GhostUser::Caller,
            pull: Pull::Missing,
        }
    }

    #[test]
    fn the_very_name_comes_before_globs_and_these_in_the_order_of_the_file() {
        let policy = policy("ghost_images: {'py*': 'a:1', '{p,q}*': 'b:1', pip: 'c:1'}");
        let image = |tool| policy.ghost_image(tool).map(|found| found.image.as_str());
        assert_eq!(image("pip"), Some("c:1"));
        assert_eq!(image("python3"), Some("a:1"));
        assert_eq!(image("q"), Some("b:1"));
        assert_eq!(image("npm"), None);
    }

    #[test]
    fn what_is_not_said_is_the_least() {
        let policy = policy(
            "ghost_images:
  npm: node:22
  pip: {image: 'python:3', network: pypi, memory: 2g, user: '1000:100', pull: never}
  go: {image: 'golang:1', network: none, user: caller, pull: always}",
        );
        assert_eq!(policy.ghost_image("npm"), Some(&plain("node:22")));
        let wanted = GhostImage {
            network: Some("pypi".to_owned()),
            memory: Some(2 << 30),
            user: GhostUser::Ids { uid: 1000, gid: 100 },
            pull: Pull::Never,
            ..plain("python:3")
        };
        assert_eq!(policy.ghost_image("pip"), Some(&wanted));
        let wanted = GhostImage { pull: Pull::Always, ..plain("golang:1") };
        assert_eq!(policy.ghost_image("go"), Some(&wanted));
    }

    #[test]
    fn what_would_be_no_ghost_is_refused_where_it_stands() {
        for (entry, fact) in [
            ("{network: x}", "there is no `image`"),
            ("{image: -x}", "bad image `-x`"),
            ("{image: a, network: host}", "a ghost has no network `host`"),
            ("{image: a, network: 'a b'}", "bad network `a b`"),
            ("{image: a, memory: 512}", "bad size `512`"),
            ("{image: a, memory: m}", "bad size `m`"),
            ("{image: a, memory: 5m}", "`5m` is out of bounds"),
            ("{image: a, memory: 9999999999g}", "out of bounds"),
            ("{image: a, user: '0:0'}", "does not run as root"),
            ("{image: a, user: root}", "bad user `root`"),
            ("{image: a, user: '1000:'}", "bad user `1000:`"),
            ("{image: a, pull: often}", "often"),
            ("{image: a, privileged: true}", "privileged"),
        ] {
            let error = Policy::from_yaml("p.yaml", &format!("ghost_images: {{npm: {entry}}}"));
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(fact), "{entry}: {error}");
        }
    }
}
