//! What a policy would say of a command, or would have said of what was asked: for those who explain and compare
//! policies. It decides nothing, and nothing that runs is taken from here.

use std::collections::HashMap;
use std::time::Duration;

use clawrden_api::{
    Explained, ExplainedApprovers, ExplainedEscalation, ExplainedInside, ExplainedLimits,
    ExplainedQuota, ExplainedStep, HistoryEntry, PolicyProblem, Simulated, SimulatedChange,
};
use clawrden_policy::{
    Action, Answer, Approvers, Bounds, Decision, Diagnostic, Escalation, Explanation, Facts,
    Inside, Limits, LoadError, Notice, OnNone, Past, Policy, Quota, RuleId, Step, Verdict,
};

/// Commands that a comparison lists.
const MAX_CHANGES: usize = 1000;

/// Bytes of the commands that it lists, about.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What was judged, to be shown beside the explanation.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The argument vector.
    pub argv: Vec<Vec<u8>>,
    /// The file that its name stands for.
    pub path: Option<Vec<u8>>,
    /// The tool that it is taken for.
    pub tool: Option<Vec<u8>>,
    /// The working directory.
    pub cwd: Option<Vec<u8>>,
    /// The jail.
    pub jail: String,
    /// The user.
    pub uid: Option<u32>,
}

/// An explanation in words. `policy` is what to call the policy that gave it.
#[must_use]
pub fn explained(explanation: &Explanation, asked: &Asked, policy: String) -> Explained {
    let Explanation { decision, steps, others, inside } = explanation;
    let rule = decision.rule.as_ref();
    Explained {
        action: decision.action.as_str().to_owned(),
        rule: rule.map(ToString::to_string),
        file: rule.map(|rule| rule.file.to_string()),
        line: rule.map(|rule| rule.line),
        column: rule.map(|rule| rule.column),
        reason: decision.reason.clone(),
        executor: decision.executor.as_str().to_owned(),
        run_as: decision.run_as.as_ref().map(ToString::to_string),
        timeout_ms: decision.timeout.duration().map(ms),
        approval_timeout_ms: ms(decision.approval_timeout),
        approvers: decision.approvers.iter().map(|one| approvers(one)).collect(),
        limits: decision.bounds.as_deref().map(limits),
        noticed: decision.noticed.iter().map(noticed).collect(),
        steps: steps.iter().map(step).collect(),
        others: *others,
        inside: inside.iter().map(run_inside).collect(),
        policy,
        argv: asked.argv.iter().map(|word| lossy(word)).collect(),
        path: asked.path.as_deref().map(lossy),
        tool: asked.tool.as_deref().map(lossy),
        cwd: asked.cwd.as_deref().map(lossy),
        jail: asked.jail.clone(),
        uid: asked.uid,
    }
}

fn approvers(of: &Approvers) -> ExplainedApprovers {
    let words = |names: &[std::sync::Arc<str>]| names.iter().map(ToString::to_string).collect();
    let step =
        |step: &Escalation| ExplainedEscalation { after_ms: ms(step.after), to: words(&step.to) };
    ExplainedApprovers {
        from: words(&of.from),
        count: of.count,
        require_reason: of.require_reason,
        confirm_on_page: of.confirm_on_page,
        on_no_approver: match of.on_none {
            OnNone::Deny => "deny".to_owned(),
            OnNone::Wait => "wait".to_owned(),
        },
        escalate: of.escalate.iter().map(step).collect(),
    }
}

fn limits(bounds: &Bounds) -> ExplainedLimits {
    let Limits { memory, milli_cpus, pids, output } = bounds.limits;
    let quota = |quota: &Quota| ExplainedQuota {
        rule: quota.rule.to_string(),
        rate_starts: quota.rate.map(|rate| rate.starts),
        rate_ms: quota.rate.map(|rate| ms(rate.within)),
        concurrent: quota.concurrent,
    };
    let quotas = bounds.quotas.iter().map(quota).collect();
    ExplainedLimits { memory, milli_cpus, pids, output, quotas }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn noticed(notice: &Notice) -> String {
    match notice {
        Notice::ChangedVariable(name) => {
            format!("{} differs from what the prisoner was started with", lossy(name))
        }
        Notice::Overmatched(rule) => format!("{rule} matches only if its pattern is read widely"),
    }
}

fn run_inside(found: &Inside) -> ExplainedInside {
    ExplainedInside {
        command: found.command.clone(),
        through: found.through.clone(),
        depth: found.depth,
        action: found.action.map(|action| action.as_str().to_owned()),
        rule: found.rule.as_ref().map(ToString::to_string),
        why: found.why.clone(),
    }
}

fn step(step: &Step) -> ExplainedStep {
    let RuleId { text, line, .. } = &step.rule;
    let verdict = match step.verdict {
        Verdict::Matched => "matched",
        Verdict::Overmatched => "overmatched",
        Verdict::Passed => "passed",
    };
    ExplainedStep {
        rule: text.to_string(),
        line: *line,
        action: step.action.as_str().to_owned(),
        verdict: verdict.to_owned(),
        why: step.why.clone(),
    }
}

/// The errors of a policy that does not load.
#[must_use]
pub fn problems(error: &LoadError) -> Vec<PolicyProblem> {
    let entry = |found: &Diagnostic| PolicyProblem {
        file: Some(found.file.clone()),
        line: Some(found.line),
        column: Some(found.column),
        width: Some(found.width),
        message: found.message.clone(),
        help: found.help.clone(),
    };
    match error.diagnostics() {
        [] => vec![PolicyProblem { message: error.to_string(), ..PolicyProblem::default() }],
        list => list.iter().map(entry).collect(),
    }
}

/// Whether a policy decided this request, and not the kill switch or a prisoner without anybody to ask.
#[must_use]
pub fn is_judged(entry: &HistoryEntry) -> bool {
    entry.rule.is_some()
        || entry.executor.as_deref().is_some_and(|executor| !executor.is_empty())
        || entry.decision.as_deref() != Some("deny")
}

/// A request as far as suggestions go by it; `None` where neither policy nor person decided, and where a mark stands for
/// what the command was.
#[must_use]
pub fn past(entry: &HistoryEntry) -> Option<Past> {
    if entry.argv.iter().any(|argument| argument.contains("[redacted:")) {
        return None;
    }
    let was = match entry.decision.as_deref()? {
        "allow" => Action::Allow,
        "ask" => Action::Ask,
        _ => Action::Deny,
    };
    let approved = match entry.outcome.as_deref() {
        Some("approved") => Some(true),
        Some("denied") => Some(false),
        _ => None,
    };
    let answer = approved.zip(entry.approver.clone()).map(|(approved, by)| Answer {
        approved,
        by,
        reason: entry.answer.clone(),
        kept: entry.kept_answer,
    });
    is_judged(entry).then(|| Past {
        argv: entry.argv.clone(),
        cwd: entry.cwd.clone(),
        jail: entry.jail.clone(),
        uid: entry.caller.uid,
        gid: entry.caller.gid,
        was,
        answer,
    })
}

/// What makes two requests one line: words, directory, jail, what was decided, and what would be.
type Same = (Vec<String>, Option<String>, String, String, Action);

/// A candidate policy, held against the history piece by piece.
#[derive(Debug, Default)]
pub struct Comparison {
    judged: usize,
    skipped: usize,
    unchanged: usize,
    limited: usize,
    changes: HashMap<Same, SimulatedChange>,
    bytes: usize,
    omitted: usize,
}

impl Comparison {
    /// Judges these requests again.
    pub fn take(&mut self, policy: &Policy, entries: &[HistoryEntry]) {
        for entry in entries {
            let was = entry.decision.as_deref().filter(|_| is_judged(entry));
            let (Some(was), false) = (was, entry.argv.is_empty()) else {
                self.skipped += 1;
                continue;
            };
            self.judged += 1;
            let decision = judge(policy, entry);
            let counts = decision.bounds.as_ref().is_some_and(|bounds| !bounds.quotas.is_empty());
            self.limited += usize::from(counts && decision.action != Action::Deny);
            if decision.action.as_str() == was {
                self.unchanged += 1;
            } else {
                self.change(entry, was, &decision);
            }
        }
    }

    fn change(&mut self, entry: &HistoryEntry, was: &str, decision: &Decision) {
        let HistoryEntry { argv, cwd, jail, .. } = entry;
        let key = (argv.clone(), cwd.clone(), jail.clone(), was.to_owned(), decision.action);
        if let Some(change) = self.changes.get_mut(&key) {
            change.times += 1;
            return;
        }
        let bytes = argv.iter().map(String::len).sum::<usize>();
        if self.changes.len() >= MAX_CHANGES || self.bytes.saturating_add(bytes) > MAX_BYTES {
            self.omitted += 1;
            return;
        }
        self.bytes += bytes;
        let change = SimulatedChange {
            argv: argv.clone(),
            cwd: cwd.clone(),
            jail: jail.clone(),
            times: 1,
            was: was.to_owned(),
            now: decision.action.as_str().to_owned(),
            was_rule: entry.rule.clone(),
            rule: decision.rule.as_ref().map(ToString::to_string),
            reason: decision.reason.clone(),
        };
        self.changes.insert(key, change);
    }

    /// What it came to. `complete` says whether everything was looked at.
    #[must_use]
    pub fn end(self, policy: String, complete: bool) -> Simulated {
        let Self { judged, skipped, unchanged, limited, omitted, .. } = self;
        let mut changes: Vec<_> = self.changes.into_values().collect();
        changes.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.argv.cmp(&b.argv)));
        Simulated { policy, judged, skipped, unchanged, limited, changes, omitted, complete }
    }
}

/// What a policy says of a request as a history tells of it.
pub(crate) fn judge(policy: &Policy, entry: &HistoryEntry) -> Decision {
    let argv: Vec<&[u8]> = entry.argv.iter().map(String::as_bytes).collect();
    let name = bare(argv.first().copied().unwrap_or_default());
    policy.decide(&Facts {
        jail: &entry.jail,
        name,
        path: None,
        tool: Some(name),
        argv: &argv,
        cwd: entry.cwd.as_deref().map(str::as_bytes),
        uid: entry.caller.uid,
        gid: entry.caller.gid,
        ..Facts::default()
    })
}

/// The name of a tool without its folder.
#[must_use]
pub fn bare(name: &[u8]) -> &[u8] {
    name.rsplit(|&b| b == b'/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(argv: &[&str], decision: &str) -> HistoryEntry {
        HistoryEntry {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            cwd: Some("/app".into()),
            jail: "default".into(),
            decision: Some(decision.into()),
            rule: Some("old.yaml:1".into()),
            ..HistoryEntry::default()
        }
    }

    #[test]
    fn changes_are_counted_once_a_command_and_the_rest_is_left_alone() {
        let yaml = "default_action: deny\nrules:\n  - {command: git, args: push, action: ask}\n  - {command: ls, action: allow}\n";
        let policy = Policy::from_yaml("new.yaml", yaml).unwrap();
        let mut stopped = entry(&["ls"], "deny");
        stopped.rule = None;
        let mut comparison = Comparison::default();
        comparison.take(&policy, &[entry(&["git", "push"], "allow"), entry(&["ls"], "ask")]);
        let rest = [entry(&["ls"], "ask"), entry(&["/usr/bin/ls", "-l"], "allow"), stopped];
        comparison.take(&policy, &rest);
        let found = comparison.end("new.yaml".into(), true);
        assert_eq!((found.judged, found.skipped, found.unchanged), (4, 1, 1));
        let told: Vec<_> =
            found.changes.iter().map(|c| (c.argv[0].as_str(), c.times, c.now.as_str())).collect();
        assert_eq!(told, [("ls", 2, "allow"), ("git", 1, "ask")]);
        assert_eq!(found.changes[0].rule.as_deref(), Some("new.yaml:4"));
    }

    #[test]
    fn requests_that_a_quota_might_have_stopped_are_counted_and_not_guessed_at() {
        let yaml = "default_action: allow\nrules:\n  - {command: ls, action: allow, limits: {rate: 1/1h}}\n  - {command: rm, action: deny}\n";
        let policy = Policy::from_yaml("new.yaml", yaml).unwrap();
        let mut comparison = Comparison::default();
        let asked = [entry(&["ls"], "allow"), entry(&["ls"], "allow"), entry(&["rm"], "allow")];
        comparison.take(&policy, &asked);
        comparison.take(&policy, &[entry(&["cat"], "allow")]);
        let found = comparison.end("new.yaml".into(), true);
        assert_eq!((found.limited, found.unchanged, found.changes.len()), (2, 3, 1));
    }

    #[test]
    fn what_is_listed_is_bounded_and_the_rest_is_counted() {
        let policy = Policy::from_yaml("new.yaml", "default_action: deny").unwrap();
        let mut comparison = Comparison::default();
        for n in 0..MAX_CHANGES + 7 {
            comparison.take(&policy, &[entry(&["ls", &n.to_string()], "allow")]);
        }
        let long = "x".repeat(MAX_BYTES);
        comparison.take(&policy, &[entry(&["ls", "3"], "allow"), entry(&[&long], "allow")]);
        let found = comparison.end(String::new(), true);
        assert_eq!((found.changes.len(), found.omitted), (MAX_CHANGES, 8));
        assert_eq!((found.changes[0].times, found.judged), (2, MAX_CHANGES + 9));
    }

    #[test]
    fn only_what_policy_or_people_decided_counts() {
        let entry = HistoryEntry {
            argv: vec!["git".into()],
            decision: Some("ask".into()),
            outcome: Some("denied".into()),
            approver: Some("ann".into()),
            reason: Some("p.yaml:3 wants a person to decide".into()),
            ..HistoryEntry::default()
        };
        let answer = past(&entry).unwrap().answer.unwrap();
        assert_eq!(
            (answer.approved, answer.reason),
            (false, None),
            "the policy's words are not hers"
        );
        let argv = vec!["git".into(), "--token=[redacted:token]".into()];
        let marked = HistoryEntry { argv, ..entry.clone() };
        assert!(past(&marked).is_none(), "a rule would be made of the mark");
        let expired =
            HistoryEntry { outcome: Some("expired".into()), approver: None, ..entry.clone() };
        assert!(past(&expired).unwrap().answer.is_none());
        let stopped = HistoryEntry { decision: Some("deny".into()), outcome: None, ..entry };
        assert!(past(&stopped).is_none());
    }
}
