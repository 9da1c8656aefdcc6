//! What can be written into the ledger: one type for each event.
//! A record says what happened and never decides anything; secrets have no field here.

use serde::{Deserialize, Serialize};

use super::about::{DiskFailed, Opened};
use super::argv::Argv;
use super::dropped::Dropped;
use super::head::SignedHead;
use super::id::Id;
use crate::redaction::Fields;

/// Names (of variables, of noticed facts) that one record lists. Of a longer list the rest is counted in a last entry.
pub const MAX_NAMES: usize = 256;

/// Fields of records that the warden, its policy or the kernel fills, and those whose secrets are marked before: they stay
/// as they are, whatever is a secret elsewhere.
pub(crate) const FIELDS: Fields = Fields {
    ours: &[
        "event",
        "id",
        "entry",
        "jail",
        "version",
        "methods",
        "fingerprint",
        "argv",
        "argv_raw",
        "argv_sha256",
        "decision",
        "rule",
        "executor",
        "run_as",
        "approver",
        "person",
        "progress",
        "to",
        "channel",
        "from",
        "scope",
        "state",
        "method",
        "exit_source",
        "record",
        "recording",
        "prisoner",
        "by",
        "token",
        "name",
        "role",
        "jails",
        "rules",
        "revoked",
        "session",
        "who",
        "chat",
        "speaks_for",
        "user",
    ],
    maps: &["labels"],
};

/// One event. On its line it stands between the sequence number and time, and the hash of the line before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// The ledger begins a segment, or a warden goes on with one.
    Opened(Opened),
    /// The segment is closed behind this line.
    Sealed(SignedHead),
    /// Retention dropped the oldest segment.
    Dropped(Dropped),
    /// The ledger could not be written for a while.
    DiskFailed(DiskFailed),
    /// The warden serves.
    WardenStarted(WardenStarted),
    /// The warden ended in good order.
    WardenStopped(WardenStopped),
    /// A policy is in force.
    PolicyLoaded(PolicyLoaded),
    /// A policy did not load; the one before stays in force.
    PolicyRefused(PolicyRefused),
    /// A command was asked for.
    Requested(Requested),
    /// The policy decided.
    Decided(Decided),
    /// A person said yes, and others are wanted.
    Voted(Voted),
    /// Nobody has answered for a while: others may as well.
    Escalated(Escalated),
    /// A person let it run.
    Approved(Answered),
    /// A person refused it.
    Denied(Answered),
    /// Nobody answered in time: denied.
    Expired(Expired),
    /// The caller went away before it had an answer.
    CallerLeft(CallerLeft),
    /// The entry waits on without a caller.
    Parked(Parked),
    /// The warden was restarted, and the request, or the answer to it, goes on as it was.
    Restored(Restored),
    /// The caller is back from a connection that broke, and waits on.
    Reconnected(Reconnected),
    /// A kept approval let this request run.
    GrantUsed(Answered),
    /// Somebody took a kept approval back: nothing will run by it.
    GrantRevoked(GrantRevoked),
    /// Somebody approves a request for always: a rule is written for it. `policy_loaded` follows once it is in force.
    RuleAdded(RuleAdded),
    /// Nothing was started with an approval that this request had: the next identical one has it.
    ApprovalReturned(ApprovalReturned),
    /// The command starts; written before it does.
    Started(Started),
    /// The command ended.
    Finished(Finished),
    /// Processes were ended on somebody's word.
    Killed(Killed),
    /// The kill switch was thrown.
    Stopped(Stopped),
    /// The kill switch was taken back.
    Resumed(Resumed),
    /// Somebody made a jail.
    JailCreated(JailChanged),
    /// Somebody deleted a jail.
    JailDeleted(JailChanged),
    /// A prisoner is held by a `clawrden run`.
    PrisonerStarted(PrisonerStarted),
    /// A prisoner's holder ended.
    PrisonerEnded(PrisonerEnded),
    /// Somebody who may not use the control plane tried to.
    ControlRefused(ControlRefused),
    /// A token for the control API is made.
    TokenCreated(TokenCreated),
    /// A token or a session opens nothing more.
    AccessRevoked(AccessRevoked),
    /// Somebody has logged in at the web page.
    SessionOpened(SessionOpened),
    /// Bytes that are no whole line were set aside.
    Recovered(Recovered),
    /// A request could not be served.
    Failed(Failed),
    /// Who answers is read from the settings.
    PeopleLoaded(PeopleLoaded),
    /// It is not; who answered before goes on to.
    PeopleRefused(PeopleRefused),
    /// A user of a chat has become a person's.
    Paired(Paired),
    /// A user of a chat is a person's no more.
    Unpaired(Paired),
    /// A code is made that binds a user of a chat to a person.
    PairingOffered(PairingOffered),
}

/// Who asked, as the kernel says. What is unknown is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The container that it sits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The prisoner that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prisoner: Option<String>,
}

/// A container, as the container engine told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
}

/// Payload of [`Record::WardenStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WardenStarted {
    /// The warden's version.
    pub version: String,
    /// The user that it runs as.
    pub uid: u32,
    /// What the kernel offers and what was chosen.
    pub methods: std::collections::BTreeMap<String, String>,
}

/// Payload of [`Record::WardenStopped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WardenStopped {
    /// Why it ended.
    pub reason: String,
}

/// Payload of [`Record::PolicyLoaded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyLoaded {
    /// Where it came from.
    pub source: String,
    /// SHA-256 of its text, in hex.
    pub fingerprint: String,
    /// The jail that it governs; `*` for all of this source, which went on with it after something else was refused.
    pub jail: String,
}

/// Payload of [`Record::PolicyRefused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRefused {
    /// Where it came from.
    pub source: String,
    /// The jail that it was meant for; `*` for all that are governed by this source.
    pub jail: String,
    /// The diagnosis.
    pub error: String,
}

/// Payload of [`Record::Requested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The request.
    pub id: Id,
    /// The jail that it came in through.
    pub jail: String,
    /// Who asked.
    pub caller: Caller,
    /// What was asked for.
    #[serde(flatten)]
    pub argv: Argv,
    /// The working directory, resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The file that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// The version of the intercom that the client speaks.
    pub version: u8,
}

/// Payload of [`Record::Decided`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The request.
    pub id: Id,
    /// `allow`, `ask` or `deny`.
    pub decision: String,
    /// The rule that gave it; absent for the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the agent is told to do instead, where the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<String>,
    /// Facts that weighed on it; see [`names`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed: Vec<String>,
    /// In a dry run: it runs all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub let_through: bool,
    /// Where it is to run: `mirror`, `ghost` or `local`.
    pub executor: String,
    /// The user of the warden's host that it is to run as, where a rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
}

/// Payload of [`Record::Approved`], [`Record::Denied`] and [`Record::GrantUsed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The request that the answer is for: of several that share an entry, each has its own record.
    pub id: Id,
    /// The entry of the queue that was answered.
    pub entry: Id,
    /// Who answered.
    pub approver: String,
    /// Through what: `cli`, `api` …
    pub channel: String,
    /// From where: `ADDRESS:PORT` over TCP, `local: pid N, uid N` by the Unix socket; absent in records of a warden that did not
    /// write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Set where no caller was there to take it: until when it is kept, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until_ms: Option<u64>,
    /// For what it is good, where that is more than one run: `session` or `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Until when it holds then, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_until_ms: Option<u64>,
    /// It is for what the command starts as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_what_it_starts: bool,
    /// Of a grant that is used: the running request that has started this one, and whose approval this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<Id>,
    /// It is for every command that this takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Who answered last, where they did so in a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,
}

impl Answered {
    /// An answer to request `id` by the entry `entry`, for one run, of whom `approver` is all that is known.
    #[must_use]
    pub fn new(id: Id, entry: Id, approver: &str, channel: &str) -> Self {
        Self {
            id,
            entry,
            approver: approver.to_owned(),
            channel: channel.to_owned(),
            from: None,
            reason: None,
            kept_until_ms: None,
            scope: None,
            holds_until_ms: None,
            and_what_it_starts: false,
            inherited_from: None,
            pattern: None,
            chat: None,
        }
    }
}

/// By what somebody is known who answers in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The person.
    pub person: String,
    /// The user, by the service's own id, such as `slack:T012ABC/U345DEF`.
    pub user: String,
    /// The id of the token by which their bridge came; absent for one of the warden's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Payload of [`Record::Voted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voted {
    /// The request that was shown: the oldest of those that share the entry.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// Who said yes.
    pub approver: String,
    /// The person that they are, as the settings name them; else what they came by.
    pub person: String,
    /// Through what: `cli`, `api` …
    pub channel: String,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far it is, such as `1 of 2 approvals: alice`.
    pub progress: String,
    /// By what they are known, where they answered in a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,
}

/// Payload of [`Record::Escalated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalated {
    /// The request that is shown: the oldest of those that share the entry.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// People and groups that may answer from here on.
    pub to: Vec<String>,
    /// How long nobody has answered, in milliseconds.
    pub after_ms: u64,
}

/// Payload of [`Record::ApprovalReturned`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalReturned {
    /// The request that did not use it.
    pub id: Id,
    /// The entry of the queue that was answered.
    pub entry: Id,
    /// Until when it is kept, in milliseconds since the epoch: no longer than it would have been without this request.
    pub kept_until_ms: u64,
}

/// Payload of [`Record::RuleAdded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleAdded {
    /// The entry of the queue that it is written for; `None` for one that the history suggests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Id>,
    /// The file that it is written into.
    pub file: String,
    /// The rule.
    pub rule: String,
    /// Who has it written.
    pub by: String,
    /// Through what.
    pub channel: String,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of [`Record::GrantRevoked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRevoked {
    /// The request that it was given to, or that asked last.
    pub id: Id,
    /// The entry of the queue that was answered.
    pub entry: Id,
    /// Who took it back.
    pub by: String,
    /// Through what.
    pub channel: String,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Payload of [`Record::Expired`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The request.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// How long a person had, in milliseconds.
    pub after_ms: u64,
}

/// Payload of [`Record::CallerLeft`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerLeft {
    /// The request.
    pub id: Id,
}

/// Payload of [`Record::Parked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The request whose caller was the last to leave.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
}

/// Payload of [`Record::Restored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The request.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
    /// `waiting` (its caller may come back), `parked`, `approved` and `denied` (nobody has had the answer yet), or
    /// `dropped`: an approval that cannot be told from one that was used before the machine crashed.
    pub state: String,
    /// Until when it waits, or the answer is kept, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Through what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// From where, as in [`Answered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Payload of [`Record::Reconnected`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconnected {
    /// The request.
    pub id: Id,
    /// The entry of the queue.
    pub entry: Id,
}

/// How a command is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The shim becomes the tool.
    Handoff,
    /// Under the runner.
    Runner,
    /// Under the runner, which the container engine starts in the prisoner's own container.
    Exec,
}

/// Payload of [`Record::Started`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The request.
    pub id: Id,
    /// `mirror`, `ghost` or `local`.
    pub executor: String,
    /// How it is started.
    pub method: Method,
    /// The process, where it is known before the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Names of the variables that it does not get; see [`names`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stripped: Vec<String>,
    /// Who runs what on the warden's host, where a rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// The container that it runs in, where that is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Ghost>,
    /// What of it is recorded: `output` or `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Part of [`Started`]: a ghost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ghost {
    /// The image as the policy names it.
    pub image: String,
    /// The image that this was.
    pub image_id: String,
    /// The network that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The names of the secrets that it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The folders that it shares with its caller.
    pub shared: Vec<String>,
    /// The user that it runs as.
    pub uid: u32,
}

/// Part of [`Started`]: what `run_as` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user's name.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The file on the warden's host.
    pub executable: String,
    /// The working directory on the warden's host.
    pub cwd: String,
}

/// Payload of [`Record::Finished`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The request.
    pub id: Id,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Where these come from: `kernel`, `runner`, `shim`, or `unknown: why`.
    pub exit_source: String,
    /// From start to end.
    pub duration_ms: u64,
    /// It was ended by its timeout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// It was ended because its caller cancelled or went away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Bytes of output that passed through the warden; absent where none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its recording, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recorded>,
}

/// Part of [`Finished`]: the file of its recording, as it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// How many these are.
    pub bytes: u64,
    /// Why it is not whole, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Payload of [`Record::Killed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// The request whose processes were ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// The prisoner whose processes were ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prisoner: Option<String>,
    /// On whose word.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many processes, those of containers not counted.
    pub processes: usize,
    /// How many containers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub containers: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Payload of [`Record::Stopped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Who threw the kill switch.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Frozen rather than ended.
    pub paused: bool,
    /// A jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// A container alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

/// Payload of [`Record::Resumed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Who took it back.
    pub by: String,
    /// For a jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// For a container alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

/// Payload of [`Record::JailCreated`] and [`Record::JailDeleted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailChanged {
    /// The jail.
    pub jail: String,
    /// On whose word.
    pub by: String,
    /// The tools that were named for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

/// Payload of [`Record::PrisonerStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrisonerStarted {
    /// The prisoner.
    pub prisoner: String,
    /// Its jail.
    pub jail: String,
    /// The process that holds it.
    pub pid: u32,
    /// The user that started it.
    pub uid: u32,
    /// The command.
    #[serde(flatten)]
    pub argv: Argv,
    /// What the person who started it says about it.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Payload of [`Record::PrisonerEnded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrisonerEnded {
    /// The prisoner.
    pub prisoner: String,
    /// Requests that came from it.
    pub requests: u64,
}

/// Payload of [`Record::ControlRefused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRefused {
    /// Who tried.
    pub peer: Caller,
    /// Why it was refused.
    pub why: String,
}

/// Payload of [`Record::TokenCreated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// The token's id; what opens is nowhere.
    pub token: String,
    /// Whose it is.
    pub name: String,
    /// What its owner may do.
    pub role: clawrden_api::Role,
    /// For which jails alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jails: Vec<String>,
    /// For which rules alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// For whose users a bridge asks by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks_for: Option<clawrden_api::ChatService>,
    /// Until when, in milliseconds since the epoch.
    pub expires_ms: u64,
    /// On whose word.
    pub by: String,
}

/// Payload of [`Record::AccessRevoked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRevoked {
    /// The token or the session.
    pub revoked: String,
    /// On whose word.
    pub by: String,
}

/// Payload of [`Record::SessionOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The session's id; what opens is nowhere.
    pub session: String,
    /// Whose it is.
    pub who: String,
    /// What they may do.
    pub role: clawrden_api::Role,
    /// From where.
    pub from: String,
    /// Until when, in milliseconds since the epoch.
    pub expires_ms: u64,
}

/// Payload of [`Record::Recovered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// How many bytes were set aside.
    pub torn_bytes: u64,
    /// The file that holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The first line that does not hold, where the ledger was found broken. It is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Payload of [`Record::Failed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The request.
    pub id: Id,
    /// What failed.
    pub error: String,
}

/// Payload of [`Record::PeopleLoaded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleLoaded {
    /// The file.
    pub source: String,
    /// How many people it names.
    pub people: u64,
    /// How many groups.
    pub groups: u64,
}

/// Payload of [`Record::PeopleRefused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleRefused {
    /// The file.
    pub source: String,
    /// What is wrong with it.
    pub error: String,
}

/// Payload of [`Record::Paired`] and [`Record::Unpaired`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    /// The person.
    pub person: String,
    /// The user, such as `slack:T012ABC/U345DEF`.
    pub user: String,
    /// On whose word: who made the code, or took it back.
    pub by: String,
}

/// Payload of [`Record::PairingOffered`]. What the code is, is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingOffered {
    /// The person.
    pub person: String,
    /// For users of this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<clawrden_api::ChatService>,
    /// Until when it can be used, in milliseconds since the epoch.
    pub expires_ms: u64,
    /// Who made it.
    pub by: String,
}

/// Shortens a list of names to [`MAX_NAMES`] entries, the last of which then counts what is left out.
#[must_use]
pub fn names(mut all: Vec<String>) -> Vec<String> {
    if all.len() > MAX_NAMES {
        let left_out = all.len() - (MAX_NAMES - 1);
        all.truncate(MAX_NAMES - 1);
        all.push(format!("and {left_out} more"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_flat_object_that_names_its_event() {
        let record = Record::Requested(Requested {
            id: Id([7; 16]),
            jail: "dev".to_owned(),
            caller: Caller { uid: Some(1000), ..Caller::default() },
            argv: Argv::new(&["ls", "-l"]),
            cwd: Some("/app".to_owned()),
            executable: None,
            version: 2,
        });
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"event":"requested","id":"07070707070707070707070707070707","jail":"dev","caller":{"uid":1000},"argv":["ls","-l"],"cwd":"/app","version":2}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn what_is_unknown_is_absent_and_what_is_known_is_there() {
        let record = Record::Finished(Finished {
            id: Id([1; 16]),
            exit_code: None,
            signal: Some(9),
            exit_source: "kernel".to_owned(),
            duration_ms: 12,
            timed_out: true,
            cancelled: false,
            bytes_out: None,
            error: None,
            recording: None,
        });
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"event":"finished","id":"01010101010101010101010101010101","signal":9,"exit_source":"kernel","duration_ms":12,"timed_out":true}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn a_long_list_of_names_says_how_many_are_left_out() {
        let all: Vec<String> = (0..1000).map(|i| format!("V{i}")).collect();
        let short = names(all.clone());
        assert_eq!(short.len(), MAX_NAMES);
        assert_eq!(short[254], "V254");
        assert_eq!(short[255], "and 745 more");
        assert_eq!(names(all[..256].to_vec()), all[..256]);
    }
}
