//! `clawrden shims`: the shim and its links in a folder, for people who put it on PATH themselves.

use std::path::PathBuf;

use clawrden_warden::jails::shims::write_shims;
use serde::Serialize;

use crate::failure::{Failure, Outcome, chain, done};
use crate::output::{count, print_json};
use crate::run::tools;

const EXAMPLES: &str = "\
The folder gets the shim once and a link for every tool. Put it first on the PATH of what is to be governed, and set
CLAWRDEN_SOCKET there if the jail's intercom socket is not in its usual place.

Examples:
  clawrden shims ~/governed git npm docker
  PATH=~/governed:$PATH my-agent";

/// Write the shim and its links into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder; it is made if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The tools to stand in for, by bare name
    #[arg(value_name = "TOOL", required = true)]
    tools: Vec<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Written<'a> {
    dir: String,
    tools: &'a [String],
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Outcome {
    for tool in &args.tools {
        tools::check_name(tool).map_err(|e| Failure::Usage(e.to_string()))?;
    }
    let dir = std::path::absolute(&args.dir)
        .map_err(|e| Failure::Usage(format!("{} is no folder: {e}", args.dir.display())))?;
    write_shims(&dir, &args.tools).map_err(|e| Failure::Refused(chain(&e)))?;
    if args.json {
        print_json(&Written { dir: dir.display().to_string(), tools: &args.tools })?;
    } else {
        println!("{}: {}", dir.display(), count(args.tools.len(), "tool", "tools"));
    }
    done()
}
