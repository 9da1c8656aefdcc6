//! Records of what was asked for, and of what the policy said.

use serde::{Deserialize, Serialize};

use crate::ledger::argv::Argv;
use crate::ledger::id::Id;

/// Who asked, as the kernel says. What is unknown is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The container that it sits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The prisoner that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prisoner: Option<String>,
}

/// A container, as the container engine told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
}

/// Payload of [`Record::Requested`](super::Record::Requested).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The request.
    pub id: Id,
    /// The jail that it came in through.
    pub jail: String,
    /// Who asked.
    pub caller: Caller,
    /// What was asked for.
    #[serde(flatten)]
    pub argv: Argv,
    /// The working directory, resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The file that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// The version of the intercom that the client speaks.
    pub version: u8,
}

/// Payload of [`Record::Decided`](super::Record::Decided).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The request.
    pub id: Id,
    /// `allow`, `ask` or `deny`.
    pub decision: String,
    /// The rule that gave it; absent for the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the agent is told to do instead, where the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<String>,
    /// Facts that weighed on it; see [`names`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed: Vec<String>,
    /// In a dry run: it runs all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub let_through: bool,
    /// Where it is to run: `mirror`, `ghost` or `local`.
    pub executor: String,
    /// The user of the warden's host that it is to run as, where a rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
}
