//! `clawrden policy test`: whether commands come out as a policy's examples say, and those in files of tests.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clawrden_api::{PolicyProblem, display};
use clawrden_policy::{LoadError, MAX_POLICY_BYTES, Policy};
use serde::Serialize;

use super::check;
use super::{Choice, under_ceiling};
use crate::bounded::read_bounded;
use crate::failure::{Failure, Outcome, REFUSED};
use crate::output::{Tone, count, paint, print_json};

const EXAMPLES: &str = "\
A file of tests has `tests:` and nothing else, written as in a policy. It is judged by the whole policy: the ceiling, \
the host's files and their packs. A policy's own examples are judged by its file alone, whenever it is loaded.

Exit codes, besides those of every verb:
  0  everything came out as it should
  1  something did not

Examples:
  clawrden policy test
  clawrden policy test --policy candidate.yaml team-tests.yaml
  clawrden policy test --profile ci --json";

/// Test a policy: its own examples, and files of further tests
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Files of tests
    #[arg(value_name = "TESTS")]
    tests: Vec<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    policy: String,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    file: String,
    ok: bool,
    /// How many there are; 0 where the file could not be read.
    tests: usize,
    errors: Vec<PolicyProblem>,
    omitted: usize,
}

/// What came of one file.
type Tried = (String, Result<usize, LoadError>);

/// Runs the verb.
pub(super) fn run(args: &Args) -> Outcome {
    let (source, files) = args.choice.files()?;
    let mut tried: Vec<Tried> = Vec::new();
    match Policy::from_sources(&under_ceiling(files)?) {
        Err(error) => tried.push((source.clone(), Err(error))),
        Ok(policy) => {
            tried.push((source.clone(), Ok(policy.example_count())));
            for path in &args.tests {
                tried.push(by_file(&policy, path)?);
            }
        }
    }
    let ok = tried.iter().all(|(_, found)| found.is_ok());
    if args.json {
        print_json(&Report { ok, policy: source, files: tried.iter().map(file).collect() })?;
    } else {
        tried.iter().for_each(show);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn by_file(policy: &Policy, path: &Path) -> Result<Tried, Failure> {
    let name = path.display().to_string();
    let text = read_bounded(path, MAX_POLICY_BYTES)
        .map_err(|e| Failure::Usage(format!("the tests {name} cannot be read: {e}")))?;
    let found = policy.test(&name, &text);
    Ok((name, found))
}

fn file((name, found): &Tried) -> File {
    let error = found.as_ref().err();
    File {
        file: name.clone(),
        ok: error.is_none(),
        tests: found.as_ref().map_or(0, |count| *count),
        errors: error.map(check::problems).unwrap_or_default(),
        omitted: error.map_or(0, LoadError::omitted),
    }
}

fn show((name, found): &Tried) {
    match found {
        Ok(tests) => {
            let (name, tests) = (display::text(name), count(*tests, "test", "tests"));
            println!("{} {name}: {tests}", paint(Tone::Good, "ok"));
        }
        Err(error) => check::show_error(name, error),
    }
}
