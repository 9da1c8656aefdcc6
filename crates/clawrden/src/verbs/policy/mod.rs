//! `clawrden policy`: what is done with policies from the command line.

use std::path::Path;

use clap::Subcommand;

use crate::failure::Outcome;

mod reload;

/// Work with policies
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Reload(reload::Args),
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    match &args.verb {
        Verb::Reload(args) => reload::run(args, control),
    }
}
