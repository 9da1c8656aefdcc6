//! `clawrden policy schema`: the keys of a policy file, for editors.

use std::io::Write;

use clawrden_policy::Policy;

use crate::failure::{Failure, Outcome, done};

const EXAMPLES: &str = "\
Exit codes: those of every verb.

Examples:
  clawrden policy schema > policy.schema.json
and as the first line of policy.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=./policy.schema.json";

/// Print the JSON Schema of policy files, so that editors complete and check them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

/// Runs the verb.
pub(super) fn run(_: &Args) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(Policy::schema().as_bytes())
        .map_err(|e| Failure::Refused(format!("standard output cannot be written: {e}")))?;
    done()
}
