//! What happened lately, in numbers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The query of `GET /api/overview`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverviewQuery {
    /// How far back, a minute to 366 days; a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60_000, maximum = 31_622_400_000_i64)]
    pub back_ms: Option<u64>,
    /// Requests of this jail alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
}

/// `GET /api/overview`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Since when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Whether every request of that time is counted. If not, there were too many: those before `counted_from_ms` are
    /// left out.
    pub complete: bool,
    /// Since when requests are counted.
    pub counted_from_ms: u64,
    /// Requests.
    pub requests: u64,
    /// How long each step of `decisions` is.
    pub step_ms: u64,
    /// What the policy said, step by step, the oldest first.
    pub decisions: Vec<OverviewStep>,
    /// What came of those that were asked about.
    pub answers: OverviewAnswers,
    /// The tools that were asked for most often, ten at most.
    pub top: Vec<TopTool>,
    /// The commands that were denied most often, by policy or people, ten at most.
    pub denied: Vec<TopDenied>,
    /// What waits at this moment.
    pub waiting: OverviewWaiting,
    /// How long commands took.
    pub durations: OverviewDurations,
}

/// What the policy said in one stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverviewStep {
    /// Its begin.
    pub time_ms: u64,
    /// Allowed.
    pub allow: u64,
    /// A person was asked.
    pub ask: u64,
    /// Denied.
    pub deny: u64,
}

/// What came of requests that a person was asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverviewAnswers {
    /// A person approved them.
    pub approved: u64,
    /// A person denied them.
    pub denied: u64,
    /// Nobody answered in time.
    pub expired: u64,
    /// The caller did not wait.
    pub caller_left: u64,
}

/// A tool, and how often it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopTool {
    /// Its bare name.
    pub tool: String,
    /// How often.
    pub times: u64,
    /// How often it was denied, by policy or people.
    pub denied: u64,
}

/// A command, and how often it was denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopDenied {
    /// The argument vector; of a long one its name and `…`.
    pub argv: Vec<String>,
    /// The jail.
    pub jail: String,
    /// The rule that decided last.
    pub rule: Option<String>,
    /// How often.
    pub times: u64,
}

/// What waits for a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverviewWaiting {
    /// How many.
    pub count: u64,
    /// Since when the oldest does.
    pub oldest_ms: Option<u64>,
    /// How many wait for less than a minute, less than five, less than fifteen, and longer.
    pub ages: [u64; 4],
}

/// How long commands took, of those that have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverviewDurations {
    /// How many ended.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_ms: Option<u64>,
    /// Nineteen of twenty took no longer.
    pub p95_ms: Option<u64>,
}
