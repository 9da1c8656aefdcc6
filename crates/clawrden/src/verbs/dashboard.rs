//! `clawrden dashboard`: a link that opens one session of the web page.

use std::path::Path;

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::print_answer;

const EXAMPLES: &str = "\
The link can be used once, within a minute. The warden must serve its API: clawrden warden --api 127.0.0.1:8080

Paste it into the browser. Give it to no command: command lines are read by every user of the machine, and the link
opens a session of yours. A link that another user of this machine tries opens nothing; one that root made, does.

Examples:
  clawrden dashboard
  clawrden dashboard --json | jq -r .url";

/// Print a link that opens a session of the web page, once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let link = ask(control, async |client| client.login_link().await)?;
    print_answer(&link, args.json, |link| println!("{}", link.url))?;
    done()
}
