//! Whose share a request takes of what all have in common. For fairness alone: nothing is allowed or denied by it.

use crate::jails::{Jail, JailName, Prisoner};

/// One user's processes in one prisoner, or in one jail outside of any prisoner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    jail: JailName,
    prisoner: Option<String>,
    uid: Option<u32>,
}

impl Account {
    /// The account of a caller with this user, as far as it is known.
    pub(crate) fn new(jail: &Jail, prisoner: Option<&Prisoner>, uid: Option<u32>) -> Self {
        let prisoner = prisoner.map(|prisoner| prisoner.id.clone());
        Self { jail: jail.name.clone(), prisoner, uid }
    }

    #[cfg(test)]
    pub(crate) fn of_uid(uid: u32) -> Self {
        Self { jail: JailName::default_jail(), prisoner: None, uid: Some(uid) }
    }
}
