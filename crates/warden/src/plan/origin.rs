//! Origin: by which jails and containers what runs is reached, when a person stops some of it.

use crate::jails::JailName;

/// Whom a command runs for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The jail that it was asked in, and the one that the caller belongs to where that is another.
    pub(crate) jails: Vec<JailName>,
    /// The id of the container that it was asked from.
    pub(crate) container: Option<String>,
    /// Without one: it was asked from none, which is not so where nobody can tell.
    pub(crate) is_told: bool,
}
