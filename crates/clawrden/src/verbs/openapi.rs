//! `clawrden openapi`: the control API as the warden describes it.

use std::path::Path;

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::print_json;

const EXAMPLES: &str = "\
For programs that make clients of it, and for those that try it. docs/api.md tells it to people.

Examples:
  clawrden openapi > openapi.json
  clawrden openapi | jq '.paths | keys'";

/// Print the warden's own description of its API, as OpenAPI 3.1
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Runs the verb.
pub(crate) fn run(_args: &Args, control: Option<&Path>) -> Outcome {
    print_json(&ask(control, async |client| client.description().await)?)?;
    done()
}
