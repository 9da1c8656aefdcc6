//! `clawrden audit reindex`: the ledger's index, made anew.

use std::path::Path;

use clawrden_api::{IndexStatus, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::print_answer;

const EXAMPLES: &str = "\
The index makes history fast and has no authority: it is made from the ledger, which stays as it is. The warden makes it
in the background; until that is done history is read from the ledger, and slow.

Examples:
  clawrden audit reindex
  clawrden status            # how far it is";

/// Have the warden make the ledger's index anew
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let index = ask(control, async |client| client.rebuild_index().await)?;
    print_answer(&index, args.json, show)?;
    done()
}

fn show(index: &IndexStatus) {
    let (path, error) = (display::text(&index.path), index.error.as_deref().unwrap_or_default());
    match &index.state[..] {
        "off" => println!("there is no index: {}", display::text(error)),
        _ => println!("{path} is made anew; `clawrden status` tells how far it is"),
    }
}
