//! `clawrden overview`: in numbers what happened lately.

use std::path::Path;

use clawrden_api::{Overview, OverviewQuery, OverviewStep, display};

use crate::connection::ask;
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, cell, paint, print_answer, print_table, table};
use crate::when;

const EXAMPLES: &str = "\
It is counted from the ledger's index, by the warden; `clawrden audit stats` counts files.

Examples:
  clawrden overview
  clawrden overview --since 7d --jail ci
  clawrden overview --json | jq '.denied[].argv'";

/// Tell in numbers what happened lately: decisions, answers, tools, what was denied, how long it took
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Not before: a span back from now, or a moment; a minute to 366 days
    #[arg(long, value_name = "TIME", default_value = "1d")]
    since: String,
    /// This jail alone
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let now = when::now_ms();
    let since = when::parse(&args.since, now);
    let since = since.map_err(|e| Failure::Usage(format!("--since: {e}")))?;
    let query = OverviewQuery { back_ms: Some(now.saturating_sub(since)), jail: args.jail };
    let told = ask(control, async |client| client.overview(&query).await)?;
    print_answer(&told, args.json, |told| show(told, now))?;
    done()
}

fn show(told: &Overview, now: u64) {
    let sum = |of: fn(&OverviewStep) -> u64| told.decisions.iter().map(of).sum::<u64>();
    let from = when::moment(told.from_ms, now);
    println!("{} asked for since {from}", counted(told.requests, "command", "commands"));
    if !told.complete {
        let counted = when::moment(told.counted_from_ms, now);
        let text = format!("there were too many to count: those before {counted} are left out");
        println!("{}", paint(Tone::Warn, &text));
    }
    let (allow, ask, deny) = (sum(|s| s.allow), sum(|s| s.ask), sum(|s| s.deny));
    println!("the policy  {allow} allowed, {ask} asked about, {deny} denied");
    let answers = &told.answers;
    println!(
        "people      {} approved, {} denied; {} expired, {} whose caller left",
        answers.approved, answers.denied, answers.expired, answers.caller_left
    );
    let oldest = match told.waiting.oldest_ms {
        Some(oldest) => format!(", the oldest for {}", display::age(oldest, now)),
        None => String::new(),
    };
    println!("waiting     {}{oldest}", told.waiting.count);
    let span = |ms: Option<u64>| ms.map_or_else(|| "?".to_owned(), display::duration);
    if told.durations.count > 0 {
        println!(
            "ended       {}, half within {}, 19 of 20 within {}",
            counted(told.durations.count, "command", "commands"),
            span(told.durations.p50_ms),
            span(told.durations.p95_ms)
        );
    }
    if !told.top.is_empty() {
        println!();
        let mut table = table(&["TOOL", "ASKED FOR", "DENIED"]);
        for top in &told.top {
            table.add_row([
                cell(Tone::Strong, &display::text(&top.tool)),
                cell(Tone::Quiet, &top.times.to_string()),
                cell(Tone::Quiet, &top.denied.to_string()),
            ]);
        }
        print_table(&table);
    }
    if !told.denied.is_empty() {
        println!();
        let mut table = table(&["DENIED", "JAIL", "RULE", "COMMAND"]);
        for denied in &told.denied {
            let rule = denied.rule.as_deref().unwrap_or("the default action");
            table.add_row([
                cell(Tone::Bad, &denied.times.to_string()),
                cell(Tone::Quiet, &display::text(&denied.jail)),
                cell(Tone::Quiet, &display::text(rule)),
                cell(Tone::Strong, &display::command(&denied.argv)),
            ]);
        }
        print_table(&table);
    }
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
