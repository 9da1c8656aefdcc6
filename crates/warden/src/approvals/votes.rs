//! Votes: the yeses of several people to one entry, which starts nothing before there are enough of them.
//! A person counts once, by whichever door they came, and a vote is looked at anew whenever it is counted.

use std::sync::Arc;

use super::answer::{AnswerError, Answered, Verdict};
use super::clock::{Now, millis};
use super::entry::Entry;
use super::lasting;
use super::scope::Scope;
use super::state::State;
use super::vote::{Vote, from, narrowest};
use super::wants::{Wants, are_met, may_approve, progress, whom};
use crate::ledger::Id;

/// Votes that an entry has at most; more people than any rule can want.
const MAX_VOTES: usize = 256;

/// What holds at the moment of an answer.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// What the policy in force wants by now; `None` where it has not changed.
    pub wants: Option<&'a Wants>,
    /// Whether the token of this id still opens: a vote by one that does not counts no more.
    pub holds: &'a dyn Fn(&str) -> bool,
}

impl Default for Moment<'_> {
    fn default() -> Self {
        Self { wants: None, holds: &|_| true }
    }
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("wants", &self.wants).finish_non_exhaustive()
    }
}

/// What becomes of a word on an entry.
// It lives for one word, on the stack.
#[allow(clippy::large_enum_variant)]
pub(super) enum Counted {
    /// It decides, with all that were given.
    Decides(Verdict),
    /// It is one of several, and others are still wanted.
    Waits { wants: Wants, votes: Arc<[Vote]> },
}

impl State {
    /// Whether this person may say this about the entry, and whether it is enough.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing has changed then.
    pub(super) fn count(
        &self,
        (id, entry): (Id, &Entry),
        mut verdict: Verdict,
        now: Now,
        moment: &Moment<'_>,
    ) -> Result<Counted, AnswerError> {
        let people = &self.people;
        let wants = moment.wants.unwrap_or(&entry.wants);
        let voter = people.voter(&verdict.doors);
        let waited_ms = millis(entry.waited(now));
        // A no gives nothing, so it is anybody's who may answer here at all.
        if !verdict.approve {
            return Ok(Counted::Decides(verdict));
        }
        if !may_approve(wants, people, &voter, waited_ms) {
            let whom: Vec<String> = wants.iter().map(whom).collect();
            let person = voter.person.to_string();
            return Err(AnswerError::NotAsked { entry: id, person, whom: whom.join("; ") });
        }
        if verdict.doors.chat.is_some() && wants.iter().any(|want| want.on_page) {
            return Err(AnswerError::OnlyWished { entry: id, person: voter.person.to_string() });
        }
        let needs_reason =
            wants.iter().any(|want| want.reason && want.asks(people, &voter, waited_ms));
        if needs_reason && verdict.reason.is_none() {
            return Err(AnswerError::NoReason(id));
        }
        let vote = Vote {
            doors: verdict.doors.clone(),
            who: verdict.who.clone(),
            channel: verdict.channel.clone(),
            from: verdict.from.clone(),
            reason: verdict.reason.clone(),
            when_ms: now.ms,
            waited_ms,
            scope: verdict.scope,
            and_what_it_starts: verdict.and_what_it_starts,
            pattern: verdict.pattern.clone(),
        };
        let holds = |vote: &&Vote| vote.doors.token.as_ref().is_none_or(|id| (moment.holds)(id));
        let is_anothers = |vote: &&Vote| people.voter(&vote.doors).person != voter.person;
        let standing: Vec<Vote> = entry.votes.iter().filter(holds).cloned().collect();
        let before = standing.iter().filter(|vote| !is_anothers(vote)).any(|vote| {
            // One that counts for nothing by now may be given again.
            wants.iter().any(|want| !want.given(people, std::slice::from_ref(vote)).is_empty())
        });
        let others: Vec<Vote> = standing.iter().filter(is_anothers).cloned().collect();
        let votes: Arc<[Vote]> = others.into_iter().chain([vote]).collect();
        if !are_met(wants, people, &votes) {
            if before {
                let person = voter.person.to_string();
                let progress = progress(wants, people, &standing);
                return Err(AnswerError::VotedBefore { entry: id, person, progress });
            }
            if votes.len() > MAX_VOTES {
                return Err(AnswerError::TooManyVotes(MAX_VOTES));
            }
            return Ok(Counted::Waits { wants: Arc::clone(wants), votes });
        }
        let counts = |vote: &Vote| {
            let is_own = people.voter(&vote.doors).person == voter.person;
            let one = std::slice::from_ref(vote);
            is_own || wants.iter().any(|want| !want.given(people, one).is_empty())
        };
        verdict.take(votes.iter().filter(|vote| counts(vote)).cloned().collect());
        // The life that somebody said yes for may be over.
        if verdict.scope == Scope::Session && entry.life.is_none() {
            verdict.scope = Scope::Once;
        }
        Ok(Counted::Decides(verdict))
    }

    /// Keeps a vote that does not decide. It lasts before it is recorded.
    pub(super) fn vote(
        &mut self,
        id: Id,
        (wants, votes): (Wants, Arc<[Vote]>),
        record: impl FnOnce(&Answered) -> Result<(), String>,
    ) -> Result<Answered, AnswerError> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Err(AnswerError::Unknown(id.to_string()));
        };
        let before = (
            std::mem::replace(&mut entry.wants, wants),
            std::mem::replace(&mut entry.votes, votes),
        );
        let change = lasting::entry(id, entry);
        let written = self.write(&[change]).map_err(AnswerError::NotKept);
        crate::crash::point("after_vote_kept");
        let recorded = written.and_then(|()| {
            let Some(entry) = self.entries.get(&id) else {
                return Err(AnswerError::Unknown(id.to_string()));
            };
            let answered = voted(id, entry, progress(&entry.wants, &self.people, &entry.votes));
            record(&answered).map_err(AnswerError::NotRecorded)?;
            Ok(answered)
        });
        let Some(entry) = self.entries.get_mut(&id) else { return recorded };
        if recorded.is_err() {
            (entry.wants, entry.votes) = before;
            let change = lasting::entry(id, entry);
            self.write_if_possible(vec![change]);
        }
        self.time_steps(id);
        recorded
    }
}

/// What came of a vote that does not decide.
fn voted(id: Id, entry: &Entry, progress: String) -> Answered {
    let oldest = entry.callers.front().map(|caller| caller.ask);
    // It came last.
    let last = entry.votes.last();
    Answered {
        entry: id,
        who: last.map(|vote| vote.who.clone()).unwrap_or_default(),
        from: from(&entry.votes).map(str::to_owned),
        reason: last.and_then(|vote| vote.reason.clone()),
        scope: last.map(|vote| vote.scope).unwrap_or_default(),
        and_what_it_starts: last.is_some_and(|vote| vote.and_what_it_starts),
        pattern: last.and_then(|vote| vote.pattern.clone()),
        approved: true,
        told: oldest.into_iter().collect(),
        parked: entry.gone.back().copied().filter(|_| oldest.is_none()),
        kept_until_ms: None,
        holds_until_ms: None,
        reopened: None,
        progress: Some(progress),
    }
}

impl Verdict {
    /// Makes it the word of everybody who gave these votes, with the narrowest of their scopes.
    fn take(&mut self, votes: Arc<[Vote]>) {
        self.scope = narrowest(&votes);
        self.and_what_it_starts = votes.iter().all(|vote| vote.and_what_it_starts);
        // A pattern that one of them has not given is nobody's.
        let is_everybodys = votes.iter().all(|vote| vote.pattern == self.pattern);
        self.pattern = self.pattern.take().filter(|_| is_everybodys && self.scope.repeats());
        if votes.len() > 1 {
            let who: Vec<&str> = votes.iter().map(|vote| &*vote.who).collect();
            self.who = who.join(" and ");
            let said = |vote: &Vote| Some(format!("{}: {}", vote.who, vote.reason.as_ref()?));
            let reasons: Vec<String> = votes.iter().filter_map(said).collect();
            self.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        }
        self.votes = votes;
    }
}
