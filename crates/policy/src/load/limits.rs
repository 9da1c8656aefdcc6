//! `limits` of a rule: what its commands may use, how often they start and how many run at once.

use std::sync::Arc;

use super::ghosts::{memory, size};
use super::node::{Node, Value};
use super::report::Report;
use super::values::read_duration;
use crate::action::RuleId;
use crate::bounds::{Bounds, Limits, Quota, Rate};
use crate::policy::Policy;

pub(super) const KEYS: &[&str] = &["memory", "cpus", "pids", "output", "rate", "concurrent"];

/// Most processors that a limit gives; with more it is none.
const MAX_CPUS: u64 = 1_024;
/// Most processes that a limit gives; the kernel has no more ids.
const MAX_PIDS: u64 = 4_194_304;
/// Most starts in a span, and most commands at once: each is remembered.
const MAX_COUNT: u32 = 10_000;
/// Shortest and longest span of a rate, in milliseconds: what is shorter bounds nothing that a person would see, and what
/// is longer would not outlast the warden.
const SPAN: std::ops::RangeInclusive<u128> = 1_000..=86_400_000;

/// What `limits` says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub(super) limits: Limits,
    pub(super) rate: Option<Rate>,
    pub(super) concurrent: Option<u32>,
}

impl Said {
    /// What the commands of the rule `id` are kept to.
    pub(super) fn of(self, id: &RuleId) -> Option<Arc<Bounds>> {
        let Self { limits, rate, concurrent } = self;
        let counts = rate.is_some() || concurrent.is_some();
        let quota = counts.then(|| Quota { rule: id.clone(), rate, concurrent });
        let bounds = Bounds { limits, quotas: quota.into_iter().collect() };
        (bounds != Bounds::default()).then(|| Arc::new(bounds))
    }
}

/// Gives every rule of `policy` what its `limits` leave unsaid.
pub(super) fn fill(policy: &mut Policy) {
    let Some(usual) = policy.bounds.clone() else { return };
    // What a denial only may match is asked about, and runs when a person says so.
    for rule in &mut policy.rules {
        rule.bounds = Some(Bounds::or(rule.bounds.take(), &usual, &rule.id));
    }
}

/// Reads `limits`.
pub(super) fn limits(node: &Node, report: &mut Report<'_>) -> Option<Said> {
    let mut said = Said::default();
    let found = &mut said.limits;
    let fields = report.fields(node, "what is bounded", KEYS)?;
    if matches!(&node.value, Value::Map(pairs) if pairs.is_empty()) {
        report.add(node.at, "`limits` bounds nothing", "such as `{memory: 512m, rate: 10/1m}`");
    }
    for (key, node) in fields {
        match key {
            "memory" => found.memory = memory(node, report),
            "cpus" => found.milli_cpus = cpus(node, report),
            "pids" => found.pids = pids(node, report),
            "output" => found.output = size(node, 1, "at least `1k`", report),
            "rate" => said.rate = rate(node, report),
            _ => said.concurrent = concurrent(node, report),
        }
    }
    Some(said)
}

/// Starts in a span: `10/1m`.
fn rate(node: &Node, report: &mut Report<'_>) -> Option<Rate> {
    let text = report.word(node, "starts in a span, such as `10/1m`")?;
    let bad = format!("bad rate `{text}`");
    let Some((starts, span)) = text.split_once('/') else {
        report.add(node.at, bad, "write starts and a span, such as `10/1m`: ten in any minute");
        return None;
    };
    if starts == "0" {
        report.add(node.at, bad, "a rule whose commands never start is `action: deny`");
        return None;
    }
    let Some(starts) = count(starts) else {
        report.add(node.at, bad, "from `1` to `10000` starts");
        return None;
    };
    match read_duration(span) {
        Ok(Some(within)) if SPAN.contains(&within.as_millis()) => Some(Rate { starts, within }),
        Ok(_) => {
            report.add(node.at, bad, "a span is from `1s` to `1d`");
            None
        }
        Err(help) => {
            report.add(node.at, bad, help);
            None
        }
    }
}

fn concurrent(node: &Node, report: &mut Report<'_>) -> Option<u32> {
    let text = report.word(node, "a number of commands such as `2`")?;
    let found = count(text);
    if found.is_none() {
        let help = match text {
            "0" => "a rule whose commands never run is `action: deny`",
            _ => "from `1` to `10000`",
        };
        report.add(node.at, format!("bad number of commands `{text}`"), help);
    }
    found
}

fn count(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|found| is_number && (1..=MAX_COUNT).contains(found))
}

/// Processors, to three places behind the point, in thousandths.
fn cpus(node: &Node, report: &mut Report<'_>) -> Option<u64> {
    let text = report.word(node, "a number of processors such as `1.5`")?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let found = if digits(whole) && digits(part) && part.len() <= 3 {
        let part = format!("{part:0<3}").parse::<u64>().ok();
        whole
            .parse::<u64>()
            .ok()
            .zip(part)
            .and_then(|(whole, part)| whole.checked_mul(1_000)?.checked_add(part))
    } else {
        None
    };
    match found {
        Some(found) if (10..=MAX_CPUS * 1_000).contains(&found) => return Some(found),
        _ => report.add(
            node.at,
            format!("bad number of processors `{text}`"),
            "from `0.01` to `1024`",
        ),
    }
    None
}

fn pids(node: &Node, report: &mut Report<'_>) -> Option<u64> {
    let text = report.word(node, "a number of processes such as `100`")?;
    let found = text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    // The first process and the tool are two.
    if let Some(found) = found.filter(|found| (2..=MAX_PIDS).contains(found)) {
        return Some(found);
    }
    report.add(node.at, format!("bad number of processes `{text}`"), "from `2` to `4194304`");
    None
}

#[cfg(test)]
mod tests;
