//! `clawrden policy simulate`: what a candidate policy would have said of what was really asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clawrden_api::{HistoryEntry, display};
use clawrden_policy::{Facts, Policy};
use serde::Serialize;

use super::past::{Past, is_judged};
use super::{Choice, tone};
use crate::failure::{Outcome, REFUSED};
use crate::output::{Tone, cell, count, paint, print_json, print_table, table};

const EXAMPLES: &str = "\
Each request in the history is judged again, by its arguments, directory, jail and caller; a tool is taken by the name \
that it was called by, and which variables were changed is not in the history.

Exit codes, besides those of every verb:
  0  nothing would change
  1  something would, or no candidate could be judged

Examples:
  clawrden policy simulate --policy candidate.yaml
  clawrden policy simulate --profile developer --since 7d --jail ci
  clawrden policy simulate --policy candidate.yaml --json | jq '.changes[].argv'";

/// Show what would have been decided otherwise by another policy, from the history
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    past: Past,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What would change, for programs.
#[derive(Serialize)]
struct Report {
    policy: String,
    /// Requests that were judged again.
    judged: usize,
    /// Requests that the history does not tell enough about.
    skipped: usize,
    unchanged: usize,
    /// The same command only once, the most frequent first.
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    argv: Vec<String>,
    cwd: Option<String>,
    jail: String,
    /// How often it was asked.
    times: usize,
    was: String,
    now: &'static str,
    was_rule: Option<String>,
    rule: Option<String>,
    reason: String,
}

/// What makes two requests one line: words, directory, jail, and what was decided.
type Same<'e> = (&'e [String], Option<&'e str>, &'e str, &'e str);

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let chosen = args.choice.load()?;
    let entries = args.past.entries(control)?;
    let report = report(&chosen.policy, chosen.source, &entries);
    if args.json {
        print_json(&report)?;
    } else {
        show(&report);
    }
    let same = report.changes.is_empty();
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn report(policy: &Policy, source: String, entries: &[HistoryEntry]) -> Report {
    let (mut unchanged, mut skipped) = (0, 0);
    let mut changes: BTreeMap<Same<'_>, Change> = BTreeMap::new();
    for entry in entries {
        let was = entry.decision.as_deref().filter(|_| is_judged(entry));
        let (Some(was), false) = (was, entry.argv.is_empty()) else {
            skipped += 1;
            continue;
        };
        let decision = judge(policy, entry);
        let now = decision.action.as_str();
        if now == was {
            unchanged += 1;
            continue;
        }
        let key = (&entry.argv[..], entry.cwd.as_deref(), entry.jail.as_str(), was);
        let change = changes.entry(key).or_insert_with(|| Change {
            argv: entry.argv.clone(),
            cwd: entry.cwd.clone(),
            jail: entry.jail.clone(),
            times: 0,
            was: was.to_owned(),
            now,
            was_rule: entry.rule.clone(),
            rule: decision.rule.as_ref().map(ToString::to_string),
            reason: decision.reason,
        });
        change.times += 1;
    }
    let mut changes: Vec<Change> = changes.into_values().collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.times));
    let judged = entries.len() - skipped;
    Report { policy: source, judged, skipped, unchanged, changes }
}

fn judge(policy: &Policy, entry: &HistoryEntry) -> clawrden_policy::Decision {
    let argv: Vec<&[u8]> = entry.argv.iter().map(String::as_bytes).collect();
    let name = argv.first().copied().unwrap_or_default();
    let bare = name.rsplit(|&b| b == b'/').next().unwrap_or(name);
    policy.decide(&Facts {
        jail: &entry.jail,
        name: bare,
        path: None,
        tool: Some(bare),
        argv: &argv,
        cwd: entry.cwd.as_deref().map(str::as_bytes),
        uid: entry.caller.uid,
        gid: entry.caller.gid,
        ..Facts::default()
    })
}

fn show(report: &Report) {
    let requests = count(report.judged, "request", "requests");
    println!("{requests} judged again by {}", display::text(&report.policy));
    if report.skipped > 0 {
        let text = count(report.skipped, "request was", "requests were");
        println!("{text} not decided by a policy, and left out");
    }
    if report.changes.is_empty() {
        println!("{}", paint(Tone::Good, "nothing would change"));
        return;
    }
    let milder = |change: &&Change| rank(change.now) < rank(&change.was);
    let (all, wider) = (report.changes.len(), report.changes.iter().filter(milder).count());
    println!();
    let mut table = table(&["TIMES", "WAS", "NOW", "RULE", "COMMAND"]);
    for change in &report.changes {
        let rule = change.rule.as_deref().unwrap_or("none");
        table.add_row([
            cell(Tone::Quiet, &change.times.to_string()),
            cell(tone(&change.was), &change.was),
            cell(tone(change.now), change.now),
            cell(Tone::Quiet, &display::text(rule)),
            cell(Tone::Strong, &display::command(&change.argv)),
        ]);
    }
    print_table(&table);
    let commands = count(all, "command", "commands");
    println!("\n{commands} would be decided otherwise: {wider} milder, {} stricter", all - wider);
}

fn rank(action: &str) -> u8 {
    match action {
        "allow" => 0,
        "ask" => 1,
        _ => 2,
    }
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
        let entries = [
            entry(&["git", "push"], "allow"),
            entry(&["ls"], "ask"),
            entry(&["ls"], "ask"),
            entry(&["/usr/bin/ls", "-l"], "allow"),
            stopped,
        ];
        let report = report(&policy, "new.yaml".into(), &entries);
        assert_eq!((report.judged, report.skipped, report.unchanged), (4, 1, 1));
        let told: Vec<_> =
            report.changes.iter().map(|c| (c.argv[0].as_str(), c.times, c.now)).collect();
        assert_eq!(told, [("ls", 2, "allow"), ("git", 1, "ask")]);
        assert_eq!(report.changes[0].rule.as_deref(), Some("new.yaml:4"));
    }
}
