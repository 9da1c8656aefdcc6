//! `clawrden resume`: the end of a stop.

use std::path::Path;

use crate::failure::Outcome;
use crate::verbs::{Connection, block_on, kill};

const EXAMPLES: &str = "\
Examples:
  clawrden resume";

/// Let requests through again after `kill`, and thaw what `kill --pause` froze
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let connection = Connection::new(control)?;
    let report = block_on(connection.client.resume())?.map_err(Connection::failure)?;
    kill::tell(&report, "thawed", args.json)
}
