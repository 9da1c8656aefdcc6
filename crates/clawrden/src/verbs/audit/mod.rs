//! `clawrden audit`: the ledger by its files, without the warden: proved, exported, followed, counted.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clawrden_warden::config::File as Settings;
use clawrden_warden::ledger::{MAX_LINE, files_of};

use crate::failure::{Failure, Outcome};
use crate::verbs::{chain, done, places};

mod export;
mod filter;
mod key;
mod stats;
mod tail;
mod verify;

const HELP: &str = "\
Examples:
  clawrden audit verify                       # this user's ledger, by the key beside it
  clawrden audit verify --key ledger.pub /srv/copy
  clawrden audit export --format csv --since 7d > week.csv
  clawrden audit tail -f
  clawrden audit stats --since 24h";

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
    /// Print the JSON Schema of the ledger's lines
    Schema,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> Outcome {
    match args.verb {
        Verb::Verify(args) => verify::run(&args),
        Verb::Export(args) => export::run(args),
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

/// Hands every line of the ledger's files to `take`, oldest first, its newline left out. What is too long to be a line
/// is left to `verify`.
fn each_line(
    ledger: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let unreadable = |path: &Path, e: std::io::Error| {
        Failure::Refused(format!("{} cannot be read: {e}", path.display()))
    };
    // What is rotated while the older files are read is read all the same: it is open.
    let (closed, last) = files_of(ledger).map_err(|e| Failure::Refused(chain(&e)))?;
    let closed = closed.into_iter().map(|path| (File::open(&path), path));
    for (file, path) in closed.chain(last.map(|file| (Ok(file), ledger.to_owned()))) {
        let file = match file {
            // Only the oldest is ever dropped: what is behind it is there.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("clawrden: retention dropped {} meanwhile", path.display());
                continue;
            }
            file => file.map_err(|e| unreadable(&path, e))?,
        };
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
            match read.map_err(|e| unreadable(&path, e))? {
                0 => break,
                _ if line.last() == Some(&b'\n') => take(&line[..line.len() - 1])?,
                // A torn end, or no line of ours.
                _ => drop(reader.skip_until(b'\n')),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_rotation_while_lines_are_read_leaves_none_out() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        let active = name("ledger.jsonl");
        fs::write(name("ledger-000000000001.jsonl"), "1\n2\n").unwrap();
        fs::write(&active, "3\n4\n").unwrap();
        let mut lines = Vec::new();
        each_line(&active, |line| {
            if lines.is_empty() {
                fs::rename(&active, name("ledger-000000000003.jsonl")).unwrap();
                fs::write(&active, "5\n").unwrap();
            }
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, ["1", "2", "3", "4"]);
        fs::remove_file(&active).unwrap();
        lines.clear();
        each_line(&active, |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, ["1", "2", "3", "4"]);
    }
}
