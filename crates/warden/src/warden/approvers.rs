//! Who may answer: whether anybody can, and whether somebody asks for what they would approve themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use clawrden_api::{BridgeStatus, ErrorBody, NoApprover, QueueEntry};

use super::Warden;
use crate::approvals::{Now, Want, whom};
use crate::control::Actor;
use crate::jails::MAX_JAILS;
use crate::ledger::Id;
use crate::people::Doors;

/// The users that the control socket lets in, beside the warden's own.
const ROOT: u32 = 0;

/// Requests that nobody could have answered: of each jail the last one, and how many there were. Of jails that are gone it
/// keeps as many as fit; for a further one that goes whose last was first.
#[derive(Debug, Default)]
pub(super) struct Unanswerable(BTreeMap<String, NoApprover>);

impl Unanswerable {
    fn add(&mut self, mut last: NoApprover) {
        if let Some(before) = self.0.get(&last.jail) {
            last.count += before.count;
        } else if self.0.len() >= MAX_JAILS {
            let oldest = self.0.values().min_by_key(|one| one.last_ms).map(|one| one.jail.clone());
            oldest.and_then(|jail| self.0.remove(&jail));
        }
        self.0.insert(last.jail.clone(), last);
    }

    fn of(&self, in_jail: &dyn Fn(&str) -> bool) -> Option<NoApprover> {
        let all = || self.0.values().filter(|one| in_jail(&one.jail));
        let count = all().map(|one| one.count).sum();
        all().max_by_key(|one| one.last_ms).map(|last| NoApprover { count, ..last.clone() })
    }
}

impl Warden {
    /// Why what is wanted cannot be had: too few of those who may answer can log in at all. `None` where enough can, or
    /// where the rule says to wait. Waits for no disk.
    ///
    /// Who can log in has a token that holds, is a user whom the control socket lets in, or a user of a chat whose bridge
    /// listens. Other ways to reach people belong here.
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
        let people = self.people.now();
        let chats = self.access.chats_for(jail, rule);
        let by_chat = people.chats().filter(|user| chats.contains(&user.service()));
        let by_chat = by_chat.map(|user| Doors { chat: Some(user.clone()), ..Doors::default() });
        let all = by_socket.chain(self.access.approvers(jail, rule)).chain(by_chat);
        let all: Vec<Doors> = all.filter(|doors| !self.is_own(doors, requester)).collect();
        wants.iter().filter(|want| !want.waits).find_map(|want| {
            let voters = all.iter().map(|doors| people.voter(doors));
            let voters = voters.filter(|voter| !want.on_page || voter.doors.chat.is_none());
            let asked = voters.filter(|voter| want.asks(&people, voter, u64::MAX));
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
            count: 1,
            last_ms: Now::read().ms,
            request: id.to_string(),
            jail: jail.to_owned(),
            rule,
            why: why.to_owned(),
        };
        self.nobody.lock().unwrap_or_else(PoisonError::into_inner).add(last);
    }

    /// The bridges to chats that listen.
    pub(super) fn bridges(&self) -> Vec<BridgeStatus> {
        self.access.bridges()
    }

    /// Whether a token still opens.
    pub(super) fn token_holds(&self, id: &str) -> bool {
        self.access.token_holds(id)
    }

    /// See [`Access::note_answer`](crate::control::Access::note_answer).
    pub(super) fn note_answer(&self) -> Option<String> {
        self.access.note_answer()
    }

    /// The last request of these jails that nobody could have answered, and how many there were in all of them.
    pub(super) fn last_unanswerable(&self, in_jail: &dyn Fn(&str) -> bool) -> Option<NoApprover> {
        self.nobody.lock().unwrap_or_else(PoisonError::into_inner).of(in_jail)
    }

    /// Where a yes is confirmed that a chat alone cannot give.
    pub(super) fn confirmed_elsewhere(&self, wished: ErrorBody, id: &str) -> ErrorBody {
        let ErrorBody { code, message } = wished;
        let at = match self.access.place() {
            Some((url, _)) => format!("{url}/ or by `clawrden approve {id}`"),
            None => format!("the warden's machine: `clawrden approve {id}`"),
        };
        ErrorBody { code, message: format!("{message}; confirm at {at}") }
    }

    /// Whether somebody would approve what they have asked for: by their user, where that is not the warden's too. What
    /// belongs to a prisoner does not come to the control plane at all.
    pub(super) fn is_own_request(&self, actor: &Actor, entry: &QueueEntry) -> bool {
        self.is_own(&actor.doors, entry.caller.uid)
    }

    /// Whether what this user asked for is theirs who came by these doors.
    pub(super) fn is_own(&self, doors: &Doors, requester: Option<u32>) -> bool {
        let Some(uid) = requester.filter(|&uid| uid != self.uid) else { return false };
        let people = self.people.now();
        doors.uid == Some(uid) || people.has_uid(&people.voter(doors).person, uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(jail: &str, last_ms: u64) -> NoApprover {
        NoApprover { count: 1, last_ms, jail: jail.to_owned(), ..NoApprover::default() }
    }

    #[test]
    fn each_jail_has_its_own_and_who_sees_several_has_the_last_of_them() {
        let mut all = Unanswerable::default();
        for (jail, ms) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            all.add(denied(jail, ms));
        }
        let of = |jails: &[&str]| {
            let last = all.of(&|jail| jails.contains(&jail))?;
            Some((last.jail, last.last_ms, last.count))
        };
        assert_eq!(of(&["a"]), Some(("a".to_owned(), 3, 2)));
        assert_eq!(of(&["a", "b"]), Some(("a".to_owned(), 3, 3)));
        assert_eq!(of(&["a", "b", "c"]), Some(("c".to_owned(), 4, 4)));
        assert_eq!(of(&["d"]), None);
    }

    #[test]
    fn it_keeps_no_more_than_there_can_be_jails() {
        let mut all = Unanswerable::default();
        for n in 0..2 * MAX_JAILS {
            all.add(denied(&n.to_string(), n as u64));
        }
        assert_eq!(all.0.len(), MAX_JAILS);
        assert!(all.of(&|jail| jail == "0").is_none());
        assert_eq!(all.of(&|_| true).unwrap().last_ms, 2 * MAX_JAILS as u64 - 1);
    }
}
