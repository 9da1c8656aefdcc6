//! Answers: what a person said about a request, and what came of saying it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approval::Approval;
use super::clock::Now;
use super::scope::Scope;
use super::vote::Vote;
use crate::ledger::Id;
use crate::metrics::AnswerKind;
use crate::people::Doors;

/// A person's word on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// It may run.
    pub approve: bool,
    /// Who says so.
    pub who: String,
    /// Through what: `cli`, `api` …
    pub channel: String,
    /// From where.
    pub from: Option<String>,
    /// Why. A denial's reason goes to the agent.
    pub reason: Option<String>,
    /// For what an approval is good.
    pub scope: Scope,
    /// An approval is for what the command starts as well.
    pub and_what_it_starts: bool,
    /// An approval for more than one run is for every command that this pattern takes.
    pub pattern: Option<String>,
    /// What the person came by.
    pub doors: Doors,
    /// Everybody's word that it takes, once it decides.
    pub(super) votes: Arc<[Vote]>,
}

impl Verdict {
    /// A person's word, who came by `doors`.
    #[must_use]
    pub fn new(approve: bool, who: String, channel: String, doors: Doors) -> Self {
        Self {
            approve,
            who,
            channel,
            from: None,
            reason: None,
            scope: Scope::Once,
            and_what_it_starts: false,
            pattern: None,
            doors,
            votes: Arc::default(),
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The entry that was answered.
    pub entry: Id,
    /// Who or what refused it.
    pub why: Refusal,
    /// The request that is refused; of a kept one, the request that asked last.
    pub(super) ask: Id,
    /// Until when it is kept if its caller does not take it; `None` if it is not.
    pub(super) until: Option<Now>,
    /// The entry's row, below which it is kept that the caller has not heard it; `None` if it is not.
    pub(super) row: Option<Id>,
}

/// Who or what refused a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A person.
    Person {
        /// Who.
        who: String,
        /// Through what.
        channel: String,
        /// From where.
        #[serde(default)]
        from: Option<String>,
        /// Why; told to the agent.
        reason: Option<String>,
        /// When, in milliseconds since the epoch.
        answered_ms: u64,
    },
    /// The policy: it denies by now what was asked.
    Policy {
        /// The rule.
        rule: Option<String>,
        /// Why; told to the agent.
        reason: String,
    },
    /// Nobody answered within this time.
    Expired(Duration),
    /// The same caller asked again on another connection, which has the place of this one.
    Superseded,
}

impl From<&Answer> for AnswerKind {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Approved(_) => Self::Approved,
            Answer::Denied(denial) => match denial.why {
                Refusal::Person { .. } => Self::Denied,
                Refusal::Expired(_) => Self::Expired,
                Refusal::Policy { .. } => Self::ByPolicy,
                Refusal::Superseded => Self::Superseded,
            },
        }
    }
}

/// What a waiting request is told.
#[must_use]
#[derive(Debug)]
pub enum Answer {
    /// Run.
    Approved(Approval),
    /// Do not run.
    Denied(Denial),
}

/// What came of a request, for one who does not run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A person let it run.
    Approved {
        /// Who.
        by: String,
        /// Until when the next identical request runs at once, in milliseconds since the epoch; `None` when the
        /// approval was used.
        kept_until_ms: Option<u64>,
    },
    /// A person refused it.
    Denied {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Nobody answered in time.
    Expired,
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The entry.
    pub entry: Id,
    /// Everybody whose word it is.
    pub who: String,
    /// From where the last of them answered.
    pub from: Option<String>,
    /// What they said why.
    pub reason: Option<String>,
    /// For what an approval is good.
    pub scope: Scope,
    /// It is for what the command starts as well.
    pub and_what_it_starts: bool,
    /// It is for every command that this pattern takes.
    pub pattern: Option<String>,
    /// It was approved.
    pub approved: bool,
    /// The waiting requests that are told: all of them if denied; if approved one, or those that its scope covers.
    pub told: Vec<Id>,
    /// The request that asked last, where nobody waits: the answer is kept for the next one like it.
    pub parked: Option<Id>,
    /// Until when it is kept, in milliseconds since the epoch: no caller is there to take it.
    pub kept_until_ms: Option<u64>,
    /// Until when it holds, where it is for more than one run, in milliseconds since the epoch.
    pub holds_until_ms: Option<u64>,
    /// The entry under which the other callers go on waiting.
    pub reopened: Option<Id>,
    /// It is one of several that are wanted, and the entry waits on; how far that is.
    pub progress: Option<String>,
}

/// An entry that nobody answered in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredEntry {
    /// The entry.
    pub entry: Id,
    /// The requests that waited and are told; if there is none, the request that asked last.
    pub requests: Vec<Id>,
    /// How long a person had.
    pub after: Duration,
}

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The id is not written as one.
    #[error("{0:?} is no id; give 4 to 32 hex digits, as `clawrden queue` shows them")]
    Malformed(String),
    /// Nothing has this id.
    #[error("no request {0:?} is waiting; `clawrden queue` lists those that are")]
    Unknown(String),
    /// Several have it.
    #[error("{prefix:?} fits {count} requests; give more of its digits")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many it fits.
        count: usize,
    },
    /// The first answer has won.
    #[error("request {entry} was {answer} before, by {by}")]
    AlreadyAnswered {
        /// The entry.
        entry: Id,
        /// `approved`, `denied` or `expired`.
        answer: &'static str,
        /// Who.
        by: String,
        /// When, in milliseconds since the epoch.
        when_ms: u64,
    },
    /// What else but its words it is is not known.
    #[error("request {0} was asked by a warden that knew no patterns; approve the exact command")]
    NoPattern(Id),
    /// Whose session it would be is not known.
    #[error(
        "request {0} comes from no prisoner of `clawrden run` and from no known container, or that has ended, so there is no \
         session; approve it once, or for a time"
    )]
    NoSession(Id),
    /// Others are asked.
    #[error(
        "request {entry} is for others to answer: it takes {whom}, and {person} is not among them"
    )]
    NotAsked {
        /// The entry.
        entry: Id,
        /// Who answered.
        person: String,
        /// Who is asked.
        whom: String,
    },
    /// A yes by a chat is a wish there.
    #[error(
        "request {entry} waits for {person} to confirm it on the web page or by `clawrden approve`: its rule takes no yes by a chat"
    )]
    OnlyWished {
        /// The entry.
        entry: Id,
        /// Who.
        person: String,
    },
    /// The rule wants to know why.
    #[error("request {0} is approved with a reason only; say why it may run")]
    NoReason(Id),
    /// A person has one vote.
    #[error("{person} has approved request {entry} before, and others are wanted: {progress}")]
    VotedBefore {
        /// The entry.
        entry: Id,
        /// Who.
        person: String,
        /// How far it is.
        progress: String,
    },
    /// More votes than are ever wanted.
    #[error("{0} votes are kept for one request; deny it, or let it expire")]
    TooManyVotes(usize),
    /// As many answers are kept for requests without a caller as can be.
    #[error(
        "{0} answers are kept for callers that have gone; answer again when some were used or ran out"
    )]
    TooManyKept(usize),
    /// The answer could not be kept, so it was not given.
    #[error("the answer cannot be kept and is therefore not given: {0}")]
    NotKept(String),
    /// What was taken back is, and a restart would not know of it.
    #[error(
        "nothing runs by it any more, but that cannot be written down yet, and a restart before it is would bring it \
         back: {0}"
    )]
    OnlyTakenBack(String),
    /// The answer could not be recorded, so it was not given.
    #[error("the answer is not recorded and therefore not given: {0}")]
    NotRecorded(String),
}
