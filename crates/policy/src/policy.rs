//! Policy: everything one policy file says, checked and ready to judge.
//! It is immutable; a changed file becomes a new `Policy`, never a change to this one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::decision::{Action, Decision, Executor, RuleId};
use crate::diagnostics::LoadError;
use crate::env::EnvRules;
use crate::explain::Explanation;
use crate::facts::Facts;
use crate::ghosts::{GhostImage, GhostImages};
use crate::index::Index;
use crate::layers::{Layer, Source};
use crate::load;
use crate::matchers::args::ArgsPattern;
use crate::matchers::glob::Glob;
use crate::matchers::name::NamePattern;
use crate::packs::{PACKS, PROFILES};
use crate::tools::OwnTools;

/// How long a person has to answer when the policy does not say: half an hour.
pub const DEFAULT_APPROVAL_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long a shim waits for a person before it tells its caller to come back: 100 seconds.
pub const DEFAULT_HOLD: Duration = Duration::from_secs(100);

/// A loaded policy. Share it as `Arc<Policy>`.
#[derive(Debug)]
pub struct Policy {
    pub(crate) default_action: Action,
    pub(crate) on_unparsed: Action,
    pub(crate) default_executor: Executor,
    pub(crate) default_timeout: Option<Duration>,
    pub(crate) approval_timeout: Duration,
    /// What a denial or a question says where its rule gives no reason.
    pub(crate) default_reason: Option<Box<str>>,
    pub(crate) default_suggest: Option<Arc<str>>,
    pub(crate) allowed_paths: Option<Vec<Glob>>,
    pub(crate) env: EnvRules,
    pub(crate) jails: BTreeMap<String, Jail>,
    /// Commands that get no shim for being spoken of.
    pub(crate) unshimmed: Vec<Glob>,
    pub(crate) ghost_images: GhostImages,
    pub(crate) tools: Arc<OwnTools>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) index: Index,
    pub(crate) fingerprint: String,
    /// How many examples its file has; they are checked and gone.
    pub(crate) examples: usize,
    /// What it says for itself, where it is not the host's.
    pub(crate) says: Says,
    /// What people call it, where it is a layer over or below the host's; empty for that itself.
    pub(crate) called: &'static str,
    /// The packs whose rules stand at the end, and how many rules there are before them.
    pub(crate) packs: Vec<&'static str>,
    pub(crate) own_rules: usize,
    /// Ceilings over this policy.
    pub(crate) above: Vec<Policy>,
    /// The rules of jails, by their names.
    pub(crate) jail_rules: BTreeMap<String, Policy>,
    /// Files that can only narrow it.
    pub(crate) below: Vec<Policy>,
}

/// Which defaults a file spells out: as a layer beside the host's policy it says nothing more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Says {
    pub(crate) action: bool,
    pub(crate) on_unparsed: bool,
    pub(crate) approval_timeout: bool,
}

/// One jail, as the policy describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jail {
    /// The tools that are intercepted, as bare names.
    pub commands: Vec<String>,
    /// Whether the jail is to be locked down as far as its host can.
    pub hardened: bool,
    /// How long a shim waits for a person; `None` is for ever.
    pub hold: Option<Duration>,
}

/// One rule of the simple form.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) commands: Vec<NamePattern>,
    /// `None` matches any arguments; otherwise one of these must match.
    pub(crate) args: Option<Vec<ArgsPattern>>,
    pub(crate) jail: Option<Glob>,
    pub(crate) conditions: Option<Box<crate::conditions::Conditions>>,
    pub(crate) action: Action,
    pub(crate) reason: Option<Box<str>>,
    pub(crate) executor: Option<Executor>,
    pub(crate) run_as: Option<Arc<str>>,
    pub(crate) timeout: RuleTimeout,
    pub(crate) approval_timeout: Option<Duration>,
    pub(crate) suggest: Option<Arc<str>>,
    pub(crate) dangerous_env: Option<Action>,
}

/// What a rule says about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleTimeout {
    /// Nothing: `default_timeout` holds.
    Unset,
    /// `0`: no limit, whatever `default_timeout` says.
    Never,
    /// This long.
    After(Duration),
}

impl Policy {
    /// Loads a policy from text; `name` is shown in diagnostics and rule names.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every error that was found, [`LoadError::TooLarge`].
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, LoadError> {
        load::from_text(name, text)
    }

    /// Loads a policy from all its layers: one [`crate::Layer::Host`] (without one, everything is denied that no other layer
    /// denies already), and any number of [`crate::Layer::Ceiling`], [`crate::Layer::Rules`] and [`crate::Layer::Repository`]. Files of
    /// further rules are read in the order given.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every error of every file, [`LoadError::TooLarge`], [`LoadError::TooMany`].
    pub fn from_sources(sources: &[Source]) -> Result<Self, LoadError> {
        load::layers::assemble(sources, PACKS)
    }

    /// Loads a policy from a regular file of at most [`crate::MAX_POLICY_BYTES`] bytes.
    ///
    /// # Errors
    /// Any [`LoadError`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        load::from_file(path)
    }

    /// A stock profile.
    #[must_use]
    pub fn profile(name: &str) -> Option<Source> {
        let (_, file, text) = PROFILES.iter().find(|(found, _, _)| *found == name)?;
        Some(Source::new(Layer::Host, *file, *text))
    }

    /// The names of the stock profiles; the first is the stock policy.
    pub fn profiles() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().map(|(name, _, _)| *name)
    }

    /// The text of a stock pack.
    #[must_use]
    pub fn pack(name: &str) -> Option<&'static str> {
        PACKS.iter().find(|(found, _)| *found == name).map(|(_, text)| *text)
    }

    /// The names of the stock packs, sorted.
    pub fn packs() -> impl Iterator<Item = &'static str> {
        PACKS.iter().map(|(name, _)| *name)
    }

    /// The stock policy, for a developer with a coding agent. Should the built-in text ever fail to load, which a test
    /// rules out, the result denies everything.
    #[must_use]
    pub fn stock() -> Self {
        Self::from_sources(&[Self::stock_source()]).unwrap_or_else(|_| Self::closed())
    }

    /// The same as a source, for who puts layers together or wants to start from it.
    #[must_use]
    pub fn stock_source() -> Source {
        let (_, file, text) = PROFILES[0];
        Source::new(Layer::Host, file, text)
    }

    /// A policy that denies everything.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            default_action: Action::Deny,
            on_unparsed: Action::Ask,
            default_executor: Executor::Mirror,
            default_timeout: None,
            approval_timeout: DEFAULT_APPROVAL_TIMEOUT,
            default_reason: None,
            default_suggest: None,
            allowed_paths: None,
            env: EnvRules::default(),
            jails: BTreeMap::new(),
            unshimmed: Vec::new(),
            ghost_images: GhostImages::default(),
            tools: Arc::default(),
            rules: Vec::new(),
            index: Index::default(),
            fingerprint: load::fingerprint(""),
            examples: 0,
            says: Says::default(),
            called: "",
            packs: Vec::new(),
            own_rules: 0,
            above: Vec::new(),
            jail_rules: BTreeMap::new(),
            below: Vec::new(),
        }
    }

    /// Judges one request.
    pub fn decide(&self, facts: &Facts<'_>) -> Decision {
        crate::judge::decide(self, facts)
    }

    /// Judges one request and tells which rules were passed over, and why.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        crate::explain::explain(self, facts)
    }

    /// Judges the `tests` of a text that has no other key by this policy, all its layers included. How many there are.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with every test that comes out otherwise, or is not one; [`LoadError::TooLarge`].
    pub fn test(&self, name: &str, text: &str) -> Result<usize, LoadError> {
        load::test(self, name, text)
    }

    /// How many examples its files have, which all came out as they say: `match`, `not_match` and `tests`.
    #[must_use]
    pub fn example_count(&self) -> usize {
        self.all_layers().map(|layer| layer.examples).sum()
    }

    /// What is allowed to stand in a policy and is most likely not meant: rules that are never reached, that
    /// contradict each other, that let more through than they say. Advice, in the order of the rules.
    #[must_use]
    pub fn lint(&self) -> Vec<crate::Lint> {
        crate::lint::lint(self)
    }

    /// The rules that would have answered what people had to answer in `past`, each at least `min` asks. The policy
    /// is that by which the rules are checked; nothing is changed but what is given here. With `shell_lines` a
    /// command that stands alone in a shell line counts as that command.
    #[must_use]
    pub fn suggest(
        self,
        past: &[crate::Past],
        min: usize,
        shell_lines: bool,
    ) -> crate::Suggestions {
        crate::suggest::suggest(self, past, min, shell_lines)
    }

    /// The JSON Schema of a policy file.
    #[must_use]
    pub fn schema() -> &'static str {
        crate::schema::TEXT
    }

    /// What happens when no rule matches.
    #[must_use]
    pub fn default_action(&self) -> Action {
        self.default_action
    }

    /// What happens to what is run through another command, and cannot be understood.
    #[must_use]
    pub fn on_unparsed(&self) -> Action {
        self.on_unparsed
    }

    /// Where a command runs when its rule does not say.
    #[must_use]
    pub fn default_executor(&self) -> Executor {
        self.default_executor
    }

    /// How long a person has to answer.
    #[must_use]
    pub fn approval_timeout(&self) -> Duration {
        self.approval_timeout
    }

    /// How long a shim of this jail waits for a person; `None` is for ever.
    #[must_use]
    pub fn hold(&self, jail: &str) -> Option<Duration> {
        self.jails.get(jail).map_or(Some(DEFAULT_HOLD), |jail| jail.hold)
    }

    /// The jails that the policy names, by name.
    pub fn jails(&self) -> impl Iterator<Item = (&str, &Jail)> {
        self.jails.iter().map(|(name, jail)| (name.as_str(), jail))
    }

    /// The `env:` section.
    #[must_use]
    pub fn env(&self) -> &EnvRules {
        &self.env
    }

    /// The image that `ghost_images` gives for a tool.
    #[must_use]
    pub fn ghost_image(&self, tool: &str) -> Option<&GhostImage> {
        self.ghost_images.find(tool)
    }

    /// SHA-256 of the text it was loaded from, in hex; of several texts, of all of them and their layers.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether a rule runs its command as a user of the warden's host.
    #[must_use]
    pub fn runs_as_others(&self) -> bool {
        self.rules.iter().any(|rule| rule.run_as.is_some())
    }

    /// Whether a rule asks for the name of a user or a group, which somebody has to look up.
    #[must_use]
    pub fn names_users(&self) -> bool {
        self.all_layers().any(|layer| layer.index.names_users)
    }

    /// Whether a rule cares where links lead, so that somebody has to follow them: see [`crate::Links`].
    #[must_use]
    pub fn follows_links(&self) -> bool {
        self.all_layers().any(|layer| layer.index.follows_links)
    }

    /// The variables that conditions of rules look at; each once in a layer.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.all_layers().flat_map(|layer| &layer.index.variables).map(|name| &**name)
    }

    /// How many rules there are, in all layers.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.all_layers().map(|layer| layer.rules.len()).sum()
    }

    /// The bare command names that rules and jails spell out, sorted, each once.
    #[must_use]
    pub fn commands(&self) -> Vec<&str> {
        let rules = self.all_layers().flat_map(|layer| &layer.rules);
        let in_rules = rules.flat_map(|rule| &rule.commands);
        let mut names: Vec<&str> = in_rules
            .flat_map(NamePattern::bare_names)
            .chain(self.jails.values().flat_map(|jail| jail.commands.iter().map(String::as_str)))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Those of [`Policy::commands`] that a run puts a shim in the place of: all but `unshimmed`.
    #[must_use]
    pub fn shimmed(&self) -> Vec<&str> {
        let is_left = |name: &str| self.unshimmed.iter().any(|glob| glob.matches(name.as_bytes()));
        let of_jails =
            |name| self.jails.values().any(|jail| jail.commands.iter().any(|c| c == name));
        let mut names = self.commands();
        names.retain(|name| !is_left(name) || of_jails(*name));
        names
    }
}

/// The id of a rule; its text has the last component of the file's name only. The parts are shared,
/// so that a decision costs no copy of them.
pub(crate) fn rule_id(file: &Arc<str>, line: u32, column: u32, index: u32, name: &str) -> RuleId {
    let short = file.rsplit('/').next().unwrap_or(file);
    let text = if name.is_empty() {
        format!("{short}:{line}")
    } else {
        format!("{short}:{line} ({name})")
    };
    RuleId { file: Arc::clone(file), line, column, index, text: text.into() }
}

/// The name that the file gives the rule; empty where it gives none.
pub(crate) fn rule_name(id: &RuleId) -> &str {
    let short = id.file.rsplit('/').next().unwrap_or(&id.file);
    let named = id.text.strip_prefix(&*format!("{short}:{} (", id.line));
    named.and_then(|name| name.strip_suffix(')')).unwrap_or_default()
}
