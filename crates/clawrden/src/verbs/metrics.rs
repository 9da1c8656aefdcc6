//! `clawrden metrics`: what the warden counts, as it gives it to Prometheus.

use std::path::Path;

use crate::failure::Outcome;
use crate::verbs::{Connection, block_on, done};

const EXAMPLES: &str = "\
Examples:
  clawrden metrics
  clawrden metrics | grep -v '^#'

The same for a collector of metrics, at the control socket:
  curl --unix-socket /run/clawrden/control.sock http://clawrden/metrics
docs/operations.md says what each one means.";

/// Print what the warden counts, in Prometheus' text format
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Runs the verb.
pub(crate) fn run(_args: &Args, control: Option<&Path>) -> Outcome {
    let connection = Connection::new(control)?;
    let page = block_on(connection.client.metrics())?.map_err(Connection::failure)?;
    print!("{page}");
    done()
}
