//! Judging a request again that waits for a person: what the policy denies by then, nobody can approve.
//! It only ever refuses; what a later policy would allow is still asked.

use std::sync::Arc;

use clawrden_policy::{Action, Facts};

use crate::jails::Jail;
use crate::plan::Plan;

/// Bytes of the longest argument vector that is kept for this. A longer request cannot be approved after a change.
const MAX_WORDS: usize = 16 * 1024;

/// What a request was judged by, kept for as long as it waits.
#[derive(Debug)]
pub(crate) struct Case {
    jail: Arc<Jail>,
    /// The generation of the jail's policies that judged.
    generation: u64,
    name: Vec<u8>,
    path: Option<Vec<u8>>,
    tool: Option<Vec<u8>>,
    /// Each ended by a NUL; `None` for too many.
    words: Option<Vec<u8>>,
    cwd: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    changed_env: Vec<Vec<u8>>,
}

/// Why a request cannot be approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    /// The rule that denies it.
    pub(crate) rule: Option<String>,
    /// Why.
    pub(crate) reason: String,
}

impl Case {
    /// Keeps what `plan` was judged by, with policies of this generation.
    pub(crate) fn of(plan: &Plan, generation: u64) -> Self {
        plan.with_facts(|facts| {
            let length: usize = facts.argv.iter().map(|word| word.len() + 1).sum();
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            Self {
                jail: Arc::clone(&plan.jail),
                generation,
                name: facts.name.to_vec(),
                path: owned(facts.path),
                tool: owned(facts.tool),
                words: (length <= MAX_WORDS).then(|| {
                    facts.argv.iter().flat_map(|word| word.iter().copied().chain([0])).collect()
                }),
                cwd: owned(facts.cwd),
                uid: facts.uid,
                gid: facts.gid,
                changed_env: facts.changed_env.iter().map(|name| name.to_vec()).collect(),
            }
        })
    }

    /// What the policies in force have against it by now.
    pub(crate) fn objection(&self) -> Option<Objection> {
        let policies = self.jail.policies();
        if policies.generation == self.generation {
            return None;
        }
        let Some(words) = &self.words else {
            let reason = "the policy was changed while it waited, and it is too long to be judged again; \
                          repeat the command";
            return Some(Objection { rule: None, reason: reason.to_owned() });
        };
        let mut argv: Vec<&[u8]> = words.split(|&byte| byte == 0).collect();
        // Behind the last NUL is nothing.
        argv.pop();
        let changed: Vec<&[u8]> = self.changed_env.iter().map(Vec::as_slice).collect();
        let decision = policies.decide(&Facts {
            jail: self.jail.name.as_str(),
            name: &self.name,
            path: self.path.as_deref(),
            tool: self.tool.as_deref(),
            argv: &argv,
            cwd: self.cwd.as_deref(),
            uid: self.uid,
            gid: self.gid,
            changed_env: &changed,
        });
        (decision.action == Action::Deny).then(|| Objection {
            rule: decision.rule.as_ref().map(ToString::to_string),
            reason: decision.reason,
        })
    }

    /// The bytes that keeping it costs, about.
    pub(crate) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<Self>()
            + self.name.len()
            + [&self.path, &self.tool, &self.words, &self.cwd].map(length).iter().sum::<usize>()
            + self.changed_env.iter().map(|name| name.len() + size_of::<Vec<u8>>()).sum::<usize>()
    }
}
