//! Looking at what waits, and finding it by what people write of its id.

use clawrden_api::{QueueApprovals, QueueEscalation, QueueNeed, QueueVote};

use super::answer::AnswerError;
use super::clock::{Now, millis};
use super::entry::Entry;
use super::ids::{Prefix, digits_among, digits_needed, shortened};
use super::part::Part;
use super::scope::Life;
use super::state::{State, has_room};
use super::vote::Vote;
use super::wants::{Want, are_met, progress};
use super::written::{Changing, Seen};
use crate::ledger::Id;
use crate::plan::Identity;

impl State {
    pub(super) fn part(&self, part: &Part<'_>) -> (Vec<Seen>, bool) {
        // Of ten thousand entries all that is needed for their order is read once, one behind the other.
        let digits = digits_among(self.entries.keys().copied());
        let all = self.entries.iter().zip(digits);
        let all = all.map(|((&id, entry), digits)| (entry.since_ms, id, digits, entry));
        let mut all: Vec<(u64, Id, usize, &Entry)> = all.collect();
        all.sort_unstable_by_key(|&(since_ms, id, ..)| (since_ms, id));
        let (some, more) =
            part.of(all, |one| one.3.details.jail(), |one| (one.0, one.1.to_string()));
        let see = |(_, id, digits, entry)| self.see(id, self.short_of(id, digits), entry);
        (some.into_iter().map(see).collect(), more)
    }

    fn see(&self, id: Id, short: String, entry: &Entry) -> Seen {
        let oldest = entry.callers.front().map(|caller| caller.ask);
        let now = Changing {
            id,
            short,
            request: oldest.or_else(|| entry.gone.back().copied()),
            since_ms: entry.since_ms,
            expires_ms: entry.expires.ms,
            approvals: self.approvals_of(entry),
            callers: u32::try_from(entry.callers.len()).unwrap_or(u32::MAX),
        };
        Seen { details: entry.details.clone(), now }
    }

    /// Whose yes it takes and has, where that is not anybody's.
    fn approvals_of(&self, entry: &Entry) -> Option<QueueApprovals> {
        if entry.wants.is_empty() {
            return None;
        }
        let people = &self.people;
        let waited = millis(entry.waited(Now::read()));
        let need = |want: &Want| QueueNeed {
            from: want.from.clone(),
            count: want.count,
            given: want.given(people, &entry.votes).iter().map(ToString::to_string).collect(),
            escalation: want
                .steps
                .iter()
                .map(|step| QueueEscalation {
                    to: step.to.clone(),
                    at_ms: entry.since_ms.saturating_add(step.after_ms),
                    reached: step.after_ms <= waited,
                })
                .collect(),
        };
        let vote = |vote: &Vote| QueueVote {
            person: people.voter(&vote.doors).person.to_string(),
            who: vote.who.clone(),
            channel: vote.channel.clone(),
            reason: vote.reason.clone(),
            when_ms: vote.when_ms,
        };
        Some(QueueApprovals {
            summary: progress(&entry.wants, people, &entry.votes),
            needs: entry.wants.iter().map(need).collect(),
            votes: entry.votes.iter().map(vote).collect(),
            reason_required: entry.wants.iter().any(|want| want.reason),
            confirm_on_page: entry.wants.iter().any(|want| want.on_page),
        })
    }

    /// What waits under this id in the jails that `has_jail` picks.
    pub(super) fn find(
        &self,
        id: &str,
        has_jail: impl Fn(&str) -> bool,
    ) -> Result<Seen, AnswerError> {
        let id = self.resolve_in(id, has_jail)?;
        let entry = self.entries.get(&id).ok_or_else(|| AnswerError::Unknown(id.to_string()))?;
        Ok(self.see(id, self.short(id), entry))
    }

    /// Whether a request like this would be shown to a person as one that nobody has seen.
    pub(super) fn opens(
        &self,
        identity: &Identity,
        life: Option<&Life>,
        (jail, wants): (&str, &[Want]),
        now: Now,
    ) -> bool {
        let held = self.held.get(jail).copied().unwrap_or_default();
        !self.by_identity.contains_key(identity)
            && !self.kept.has(identity, life, now, |votes| are_met(wants, &self.people, votes))
            && has_room(held, self.all, 0).is_ok()
    }

    /// The fewest digits that name the entry among all that are open or remembered.
    pub(super) fn short(&self, id: Id) -> String {
        self.short_of(id, digits_needed(id, &self.entries))
    }

    /// The same, where among those that are open it takes `open` digits.
    fn short_of(&self, id: Id, open: usize) -> String {
        shortened(id, open.max(digits_needed(id, &self.memory.by_id)))
    }

    pub(super) fn resolve(&self, text: &str) -> Result<Id, AnswerError> {
        self.resolve_in(text, |_| true)
    }

    fn resolve_in(&self, text: &str, has_jail: impl Fn(&str) -> bool) -> Result<Id, AnswerError> {
        let prefix = Prefix::new(text).ok_or_else(|| AnswerError::Malformed(text.to_owned()))?;
        let is_open =
            |id: &Id| self.entries.get(id).is_some_and(|entry| has_jail(entry.details.jail()));
        let is_answered =
            |id: &Id| self.memory.by_id.get(id).is_some_and(|past| has_jail(&past.jail));
        let open: Vec<Id> = prefix.among(&self.entries).filter(is_open).collect();
        let answered: Vec<Id> = prefix.among(&self.memory.by_id).filter(is_answered).collect();
        match (&open[..], &answered[..]) {
            ([], []) => Err(AnswerError::Unknown(text.to_owned())),
            ([id], []) => Ok(*id),
            ([], [id]) => Err(self.already(*id)),
            _ => {
                let count = open.len() + answered.len();
                Err(AnswerError::Ambiguous { prefix: text.to_owned(), count })
            }
        }
    }

    fn already(&self, id: Id) -> AnswerError {
        let Some(first) = self.memory.by_id.get(&id) else {
            return AnswerError::Unknown(id.to_string());
        };
        let by = if first.by.is_empty() { "the clock".to_owned() } else { first.by.clone() };
        let (answer, when_ms) = (first.outcome.word(), first.when_ms);
        AnswerError::AlreadyAnswered { entry: id, answer, by, when_ms }
    }
}
