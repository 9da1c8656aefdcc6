//! What the control API asks of the warden. The API itself decides who may ask, and nothing else.

mod auditing;
mod channels;
mod commands;
mod counting;
mod folk;
mod grants;
mod lawyer;
mod patterns;

use std::net::IpAddr;
use std::time::Instant;

use clawrden_api::{
    AnswerRequest, Answered, ChatService, ConfigInfo, ErrorBody, History, HistoryQuery,
    IndexStatus, JailInfo, JailList, JailRequest, KillReport, KillRequest, NoApprover,
    PolicyReloaded, PrisonerAnswer, PrisonerRequest, ResumeRequest, SessionInfo, Status, TokenInfo,
};

use super::actor::Actor;
use super::peer::{Peer, Refusal};
use crate::approvals::{Part, Seen};
use crate::metrics::Format;

pub use auditing::Auditing;
pub use channels::Channels;
pub use commands::{Commands, Source};
pub use counting::Counting;
pub use folk::Folk;
pub use grants::Grants;
pub use lawyer::Lawyer;
pub use patterns::Patterns;

/// A person's answer to a request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Approve,
    /// It may not.
    Deny,
}

/// Whether the warden can serve requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What keeps it from that, one sentence each; nothing when it is ready.
    pub missing: Vec<String>,
    /// What else whoever looks should know.
    pub notes: Vec<String>,
}

/// Something about who may use the API, to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessChange {
    /// A token is made; it opens nothing before this is recorded.
    TokenCreated(TokenInfo),
    /// Somebody has logged in.
    SessionOpened(SessionInfo),
    /// A code is made that binds a user of a chat to a person; it is told nobody before this is recorded.
    CodeMade {
        /// The person.
        person: String,
        /// For users of this service alone.
        service: Option<ChatService>,
        /// Until when it can be used.
        expires_ms: u64,
        /// Who made it.
        by: String,
    },
}

/// The warden, seen from its control API. Every method is called on a thread that may block. An error is given to the
/// client as it is; its code decides the HTTP status.
pub trait Backend:
    Auditing
    + Channels
    + Commands
    + Counting
    + Folk
    + Grants
    + Lawyer
    + Patterns
    + Send
    + Sync
    + 'static
{
    /// The id of the prisoner that a process belongs to, `None` for nobody's.
    ///
    /// # Errors
    /// Why it cannot be told; the process is refused then.
    fn prisoner_of(&self, pid: u32) -> Result<Option<String>, String>;

    /// Records that somebody was refused. `request` is method and path as the client wrote them,
    /// the path cut at 200 bytes; `note` goes behind the reason as it is.
    fn refused(&self, peer: &Peer, request: &str, why: &Refusal, note: &str);

    /// `GET /readyz`.
    fn readiness(&self) -> Readiness;

    /// `GET /metrics`.
    ///
    /// # Errors
    /// When they cannot be written.
    fn metrics(&self, format: Format) -> Result<String, ErrorBody>;

    /// Whether processes of prisoners run as this user, who is then refused over TCP. Never the warden's own user, nor root:
    /// there nobody could be told from a prisoner.
    fn is_prisoners_user(&self, uid: u32) -> bool;

    /// Whether who comes from this address, of another machine or a container, may be a prisoner in one, as the engine tells
    /// it no earlier than `since`. While it does not answer, what is known holds; who is not known to be one is none.
    fn is_prisoners_address(&self, address: IpAddr, since: Instant) -> bool;

    /// Whether the socket of this number is one of a prisoner's process, as far as that can be told; `None` where there are
    /// no prisoners to whom it could belong. Reads /proc.
    fn is_prisoners_socket(&self, number: u64) -> Option<bool>;

    /// Records that somebody was refused over TCP. `from` is an address, `request` as for [`Backend::refused`].
    fn refused_at(&self, from: &str, request: &str, why: &str);

    /// Records that somebody is given access to the API.
    ///
    /// # Errors
    /// `LedgerUnavailable`; then nothing new is opened.
    fn access_changed(&self, change: AccessChange) -> Result<(), ErrorBody>;

    /// Records that a token or session opens nothing more, on whose word; as soon as that can be written.
    fn access_ended(&self, id: &str, by: &str);

    /// What happens, for `GET /api/events`.
    fn events(&self) -> crate::events::Events;

    /// `GET /api/config`, without what is about the API.
    ///
    /// # Errors
    /// When it cannot be told.
    fn config(&self) -> Result<ConfigInfo, ErrorBody>;

    /// `GET /api/status`.
    ///
    /// # Errors
    /// When the state cannot be told.
    fn status(&self) -> Result<Status, ErrorBody>;

    /// The last request of these jails that nobody could have answered, with how many there were in them.
    fn no_approver(&self, in_jail: &dyn Fn(&str) -> bool) -> Option<NoApprover>;

    /// `GET /api/queue`: a part of it, and whether more comes behind that.
    ///
    /// # Errors
    /// When the queue cannot be told.
    fn queue(&self, part: &Part<'_>) -> Result<(Vec<Seen>, bool), ErrorBody>;

    /// How many wait in the jails that `in_jail` picks.
    fn count_waiting(&self, in_jail: &dyn Fn(&str) -> bool) -> usize;

    /// `POST /api/queue/{id}/approve` and `…/deny`. `id` has 4 to 32 small hex digits. Whether the actor's scope has the
    /// request's jail and rule is looked at here.
    ///
    /// # Errors
    /// `NotApprover` and `OwnRequest` for who is not to answer it, `ReasonRequired` and `AlreadyVoted` as they say,
    /// `NotFound` for an unknown id, `Ambiguous` for a prefix of several, `Conflict` for an answered one,
    /// `LedgerUnavailable` when the answer cannot be recorded.
    fn answer(
        &self,
        actor: &Actor,
        id: &str,
        verdict: Verdict,
        request: AnswerRequest,
    ) -> Result<Answered, ErrorBody>;

    /// The ids of all requests that wait for a person, each with its jail.
    fn open_requests(&self) -> Vec<(String, String)>;

    /// `GET /api/history`. The query's values are in range.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn history(&self, query: HistoryQuery) -> Result<History, ErrorBody>;

    /// `POST /api/index/rebuild`. It is done in the background; `status` tells how far it is.
    ///
    /// # Errors
    /// None that a backend has to have.
    fn rebuild_index(&self) -> Result<IndexStatus, ErrorBody>;

    /// `POST /api/kill`.
    ///
    /// # Errors
    /// When nothing at all could be done, as for a jail or container that is not there; what could not be done in part
    /// is in the report.
    fn kill(&self, actor: &Actor, request: KillRequest) -> Result<KillReport, ErrorBody>;

    /// `POST /api/resume`.
    ///
    /// # Errors
    /// When the kill switch stays thrown.
    fn resume(&self, actor: &Actor, request: ResumeRequest) -> Result<KillReport, ErrorBody>;

    /// `GET /api/jails`.
    ///
    /// # Errors
    /// When they cannot be told.
    fn jails(&self) -> Result<JailList, ErrorBody>;

    /// `GET /api/jails/{name}`. The name is unchecked.
    ///
    /// # Errors
    /// `BadRequest` for a name that no jail can have, `NotFound` for none of that name.
    fn jail(&self, name: &str) -> Result<JailInfo, ErrorBody>;

    /// `POST /api/jails`. The name is unchecked.
    ///
    /// # Errors
    /// `BadRequest` for a bad name of a jail or a tool, `Conflict` for a name that is taken.
    fn create_jail(&self, actor: &Actor, request: JailRequest) -> Result<JailInfo, ErrorBody>;

    /// `DELETE /api/jails/{name}`. The name is unchecked. Gives what it was.
    ///
    /// # Errors
    /// `BadRequest` for a bad name, `NotFound` for none, `Conflict` for one that is in use or in the policy.
    fn delete_jail(&self, actor: &Actor, name: &str) -> Result<JailInfo, ErrorBody>;

    /// `POST /api/policy/reload`.
    ///
    /// # Errors
    /// `BadPolicy` when the files do not load; the policy before stays in force.
    fn reload_policy(&self, actor: &Actor) -> Result<PolicyReloaded, ErrorBody>;

    /// `POST /api/prisoners`. The prisoner ends when the process does that registers it, so it can be done on the
    /// Unix socket only.
    ///
    /// # Errors
    /// `BadPolicy` for a policy that does not load, `BadRequest` for a bad name, `Conflict` at a limit.
    fn register_prisoner(
        &self,
        actor: &Actor,
        request: PrisonerRequest,
    ) -> Result<PrisonerAnswer, ErrorBody>;
}
