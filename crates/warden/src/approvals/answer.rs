//! Answers: what a person said about a request, and what came of saying it.
//! An [`Approval`] cannot be copied: it lets one run happen, and whoever cannot use it gives it back.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::bequest::Bequest;
use super::scope::Scope;
use super::votes::{Vote, from};
use super::written::Written;
use crate::ledger::Id;
use crate::metrics::AnswerKind;
use crate::people::Doors;
use crate::plan::Identity;

/// A moment, on the clock that measures and on the clock that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For people: milliseconds since the epoch.
    pub ms: u64,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), ms: millis(since) }
    }

    /// Whether this moment is over by `now`, on either clock: the one that measures stands still while the machine
    /// sleeps, the other one may be set.
    pub(crate) fn has_passed(self, now: Self) -> bool {
        self.instant <= now.instant || self.ms <= now.ms
    }

    /// This moment and `later` more.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        let instant = self.instant.checked_add(later).unwrap_or(self.instant);
        Self { instant, ms: self.ms.saturating_add(millis(later)) }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

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

/// Lets one run happen.
#[must_use = "an approval that is dropped is lost; give it back if nothing ran"]
#[derive(Debug)]
pub struct Approval {
    /// The entry that was answered.
    pub entry: Id,
    /// Who approved.
    pub who: String,
    /// Through what.
    pub channel: String,
    /// Why.
    pub reason: Option<String>,
    /// When, in milliseconds since the epoch.
    pub answered_ms: u64,
    /// It was not given to this request but kept, or handed on by another that did not use it.
    pub kept: bool,
    /// For what the person's answer is good; this is still for one run.
    pub scope: Scope,
    /// It is for what the command starts as well.
    pub and_what_it_starts: bool,
    /// The pattern that takes it, where the person's answer was for one.
    pub pattern: Option<String>,
    /// What handed it down, where it was given to a command that started this one.
    pub(crate) inherited: Option<Arc<Bequest>>,
    /// The request that it was given to, or that asked last.
    pub(super) ask: Id,
    /// What was approved, for showing it.
    pub(super) details: Written,
    pub(super) identity: Identity,
    pub(super) until: Now,
    /// Who gave it.
    pub(super) votes: Arc<[Vote]>,
}

impl Approval {
    /// From where whoever decided it answered.
    #[must_use]
    pub fn answered_from(&self) -> Option<&str> {
        from(&self.votes)
    }

    /// Whether it was given for requests of this identity.
    #[must_use]
    pub fn covers(&self, identity: &Identity) -> bool {
        self.identity == *identity
    }

    /// Whether it is worth nothing by `now`. For one run only the clock that measures counts.
    pub(super) fn has_run_out(&self, now: Now) -> bool {
        match self.scope.repeats() {
            true => self.until.has_passed(now),
            false => self.until.instant <= now.instant,
        }
    }

    /// Until when it is kept if nobody uses it, in milliseconds since the epoch.
    #[must_use]
    pub fn kept_until_ms(&self) -> u64 {
        self.until.ms
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
