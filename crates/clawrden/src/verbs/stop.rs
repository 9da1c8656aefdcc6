//! `clawrden stop`: a person ends one running command.

use std::path::Path;

use clawrden_api::StopRequest;

use crate::connection::ask;
use crate::failure::{Failure, Outcome, REFUSED, done};
use crate::output::print_json;
use crate::verbs::answer::check_id;

const EXAMPLES: &str = "\
Examples:
  clawrden stop 7f3a
  clawrden stop 7f3a --reason 'it loops; look at the log first'";

/// End one running command, with all that it has started
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command, as `clawrden ps` shows it: at least four digits of its id
    #[arg(value_name = "ID")]
    id: String,
    /// Why; for the record, and for the agent where it can be told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    check_id(&args.id)?;
    let request = StopRequest { reason: args.reason };
    let report = ask(control, async |client| client.stop(&args.id, &request).await)?;
    let short = report.id.get(..8).unwrap_or(&report.id);
    if args.json {
        print_json(&report)?;
    } else if report.ended {
        println!("stopped {short}");
    } else {
        eprintln!(
            "clawrden: {short} was told to stop and has not ended yet; `clawrden ps` shows it"
        );
    }
    if report.ended {
        return done();
    }
    Err(Failure::Code { code: REFUSED, text: String::new() })
}
