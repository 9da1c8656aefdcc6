//! A `clawrden run` that makes itself known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `POST /api/prisoners`: a `clawrden run` makes itself known before it starts its command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrisonerRequest {
    /// The wanted jail; absent: one is found or made for this policy.
    #[serde(default)]
    pub jail: Option<String>,
    /// The policy's text with the name to show for it; absent: the stock policy.
    #[serde(default)]
    pub policy: Option<PolicySource>,
    /// A repository's own policy file, which narrows the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<PolicySource>,
    /// The tools to intercept; empty: those of the policy.
    #[serde(default)]
    pub tools: Vec<String>,
    /// The command, for people.
    pub command: Vec<String>,
    /// Labels, for approvers.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Deny every ask at once.
    #[serde(default)]
    pub unattended: bool,
    /// Base64 of the environment that the prisoner is started with: `NAME=value` entries, each ended by a NUL.
    pub environment: String,
}

/// The answer to `POST /api/prisoners`. The prisoner ends when the process that registered it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrisonerAnswer {
    /// The prisoner's id.
    pub id: String,
    /// The jail.
    pub jail: String,
    /// Its intercom socket.
    pub socket: String,
    /// The folder of its shims, to be put first on PATH.
    pub bin: String,
    /// The tools that have a shim there.
    pub tools: Vec<String>,
    /// The ledger.
    pub ledger: String,
    /// Where the policy came from.
    pub policy: String,
}

/// A policy that travels with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// What to call it in rules and diagnoses: a path.
    pub name: String,
    /// The file's text.
    pub text: String,
}
