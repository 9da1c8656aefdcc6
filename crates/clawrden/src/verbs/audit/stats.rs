//! `clawrden audit stats`: the ledger in numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clawrden_api::display;
use clawrden_warden::ledger;
use serde::Serialize;
use serde_json::Value;

use super::each_line;
use super::filter::Which;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, print_answer, print_table, table};
use crate::when;

/// Tools and jails that are shown.
const SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  clawrden audit stats
  clawrden audit stats --since 1d
  clawrden audit stats --json | jq .decisions";

/// Count events, decisions, tools and jails
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The ledger, its folder, or one closed segment; without one, this user's ledger
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct Stats {
    records: u64,
    bytes: u64,
    first_ms: Option<u64>,
    last_ms: Option<u64>,
    events: BTreeMap<String, u64>,
    decisions: BTreeMap<String, u64>,
    tools: BTreeMap<String, u64>,
    jails: BTreeMap<String, u64>,
    timed_out: u64,
    exit_not_0: u64,
}

pub(super) fn run(args: Args) -> Outcome {
    let path = super::ledger(args.path.as_deref())?;
    let which = ledger::Which::new(args.which.query()?);
    let mut stats = Stats::default();
    each_line(&path, |line| {
        if which.fits(line) == Some(true)
            && let Ok(record) = serde_json::from_slice::<Value>(line)
        {
            stats.add(&record, line.len() as u64 + 1);
        }
        Ok(())
    })?;
    print_answer(&stats, args.json, Stats::show)?;
    done()
}

impl Stats {
    fn add(&mut self, record: &Value, bytes: u64) {
        let text = |key: &str| record[key].as_str();
        self.records += 1;
        self.bytes += bytes;
        let time = record["time_ms"].as_u64();
        // The clock may have stepped back.
        self.first_ms = self.first_ms.into_iter().chain(time).min();
        self.last_ms = self.last_ms.max(time);
        let event = text("event").unwrap_or("?");
        *self.events.entry(event.to_owned()).or_default() += 1;
        if let Some(decision) = text("decision") {
            *self.decisions.entry(decision.to_owned()).or_default() += 1;
        }
        if event == "requested" {
            let tool = record["argv"][0].as_str().unwrap_or_default();
            let tool = tool.rsplit('/').next().unwrap_or(tool);
            *self.tools.entry(tool.to_owned()).or_default() += 1;
            *self.jails.entry(text("jail").unwrap_or("?").to_owned()).or_default() += 1;
        }
        self.timed_out += u64::from(record["timed_out"] == true);
        self.exit_not_0 += u64::from(record["exit_code"].as_i64().is_some_and(|code| code != 0));
    }

    fn show(&self) {
        let now = when::now_ms();
        println!("{} records, {} bytes", self.records, self.bytes);
        if let (Some(first), Some(last)) = (self.first_ms, self.last_ms) {
            println!("from {} to {}", when::moment(first, now), when::moment(last, now));
        }
        println!(
            "{} ended with another code than 0, {} by their timeout",
            self.exit_not_0, self.timed_out
        );
        for (heading, counts) in [
            ("EVENT", &self.events),
            ("DECISION", &self.decisions),
            ("TOOL", &self.tools),
            ("JAIL", &self.jails),
        ] {
            if counts.is_empty() {
                continue;
            }
            let mut sorted: Vec<(&String, &u64)> = counts.iter().collect();
            sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let is_long = matches!(heading, "TOOL" | "JAIL");
            let shown = if is_long { SHOWN } else { sorted.len() };
            println!();
            let mut table = table(&[heading, "COUNT"]);
            for (name, count) in sorted.iter().take(shown) {
                table.add_row([
                    cell(Tone::Strong, &display::text(name)),
                    cell(Tone::Quiet, &count.to_string()),
                ]);
            }
            print_table(&table);
            if sorted.len() > shown {
                println!("and {} more", sorted.len() - shown);
            }
        }
    }
}
