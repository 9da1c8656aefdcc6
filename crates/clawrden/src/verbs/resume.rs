//! `clawrden resume`: the end of a stop.

use std::path::Path;

use clawrden_api::ResumeRequest;

use crate::connection::ask;
use crate::failure::Outcome;
use crate::verbs::kill;

const EXAMPLES: &str = "\
What was stopped alone, by `kill --jail` or `kill --container`, stays so until it is named.

Examples:
  clawrden resume
  clawrden resume --jail web";

/// Let requests through again after `kill`, and thaw what `kill --pause` froze
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// This jail alone
    #[arg(long, value_name = "NAME", conflicts_with = "container")]
    jail: Option<String>,
    /// This container alone: its name, its id or the start of it
    #[arg(long, value_name = "CONTAINER")]
    container: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let Args { jail, container, json } = args;
    let request = ResumeRequest { jail, container, said_ms: None };
    let report = ask(control, async |client| client.resume(&request).await)?;
    kill::tell(&report, "thawed", "clawrden resume", json)
}
