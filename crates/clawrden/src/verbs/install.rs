//! `clawrden install`: makes the system it runs in, or an unpacked image, governed.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome, chain, done};
use crate::install::{self, InstallError, Report, Root, User, Wish};
use crate::output::print_json;
use crate::run::tools;

const EXAMPLES: &str = "\
For images: the stand-ins go to /clawrden/bin, and the startup files of shells put that first on PATH. Programs that are
started without a shell take the PATH of the container, so say ENV PATH=/clawrden/bin:$PATH in the Dockerfile, or
--env PATH=/clawrden/bin:... where it is run. Doing it again with other tools adds and removes them; /clawrden/install.json
has what was done.

With --lock the tools themselves are put out of the reach of every user but root: a path to them leads to the stand-in.
The warden runs them from where they are then. A tool that other tools are links to (busybox) is not locked.

Examples:
  clawrden install --user 1000 --tools npm,docker,git --lock
  clawrden install --root ./rootfs --user 1000:1000 --tools python3";

/// Put stand-ins into an image, and lock the originals away
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The tools to stand in for, by bare name
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',', required_unless_present = "finish")]
    tools: Vec<String>,
    /// Who the prisoner will be, in numbers
    #[arg(long, value_name = "UID[:GID]")]
    user: Option<User>,
    /// Put the originals out of the prisoner's reach
    #[arg(long)]
    lock: bool,
    /// The folder of an unpacked image; this system otherwise
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The PATH of the image's processes, beside the usual folders
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Bring an installation that was interrupted to its end
    #[arg(long, conflicts_with_all = ["tools", "user", "lock", "path"])]
    finish: bool,
    /// Also copy everything that was changed into this folder
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "root")]
    changes: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> Outcome {
    for tool in &args.tools {
        tools::check_name(tool).map_err(|e| Failure::Usage(e.to_string()))?;
    }
    let root = open(args.root.as_deref())?;
    let report = if args.finish {
        install::finish(&root)
    } else {
        // The PATH of this process says nothing about an image that it only looks at.
        let own = || if root.is_own() { std::env::var("PATH").ok() } else { None };
        let path = args.path.or_else(own).unwrap_or_default();
        let wish = Wish { tools: args.tools, user: args.user, lock: args.lock, path };
        install::install(&root, &wish)
    };
    let report = report.map_err(refused)?;
    if let Some(into) = &args.changes {
        install::copy_changes(&root, into).map_err(refused)?;
    }
    tell(&report, args.json)?;
    if !args.json && !report.tools.is_empty() {
        println!(
            "without a shell: set ENV PATH=/clawrden/bin:$PATH in the image, or --env where it is run"
        );
    }
    done()
}

pub(super) fn open(root: Option<&Path>) -> Result<Root, Failure> {
    Root::open(root.unwrap_or(Path::new("/"))).map_err(|e| Failure::Usage(chain(&e)))
}

pub(super) fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(report);
    }
    for line in report.lines() {
        println!("{line}");
    }
    Ok(())
}

/// Words a refusal.
pub(super) fn refused(error: InstallError) -> Failure {
    match error {
        InstallError::Root { .. } | InstallError::OddPath(_) => Failure::Usage(chain(&error)),
        error => Failure::Refused(chain(&error)),
    }
}
