//! Rule: one entry of `rules`, checked. What it takes of a command is for the matchers to say.

use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, Executor, RuleId};
use crate::approvers::Said as Approval;
use crate::bounds::Bounds;
use crate::conditions::Conditions;
use crate::ghosts::GhostRule;
use crate::matchers::args::ArgsPattern;
use crate::matchers::glob::Glob;
use crate::matchers::name::NamePattern;
use crate::recording::Said;

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) commands: Vec<NamePattern>,
    /// `None` matches any arguments; otherwise one of these must match.
    pub(crate) args: Option<Vec<ArgsPattern>>,
    pub(crate) jail: Option<Glob>,
    pub(crate) conditions: Option<Box<Conditions>>,
    pub(crate) action: Action,
    pub(crate) reason: Option<Box<str>>,
    pub(crate) executor: Option<Executor>,
    pub(crate) run_as: Option<Arc<str>>,
    pub(crate) timeout: RuleTimeout,
    pub(crate) approval_timeout: Option<Duration>,
    /// Who answers, as far as it says.
    pub(crate) approvers: Option<Box<Approval>>,
    pub(crate) suggest: Option<Arc<str>>,
    pub(crate) dangerous_env: Option<Action>,
    /// What its commands are kept to.
    pub(crate) bounds: Option<Arc<Bounds>>,
    /// For the executor `ghost`.
    pub(crate) ghost: Option<Arc<GhostRule>>,
    /// For the executor `mirror`: the warden stays with it.
    pub(crate) supervised: bool,
    /// What of it is recorded, as far as it says.
    pub(crate) record: Said,
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
