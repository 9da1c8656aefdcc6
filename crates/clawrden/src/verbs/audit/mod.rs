//! `clawrden audit`: the ledger proved, exported, followed and counted: by its files, without the warden, or by what a warden
//! says of it.

use std::path::{Path, PathBuf};

use clawrden_warden::config::File as Settings;
use clawrden_warden::ledger::{Found, LedgerError, Lines};

use crate::connection::places;
use crate::failure::{Failure, Outcome, chain, done};

mod damage;
mod export;
mod filter;
mod key;
mod of_warden;
mod reindex;
mod stats;
mod tail;
mod verify;

const HELP: &str = "\
Examples:
  clawrden audit verify                       # this user's ledger, by the key beside it
  clawrden audit verify --key ledger.pub /srv/copy
  clawrden audit verify --warden              # have the warden prove it
  clawrden audit export --format csv --since 7d > week.csv
  clawrden audit tail -f
  clawrden audit stats --since 24h";

const SCHEMA: &str = "\
Examples:
  clawrden audit schema > ledger.schema.json
  clawrden audit schema | jq '.description'";

/// Prove, export, follow and count the record of everything that was asked, decided and done
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Verify(verify::Args),
    Export(export::Args),
    Tail(tail::Args),
    Stats(stats::Args),
    Key(key::Args),
    Reindex(reindex::Args),
    /// Print the JSON Schema of the ledger's lines
    #[command(after_help = SCHEMA)]
    Schema,
}

impl Args {
    /// Whether a warden can be asked, and not files of this machine alone.
    pub(crate) fn asks_a_warden(&self) -> bool {
        matches!(self.verb, Verb::Verify(_) | Verb::Export(_) | Verb::Reindex(_))
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.verb {
        Verb::Verify(args) => verify::run(&args, control),
        Verb::Export(args) => export::run(args, control),
        Verb::Reindex(args) => reindex::run(&args, control),
        Verb::Tail(args) => tail::run(&args),
        Verb::Stats(args) => stats::run(args),
        Verb::Key(args) => key::run(&args),
        Verb::Schema => {
            print!("{}", clawrden_warden::ledger::SCHEMA_JSON);
            done()
        }
    }
}

/// The ledger that is meant: what was named, or this user's.
fn ledger(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let places = places()?;
            let settings = Settings::read(None, &places.settings());
            let settings = settings.map_err(|e| Failure::Usage(chain(&e)))?;
            settings.ledger.path.unwrap_or_else(|| places.ledger())
        }
    };
    Ok(if path.is_dir() { path.join("ledger.jsonl") } else { path })
}

/// The folder that a ledger's file is in.
fn folder(ledger: &Path) -> &Path {
    match ledger.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Hands every line of the ledger's files to `take`, oldest first, its newline left out. What is no line is left to
/// `verify`.
fn each_line(
    ledger: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let unreadable = |e: LedgerError| Failure::Refused(chain(&e));
    let mut lines = Lines::open(ledger).map_err(unreadable)?;
    while let Some(found) = lines.read().map_err(unreadable)? {
        if let Found::Line(line) = found {
            take(line)?;
        } else if found == Found::Dropped {
            eprintln!("clawrden: retention dropped {} meanwhile", lines.place().0.display());
        }
    }
    Ok(())
}
