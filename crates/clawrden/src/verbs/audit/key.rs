//! `clawrden audit key`: the public half of what signs the ledger.

use std::path::PathBuf;

use clawrden_warden::ledger::PublicKey;
use serde::Serialize;

use super::{folder, ledger};
use crate::failure::{Failure, Outcome, chain, done};
use crate::output::print_json;

const EXAMPLES: &str = "\
Examples:
  clawrden audit key
  clawrden audit key --json | jq -r .key
  clawrden audit key --pem > ledger.pub   # keep it where the ledger's machine cannot change it";

/// Print the public key that proves the ledger's seals and heads
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The ledger, or its folder; without one, this user's
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,
    /// In PEM, as other tools read it
    #[arg(long)]
    pem: bool,
    /// Answer in JSON: in both forms
    #[arg(long, conflicts_with = "pem")]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    key: String,
    pem: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let refused = |e: clawrden_warden::ledger::LedgerError| Failure::Refused(chain(&e));
    let ledger = ledger(args.path.as_deref())?;
    let key = PublicKey::of(folder(&ledger)).map_err(refused)?;
    if args.json {
        print_json(&Told { key: key.to_string(), pem: key.pem().map_err(refused)? })?;
    } else if args.pem {
        print!("{}", key.pem().map_err(refused)?);
    } else {
        println!("{key}");
    }
    done()
}
