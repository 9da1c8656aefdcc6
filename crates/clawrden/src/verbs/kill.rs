//! `clawrden kill`: the kill switch. Everything that runs for a prisoner ends, and everything new is denied; of all, or
//! of one jail or container.

use std::path::Path;

use clawrden_api::{KillReport, KillRequest, display};

use crate::connection::ask;
use crate::failure::{Failure, Outcome, REFUSED, done};
use crate::output::{Tone, count, paint, print_json};

const EXAMPLES: &str = "\
Everything new is denied until `clawrden resume`, also after a restart of the warden.

Examples:
  clawrden kill --reason 'it deletes the wrong branch'
  clawrden kill --pause      freeze everything and look; resume lets it go on
  clawrden kill --jail web   one jail: its containers, its runs, and all that runs for them
  clawrden kill --container agent-1 --pause";

/// Stop every prisoner and everything that runs for it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Freeze rather than end
    #[arg(long)]
    pause: bool,
    /// This jail alone
    #[arg(long, value_name = "NAME", conflicts_with = "container")]
    jail: Option<String>,
    /// This container alone: its name, its id or the start of it
    #[arg(long, value_name = "CONTAINER")]
    container: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let Args { pause, jail, container, reason, json } = args;
    let resume = resume(jail.as_deref(), container.as_deref());
    let request = KillRequest { pause, reason, jail, container };
    let report = ask(control, async |client| client.kill(&request).await)?;
    let verb = if pause { "frozen" } else { "ended" };
    tell(&report, verb, &resume, json)
}

/// The command that takes back a stop.
pub(crate) fn resume(jail: Option<&str>, container: Option<&str>) -> String {
    let name = |option, name| format!("clawrden resume {option} {}", display::text(name));
    match (jail, container) {
        (Some(jail), _) => name("--jail", jail),
        (None, Some(container)) => name("--container", container),
        (None, None) => "clawrden resume".to_owned(),
    }
}

/// Says what was done; fails when something could not be.
pub(crate) fn tell(report: &KillReport, verb: &str, resume: &str, json: bool) -> Outcome {
    if json {
        print_json(report)?;
    } else {
        let state = match &report.stopped {
            Some(_) => paint(Tone::Bad, "STOPPED"),
            None => paint(Tone::Good, "running"),
        };
        let mut done = count(report.processes, "process", "processes");
        if report.containers > 0 {
            let containers = count(report.containers, "container", "containers");
            done = format!("{containers} and {done}");
        }
        println!("{state}: {done} {verb}");
        if report.stopped.is_some() {
            println!("Everything new there is denied until `{resume}`.");
        }
        for problem in &report.problems {
            eprintln!("clawrden: {problem}");
        }
    }
    if report.problems.is_empty() {
        done()
    } else {
        Err(Failure::Code { code: REFUSED, text: String::new() })
    }
}
