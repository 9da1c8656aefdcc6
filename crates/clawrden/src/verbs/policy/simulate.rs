//! `clawrden policy simulate`: what a candidate policy would have said of what was really asked.

use std::path::Path;
use std::process::ExitCode;

use clawrden_api::{Simulated, SimulatedChange, display};
use clawrden_warden::what_if::Comparison;

use super::past::Past;
use super::{Choice, tone};
use crate::connection::ask;
use crate::failure::{Failure, Outcome, REFUSED};
use crate::output::{Tone, cell, count, paint, print_answer, print_table, table};

const EXAMPLES: &str = "\
Each request in the history is judged again, by its arguments, directory, jail and caller; a tool is taken by the name \
that it was called by, and which variables were changed is not in the history. With --host the history is that of the \
warden there, and the judging is done here; with --warden the warden does it, under its ceiling and with its further rules, \
which takes an admin.

Exit codes, besides those of every verb:
  0  nothing would change
  1  something would, or no candidate could be judged

Examples:
  clawrden policy simulate --policy candidate.yaml
  clawrden policy simulate --profile developer --since 7d --jail ci
  clawrden policy simulate --policy candidate.yaml --warden
  clawrden policy simulate --policy candidate.yaml --json | jq '.changes[].argv'";

/// Show what would have been decided otherwise by another policy, from the history
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    past: Past,
    /// Have the warden judge, in the place of its own policy file
    #[arg(long)]
    warden: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let report = if args.warden { by_warden(args, control)? } else { here(args, control)? };
    print_answer(&report, args.json, show)?;
    let same = report.changes.is_empty() && report.omitted == 0;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn here(args: &Args, control: Option<&Path>) -> Result<Simulated, Failure> {
    let chosen = args.choice.load()?;
    let entries = args.past.entries(control)?;
    let mut comparison = Comparison::default();
    comparison.take(&chosen.policy, &entries);
    Ok(comparison.end(chosen.source, true))
}

fn by_warden(args: &Args, control: Option<&Path>) -> Result<Simulated, Failure> {
    if args.choice.named().is_none() {
        let text = "name the candidate, with --policy FILE or --profile NAME".to_owned();
        return Err(Failure::Usage(text));
    }
    let (source, files) = args.choice.files()?;
    let text = files.into_iter().next().map(|file| file.text).unwrap_or_default();
    let request = args.past.request(text)?;
    let report = ask(control, async |client| client.simulate(&request).await)?;
    Ok(Simulated { policy: source, ..report })
}

fn show(report: &Simulated) {
    let requests = count(report.judged, "request", "requests");
    println!("{requests} judged again by {}", display::text(&report.policy));
    if report.skipped > 0 {
        let text = count(report.skipped, "request was", "requests were");
        println!("{text} not decided by a policy, and left out");
    }
    if report.limited > 0 {
        let text = count(report.limited, "request counts", "requests count");
        println!("{text} towards a rate or a number at once, which are not replayed");
    }
    if !report.complete {
        let text =
            "time ran out before all of them were judged: ask for fewer, with --since or --limit";
        println!("{}", paint(Tone::Warn, text));
    }
    if report.changes.is_empty() {
        println!("{}", paint(Tone::Good, "nothing would change"));
        return;
    }
    let milder = |change: &&SimulatedChange| rank(&change.now) < rank(&change.was);
    let (all, wider) = (report.changes.len(), report.changes.iter().filter(milder).count());
    println!();
    let mut table = table(&["TIMES", "WAS", "NOW", "RULE", "COMMAND"]);
    for change in &report.changes {
        let rule = change.rule.as_deref().unwrap_or("none");
        table.add_row([
            cell(Tone::Quiet, &change.times.to_string()),
            cell(tone(&change.was), &change.was),
            cell(tone(&change.now), &change.now),
            cell(Tone::Quiet, &display::text(rule)),
            cell(Tone::Strong, &display::command(&change.argv)),
        ]);
    }
    print_table(&table);
    if report.omitted > 0 {
        let text = count(report.omitted, "further request", "further requests");
        println!("\n{text} would be decided otherwise as well, and no room is left to list them");
    }
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
