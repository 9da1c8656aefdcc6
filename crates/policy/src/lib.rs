//! policy.yaml, and the decision it gives for a request.
//!
//! Pure: nothing here does I/O but [`Policy::load`] and [`Source::read`], nothing is unsafe, and no input makes it panic.
//! What cannot be told makes a decision stricter, never milder.

#![forbid(unsafe_code)]

mod action;
mod approvers;
mod bounds;
#[cfg(test)]
#[path = "../tests/cases/words.rs"]
mod case_words;
mod conditions;
mod decision;
mod diagnostics;
mod env;
mod explain;
mod facts;
mod ghosts;
mod index;
mod judge;
mod layers;
mod lint;
mod load;
mod matchers;
mod named;
mod packs;
mod places;
mod policy;
mod recording;
mod rule;
mod schema;
mod shell;
mod suggest;
mod through;
mod tools;

pub use action::{Action, Executor, RuleId};
pub use approvers::{Approvers, Escalation, OnNone};
pub use bounds::{Bounds, Limits, Quota, Rate, size};
pub use decision::{Decision, Notice, Timeout};
pub use diagnostics::{Diagnostic, Diagnostics, LoadError, MAX_DIAGNOSTICS};
pub use env::{EnvRules, is_dangerous, why_dangerous};
pub use explain::{Explanation, Step, Verdict};
pub use facts::{Contained, ContainerFacts, Facts, Links};
pub use ghosts::{
    GHOST_MEMORY, GHOST_PIDS, Ghost, GhostImage, GhostUser, Pull, SAME, Secret, SecretForm,
    SecretSource,
};
pub use judge::Inside;
pub use layers::{Layer, Source};
pub use lint::{Lint, LintKind};
pub use load::{MAX_POLICY_BYTES, parse_duration};
pub use named::Named;
pub use places::is_system_folder;
pub use policy::{
    DEFAULT_APPROVAL_TIMEOUT, DEFAULT_HOLD, DEFAULT_RECONNECT, Jail, MAX_RECONNECT, Policy,
};
pub use recording::{DEFAULT_RECORD_BYTES, Recorded, Recording};
pub use suggest::{
    Answer, BothWays, Left, Past, Pattern, Suggestion, Suggestions, runs_what_it_reads,
};
