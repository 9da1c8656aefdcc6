//! `clawrden approve`: a person says yes to one request.

use std::path::Path;

use crate::failure::Outcome;
use crate::verbs::answer::{Answer, send};

const EXAMPLES: &str = "\
Examples:
  clawrden approve 7f3a
  clawrden approve 7f3a --reason 'the lock file was reviewed'";

/// Approve a request that waits, once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The request, as `clawrden queue` shows it: at least four digits of its id
    #[arg(value_name = "ID")]
    id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    send(Answer::Approve, &args.id, args.reason, args.json, control)
}
