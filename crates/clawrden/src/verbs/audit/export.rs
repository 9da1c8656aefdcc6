//! `clawrden audit export`: records for other programs.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use serde_json::Value;

use super::filter::{Filter, Which};
use super::{each_line, ledger};
use crate::failure::{Failure, Outcome};
use crate::verbs::done;

const HELP: &str = "\
In CSV an argument vector is a JSON array in one cell, and a cell that a spreadsheet would take for a formula begins with
an apostrophe. In JSON each line is the ledger's own, so that a whole export can be verified like the ledger.

Examples:
  clawrden audit export --format csv --since 7d > week.csv
  clawrden audit export --format json --event approved --event denied | jq .approver
  clawrden audit export /srv/copy/ledger.jsonl --format json --id 0192f3";

/// The cells of a line of CSV: their headings, and where they are found.
const COLUMNS: [(&str, &str); 22] = [
    ("seq", "/seq"),
    ("time", "/time"),
    ("event", "/event"),
    ("id", "/id"),
    ("jail", "/jail"),
    ("uid", "/caller/uid"),
    ("pid", "/caller/pid"),
    ("container", "/caller/container/name"),
    ("argv", "/argv"),
    ("cwd", "/cwd"),
    ("decision", "/decision"),
    ("rule", "/rule"),
    ("approver", "/approver"),
    ("from", "/from"),
    ("by", "/by"),
    ("executor", "/executor"),
    ("exit_code", "/exit_code"),
    ("signal", "/signal"),
    ("duration_ms", "/duration_ms"),
    ("timed_out", "/timed_out"),
    ("reason", "/reason"),
    ("error", "/error"),
];

/// Write records for other programs, as JSON lines or CSV
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The ledger, its folder, or one closed segment; without one, this user's ledger
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// The form
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = ["json", "csv"])]
    format: String,
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(args: Args) -> Outcome {
    let path = ledger(args.path.as_deref())?;
    let filter = Filter::new(args.which)?;
    let is_csv = args.format == "csv";
    let mut out = BufWriter::new(std::io::stdout().lock());
    let failed = |e: std::io::Error| Failure::Refused(format!("the output cannot be written: {e}"));
    if is_csv {
        let headings: Vec<&str> = COLUMNS.iter().map(|(heading, _)| *heading).collect();
        write!(out, "{}\r\n", headings.join(",")).map_err(failed)?;
    }
    each_line(&path, |line| {
        let Ok(record) = serde_json::from_slice::<Value>(line) else { return Ok(()) };
        if !filter.fits(&record) {
            return Ok(());
        }
        let written = match is_csv {
            true => write!(out, "{}\r\n", csv(&record)),
            false => out.write_all(line).and_then(|()| out.write_all(b"\n")),
        };
        written.map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    done()
}

fn csv(record: &Value) -> String {
    let cells: Vec<String> = COLUMNS
        .iter()
        .map(|(_, place)| match record.pointer(place) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => cell(text),
            Some(other) => cell(&other.to_string()),
        })
        .collect();
    cells.join(",")
}

/// One cell, as RFC 4180 has it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    format!("{guard}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_whatever_text_there_is_and_no_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(cell("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(cell("-1,2"), "\"'-1,2\"");
    }

    #[test]
    fn a_record_is_one_line_with_a_cell_for_each_heading() {
        let record = serde_json::json!({
            "seq": 3, "event": "requested", "argv": ["ls", "a\nb"], "caller": {"uid": 0}
        });
        let text = csv(&record);
        assert!(text.starts_with("3,,requested,,,0,,,\"[\"\"ls\"\",\"\"a\\nb\"\"]\",,"), "{text}");
        assert!(!text.contains('\n'));
    }
}
