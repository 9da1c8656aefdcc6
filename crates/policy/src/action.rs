//! Action: what rules say, where it runs, and which rule said so.

use std::fmt;
use std::sync::Arc;

/// What is to happen with a request. Ordered from mild to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It runs.
    Allow,
    /// It waits for a person.
    Ask,
    /// It does not run.
    Deny,
}

impl Action {
    /// The word used in policy files and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an allowed command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Executor {
    /// Back in the prisoner, with the prisoner's authority.
    Mirror,
    /// In a container of its own.
    Ghost,
    /// As a child of the warden.
    Local,
}

impl Executor {
    /// The word used in policy files and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Ghost => "ghost",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which rule of which file, for people and for the ledger. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleId {
    /// Name of the file as it was given to the loader.
    pub file: Arc<str>,
    /// Line on which the rule starts, from 1.
    pub line: u32,
    /// Column in characters at which the rule starts, from 1.
    pub column: u32,
    /// Position among the rules of the file, from 0.
    pub index: u32,
    /// `file:line`, or `file:line (name)` where the rule has a name.
    pub text: Arc<str>,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
