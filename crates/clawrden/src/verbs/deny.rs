//! `clawrden deny`: a person says no to one request.

use std::path::Path;

use clawrden_api::AnswerRequest;

use crate::failure::Outcome;
use crate::verbs::answer::{Answer, send};

const EXAMPLES: &str = "\
Examples:
  clawrden deny 7f3a
  clawrden deny 7f3a --reason 'use the vendored copy in third_party/'";

/// Deny a request that waits
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The request, as `clawrden queue` shows it: at least four digits of its id
    #[arg(value_name = "ID")]
    id: String,
    /// Why; the agent is told, so say what it should do instead
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let request = AnswerRequest { reason: args.reason, ..AnswerRequest::default() };
    send(Answer::Deny, &args.id, &request, args.json, control)
}
