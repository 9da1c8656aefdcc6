//! `clawrden audit reindex`: the ledger's index, made anew.

use std::path::Path;

use clawrden_api::display;

use crate::failure::Outcome;
use crate::output::print_json;
use crate::verbs::{Connection, block_on, done};

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
    let connection = Connection::new(control)?;
    let index = block_on(connection.client.rebuild_index())?.map_err(Connection::failure)?;
    if args.json {
        print_json(&index)?;
        return done();
    }
    let path = display::text(&index.path);
    match &index.state[..] {
        "off" => println!("there is no index: {}", display::text(&index.error.unwrap_or_default())),
        _ => println!("{path} is made anew; `clawrden status` tells how far it is"),
    }
    done()
}
