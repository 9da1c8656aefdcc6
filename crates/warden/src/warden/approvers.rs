//! Who may answer: whether anybody can, and whether somebody asks for what they would approve themselves.

use std::collections::BTreeSet;

use clawrden_api::{NoApprover, QueueEntry};

use super::Warden;
use crate::approvals::{Now, Want, whom};
use crate::control::Actor;
use crate::ledger::Id;
use crate::people::Doors;

/// The users that the control socket lets in, beside the warden's own.
const ROOT: u32 = 0;

impl Warden {
    /// Why what is wanted cannot be had: too few of those who may answer can log in at all. `None` where enough can, or
    /// where the rule says to wait. Waits for no disk.
    ///
    /// Who can log in has a token that holds, or is a user whom the control socket lets in. Other ways to reach people
    /// belong here.
    pub(crate) fn nobody_answers(
        &self,
        wants: &[Want],
        (jail, rule): (&str, Option<&str>),
        requester: Option<u32>,
    ) -> Option<String> {
        if wants.iter().all(|want| want.waits) {
            return None;
        }
        let users = BTreeSet::from([self.uid, ROOT]);
        let by_socket = users.into_iter().map(|uid| Doors { uid: Some(uid), ..Doors::default() });
        let all = by_socket.chain(self.access.approvers(jail, rule));
        let all: Vec<Doors> = all.filter(|doors| !self.is_own(doors, requester)).collect();
        wants.iter().filter(|want| !want.waits).find_map(|want| {
            let voters = all.iter().map(|doors| self.people.voter(doors));
            let asked = voters.filter(|voter| want.asks(&self.people, voter, u64::MAX));
            let people: BTreeSet<_> = asked.map(|voter| voter.person).collect();
            let there = people.len();
            if there >= usize::try_from(want.count).unwrap_or(usize::MAX) {
                return None;
            }
            let are = match there {
                0 => "nobody of them can log in".to_owned(),
                1 => "1 of them can log in".to_owned(),
                more => format!("{more} of them can log in"),
            };
            Some(format!(
                "no approver: it takes {}, and {are}; ask whoever runs the warden",
                whom(want)
            ))
        })
    }

    /// A request was denied because nobody could have answered it.
    pub(crate) fn found_nobody(&self, id: Id, jail: &str, rule: Option<String>, why: &str) {
        self.metrics.unanswerable.add(1);
        let last = NoApprover {
            count: self.metrics.unanswerable.get(),
            last_ms: Now::read().ms,
            request: id.to_string(),
            jail: jail.to_owned(),
            rule,
            why: why.to_owned(),
        };
        *self.nobody.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(last);
    }

    /// Whether a token still opens.
    pub(super) fn token_holds(&self, id: &str) -> bool {
        self.access.token_holds(id)
    }

    /// See [`Access::note_answer`](crate::control::Access::note_answer).
    pub(super) fn note_answer(&self) -> Option<String> {
        self.access.note_answer()
    }

    /// The last request that nobody could have answered.
    pub(super) fn last_unanswerable(&self) -> Option<NoApprover> {
        self.nobody.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether somebody would approve what they have asked for: by their user, where that is not the warden's too. What
    /// belongs to a prisoner does not come to the control plane at all.
    pub(super) fn is_own_request(&self, actor: &Actor, entry: &QueueEntry) -> bool {
        self.is_own(&actor.doors, entry.caller.uid)
    }

    fn is_own(&self, doors: &Doors, requester: Option<u32>) -> bool {
        let Some(uid) = requester.filter(|&uid| uid != self.uid) else { return false };
        doors.uid == Some(uid) || self.people.has_uid(&self.people.voter(doors).person, uid)
    }
}
