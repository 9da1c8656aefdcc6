//! What an entry wants beside anybody's yes: whose, how many, with a reason, and who else may give it after a while.
//! The policy says it in names; who is meant is looked up each time, so that what is kept is never older than the people.

use std::sync::Arc;
use std::time::Duration;

use clawrden_policy::{Approvers, OnNone};
use serde::{Deserialize, Serialize};

use super::clock::millis;
use super::vote::Vote;
use crate::people::{People, Voter};

/// What one rule wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// People and groups; empty is whoever may answer.
    pub from: Vec<String>,
    /// How many different people.
    pub count: u32,
    /// A yes needs a reason.
    pub reason: bool,
    /// A yes by a chat counts for nothing.
    #[serde(default)]
    pub on_page: bool,
    /// It waits although too few can answer.
    pub waits: bool,
    /// Who may answer as well, and after how long, the earliest first.
    pub steps: Vec<Step>,
}

/// Others who may answer after a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How long after the question, in milliseconds.
    pub after_ms: u64,
    /// People and groups.
    pub to: Vec<String>,
}

/// All that is wanted of one entry: each has to be met. Empty is anybody's yes.
pub type Wants = Arc<[Want]>;

impl From<&Approvers> for Want {
    fn from(of: &Approvers) -> Self {
        let words = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
        Self {
            from: words(&of.from),
            count: of.count,
            reason: of.require_reason,
            on_page: of.confirm_on_page,
            waits: of.on_none == OnNone::Wait,
            steps: of
                .escalate
                .iter()
                .map(|step| Step { after_ms: millis(step.after), to: words(&step.to) })
                .collect(),
        }
    }
}

/// What a decision wants.
#[must_use]
pub fn wants(of: &[Arc<Approvers>]) -> Wants {
    of.iter().map(|one| Want::from(&**one)).collect()
}

impl Want {
    /// Whether somebody may answer this, when it has waited for so long.
    #[must_use]
    pub fn asks(&self, people: &People, voter: &Voter, waited_ms: u64) -> bool {
        if voter.is_stranger() {
            return false;
        }
        let means = |names: &[String]| names.iter().any(|name| people.means(name, voter));
        let is_among = match self.from[..] {
            // Who is not named could come by another door as well.
            [] => self.count <= 1 || voter.is_known,
            _ => means(&self.from),
        };
        let later = || self.steps.iter().any(|step| step.after_ms <= waited_ms && means(&step.to));
        is_among || later()
    }

    /// Whether a vote counts.
    fn takes(&self, people: &People, vote: &Vote) -> bool {
        (!self.reason || vote.reason.is_some())
            && !(self.on_page && vote.doors.chat.is_some())
            && self.asks(people, &people.voter(&vote.doors), vote.waited_ms)
    }

    /// The different people whose votes count, in the order in which they gave them.
    #[must_use]
    pub fn given(&self, people: &People, votes: &[Vote]) -> Vec<Arc<str>> {
        let mut given: Vec<Arc<str>> = Vec::new();
        for vote in votes.iter().filter(|vote| self.takes(people, vote)) {
            let person = people.voter(&vote.doors).person;
            if !given.contains(&person) {
                given.push(person);
            }
        }
        given
    }

    fn is_met(&self, people: &People, votes: &[Vote]) -> bool {
        self.given(people, votes).len() >= usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// How far it is: `1 of 2 approvals: alice`.
    #[must_use]
    pub fn progress(&self, people: &People, votes: &[Vote]) -> String {
        let given = self.given(people, votes);
        let noun = if self.count == 1 { "approval" } else { "approvals" };
        let names =
            if given.is_empty() { String::new() } else { format!(": {}", given.join(", ")) };
        format!("{} of {} {noun}{names}", given.len(), self.count)
    }
}

/// Whether all that is wanted is there.
#[must_use]
pub fn are_met(wants: &[Want], people: &People, votes: &[Vote]) -> bool {
    wants.iter().all(|want| want.is_met(people, votes))
}

/// Whether somebody's yes may count: anybody's where nobody is named, else that of who is asked by one of these.
#[must_use]
pub(super) fn may_approve(wants: &[Want], people: &People, voter: &Voter, waited_ms: u64) -> bool {
    wants.is_empty() || wants.iter().any(|want| want.asks(people, voter, waited_ms))
}

/// How far all of it is, for people.
#[must_use]
pub fn progress(wants: &[Want], people: &People, votes: &[Vote]) -> String {
    let all: Vec<String> = wants.iter().map(|want| want.progress(people, votes)).collect();
    all.join("; ")
}

/// Who is wanted, for people: `2 of security, leads`.
#[must_use]
pub fn whom(want: &Want) -> String {
    match (&want.from[..], want.count) {
        ([], 1) => "anybody who may answer".to_owned(),
        ([], count) => format!("{count} different people of `people` in the warden's settings"),
        (from, count) => format!("{count} of {}", from.join(", ")),
    }
}

/// When others may answer next, after `told`.
pub(super) fn next_step(wants: &[Want], told: Duration) -> Option<Duration> {
    let told = millis(told);
    let all = wants.iter().flat_map(|want| &want.steps).map(|step| step.after_ms);
    all.filter(|&after| after > told).min().map(Duration::from_millis)
}

/// Who may answer since `told`, when it has waited for `waited`.
pub(super) fn steps_between(wants: &[Want], told: Duration, waited: Duration) -> Vec<String> {
    let (told, waited) = (millis(told), millis(waited));
    let steps = wants.iter().flat_map(|want| &want.steps);
    let due = steps.filter(|step| step.after_ms > told && step.after_ms <= waited);
    let mut to: Vec<String> = due.flat_map(|step| step.to.iter().cloned()).collect();
    to.sort_unstable();
    to.dedup();
    to
}
