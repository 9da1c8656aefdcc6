//! `clawrden audit export`: records for other programs, from files or from a warden.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clawrden_api::{ExportEnd, ExportFacts, ExportQuery, display};
use clawrden_warden::ledger::Export;

use super::filter::Which;
use super::ledger;
use crate::connection::{Connection, block_on};
use crate::elsewhere::AskWarden;
use crate::failure::{Failure, Outcome, chain, done};
use crate::output::count;

const HELP: &str = "\
In CSV an argument vector is a JSON array in one cell, and a cell that a spreadsheet would take for a formula begins with
an apostrophe. In JSON each line is the ledger's own, so that a whole export can be verified like the ledger. What is not
in it although it was meant, because retention dropped it or it is damaged, is told on standard error.

Examples:
  clawrden audit export --format csv --since 7d > week.csv
  clawrden audit export --format json --event approved --event denied | jq .approver
  clawrden audit export /srv/copy/ledger.jsonl --format json --id 0192f3
  clawrden --host https://warden.example:8080 --token-file token audit export > ledger.jsonl";

/// Write records for other programs, as JSON lines or CSV
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The ledger, its folder, or one closed segment; without one, this user's ledger
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    #[command(flatten)]
    ask: AskWarden,
    /// The form
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = ["json", "csv"])]
    format: String,
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let query = ExportQuery { format: Some(args.format), ..args.which.query()? };
    let mut out = BufWriter::new(std::io::stdout().lock());
    if args.ask.is_meant() {
        args.ask.refuse(&[(args.path.is_some(), "a ledger's path")])?;
        let connection = Connection::new(control)?;
        block_on(of_warden(&connection, &query, &mut out))??;
        return done();
    }
    let unreadable = |e: clawrden_warden::ledger::LedgerError| Failure::Refused(chain(&e));
    let path = ledger(args.path.as_deref())?;
    let mut export = Export::open(&path, query.clone()).map_err(unreadable)?;
    before(&query, export.facts());
    while let Some(piece) = export.read().map_err(unreadable)? {
        out.write_all(&piece).map_err(|e| unwritable(&e))?;
    }
    out.flush().map_err(|e| unwritable(&e))?;
    behind(Some(export.end()));
    done()
}

async fn of_warden(
    connection: &Connection,
    query: &ExportQuery,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut export = connection.client.export(query).await.map_err(Connection::failure)?;
    before(query, &export.facts);
    let broken = |error| {
        let text = format!("the export broke off and is not whole: {error}");
        Failure::Unreachable(text)
    };
    while let Some(piece) = export.next().await.map_err(broken)? {
        out.write_all(&piece).map_err(|e| unwritable(&e))?;
    }
    out.flush().map_err(|e| unwritable(&e))?;
    behind(export.end().map_err(Connection::failure)?.as_ref());
    Ok(())
}

fn unwritable(error: &std::io::Error) -> Failure {
    Failure::Refused(format!("the output cannot be written: {error}"))
}

/// Says what was meant and is there no more.
fn before(query: &ExportQuery, facts: &ExportFacts) {
    let Some(first) = facts.first.filter(|first| *first > 1) else { return };
    let is_behind = |least: Option<u64>, first: Option<u64>| least.is_some() && least >= first;
    if is_behind(query.from, Some(first)) || is_behind(query.since_ms, facts.first_ms) {
        return;
    }
    eprintln!(
        "clawrden: the ledger begins with record {first}: what was before was dropped by retention, or lies elsewhere \
         (`clawrden audit verify` tells which)"
    );
}

/// Says what is not in it.
fn behind(end: Option<&ExportEnd>) {
    let Some(end) = end else {
        eprintln!("clawrden: whether something was left out is not known: a proxy took it away");
        return;
    };
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    if end.dropped > 0 {
        let files = count(number(end.dropped), "file", "files");
        eprintln!("clawrden: retention dropped {files} meanwhile, before they were read");
    }
    if end.left_out > 0 {
        let lines = count(number(end.left_out), "line is", "lines are");
        let why = display::text(end.why.as_deref().unwrap_or_default());
        eprintln!("clawrden: {lines} left out: {why}; `clawrden audit verify` tells more");
    }
    if end.unfinished {
        eprintln!(
            "clawrden: the last line has no end, and is left out: it is being written, or a crash left it"
        );
    }
}
