//! Request: one of a history, as the ledger has it.

use crate::action::Action;
use crate::matchers::name::SYSTEM;

/// One request of a history.
#[derive(Clone, Debug)]
pub struct Past {
    /// The argument vector, whole and as it was.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The jail that it came from.
    pub jail: String,
    /// Who asked.
    pub uid: Option<u32>,
    /// Whose primary group this was.
    pub gid: Option<u32>,
    /// What the policy decided then.
    pub was: Action,
    /// What a person answered.
    pub answer: Option<Answer>,
}

/// What a person answered to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether it may run.
    pub approved: bool,
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// It was given to an earlier request and kept for this one: no person looked at this.
    pub kept: bool,
}

/// The tool that the words stand for: a bare name, or one of the system's places.
pub(super) fn tool(argv: &[String]) -> Option<&str> {
    let name = argv.first()?;
    let in_system =
        || SYSTEM.iter().find_map(|dir| name.strip_prefix(std::str::from_utf8(dir).ok()?));
    let bare = if name.contains('/') { in_system()? } else { name };
    (!bare.is_empty() && !bare.contains('/')).then_some(bare)
}
