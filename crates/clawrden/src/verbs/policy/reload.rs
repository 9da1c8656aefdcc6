//! `clawrden policy reload`: the warden reads its files when it is told to.

use std::path::Path;

use clawrden_api::{PolicyReloaded, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, paint, print_answer};

const EXAMPLES: &str = "\
The warden reads changed files by itself; this is for where it cannot see them change, and to learn what came of it.

Exit codes, besides those of every verb:
  0  the files are in force, changed or not
  2  they do not load: the policy before stays in force

Examples:
  clawrden policy reload
  clawrden policy reload --json | jq -r .fingerprint";

/// Read the warden's policy files anew
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let reloaded = ask(control, async |client| client.reload_policy().await)?;
    print_answer(&reloaded, args.json, show)?;
    done()
}

fn show(reloaded: &PolicyReloaded) {
    let PolicyReloaded { source, fingerprint, changed, problems } = reloaded;
    let (source, fingerprint) = (display::text(source), display::text(fingerprint));
    let what = if *changed { "in force" } else { "unchanged, still in force" };
    println!("{what}: {source}, sha256 {fingerprint}");
    for problem in problems {
        println!("{}", paint(Tone::Bad, &display::text(problem)));
    }
}
