//! `clawrden kill`: the kill switch. Everything that runs for a prisoner ends, and everything new is denied.

use std::path::Path;

use clawrden_api::{KillReport, KillRequest};

use crate::failure::{Failure, Outcome, REFUSED};
use crate::output::{Tone, count, paint, print_json};
use crate::verbs::{Connection, block_on, done};

const EXAMPLES: &str = "\
Everything new is denied until `clawrden resume`, also after a restart of the warden.

Examples:
  clawrden kill --reason 'it deletes the wrong branch'
  clawrden kill --pause      freeze everything and look; resume lets it go on";

/// Stop every prisoner and everything that runs for it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Freeze rather than end
    #[arg(long)]
    pause: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let connection = Connection::new(control)?;
    let request = KillRequest { pause: args.pause, reason: args.reason };
    let report = block_on(connection.client.kill(&request))?.map_err(Connection::failure)?;
    let verb = if args.pause { "frozen" } else { "ended" };
    tell(&report, verb, args.json)
}

/// Says what was done; fails when something could not be.
pub(crate) fn tell(report: &KillReport, verb: &str, json: bool) -> Outcome {
    if json {
        print_json(report)?;
    } else {
        let state = match &report.stopped {
            Some(_) => paint(Tone::Bad, "STOPPED"),
            None => paint(Tone::Good, "running"),
        };
        println!("{state}: {} {verb}", count(report.processes, "process", "processes"));
        if report.stopped.is_some() {
            println!("Everything new is denied until `clawrden resume`.");
        }
        for problem in &report.problems {
            eprintln!("clawrden: {problem}");
        }
    }
    if report.problems.is_empty() {
        done()
    } else {
        Err(Failure::Code { code: REFUSED, text: String::new() })
    }
}
