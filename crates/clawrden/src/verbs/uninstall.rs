//! `clawrden uninstall`: undoes `clawrden install`.

use std::path::PathBuf;

use crate::failure::{Outcome, done};
use crate::install;
use crate::verbs::install::{open, refused, tell};

const EXAMPLES: &str = "\
Tools, links and startup files get back what they were, with owner, mode and time. What somebody has put in their place
since stays. An installation that was interrupted is undone as well.

Examples:
  clawrden uninstall
  clawrden uninstall --root ./rootfs";

/// Take the stand-ins out of an image and put the originals back
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder of an unpacked image; this system otherwise
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Outcome {
    let root = open(args.root.as_deref())?;
    let report = install::uninstall(&root).map_err(refused)?;
    tell(&report, args.json)?;
    done()
}
