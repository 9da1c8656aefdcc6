//! Approvals: requests that wait for a person, and the answers that people gave.
//!
//! Nothing here runs anything. An answer of yes is an [`Approval`], which one waiting caller gets, or the next one that
//! asks the same; no caller, no run. No time that passes, no caller that leaves and no bound that is reached ever makes
//! a yes out of anything else. No clock of its own, but when a caller leaves; and no I/O but of what lasts beyond the
//! warden's end, see [`store`].

mod answer;
mod answering;
mod approval;
mod ask;
mod away;
mod clock;
mod details;
mod entry;
mod escalating;
mod grants;
mod ids;
mod kept;
mod key;
mod lasting;
mod leaving;
mod loan;
mod look;
mod outlook;
mod owed;
mod part;
mod remembered;
mod repeating;
mod restoring;
mod scope;
mod state;
mod store;
mod ticket;
mod using;
mod vote;
mod votes;
mod waiting;
mod wants;
mod watch;
mod writing;
mod written;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::QueueEntry;
use tokio::sync::Notify;

pub use crate::plan::{Identity, Same};
pub use answer::{Answer, AnswerError, Answered, Denial, ExpiredEntry, Refusal, Told, Verdict};
pub use approval::{Approval, Bequest, MAX_BEQUEST};
pub use ask::Ask;
pub use clock::Now;
pub use details::Details;
pub use escalating::Escalated;
pub use ids::MIN_PREFIX;
pub use kept::MAX_KEPT;
pub use key::CallerKey;
pub use loan::Loan;
pub use part::Part;
pub use remembered::MAX_REMEMBERED;
pub use restoring::{Answerer, Recovered, Restored};
pub use scope::{Life, MAX_SCOPE, Scope};
pub use store::StoreError;
pub use ticket::{Left, Ticket};
pub use vote::Vote;
pub use votes::Moment;
pub use wants::{Step, Want, Wants, are_met, progress, wants, whom};
pub use watch::{Standing, Watch};
pub use written::{Changing, Seen, Written};

use crate::again::{Case, Objection};
use crate::ledger::Id;
use crate::people::People;
use state::{Lasting, Put, Shut, State};

/// Entries that are open at once. Beyond it a request is denied at once.
pub const MAX_OPEN: usize = 16 * 1024;

/// Bytes that open entries hold for showing. Beyond it a request is denied at once.
pub const MAX_HELD_BYTES: usize = 32 * 1024 * 1024;

/// Callers that share one entry. Beyond it a request is denied at once.
pub const MAX_CALLERS: usize = 16 * 1024;

/// Requests whose callers have gone that an entry knows by their ids. Beyond it the oldest are forgotten, and found by
/// the entry's id only.
pub const MAX_GONE: usize = 16;

/// Watchers of one entry. Beyond it a further one is sent away.
pub const MAX_WATCHERS: usize = 64;

/// How long an approval is kept for a caller that has gone.
pub const GRANT_LIFE: Duration = Duration::from_secs(30 * 60);

/// What one jail may take of a bound, so that it cannot keep the others out.
const fn share_of(bound: usize) -> usize {
    bound / 4 * 3
}

/// How long after a failure the file of what lasts is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The queue and the answers that are kept. Clones are the same queue.
#[derive(Clone)]
pub struct Approvals {
    state: Arc<Mutex<State>>,
    /// Whether callers may be on their way back.
    expects: Arc<AtomicBool>,
}

/// What an [`Ask`] finds.
#[must_use]
#[derive(Debug)]
pub enum Asked {
    /// An approval was kept for it: run.
    Granted(Approval),
    /// A denial was kept for it: do not run.
    Denied(Denial),
    /// A person is to answer.
    Wait(Ticket),
    /// Nobody who may answer can: do not run.
    Nobody(String),
    /// There is no room: do not run.
    Full(Full),
}

/// Why a request cannot wait. It is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All entries, or their bytes, are taken.
    #[error("too many requests wait for approval; answer some of them and repeat the command")]
    Queue,
    /// This jail has its share.
    #[error(
        "too many requests of this jail wait for approval; answer some of them and repeat the command"
    )]
    Jail,
    /// The entry has all the callers it may have.
    #[error("too many callers wait for the same approval; repeat the command later")]
    Callers,
    /// A restart would forget it.
    #[error(
        "the approvals cannot be kept, so nobody is asked; `clawrden status` and the log say why"
    )]
    Unkept,
}

/// A caller that a restart has cut off, and that has not come back in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapsed {
    /// The request.
    pub request: Id,
    /// The entry that nobody waits for any more.
    pub parked: Option<Id>,
}

impl Approvals {
    /// An empty queue that ends with this process. `seed` is 32 bytes from the kernel's random generator, fresh for each
    /// start of the warden: ids are derived from it.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self::of(State::new(seed))
    }

    /// The queue that lasts in the file at `path`, once [`Approvals::take_up`] was called. Callers that were cut off and
    /// are still there, as `is_there` says, have `patience` to come back. `seed` as for [`Approvals::new`]. One process
    /// has the file at a time: that is for the caller of this to see to.
    ///
    /// # Errors
    /// [`StoreError::Refused`].
    pub fn open(
        seed: [u8; 32],
        path: PathBuf,
        patience: Duration,
        is_there: fn(CallerKey) -> bool,
    ) -> Result<Self, StoreError> {
        if let Err(refused @ StoreError::Refused { .. }) = store::claim(&path) {
            return Err(refused);
        }
        let mut state = State::new(seed);
        state.store = Lasting::Shut(Shut { path, patience, is_there, next: Instant::now() });
        Ok(Self::of(state))
    }

    /// Wakes `due` when [`Approvals::next_expiry`] comes to be sooner by what could not be written.
    pub(crate) fn wakes(&self, due: Arc<Notify>) {
        self.state().due = Some(due);
    }

    fn of(state: State) -> Self {
        Self { expects: state.away.flag(), state: Arc::new(Mutex::new(state)) }
    }

    /// The request and the entry of a caller that has waited for the very same before: it is back from a connection that
    /// broke. `client` is what it calls its request.
    #[must_use]
    pub fn known(&self, identity: &Identity, client: Id, key: CallerKey) -> Option<(Id, Id)> {
        self.state().known(identity, client, key)
    }

    /// Whether a request like this would be shown to a person as one that nobody has seen: there is no answer to it, it does
    /// not wait already, and there is room.
    #[must_use]
    pub fn opens(
        &self,
        identity: &Identity,
        life: Option<&Life>,
        (jail, wants): (&str, &[Want]),
    ) -> bool {
        self.state().opens(identity, life, (jail, wants), Now::read())
    }

    /// Whether callers may be on their way back. Looks at no more than a flag.
    #[must_use]
    pub fn expects_callers(&self) -> bool {
        self.expects.load(Ordering::Acquire)
    }

    /// Whether this caller, which calls its request so, may be on its way back, with whatever command.
    #[must_use]
    pub fn is_awaited(&self, client: Id, key: CallerKey) -> bool {
        self.expects_callers() && self.state().is_awaited(client, key)
    }

    /// Lets go of callers that have not come back in time.
    #[must_use = "who has left is to be recorded"]
    pub fn lapse(&self, now: Now) -> Vec<Lapsed> {
        self.state().lapse(now)
    }

    /// A caller has heard its denial.
    pub fn told(&self, denial: &Denial) {
        let mut state = self.state();
        let changes = state.heard(denial);
        state.write_if_possible(changes);
    }

    /// An approval is used: nothing gives it back by itself any more, nor does a restart. One of a grant for more runs
    /// that was taken back cannot be used.
    fn use_up(&self, approval: &Approval) -> Result<(), String> {
        self.state().use_up(approval, Now::read())
    }

    /// The patterns that were approved, by as many people as `wants` wants, for requests of this life that are the same as
    /// this one but for their words, and the entries that they were answers to.
    pub(crate) fn patterns(
        &self,
        frame: &Identity,
        life: Option<&Life>,
        wants: &[Want],
    ) -> Vec<(Id, String)> {
        let state = self.state();
        let suffices = |votes: &[Vote]| wants.is_empty() || are_met(wants, &state.people, votes);
        state.kept.repeating.patterns(frame, life, Now::read(), suffices)
    }

    /// Lets go of what was granted to prisoners that are no more, as `is_there` says.
    pub(crate) fn end_sessions(&self, is_there: fn(CallerKey) -> bool) {
        self.state().end_lives(&|life| life.is_over(&is_there));
    }

    /// The same for containers, as `is_over` says of their ids.
    pub(crate) fn end_containers(&self, is_over: impl Fn(&str) -> bool) {
        self.state().end_lives(&|life| matches!(life, Life::Container(id) if is_over(id)));
    }

    /// The same where nothing is to be started with it in any case.
    fn void(&self, approval: &Approval) {
        if approval.inherited.is_some() {
            return;
        }
        self.state().write_if_possible(vec![lasting::no_grant(approval)]);
    }

    /// Takes a request that needs a person's answer. Identical ones share an entry.
    pub fn ask(&self, ask: Ask, now: Now) -> Asked {
        let identity = ask.identity;
        let mut state = self.state();
        match state.ask(ask, now) {
            Put::Granted(approval) => Asked::Granted(approval),
            Put::Denied(denial) => Asked::Denied(denial),
            Put::Nobody(why) => Asked::Nobody(why),
            Put::Full(full) => Asked::Full(full),
            Put::Waiting { entry, place, since_ms, receiver } => Asked::Wait(Ticket {
                entry,
                short: state.short(entry),
                since_ms,
                identity,
                place,
                receiver,
                state: Arc::clone(&self.state),
                has_left: false,
            }),
        }
    }

    /// A person's answer. `id` is an entry's id or a prefix of at least [`MIN_PREFIX`] digits. The first answer wins.
    ///
    /// `record` is called once, when the answer is going to be taken and before anybody is told of it; when it fails,
    /// the answer is not given. It runs under the queue's lock: it must be short and must not come back here.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing has changed then.
    pub fn answer(
        &self,
        id: &str,
        verdict: Verdict,
        now: Now,
        record: impl FnOnce(&Answered) -> Result<(), String>,
    ) -> Result<Answered, AnswerError> {
        self.answer_by(id, verdict, (now, &Moment::default()), record)
    }

    /// The same with what holds by now of who may answer. Where several people are wanted, an answer may be one of them
    /// alone; [`Answered::progress`] says so.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing has changed then.
    pub fn answer_by(
        &self,
        id: &str,
        verdict: Verdict,
        (now, moment): (Now, &Moment<'_>),
        record: impl FnOnce(&Answered) -> Result<(), String>,
    ) -> Result<Answered, AnswerError> {
        self.state().answer(id, verdict, (now, moment), record)
    }

    /// Who people are, from here on.
    pub fn know(&self, people: Arc<People>) {
        self.state().people = people;
    }

    /// Whether the people who approved a command are as many as `wants` wants for what it starts.
    pub(crate) fn may_inherit(&self, bequest: &Bequest, wants: &[Want]) -> bool {
        wants.is_empty() || are_met(wants, &self.state().people, &bequest.votes)
    }

    /// Whether the people who gave an approval are as many as `wants` wants.
    #[must_use]
    pub fn suffices(&self, approval: &Approval, wants: &[Want]) -> bool {
        wants.is_empty() || are_met(wants, &self.state().people, &approval.votes)
    }

    /// What is needed to judge an entry again; `id` as for [`Approvals::answer`].
    ///
    /// # Errors
    /// [`AnswerError`].
    pub(crate) fn case(&self, id: &str) -> Result<Option<Arc<Case>>, AnswerError> {
        self.state().case(id)
    }

    /// Denies an entry because the policy does. Everybody who waits is told; nothing is kept, as the next one like it is
    /// judged by the policy itself. `record` is called as in [`Approvals::answer`], with the requests. Gives the entry and them.
    ///
    /// # Errors
    /// [`AnswerError`]; nothing has changed then.
    pub(crate) fn refuse(
        &self,
        id: &str,
        objection: &Objection,
        now: Now,
        record: impl FnOnce(&[Id]) -> Result<(), String>,
    ) -> Result<(Id, Vec<Id>), AnswerError> {
        self.state().refuse(id, objection, now, record)
    }

    /// Takes back an approval with which nothing was run. It is handed to the next who waits for it, else kept, for as
    /// long as it would have been kept from the first.
    pub fn give_back(&self, approval: Approval, now: Now) {
        self.state().hand_on(approval, now);
    }

    /// Everything that waits, oldest first.
    #[must_use]
    pub fn queue(&self) -> Vec<QueueEntry> {
        self.part(&Part::whole()).0.iter().map(Seen::show).collect()
    }

    /// Since when what waits in the jails that `in_jail` picks does so, in milliseconds since the epoch; in no order.
    pub(crate) fn since(&self, in_jail: impl Fn(&str) -> bool) -> Vec<u64> {
        let state = self.state();
        let theirs = state.entries.values().filter(|entry| in_jail(entry.details.jail()));
        theirs.map(|entry| entry.since_ms).collect()
    }

    /// A part of what waits, oldest first, and whether more comes behind it.
    #[must_use]
    pub fn part(&self, part: &Part<'_>) -> (Vec<Seen>, bool) {
        self.state().part(part)
    }

    /// What waits under this id in the jails that `has_jail` picks, as if there were no others; else as for
    /// [`Approvals::answer`].
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn find(
        &self,
        id: &str,
        has_jail: impl Fn(&str) -> bool,
    ) -> Result<QueueEntry, AnswerError> {
        let seen = self.state().find(id, has_jail)?;
        Ok(seen.show())
    }

    /// All requests that are known to have asked what waits, with their jails.
    pub(crate) fn asks(&self) -> Vec<(Id, String)> {
        let state = self.state();
        let of = |entry: &entry::Entry| {
            let jail = entry.details.jail().to_owned();
            entry.asks().map(|id| (id, jail.clone())).collect::<Vec<_>>()
        };
        state.entries.values().flat_map(of).collect()
    }

    /// Requests and entries to which something is owed: what waits, and answers that are kept. One in the hands of a
    /// request that is about to start is told by that request's own records. `None` while what lasts is not taken up.
    pub(crate) fn owed(&self) -> Option<HashSet<Id>> {
        let state = self.state();
        if let Lasting::Shut(_) = state.store {
            return None;
        }
        let waiting = state.entries.iter();
        let waiting = waiting.flat_map(|(&id, entry)| entry.asks().chain([id, entry.row]));
        Some(waiting.chain(state.kept.owed()).collect())
    }

    /// How many entries are open, parked ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().entries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Denies what nobody answered in time, and forgets kept answers that ran out.
    #[must_use = "what expired is to be recorded"]
    pub fn expire(&self, now: Now) -> Vec<ExpiredEntry> {
        self.state().expire(now)
    }

    /// When the next entry expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.state().next_expiry()
    }

    /// A panic under the lock leaves a state in which each step is either done or not.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Approvals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Approvals").finish_non_exhaustive()
    }
}
