//! What travels over the control API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::approvals::{NoApprover, QueueApprovals};
use crate::channels::{ChannelStatus, Trouble};
use crate::chat::BridgeStatus;
use crate::people::PeopleStatus;

use crate::grants::GrantScope;

/// `GET /api/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The warden's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The user that it runs as.
    pub uid: u32,
    /// When it started.
    pub started_ms: u64,
    /// Set while the kill switch is thrown.
    pub stopped: Option<Stopped>,
    /// Jails and containers that are stopped alone.
    #[serde(default)]
    pub held: Vec<Held>,
    /// Its jails, by name.
    pub jails: Vec<JailStatus>,
    /// Requests that wait for a person, parked ones included.
    pub pending: usize,
    /// Commands that run.
    pub running: usize,
    /// The last request that was denied because nobody who may answer could; absent where there was none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_approver: Option<NoApprover>,
    /// Who answers.
    #[serde(default)]
    pub people: PeopleStatus,
    /// Bridges to chats that listened to events within the last minute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bridges: Vec<BridgeStatus>,
    /// What the policy asks or denies is recorded and let through, disasters excepted.
    #[serde(default)]
    pub dry_run: bool,
    /// The policy that the warden serves with; empty from a warden that does not tell.
    #[serde(default)]
    pub policy: PolicyStatus,
    /// The state of the ledger.
    pub ledger: LedgerStatus,
    /// The index that makes history fast.
    #[serde(default)]
    pub index: IndexStatus,
    /// The container engine.
    #[serde(default)]
    pub engine: EngineStatus,
    /// What the kernel offers here and what was chosen, such as `peer_pidfd: yes`.
    pub methods: BTreeMap<String, String>,
    /// The channels by which people are told of what waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelStatus>,
    /// How far the promises hold here: one sentence a line.
    pub cautions: Vec<String>,
}

/// The policy that the warden serves with, for all jails but those of runs that brought their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyStatus {
    /// Where it came from.
    pub source: String,
    /// SHA-256 of its text, in hex.
    pub fingerprint: String,
    /// Since when it is in force.
    pub since_ms: u64,
    /// Whether its files are watched. If not, they are read when somebody asks for it.
    pub watched: bool,
    /// Why what the files say is not in force, if it is not.
    pub error: Option<PolicyFault>,
}

/// Why a changed policy is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFault {
    /// The whole diagnosis.
    pub message: String,
    /// The file of its first error, where that is inside a file.
    pub file: Option<String>,
    /// The line of its first error, from 1.
    pub line: Option<u32>,
    /// The column of its first error in characters, from 1.
    pub column: Option<u32>,
    /// Since when.
    pub since_ms: u64,
}

/// The answer to `POST /api/policy/reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyReloaded {
    /// Where the policy came from.
    pub source: String,
    /// SHA-256 of the text that is in force, in hex.
    pub fingerprint: String,
    /// Whether it is another one than before.
    pub changed: bool,
    /// What could not be done, one sentence each.
    pub problems: Vec<String>,
}

/// The kill switch, thrown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stopped {
    /// Since when.
    pub since_ms: u64,
    /// Who threw it.
    pub by: String,
    /// Frozen rather than ended.
    pub paused: bool,
}

/// A jail or a container that is stopped alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The jail, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// The container, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<CallerContainer>,
    /// Since when, by whom and how.
    pub stopped: Stopped,
}

/// One jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailStatus {
    /// Its name.
    pub name: String,
    /// Its intercom socket.
    pub socket: String,
    /// The folder of its shims, where there is one.
    pub bin: Option<String>,
    /// Where its policy came from.
    pub policy: String,
    /// SHA-256 of the policy's text, in hex.
    pub policy_fingerprint: String,
    /// Since when that policy is in force.
    #[serde(default)]
    pub policy_since_ms: u64,
    /// Policies from before a change by which its prisoners are judged as well: what is wider holds from the next `run` on.
    #[serde(default)]
    pub policies_held_back: usize,
    /// Why the newest policy file is not in force, if it does not load.
    pub policy_error: Option<String>,
    /// Requests that came in, since the warden started.
    pub requests: u64,
    /// Prisoners that a `clawrden run` holds.
    pub prisoners: Vec<PrisonerStatus>,
}

/// One prisoner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrisonerStatus {
    /// Its id.
    pub id: String,
    /// The process id of the `clawrden run` that holds it.
    pub pid: u32,
    /// The command that was started.
    pub command: Vec<String>,
    /// Labels that the person who started it gave.
    pub labels: BTreeMap<String, String>,
    /// Requests that came from it. Zero for long says that it is not governed.
    pub requests: u64,
    /// Since when.
    pub since_ms: u64,
    /// Every ask is denied at once.
    pub unattended: bool,
}

/// The ledger's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerStatus {
    /// The file that is written.
    pub path: String,
    /// The sequence number of the newest record; 0 for none.
    pub sequence: u64,
    /// Why it cannot be written at the moment. While it is set, nothing runs.
    pub error: Option<String>,
    /// The sequence number of the newest record that is known to be on the disk.
    #[serde(default)]
    pub on_disk: u64,
    /// Why the newest signed head did not reach every anchor.
    #[serde(default)]
    pub anchor_error: Option<String>,
}

/// The state of the ledger's index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IndexStatus {
    /// Its file; empty from a warden that has none.
    pub path: String,
    /// `ready`, `building` or `off`. History is answered in each of them; it is slow where this is not `ready`.
    pub state: String,
    /// The sequence number of the newest record that is in it; 0 for none.
    pub sequence: u64,
    /// How much of the ledger is read, in percent, while it is built.
    pub percent: Option<u8>,
    /// Why there is none, or why the last one was given up.
    pub error: Option<String>,
}

/// The container engine's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineStatus {
    /// Where it answers, or where it is looked for; empty when none is to be used.
    pub address: String,
    /// What it calls itself and its version, such as `Docker Engine 20.10.24`, while it answers.
    pub version: Option<String>,
    /// The version of its API that is spoken, such as `1.41`.
    pub api: Option<String>,
    /// Why it does not answer. What needs no containers goes on.
    pub error: Option<String>,
}

/// Who asked, as the kernel says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Process id; `None` when the peer is in a pid namespace that cannot be seen.
    pub pid: Option<u32>,
    /// The prisoner that it belongs to, where that is known.
    pub prisoner: Option<String>,
    /// The container that it is in, where it is in one and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<CallerContainer>,
}

/// The container that a caller is in, as the container engine tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallerContainer {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
}

/// What helps to judge a request. But for the count, all of it is the prisoner's word: it wrote its command lines and its
/// files, and may change them. What could not be read in time is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueContext {
    /// The command line of the process that started it, secrets marked; empty where it is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent: Vec<String>,
    /// The remote of the git repository that its working directory is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_remote: Option<String>,
    /// The branch that is checked out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_branch: Option<String>,
    /// How often exactly this command was approved in this jail before, 100 standing for so many or more; absent where
    /// the ledger's index cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_before: Option<u32>,
    /// The paths that it names, and what it would run as far as that is seen, in their order; 16 at most. Of an option's
    /// value no more is known than what stands behind its `=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<QueueTouch>,
    /// There may be further ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touches_more: bool,
}

/// A path that a command names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueTouch {
    /// Where it leads in the caller's world, free of links; a long one is cut, and ends with `…`.
    pub path: String,
    /// What was there when it was asked: `file`, `folder`, `other` (such as a device), `missing` (it would be made), or
    /// `unclear` (a link to nothing, or what cannot be looked at).
    pub kind: String,
}

impl QueueContext {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One entry of `GET /api/queue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueEntry {
    /// The whole id, 32 hex digits.
    pub id: String,
    /// The shortest prefix of at least four digits that no other open entry has.
    pub short: String,
    /// The request that an answer is for, as history and ledger know it: of the caller that waits longest, else of the one that
    /// left last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The jail.
    pub jail: String,
    /// Who asks.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced.
    pub argv: Vec<String>,
    /// The working directory, resolved.
    pub cwd: Option<String>,
    /// The file that will be executed.
    pub executable: Option<String>,
    /// SHA-256 of what that file holds, in hex, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it will run: `mirror`, `ghost` or `local`.
    pub executor: String,
    /// An agent's hook asks: the agent runs it by itself, and what becomes of it is never known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_judged: bool,
    /// The user of the warden's host that it will run as, where a rule says so (`run_as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// The rule that asks, such as `policy.yaml:12`; `None` for the default action.
    pub rule: Option<String>,
    /// Why it asks.
    pub reason: String,
    /// What the agent is told to do instead, should it not run, where the policy says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<String>,
    /// Facts that weigh on the decision, such as dangerous variables.
    pub noticed: Vec<String>,
    /// The prisoner's labels.
    pub labels: BTreeMap<String, String>,
    /// The command as a shell reads it back, exactly; absent where the arguments are too long to be shown whole, or
    /// where secrets among them are replaced by marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// What is odd about its characters: letters that look like others, and hidden ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What surrounds it.
    #[serde(default, skip_serializing_if = "QueueContext::is_empty")]
    pub context: QueueContext,
    /// Since when it waits.
    pub since_ms: u64,
    /// When it is denied as expired.
    pub expires_ms: u64,
    /// Whose yes it takes and has; absent where anybody's who may answer will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<QueueApprovals>,
    /// Callers that wait at this moment. 0: parked, an approval is kept for the next identical request.
    pub callers: u32,
}

/// The query of `GET /api/queue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueQuery {
    /// At most so many entries, 1 to 1000; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `GET /api/queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Oldest first.
    pub entries: Vec<QueueEntry>,
    /// The cursor of the next page; `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The body of `POST /api/queue/{id}/approve` and `…/deny`; `{id}` may be a prefix of at least four digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Why. A denial's reason goes to the agent.
    #[serde(default)]
    pub reason: Option<String>,
    /// For what an approval is good; a denial has no scope but `once`.
    #[serde(default, skip_serializing_if = "GrantScope::is_once")]
    pub scope: GrantScope,
    /// For `time`: for how long from now on, in milliseconds; at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// An approval is for what the command starts as well: what a process below it asks is approved by it, as long as the
    /// command lives and for 24 hours at most. What is denied stays denied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_what_it_starts: bool,
    /// For `session` and `time`: every command that this takes, not the very same alone. The tool's bare name and arguments as
    /// rules have them, such as `npm install *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// The answer to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answered {
    /// The whole id.
    pub id: String,
    /// `approved` or `denied`; `voted` where more people are wanted.
    pub answer: String,
    /// How far it is then, such as `1 of 2 approvals: alice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Whether a caller was waiting for it; if not, an approval is kept for the next identical request.
    pub delivered: bool,
    /// Until when such a kept approval holds.
    pub kept_until_ms: Option<u64>,
    /// Until when it holds at most, where it is for more than one run.
    #[serde(default)]
    pub holds_until_ms: Option<u64>,
}

/// The query of `GET /api/history`. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// A request's id, or its first 4 digits or more. It is looked up, however long the history is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A glob on the tool's name, or a part of the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// `allow`, `ask` or `deny`: the policy's decision; or an outcome: `approved`, `denied`, `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// A uid, or `pid:N`, or a prisoner's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// A jail's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// Words: each stands somewhere in what is known of the request (command line, folder, rule, reason, answer, error
    /// …), small and capital letters of ASCII being the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What came of an ask: `approved`, `denied`, `expired` or `caller_left`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Where it ran: `mirror`, `ghost` or `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// A part of the rule's name, such as `policy.yaml:12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// An exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// A container's name, or the start of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// At most so many entries, 1 to 1000; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// The jails that whoever asks is bounded to; empty for all. It travels nowhere: the warden knows.
    #[serde(skip)]
    pub jails: Vec<String>,
}

/// `GET /api/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// Everything the ledger knows of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// The sequence number of its first record.
    pub sequence: u64,
    /// The request's id.
    pub id: String,
    /// When it was made.
    pub time_ms: u64,
    /// The jail.
    pub jail: String,
    /// Who asked.
    pub caller: Caller,
    /// The argument vector, bytes that are not UTF-8 replaced.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The policy's decision: `allow`, `ask` or `deny`.
    pub decision: Option<String>,
    /// The rule that gave it.
    pub rule: Option<String>,
    /// Why it decided so: the rule's own reason, whatever people said of it.
    pub reason: Option<String>,
    /// What came of an ask: `approved`, `denied`, `expired`, `caller_left`.
    pub outcome: Option<String>,
    /// Who answered.
    pub approver: Option<String>,
    /// From where: `ADDRESS:PORT` over TCP, `local: pid N, uid N` by the Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_from: Option<String>,
    /// What whoever answered said: what a denial told the agent, or why an approval was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The answer was given to an earlier request, and kept for this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_answer: bool,
    /// Where it ran: `mirror`, `ghost` or `local`.
    pub executor: Option<String>,
    /// The user of the warden's host that it ran as, where a rule says so (`run_as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Whether it was started.
    pub started: bool,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Where exit code or signal come from: `kernel`, `runner`, `shim`, or `unknown: why`.
    pub exit_source: Option<String>,
    /// From start to end.
    pub duration_ms: Option<u64>,
    /// It was ended by its timeout.
    pub timed_out: bool,
    /// What failed, if something did.
    pub error: Option<String>,
}

/// The query of `GET /api/events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Leave out commands that start and end though nobody was asked about them.
    #[serde(default)]
    pub asked: bool,
    /// Of a bridge to a chat: what it calls itself for as long as it lives, so that its next stream takes the place of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Of a bridge to a chat: people are heard there, and told. Without it nobody counts as somebody who can answer by it.
    #[serde(default)]
    pub hears: bool,
    /// Of a bridge to a chat that does not hear: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Trouble>,
}

/// The body of `POST /api/kill`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// Freeze rather than end.
    #[serde(default)]
    pub pause: bool,
    /// Why, for the record.
    #[serde(default)]
    pub reason: Option<String>,
    /// This jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_.-]{0,62}$")]
    pub jail: Option<String>,
    /// This container alone: its name, its id or the start of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// The body of `POST /api/resume`. Without a jail or a container it takes back what was said of everything, and leaves
/// alone what is stopped by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// This jail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_.-]{0,62}$")]
    pub jail: Option<String>,
    /// This container: its name, its id or the start of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// When it was said, in milliseconds since 1970, where that may be a while ago: what was stopped after that stays stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_ms: Option<u64>,
}

/// The answer to `POST /api/kill` and `POST /api/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KillReport {
    /// Processes that were ended, frozen or thawed, those of containers not counted.
    pub processes: usize,
    /// Containers that were ended, frozen or thawed.
    #[serde(default)]
    pub containers: usize,
    /// Whether what it is about is stopped now.
    pub stopped: Option<Stopped>,
    /// What could not be done, one sentence each.
    pub problems: Vec<String>,
}

/// The body of `POST /api/prisoners`: a `clawrden run` makes itself known before it starts its command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrisonerRequest {
    /// The wanted jail; absent: one is found or made for this policy.
    #[serde(default)]
    pub jail: Option<String>,
    /// The policy's text with the name to show for it; absent: the stock policy.
    #[serde(default)]
    pub policy: Option<PolicySource>,
    /// A repository's own policy file, which narrows the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<PolicySource>,
    /// The tools to intercept; empty: those of the policy.
    #[serde(default)]
    pub tools: Vec<String>,
    /// The command, for people.
    pub command: Vec<String>,
    /// Labels, for approvers.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Deny every ask at once.
    #[serde(default)]
    pub unattended: bool,
    /// Base64 of the environment that the prisoner is started with: `NAME=value` entries, each ended by a NUL.
    pub environment: String,
}

/// The answer to `POST /api/prisoners`. The prisoner ends when the process that registered it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrisonerAnswer {
    /// The prisoner's id.
    pub id: String,
    /// The jail.
    pub jail: String,
    /// Its intercom socket.
    pub socket: String,
    /// The folder of its shims, to be put first on PATH.
    pub bin: String,
    /// The tools that have a shim there.
    pub tools: Vec<String>,
    /// The ledger.
    pub ledger: String,
    /// Where the policy came from.
    pub policy: String,
}

/// A policy that travels with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// What to call it in rules and diagnoses: a path.
    pub name: String,
    /// The file's text.
    pub text: String,
}

/// `GET /api/jails`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailList {
    /// By name.
    pub jails: Vec<JailInfo>,
    /// What is wrong with containers that ask to be in a jail, one sentence each.
    pub problems: Vec<String>,
}

/// `GET /api/jails/{name}`, and the answer to `POST /api/jails`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailInfo {
    /// Its name.
    pub name: String,
    /// Why there is one: `default`, `policy`, `created`, `label` or `run`.
    pub origin: String,
    /// The folder with its socket, to be mounted into its containers at `/run/clawrden`.
    pub folder: String,
    /// The folder of its shims, to be mounted into its containers at `/clawrden/bin`; the default jail has none.
    pub bin: Option<String>,
    /// The tools that have a shim there.
    pub tools: Vec<String>,
    /// The policy says so.
    pub hardened: bool,
    /// Where its policy came from.
    pub policy: String,
    /// Requests that came in, since the warden started.
    pub requests: u64,
    /// Prisoners that a `clawrden run` holds.
    pub prisoners: usize,
    /// Containers that say by their labels that they are in it, or that asked for something there.
    pub containers: Vec<JailContainer>,
    /// Set while it is stopped, alone or with everything.
    pub stopped: Option<Stopped>,
}

/// A container in a jail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailContainer {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
    /// `running`, `paused` or `stopped`.
    pub state: String,
    /// Its label `clawrden.mode` says so.
    pub hardened: bool,
    /// Its labels say that it belongs here; if not, it only asked.
    pub labelled: bool,
    /// Set while it is stopped alone.
    pub stopped: Option<Stopped>,
}

/// The body of `POST /api/jails`. The jail stays until it is deleted, over restarts of the warden.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JailRequest {
    /// Its name.
    #[schema(pattern = "^[a-z0-9][a-z0-9_.-]{0,62}$")]
    pub name: String,
    /// The tools that get a shim; empty: those that the policy speaks of.
    #[serde(default)]
    pub commands: Vec<String>,
}
