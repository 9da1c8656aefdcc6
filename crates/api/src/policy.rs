//! What a policy says: shown, checked, explained, and held against what was asked before.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/policy`: what the policy in force is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyInfo {
    /// Where the warden's own policy came from.
    pub source: String,
    /// SHA-256 of all its layers, in hex.
    pub fingerprint: String,
    /// Since when it is in force.
    pub since_ms: u64,
    /// Rules in all layers.
    pub rules: usize,
    /// Its files, from the highest layer down.
    pub layers: Vec<PolicyLayer>,
    /// The jails, and what judges there.
    pub jails: Vec<JailPolicy>,
}

/// One file of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyLayer {
    /// `ceiling`, `host`, `rules` or `repository`.
    pub layer: String,
    /// What rules call it: a path.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What judges in one jail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JailPolicy {
    /// The jail.
    pub jail: String,
    /// Where its policy came from.
    pub source: String,
    /// SHA-256 of all layers, in hex.
    pub fingerprint: String,
    /// Since when it is in force.
    pub since_ms: u64,
    /// Rules in all layers.
    pub rules: usize,
    /// Policies before it that hold as well, for prisoners that may have made the change themselves.
    pub held_back: usize,
    /// What a `clawrden run` brought along for it.
    pub brought: Vec<PolicyLayer>,
}

/// The body of `POST /api/policy/rules`: a request that waits is approved for always, by the smallest rule that allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleRequest {
    /// The id of the queue's entry, or a prefix of at least four digits.
    #[schema(pattern = "^[0-9a-f]{4,32}$")]
    pub id: String,
    /// Only tell what would be written.
    #[serde(default)]
    pub dry_run: bool,
    /// Why; for the record.
    #[serde(default)]
    pub reason: Option<String>,
    /// The rule that was shown and agreed to: another one is not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// The answer to `POST /api/policy/rules`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleAnswer {
    /// The rule, as an item of `rules`.
    pub rule: String,
    /// The file that it is written into.
    pub file: String,
    /// What else it takes.
    pub wider: String,
    /// It is written and in force.
    pub written: bool,
    /// Whether the request itself was approved with it; one that was answered meanwhile was not.
    pub approved: bool,
}

/// The query of `GET /api/policy/suggestions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuggestionsQuery {
    /// How many asks of people a rule must have answered at least, 1 to 1000; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub min: Option<usize>,
}

/// `GET /api/policy/suggestions`: rules that would have answered what people had to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicySuggestions {
    /// Requests of the history that were looked at, the newest.
    pub looked_at: usize,
    /// Everything was looked at that was to be.
    pub complete: bool,
    /// Of these, the ones that people answered.
    pub answered: usize,
    /// The rules, those that would have answered most first.
    pub rules: Vec<SuggestedRule>,
    /// Further rules.
    pub omitted: usize,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuggestedRule {
    /// `allow` or `deny`.
    pub action: String,
    /// The rule, as an item of `rules`.
    pub rule: String,
    /// The rule that it has to stand before; `None` is behind all others.
    pub before: Option<String>,
    /// Why `POST /api/policy/suggestions` does not write it; `None` where it does.
    pub by_hand: Option<String>,
    /// Requests of the history that it would have answered.
    pub asks: usize,
    /// Different commands among them.
    pub commands: usize,
    /// Who answered them, and how often, as a sentence.
    pub by: String,
    /// Some of the commands.
    pub examples: Vec<SuggestedExample>,
    /// What else it takes.
    pub wider: String,
}

/// A command that a suggested rule takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuggestedExample {
    /// The argument vector.
    pub argv: Vec<String>,
    /// How often it was asked.
    pub times: usize,
}

/// The body of `POST /api/policy/suggestions`: a rule that is suggested is written and put in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuggestionAccepted {
    /// The rule, exactly as it is suggested.
    pub rule: String,
    /// As it was asked for with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub min: Option<usize>,
    /// Why; for the record.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The body of `POST /api/policy/check`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyCheckRequest {
    /// The text of a policy file. It is loaded under the ceiling and before the host's further
    /// rules, and put in force nowhere.
    pub text: String,
}

/// The answer to `POST /api/policy/check`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChecked {
    /// Whether it loads.
    pub ok: bool,
    /// Its rules, those of the packs that it uses, of the ceiling and of the host's further files included.
    pub rules: usize,
    /// What is wrong with it.
    pub errors: Vec<PolicyProblem>,
    /// Further errors, which are not listed.
    pub omitted: usize,
}

/// Something wrong with a policy's text. Without a line it is about the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyProblem {
    /// The file in whose text it is: `candidate.yaml` for one that came with a request.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// Characters that it is about.
    pub width: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// The body of `POST /api/policy/explain`: a command that is judged, and never run. No file is looked at for it: a tool
/// goes by its bare name, a folder by what is written, and where links lead is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The argument vector. Either this or `line`.
    #[serde(default)]
    pub argv: Vec<String>,
    /// A line for a shell, judged as `bash -c LINE`.
    #[serde(default)]
    pub line: Option<String>,
    /// The jail that it would come from; absent: `default`.
    #[serde(default)]
    pub jail: Option<String>,
    /// The absolute working directory; absent: not known.
    #[serde(default)]
    pub cwd: Option<String>,
    /// The user that would ask; absent: not known.
    #[serde(default)]
    pub uid: Option<u32>,
}

/// A decision, and how it came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// `allow`, `ask` or `deny`.
    pub action: String,
    /// `file:line`, and the rule's name if it has one; none for `default_action` and `allowed_paths`.
    pub rule: Option<String>,
    /// The rule's file.
    pub file: Option<String>,
    /// Its line, from 1.
    pub line: Option<u32>,
    /// Its column, from 1.
    pub column: Option<u32>,
    /// Why.
    pub reason: String,
    /// Where it would run.
    pub executor: String,
    /// As which user of the warden's host, where a rule says so.
    pub run_as: Option<String>,
    /// For how long at most.
    pub timeout_ms: Option<u64>,
    /// How long a person would have to answer.
    pub approval_timeout_ms: u64,
    /// Whose yes it would take: of every one of these. Empty is anybody's who may answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<ExplainedApprovers>,
    /// What it would be kept to, where rules say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ExplainedLimits>,
    /// What else was seen.
    pub noticed: Vec<String>,
    /// The rules that were looked at, in order.
    pub steps: Vec<ExplainedStep>,
    /// Rules that name another command altogether, or come later.
    pub others: usize,
    /// What it would run, looked through it, and how each fared.
    pub inside: Vec<ExplainedInside>,
    /// Where the policy came from.
    pub policy: String,
    /// What was judged.
    pub argv: Vec<String>,
    /// The file that its name stands for, where that was looked for.
    pub path: Option<String>,
    /// The tool that it is taken for.
    pub tool: Option<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The jail.
    pub jail: String,
    /// The user.
    pub uid: Option<u32>,
}

/// Whose yes a command would take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedApprovers {
    /// People and groups; empty is everybody who may answer.
    pub from: Vec<String>,
    /// How many different people.
    pub count: u32,
    /// With a reason.
    pub require_reason: bool,
    /// Not by a chat alone.
    #[serde(default)]
    pub confirm_on_page: bool,
    /// What happens where too few of them can log in: `deny` or `wait`.
    pub on_no_approver: String,
    /// Who may answer as well, and after how long.
    pub escalate: Vec<ExplainedEscalation>,
}

/// Others who may answer after a while.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedEscalation {
    /// How long after the question.
    pub after_ms: u64,
    /// People and groups.
    pub to: Vec<String>,
}

/// What a command would be kept to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub milli_cpus: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes on standard output and error.
    pub output: Option<u64>,
    /// How many commands of its rules may start and run in a jail.
    pub quotas: Vec<ExplainedQuota>,
}

/// How many commands of one rule may start and run in a jail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedQuota {
    /// The rule.
    pub rule: String,
    /// Starts in any span of `rate_ms`.
    pub rate_starts: Option<u32>,
    /// The span.
    pub rate_ms: Option<u64>,
    /// Commands at once.
    pub concurrent: Option<u32>,
}

/// What became of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedStep {
    /// The rule.
    pub rule: String,
    /// Its line, from 1.
    pub line: u32,
    /// What it says.
    pub action: String,
    /// `matched`, `overmatched` (it may match, and the search went on) or `passed` (over).
    pub verdict: String,
    /// Why.
    pub why: String,
}

/// A command that another one would run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedInside {
    /// The command; empty where it is not understood.
    pub command: String,
    /// Through what.
    pub through: String,
    /// How deep, from 0.
    pub depth: usize,
    /// What is said of it.
    pub action: Option<String>,
    /// By which rule.
    pub rule: Option<String>,
    /// Why.
    pub why: String,
}

/// The body of `POST /api/policy/simulate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateRequest {
    /// The text of a candidate policy. It is loaded under the ceiling and before the host's further
    /// rules, and put in force nowhere.
    pub text: String,
    /// Requests of this jail alone.
    #[serde(default)]
    pub jail: Option<String>,
    /// Not before.
    #[serde(default)]
    pub since_ms: Option<u64>,
    /// At most so many of the newest requests, 1 to 50,000; 10,000 when absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50_000)]
    pub limit: Option<usize>,
}

/// What another policy would have said of what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Simulated {
    /// What the candidate is called.
    pub policy: String,
    /// Requests that were judged again.
    pub judged: usize,
    /// Requests that no policy decided, or that the history does not tell enough about.
    pub skipped: usize,
    /// Requests that would be decided alike.
    pub unchanged: usize,
    /// Requests that the candidate would not deny, and whose `rate` or `concurrent` could have: what ran at the time is not
    /// counted anew.
    #[serde(default)]
    pub limited: usize,
    /// What would be decided otherwise, the same command only once, the most frequent first.
    pub changes: Vec<SimulatedChange>,
    /// Requests that would be decided otherwise and are in no entry of `changes`, of which there are a thousand at most.
    pub omitted: usize,
    /// Whether all that was wanted was judged. If not, time ran out, and older requests were not looked at.
    pub complete: bool,
}

/// A command that would be decided otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SimulatedChange {
    /// The argument vector.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The jail.
    pub jail: String,
    /// How often it was asked.
    pub times: usize,
    /// What was decided.
    pub was: String,
    /// What would be.
    pub now: String,
    /// The rule that decided.
    pub was_rule: Option<String>,
    /// The rule that would.
    pub rule: Option<String>,
    /// Why it would.
    pub reason: String,
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
