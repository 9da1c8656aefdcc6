//! Policy: everything one policy file says, checked and ready to judge.
//! It is immutable; a changed file becomes a new `Policy`, never a change to this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::action::{Action, Executor};
use crate::approvers::{Approvers, Said as Approval};
use crate::bounds::Bounds;
use crate::env::EnvRules;
use crate::ghosts::{GhostImage, GhostImages, Secret};
use crate::index::Index;
use crate::matchers::glob::Glob;
use crate::matchers::name::NamePattern;
use crate::recording::Usual;
use crate::rule::Rule;
use crate::tools::OwnTools;

/// How long a person has to answer when the policy does not say: half an hour.
pub const DEFAULT_APPROVAL_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long a shim waits for a person before it tells its caller to come back: 100 seconds.
pub const DEFAULT_HOLD: Duration = Duration::from_secs(100);

/// How long a shim that waits for a person looks for a warden that has gone, unless the jail says otherwise.
pub const DEFAULT_RECONNECT: Duration = Duration::from_secs(60);

/// The longest that a jail may say: what a shim is told of it are whole seconds, as many as two bytes can say.
pub const MAX_RECONNECT: Duration = Duration::from_secs(18 * 60 * 60);

/// A loaded policy. Share it as `Arc<Policy>`.
#[derive(Debug)]
pub struct Policy {
    pub(crate) default_action: Action,
    pub(crate) on_unparsed: Action,
    pub(crate) default_executor: Executor,
    pub(crate) default_timeout: Option<Duration>,
    pub(crate) approval_timeout: Duration,
    /// Who answers what is asked where a rule does not say.
    pub(crate) approvers: Approval,
    /// What a denial or a question says where its rule gives no reason.
    pub(crate) default_reason: Option<Box<str>>,
    pub(crate) default_suggest: Option<Arc<str>>,
    pub(crate) record: Usual,
    /// What commands are kept to where no rule says it.
    pub(crate) bounds: Option<Arc<Bounds>>,
    pub(crate) allowed_paths: Option<Vec<Glob>>,
    pub(crate) env: EnvRules,
    pub(crate) jails: BTreeMap<String, Jail>,
    /// Commands that get no shim for being spoken of.
    pub(crate) unshimmed: Vec<Glob>,
    pub(crate) ghost_images: GhostImages,
    pub(crate) secrets: BTreeMap<String, Arc<Secret>>,
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
    /// How long a shim that waits for a person looks for a warden that has gone.
    pub reconnect: Duration,
    /// The folders that its ghosts share with it; absolute and plain.
    pub workspace: Vec<String>,
}

impl Policy {
    /// A policy that denies everything.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            default_action: Action::Deny,
            on_unparsed: Action::Ask,
            default_executor: Executor::Mirror,
            default_timeout: None,
            approval_timeout: DEFAULT_APPROVAL_TIMEOUT,
            approvers: Approval::default(),
            default_reason: None,
            default_suggest: None,
            record: Usual::default(),
            bounds: None,
            allowed_paths: None,
            env: EnvRules::default(),
            jails: BTreeMap::new(),
            unshimmed: Vec::new(),
            ghost_images: GhostImages::default(),
            secrets: BTreeMap::new(),
            tools: Arc::default(),
            rules: Vec::new(),
            index: Index::default(),
            fingerprint: fingerprint(""),
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

    /// How many examples its files have, which all came out as they say: `match`, `not_match` and `tests`.
    #[must_use]
    pub fn example_count(&self) -> usize {
        self.all_layers().map(|layer| layer.examples).sum()
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

    /// How long a shim of this jail that waits for a person looks for a warden that has gone.
    #[must_use]
    pub fn reconnect(&self, jail: &str) -> Duration {
        self.jails.get(jail).map_or(DEFAULT_RECONNECT, |jail| jail.reconnect)
    }

    /// The jails that the policy names, by name.
    pub fn jails(&self) -> impl Iterator<Item = (&str, &Jail)> {
        self.jails.iter().map(|(name, jail)| (name.as_str(), jail))
    }

    /// Whether this jail is to be locked down.
    #[must_use]
    pub fn hardens(&self, jail: &str) -> bool {
        self.jails.get(jail).is_some_and(|jail| jail.hardened)
    }

    /// The secrets that it declares, by name.
    pub fn secrets(&self) -> impl Iterator<Item = &Arc<Secret>> {
        self.secrets.values()
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

    /// The folders that ghosts of this jail share with it; empty where the policy does not say.
    #[must_use]
    pub fn workspace(&self, jail: &str) -> &[String] {
        self.jails.get(jail).map_or(&[], |jail| &jail.workspace)
    }

    /// Whether a command may come to run in a ghost.
    #[must_use]
    pub fn runs_ghosts(&self) -> bool {
        self.all_layers().any(|layer| {
            layer.default_executor == Executor::Ghost
                || layer.rules.iter().any(|rule| rule.executor == Some(Executor::Ghost))
        })
    }

    /// What every rule and every `defaults` wants of who answers.
    pub fn approvers(&self) -> impl Iterator<Item = Arc<Approvers>> {
        self.all_layers().flat_map(|layer| {
            let of_rules = layer.rules.iter().filter_map(|rule| rule.approvers.as_deref());
            let all = of_rules.filter_map(|said| said.over(&layer.approvers));
            all.chain(Approval::default().over(&layer.approvers))
        })
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

    /// Whether a rule looks at the caller's container, so that it is worth asking the container engine.
    #[must_use]
    pub fn names_containers(&self) -> bool {
        self.all_layers().any(|layer| layer.index.names_containers)
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

/// SHA-256 of the text, in hex.
pub(crate) fn fingerprint(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
