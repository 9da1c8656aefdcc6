//! Load: from the text of a policy file to a checked `Policy`, or to every error found in it.
//! Nothing is half-loaded: one error anywhere and there is no policy.

mod approvers;
mod budget;
mod conditions;
mod examples;
mod ghosts;
pub(crate) mod layers;
mod limits;
mod node;
mod outcome;
pub(crate) mod recording;
mod report;
mod rules;
mod secrets;
mod sections;
mod structured;
mod text;
mod tools;
mod values;
mod yaml;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use self::node::Node;
use self::report::Report;
pub use self::values::parse_duration;
use crate::diagnostics::LoadError;
use crate::index::Index;
use crate::layers::{Layer, Source};
use crate::packs::{PACKS, Pack};
use crate::policy::Policy;

/// Largest policy file, in bytes: less than one megabyte. Ten thousand rules of the simple form fit, and reading what is
/// largest and worst stays a matter of milliseconds; more stands in files of its own.
pub const MAX_POLICY_BYTES: u64 = 999_999;

/// Most rules of all jails in one file.
const MAX_JAIL_RULES: usize = 20_000;

/// `O_NONBLOCK`, as Linux has it on x86-64 and aarch64, and elsewhere the BSDs.
const NONBLOCK: i32 = if cfg!(target_os = "linux") { 0o4000 } else { 0x4 };

const KEYS: &[&str] = &[
    "default_action",
    "default_executor",
    "default_timeout",
    "on_unparsed",
    "approval_timeout",
    "defaults",
    "allowed_paths",
    "env",
    "ghost_images",
    "secrets",
    "jails",
    "unshimmed",
    "tools",
    "rules",
    "tests",
    "use",
];

/// Every fixed key that the loader takes, by the part of the schema that lists it; the file's own under no name.
#[cfg(test)]
pub(crate) fn known_keys() -> [(&'static str, &'static [&'static str]); 19] {
    [
        ("", KEYS),
        ("rule", rules::KEYS),
        ("env", sections::ENV_KEYS),
        ("jail", sections::JAIL_KEYS),
        ("ghost", ghosts::KEYS),
        ("limits", limits::KEYS),
        ("secret", secrets::KEYS),
        ("defaults", outcome::DEFAULT_KEYS),
        ("approvers", approvers::APPROVER_KEYS),
        ("escalation", approvers::ESCALATE_KEYS),
        ("example", examples::EXAMPLE_KEYS),
        ("test", examples::TEST_KEYS),
        ("caller", conditions::CALLER_KEYS),
        ("container", conditions::CONTAINER_KEYS),
        ("structured", structured::KEYS),
        ("flags", structured::FLAG_KEYS),
        ("operands", structured::OPERAND_KEYS),
        ("tool", tools::KEYS),
        ("subcommand", tools::SUB_KEYS),
    ]
}

impl Policy {
    /// Loads a policy from text; `name` is shown in diagnostics and rule names.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every error that was found, [`LoadError::TooLarge`].
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, LoadError> {
        from_text(name, text)
    }

    /// Loads a policy from all its layers: one [`Layer::Host`] (without one, everything is denied that no other layer
    /// denies already), and any number of [`Layer::Ceiling`], [`Layer::Rules`] and [`Layer::Repository`]. Files of
    /// further rules are read in the order given.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every error of every file, [`LoadError::TooLarge`], [`LoadError::TooMany`].
    pub fn from_sources(sources: &[Source]) -> Result<Self, LoadError> {
        layers::assemble(sources, PACKS)
    }

    /// Loads a policy from a regular file of at most [`MAX_POLICY_BYTES`] bytes.
    ///
    /// # Errors
    /// Any [`LoadError`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        from_file(path)
    }

    /// The stock policy, for a developer with a coding agent. Should the built-in text ever fail to load, which a test
    /// rules out, the result denies everything.
    #[must_use]
    pub fn stock() -> Self {
        Self::from_sources(&[Self::stock_source()]).unwrap_or_else(|_| Self::closed())
    }

    /// Judges the `tests` of a text that has no other key by this policy, all its layers included. How many there are.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every test that comes out otherwise, or is not one; [`LoadError::TooLarge`].
    pub fn test(&self, name: &str, text: &str) -> Result<usize, LoadError> {
        by_tests(self, name, text)
    }
}

impl Source {
    /// Reads a regular file of at most [`MAX_POLICY_BYTES`] bytes.
    ///
    /// # Errors
    /// Any [`LoadError`] but [`LoadError::Refused`]: its text is not looked into.
    pub fn read(layer: Layer, path: &Path) -> Result<Self, LoadError> {
        Ok(Self::new(layer, path.to_string_lossy(), read(path)?))
    }
}

/// Reads a regular file of bounded size and loads it.
pub(crate) fn from_file(path: &Path) -> Result<Policy, LoadError> {
    from_text(&path.to_string_lossy(), &read(path)?)
}

/// Reads a regular file of bounded size.
pub(crate) fn read(path: &Path) -> Result<String, LoadError> {
    let read_error = |source| LoadError::Read { path: path.to_owned(), source };
    let not_a_file = || LoadError::NotAFile { path: path.to_owned() };
    // Looked at before it is opened, because opening a device can do something. What takes its place in between may
    // be a pipe, and is not waited for.
    if !std::fs::metadata(path).map_err(read_error)?.is_file() {
        return Err(not_a_file());
    }
    let opened = File::options().read(true).custom_flags(NONBLOCK).open(path);
    let file = opened.map_err(read_error)?;
    if !file.metadata().map_err(read_error)?.is_file() {
        return Err(not_a_file());
    }
    let mut bytes = Vec::new();
    file.take(MAX_POLICY_BYTES + 1).read_to_end(&mut bytes).map_err(read_error)?;
    String::from_utf8(bytes).map_err(|error| LoadError::NotText {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

/// Loads a policy from its text.
pub(crate) fn from_text(name: &str, text: &str) -> Result<Policy, LoadError> {
    layers::assemble(&[Source::new(Layer::Host, name, text)], PACKS)
}

/// Loads one file of a layer. `packs` are those that there are, `within` those that are being read.
fn file(
    (layer, name, text): (Layer, &str, &str),
    (packs, within): (&[Pack], &[&'static str]),
) -> Result<Policy, LoadError> {
    if u64::try_from(text.len()).map_or(true, |length| length > MAX_POLICY_BYTES) {
        return Err(LoadError::TooLarge { name: name.to_owned(), limit: MAX_POLICY_BYTES });
    }
    let mut report = Report::new(name, text);
    let policy = yaml::read(text, &mut report).and_then(|root| {
        if examples::are_too_many(&root, &mut report) {
            return None;
        }
        let mut policy = Policy::closed();
        let name = Arc::from(name);
        layers::keep_to(layer, &root, &mut report);
        fill(&mut policy, &root, &name, &mut report)?;
        layers::take_packs(&mut policy, &root, (packs, within), &mut report);
        // It takes a while, and what is refused needs none.
        if report.is_clean() {
            policy.index = Index::new(&policy.rules);
        }
        layers::jail_rules(&mut policy, &root, &name, &mut report);
        // A pack's own examples were tried when it was made.
        if layer != Layer::Pack {
            policy.examples += examples::check(&policy, &root, None, &mut report);
        }
        Some(policy)
    });
    match (policy, report.finish()) {
        (Some(policy), None) => Ok(policy),
        (_, found) => Err(LoadError::Refused(found.unwrap_or_default())),
    }
}

/// Judges the `tests` of a file that has nothing else by `policy`. How many there are.
fn by_tests(policy: &Policy, name: &str, text: &str) -> Result<usize, LoadError> {
    if u64::try_from(text.len()).map_or(true, |length| length > MAX_POLICY_BYTES) {
        return Err(LoadError::TooLarge { name: name.to_owned(), limit: MAX_POLICY_BYTES });
    }
    let mut report = Report::new(name, text);
    let count = yaml::read(text, &mut report).map_or(0, |root| {
        report.fields(&root, "the keys of a file of tests", &["tests"]);
        examples::check(policy, &root, None, &mut report)
    });
    match report.finish() {
        None => Ok(count),
        Some(found) => Err(LoadError::Refused(found)),
    }
}

fn fill(policy: &mut Policy, root: &Node, file: &Arc<str>, report: &mut Report<'_>) -> Option<()> {
    let mut rules = None;
    for (key, node) in report.fields(root, "policy keys", KEYS)? {
        match key {
            "default_action" => {
                policy.says.action = true;
                policy.default_action = report.action(node).unwrap_or(policy.default_action);
            }
            "on_unparsed" => {
                policy.says.on_unparsed = true;
                policy.on_unparsed = report.action(node).unwrap_or(policy.on_unparsed);
            }
            "default_executor" => {
                policy.default_executor = report.executor(node).unwrap_or(policy.default_executor);
            }
            "default_timeout" => policy.default_timeout = report.duration(node).flatten(),
            "approval_timeout" => {
                policy.says.approval_timeout = true;
                let timeout = outcome::approval_timeout(node, report);
                policy.approval_timeout = timeout.unwrap_or(policy.approval_timeout);
            }
            "defaults" => outcome::defaults(policy, node, (file, root), report),
            "allowed_paths" => policy.allowed_paths = sections::allowed_paths(node, report),
            "env" => policy.env = sections::env(node, report).unwrap_or_default(),
            "ghost_images" => {
                policy.ghost_images = ghosts::ghost_images(node, report).unwrap_or_default();
            }
            "secrets" => policy.secrets = secrets::secrets(node, report).unwrap_or_default(),
            "tools" => policy.tools = Arc::new(tools::tools(node, report).unwrap_or_default()),
            // They speak of the whole policy, so they come when it is there.
            "tests" | "use" => {}
            "unshimmed" => policy.unshimmed = sections::unshimmed(node, report).unwrap_or_default(),
            "jails" => policy.jails = sections::jails(node, report).unwrap_or_default(),
            _ => rules = Some(node),
        }
    }
    // Behind all others: what a rule may say can depend on them.
    if let Some(node) = rules {
        let executor = policy.default_executor;
        let known = rules::Known { executor, secrets: &policy.secrets };
        policy.rules = rules::rules(node, file, &known, report).unwrap_or_default();
    }
    Some(())
}

#[cfg(test)]
mod tests;
